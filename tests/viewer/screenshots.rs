//! SVG screenshots of pages: content, file size, and error messages for invalid arguments.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use crossbeam_channel::bounded;
use epochtop::event::Record;
use epochtop::link::{Feed, Link};
use epochtop::run::ComparedRuns;
use epochtop::run::RunState;
use epochtop::tui::{self, ColorDepth, Settings, Theme};

use crate::story;

/// The SVG screenshot of a page of the run with these records.
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
        ComparedRuns::default(),
    )
    .unwrap();
    tui::svg(&buffer, &theme, page)
}

#[test]
fn every_page_has_a_small_valid_screenshot() {
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
fn screenshots_of_pages_differ() {
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

/// Creates a run directory that contains only a journal.
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
fn the_program_writes_screenshots_without_a_terminal() {
    let runs = tempfile::tempdir().unwrap();
    journal(&runs.path().join("one"), &story::finished());
    let file = runs.path().join("it.svg");
    let page_args = ["one", "--page", "confusion", "--screenshot"];
    let drawn = view(
        runs.path(),
        &[&page_args[..], &[file.to_str().unwrap()]].concat(),
    );
    assert_eq!(drawn.status.code(), Some(0), "{drawn:?}");
    assert!(drawn.stdout.is_empty());
    let svg = std::fs::read_to_string(&file).unwrap();
    assert!(svg.contains("<title>epochtop · one · confusion</title>"));
    assert!(svg.contains("Ankle boot"), "text is stored as text");
    let printed = view(runs.path(), &[&page_args[..], &["-"]].concat());
    assert_eq!(
        printed.stdout,
        svg.into_bytes(),
        "the output does not depend on the terminal"
    );
    let small = view(
        runs.path(),
        &[&page_args[..], &["-", "--size", "80x24"]].concat(),
    );
    assert!(small.stdout.len() < printed.stdout.len());
    if let Some(keep) = std::env::var_os("EPOCHTOP_KEEP_JOURNAL") {
        journal(&Path::new(&keep).join("first"), &story::finished());
        journal(
            &Path::new(&keep).join("second"),
            &story::rival("second", 7, 6),
        );
    }
}

#[test]
fn invalid_arguments_are_reported_with_the_valid_ones() {
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
            "expected one of dark",
        ),
        (&["two", "--screenshot", "-"], "two"),
    ] {
        let result = view(runs.path(), args);
        let error = String::from_utf8_lossy(&result.stderr);
        assert_eq!(result.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(words), "{args:?}: {error}");
        assert!(result.stdout.is_empty(), "{args:?}");
    }
    let nowhere = view(runs.path(), &["one", "--screenshot", "/nowhere/it.svg"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("/nowhere/it.svg"));
}
