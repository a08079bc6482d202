//! README.md and docs/: their generated parts are what the program prints and draws, and their links lead somewhere.
//!
//! `make docs` (EPOCHTOP_DOCS=write) writes the generated parts; without it, these tests fail where one is out of date.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use epochtop::config::{Keys, presets};
use epochtop::metrics::{Better, Measure};
use epochtop::run::{CURVES, Rule};
use epochtop::tui::{Action, Keymap, pages};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Markdown files that people read.
fn documents() -> Vec<PathBuf> {
    let in_directory = |dir: PathBuf| {
        let entries = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|end| end == "md"))
    };
    let mut all: Vec<PathBuf> = in_directory(root().to_owned())
        .chain(in_directory(root().join("docs")))
        .collect();
    all.sort();
    assert!(all.len() > 12, "{all:?}");
    all
}

/// Compares a generated file with what the program makes now, or writes it.
fn check(path: &Path, now: &str) {
    if std::env::var_os("EPOCHTOP_DOCS").is_some() {
        fs::write(path, now).unwrap();
        return;
    }
    let before = fs::read_to_string(path).unwrap_or_default();
    assert!(
        before == now,
        "{} is out of date: run `make docs`",
        path.display()
    );
}

/// The output of the program, which must succeed.
fn output(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_epochtop"))
        .args(args)
        .current_dir(root())
        .env("HOME", root().join("target"))
        .env("XDG_CONFIG_HOME", root().join("target"))
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A row for each action with its keys.
fn keys() -> String {
    let keymap = Keymap::from_config(&Keys::default()).unwrap();
    let mut text = "| key | action | what it does |\n| --- | --- | --- |\n".to_owned();
    for action in Action::all() {
        let keys: Vec<String> = keymap.keys(action).map(|key| format!("`{key}`")).collect();
        writeln!(
            text,
            "| {} | `{}` | {} |",
            keys.join(" "),
            action.name(),
            action.doc()
        )
        .unwrap();
    }
    text
}

/// A row for each page.
fn page_table() -> String {
    let keymap = Keymap::from_config(&Keys::default()).unwrap();
    let mut text = "| key | page | what it shows |\n| --- | --- | --- |\n".to_owned();
    for page in pages() {
        let action = Action::all().find(|action| action.name() == page).unwrap();
        let key = keymap
            .keys(action)
            .next()
            .map_or_else(|| "`:`".to_owned(), |key| format!("`{key}`"));
        writeln!(text, "| {key} | {page} | {} |", action.doc()).unwrap();
    }
    text
}

/// A row for each measure of an evaluation.
fn measures() -> String {
    let mut text = "| key | measure | better | 95 % interval | in `eval.json` |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for measure in Measure::ALL {
        let info = measure.info();
        let better = match info.better {
            Better::Higher => "higher",
            Better::Lower => "lower",
        };
        let interval = if measure.has_interval() { "yes" } else { "no" };
        writeln!(
            text,
            "| `{}` | {} | {better} | {interval} | `{}` |",
            info.key,
            measure.title(),
            info.path.join(".")
        )
        .unwrap();
    }
    text
}

/// A row for each curve that every run has.
fn curves() -> String {
    let mut text = "| name | curve | TensorBoard |\n| --- | --- | --- |\n".to_owned();
    for curve in CURVES {
        let tag = if curve.tag.is_empty() {
            "–".to_owned()
        } else {
            format!("`{}`", curve.tag)
        };
        writeln!(text, "| `{}` | {} | {tag} |", curve.key, curve.title).unwrap();
    }
    text
}

/// Every key of config.toml and personal.toml with its default and its comment, by section.
fn configuration() -> String {
    let (mut text, mut comment, mut section) = (String::new(), String::new(), String::new());
    let mut lines = ["config.toml", "personal.toml"]
        .map(|file| fs::read_to_string(root().join(file)).unwrap())
        .concat();
    // Arrays over several lines become one.
    while let Some(at) = lines.find("[\n") {
        let end = at + lines[at..].find("\n]").unwrap() + 2;
        let inside: Vec<&str> = lines[at..end].split_whitespace().collect();
        let joined = inside
            .join(" ")
            .replace("[ ", "[")
            .replace(", ]", "]")
            .replace(" ]", "]");
        lines.replace_range(at..end, &joined);
    }
    for line in lines.lines() {
        if let Some(words) = line.strip_prefix('#') {
            comment += words;
        } else if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            name.clone_into(&mut section);
            writeln!(text, "\n## `[{section}]`\n").unwrap();
            if !comment.is_empty() {
                writeln!(text, "{}\n", comment.trim()).unwrap();
            }
            comment.clear();
        } else if let Some((key, value)) = line.split_once(" = ") {
            // Keys of the screen have a table of their own in screen.md.
            if section != "keys" {
                assert!(!comment.is_empty(), "{section}.{key} is not explained");
                writeln!(
                    text,
                    "- **`{section}.{key}`** = `{value}`: {}",
                    escaped(comment.trim())
                )
                .unwrap();
            }
            comment.clear();
        } else {
            comment.clear();
        }
    }
    text.trim_start().to_owned()
}

