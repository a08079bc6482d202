//! Pages of a run as screenshots: what they hold, how large they are, and what the program says to wrong wishes.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use crossbeam_channel::bounded;
use epochtop::event::Record;
use epochtop::link::{Feed, Link};
use epochtop::run::Beside;
use epochtop::run::RunState;
use epochtop::tui::{self, ColorDepth, Settings, Theme};

use crate::story;

/// A page of these records as a screenshot.
fn screenshot(records: &[Record], page: &str, size: (u16, u16), theme: &str) -> String {
    let mut run = RunState::default();
    records.iter().for_each(|record| run.apply(record));
    let (sender, feed) = bounded(1);
    sender.send(Feed::Snapshot(Box::new(run))).unwrap();
    drop(sender);
    let theme = Theme::load(theme).unwrap();
    let settings = Settings {
        color: ColorDepth::True,
        ..Settings::default()
    };
    let buffer = tui::draw_once(
        &Link::only(feed),
        page,
        size,
        &theme,
        settings,
        Beside::default(),
    )
    .unwrap();
    tui::svg(&buffer, &theme, page)
}

#[test]
fn every_page_is_a_screenshot_of_modest_size() {
    let records = story::finished();
    for page in tui::pages() {
        for theme in ["dark", "light", "mono"] {
            let svg = screenshot(&records, page, (120, 40), theme);
            assert!(svg.len() < 150_000, "{page} {theme}: {} bytes", svg.len());
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
            assert!(
                !svg.contains(|c: char| c.is_control() && c != '\n'),
                "{page}"
            );
            assert!(!svg.contains("<script") && !svg.contains("url("));
            assert_eq!(svg, screenshot(&records, page, (120, 40), theme), "{page}");
        }
    }
}

#[test]
fn pages_differ() {
    let records = story::midrun();
    let mut all: Vec<String> = tui::pages()
        .iter()
        .map(|page| screenshot(&records, page, (120, 40), "dark").replace(page, ""))
        .collect();
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

/// A run's directory with nothing but its journal.
fn journal(dir: &Path, records: &[Record]) {
    std::fs::create_dir_all(dir).unwrap();
    let mut text = String::new();
    for record in records {
        let line = serde_json::to_string(record).unwrap();
        writeln!(text, "{line}").unwrap();
    }
    std::fs::write(dir.join("events.jsonl"), text).unwrap();
}

fn view(runs: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_epochtop"))
        .arg("view")
        .args(args)
        .arg("--runs")
        .arg(runs)
        .env("HOME", runs)
        .env("TERM", "dumb")
        .env("NO_COLOR", "1")
        .env("LC_ALL", "C")
        .output()
        .unwrap()
}

#[test]
fn the_program_draws_a_run_without_a_terminal() {
    let runs = tempfile::tempdir().unwrap();
    journal(&runs.path().join("one"), &story::finished());
    let file = runs.path().join("it.svg");
    let wish = ["one", "--page", "confusion", "--screenshot"];
    let drawn = view(
        runs.path(),
        &[&wish[..], &[file.to_str().unwrap()]].concat(),
    );
    assert_eq!(drawn.status.code(), Some(0), "{drawn:?}");
    assert!(drawn.stdout.is_empty());
    let svg = std::fs::read_to_string(&file).unwrap();
    assert!(svg.contains("<title>epochtop · one · confusion</title>"));
    assert!(svg.contains("Ankle boot"), "words are text");
    let told = view(runs.path(), &[&wish[..], &["-"]].concat());
    assert_eq!(told.stdout, svg.into_bytes(), "whatever the terminal is");
    let small = view(
        runs.path(),
        &[&wish[..], &["-", "--size", "80x24"]].concat(),
    );
    assert!(small.stdout.len() < told.stdout.len());
    if let Some(keep) = std::env::var_os("EPOCHTOP_KEEP_JOURNAL") {
        journal(Path::new(&keep), &story::finished());
    }
}

#[test]
fn a_wrong_wish_is_told_with_what_there_is() {
    let runs = tempfile::tempdir().unwrap();
    journal(&runs.path().join("one"), &story::empty());
    let pages = tui::pages().join(", ");
    for (args, words) in [
        (&["one", "--page", "los"][..], pages.as_str()),
        (&["one", "--screenshot", "-", "--size", "wide"], "120x40"),
        (
            &["one", "--screenshot", "-", "--size", "0x5"],
            "1x1 to 500x200",
        ),
        (&["one", "--size", "80x24"], "--screenshot"),
        (
            &["one", "--screenshot", "-", "--theme", "none"],
            "there are dark",
        ),
        (&["two", "--screenshot", "-"], "two"),
    ] {
        let said = view(runs.path(), args);
        let error = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(words), "{args:?}: {error}");
        assert!(said.stdout.is_empty(), "{args:?}");
    }
    let nowhere = view(runs.path(), &["one", "--screenshot", "/nowhere/it.svg"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("/nowhere/it.svg"));
}