/// Text that Markdown takes as it is.
fn escaped(text: &str) -> String {
    text.replace('<', "\\<")
        .replace('*', "\\*")
        .replace('_', "\\_")
}

/// The names of all subcommands, as the help lists them.
fn subcommands() -> Vec<String> {
    let help = output(&["--help"]);
    let listed = help.split("Commands:\n").nth(1).unwrap();
    let listed = listed.split("\n\n").next().unwrap();
    // Deeper lines continue a description.
    let lines = listed.lines().filter_map(|line| line.strip_prefix("  "));
    lines
        .filter(|line| !line.starts_with(' ') && !line.starts_with("help"))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// The help texts of the program and of all subcommands.
fn commands() -> String {
    let mut text = format!("```text\n{}```\n", output(&["--help"]));
    for name in subcommands() {
        let nested: &[&str] = match name.as_str() {
            "data" => &["check", "show"],
            "config" => &["print", "check"],
            _ => &[],
        };
        let help = output(&[&name, "--help"]);
        write!(text, "\n## {name}\n\n```text\n{help}```\n").unwrap();
        for verb in nested {
            let help = output(&[&name, verb, "--help"]);
            write!(text, "\n### {name} {verb}\n\n```text\n{help}```\n").unwrap();
        }
    }
    text
}

fn generated(name: &str) -> String {
    match name {
        "keys" => keys(),
        "pages" => page_table(),
        "measures" => measures(),
        "curves" => curves(),
        "configuration" => configuration(),
        "commands" => commands(),
        "view" => format!("```text\n{}```\n", output(&["view", "docs/example/first"])),
        other => panic!("nothing generates `{other}`"),
    }
}

#[test]
fn generated_parts_are_up_to_date() {
    let mut seen = BTreeSet::new();
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        let (mut now, mut rest) = (String::new(), text.as_str());
        while let Some((before, after)) = rest.split_once("<!-- generated: ") {
            let (name, after) = after.split_once(" -->\n").unwrap();
            let (_, after) = after
                .split_once("<!-- /generated -->")
                .expect("an end of the generated part");
            write!(
                now,
                "{before}<!-- generated: {name} -->\n{}<!-- /generated -->",
                generated(name)
            )
            .unwrap();
            seen.insert(name.to_owned());
            rest = after;
        }
        now += rest;
        check(&path, &now);
    }
    let expected = [
        "commands",
        "configuration",
        "curves",
        "keys",
        "measures",
        "pages",
    ];
    assert!(expected.iter().all(|name| seen.contains(*name)), "{seen:?}");
}

/// The size of a page's image, and the runs it shows.
fn image(page: &str) -> (&'static str, &'static [&'static str]) {
    match page {
        "compare" => ("100x34", &["docs/example/first", "docs/example/second"]),
        "overview" => ("120x40", &["docs/example/first"]),
        _ => ("100x30", &["docs/example/first"]),
    }
}

#[test]
fn images_of_the_screens_are_up_to_date() {
    for page in pages() {
        // The synthetic example has no samples of a machine.
        if page == "system" {
            continue;
        }
        let (size, runs) = image(page);
        let args = [
            &["view"],
            runs,
            &[
                "--page",
                page,
                "--screenshot",
                "-",
                "--size",
                size,
                "--theme",
                "dark",
            ],
        ]
        .concat();
        check(
            &root().join(format!("docs/images/{page}.svg")),
            &output(&args),
        );
    }
}

/// The anchor that hosts of Markdown make of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect()
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut count = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for part in text.split("](").skip(1) {
            let target = part.split(')').next().unwrap();
            if target.contains("://") || target.contains(char::is_whitespace) {
                continue;
            }
            count += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let linked = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(file)
            };
            assert!(linked.exists(), "{}: no {target}", path.display());
            assert!(
                heading.is_empty() || anchors(&linked).contains(heading),
                "{}: no heading for {target}",
                path.display()
            );
        }
    }
    assert!(count > 40, "{count} links");
}

#[test]
fn the_readme_is_one_page() {
    let bytes = fs::metadata(root().join("README.md")).unwrap().len();
    assert!(bytes <= 9_000, "README.md has {bytes} bytes");
}

const RULES: [Rule; 12] = [
    Rule::NonFinite,
    Rule::Diverged,
    Rule::Stalled,
    Rule::LowDisk,
    Rule::Spike,
    Rule::DeadGradient,
    Rule::Throttling,
    Rule::Starved,
    Rule::Crowded,
    Rule::Overfitting,
    Rule::Plateau,
    Rule::AlwaysClipping,
];

#[test]
fn every_alert_rule_and_preset_is_documented() {
    let remote = fs::read_to_string(root().join("docs/remote.md")).unwrap();
    for rule in RULES {
        assert!(
            remote.contains(&format!("| `{}` |", rule.name())),
            "{}",
            rule.name()
        );
    }
    let training = fs::read_to_string(root().join("docs/training.md")).unwrap();
    let presets: Vec<&str> = presets().iter().map(|(name, _)| *name).collect();
    for preset in &presets {
        assert!(training.contains(&format!("| `{preset}` |")), "{preset}");
    }
    let commands = fs::read_to_string(root().join("docs/commands.md")).unwrap();
    assert!(commands.contains(&format!("Built-in preset: {}", presets.join(", "))));
}
