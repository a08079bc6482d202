//! Run directories from somebody else: no command of the viewer changes anything outside them, hangs, crashes or needs
//! much memory; and one of them does not hide the others. The commands of the engine are in `tests/engine/hostile.rs`.

use std::fs;
use std::path::Path;

use crate::hostile_runs::{Kind, Lab, names_of};

/// Limits of a command: GiB of memory, and seconds.
const LIMITS: (u64, u64) = (1, 5);

/// Every command on copies of a run, each with one name replaced by `kind`.
fn check(kind: Kind) {
    let lab = Lab::new();
    let names = names_of("finished");
    lab.add("finished", "good", &[], kind);
    for (number, name) in names.iter().enumerate() {
        lab.add("finished", &format!("run-{number}"), &[name], kind);
    }
    let run = |args: &[&str]| {
        let (gib, seconds) = LIMITS;
        let ran = lab.run(&[args, &["--runs", "runs"]].concat(), gib, seconds);
        lab.assert_untouched(&format!("{kind:?}: {args:?}"));
        ran
    };
    let listed = run(&["runs"]);
    for (number, name) in names.iter().enumerate() {
        let row = listed
            .text
            .lines()
            .find(|line| line.starts_with(&format!("run-{number} ")));
        assert!(
            row.is_some(),
            "{kind:?} {}: {}",
            name.display(),
            listed.text
        );
    }
    assert!(listed.text.contains("good "), "{kind:?}: {}", listed.text);
    assert_eq!(run(&["runs", "--json"]).code, 0);
    for (number, name) in names.iter().enumerate() {
        let word = &format!("run-{number}");
        run(&["view", word]);
        run(&["view", word, "--page", "gallery", "--screenshot", "-"]);
        run(&["checkpoints", word, "--verify"]);
        // The other commands read the same files.
        if name.components().count() == 1 {
            run(&[
                "view",
                "good",
                word,
                "--page",
                "compare",
                "--screenshot",
                "-",
            ]);
            run(&["attach", word]);
            assert_eq!(run(&["ctl", "stop", word]).code, 2);
        }
    }
    run(&["attach"]);
    run(&["ctl", "stop"]);
    let cleaned = run(&["clean", "--yes"]).text;
    assert!(!cleaned.contains("good"), "{kind:?}: {cleaned}");
    assert_eq!(run(&["view", "good"]).code, 0);
}

fn check_all(kinds: &[Kind]) {
    kinds.iter().for_each(|kind| check(*kind));
}

// Several tests, so that they run in parallel.
#[test]
fn links_out_of_a_run_directory_are_not_followed() {
    check_all(&Kind::ALL[..4]);
}

#[test]
fn pipes_sockets_devices_and_sparse_files_do_not_stop_a_command() {
    check_all(&Kind::ALL[4..8]);
}

#[test]
fn deep_empty_and_malicious_content_is_reported() {
    check_all(&Kind::ALL[8..]);
}

/// Leftovers are searched in real directories only, and `clean` names them before it deletes them.
#[test]
fn clean_lists_what_it_deletes_and_nothing_else_is_deleted() {
    let lab = Lab::new();
    lab.add("finished", "one", &[Path::new("run.tmp")], Kind::LinkToFile);
    let notes = lab.path("runs/one/notes.tmp-1");
    fs::write(&notes, "mine").unwrap();
    let (gib, seconds) = LIMITS;
    let listed = lab.run(&["clean", "--runs", "runs"], gib, seconds).text;
    assert!(
        listed.contains("runs/one/run.tmp  (an incomplete file)"),
        "{listed}"
    );
    let deleted = lab
        .run(&["clean", "--yes", "--runs", "runs"], gib, seconds)
        .text;
    assert!(
        deleted.starts_with(listed.lines().next().unwrap()),
        "{deleted}"
    );
    assert!(!lab.path("runs/one/run.tmp").is_symlink() && notes.exists());
    lab.assert_untouched("clean --yes");
}

/// Before: `train -c FILE` and everything else that reads a configuration accepted a command to execute.
#[test]
fn command_in_a_configuration_file_is_refused() {
    let lab = Lab::new();
    fs::write(
        lab.path("theirs.toml"),
        "[notify]\ncommand = \"touch owned\"\n",
    )
    .unwrap();
    let (gib, seconds) = LIMITS;
    for verb in ["check", "print"] {
        let refused = lab.run(&["config", verb, "-c", "theirs.toml"], gib, seconds);
        let words = "theirs.toml:2  notify.command  is a personal setting";
        assert!(
            refused.code == 2 && refused.text.contains(words),
            "{}",
            refused.text
        );
    }
    // The output of `config print` can be used as a file.
    let printed = lab
        .run(
            &["config", "print", "--set", "notify.command=x"],
            gib,
            seconds,
        )
        .text;
    fs::write(lab.path("printed.toml"), printed).unwrap();
    let checked = lab.run(&["config", "check", "-c", "printed.toml"], gib, seconds);
    assert_eq!(checked.code, 0, "{}", checked.text);
}

/// Before: an output file was overwritten, and `a.png` was SVG.
#[test]
fn existing_output_file_is_replaced_only_if_forced() {
    let lab = Lab::new();
    lab.add("finished", "one", &[], Kind::Empty);
    let draw = |file: &str, more: &[&str]| {
        let args = ["view", "one", "--runs", "runs", "--screenshot", file];
        lab.run(&[&args[..], more].concat(), LIMITS.0, LIMITS.1)
    };
    assert_eq!(draw("a.svg", &[]).code, 0);
    fs::write(lab.path("a.svg"), "mine").unwrap();
    let refused = draw("a.svg", &[]);
    assert!(
        refused.code == 2 && refused.text.contains("--force"),
        "{}",
        refused.text
    );
    assert_eq!(fs::read_to_string(lab.path("a.svg")).unwrap(), "mine");
    assert_eq!(draw("a.svg", &["--force"]).code, 0);
    assert!(
        fs::read_to_string(lab.path("a.svg"))
            .unwrap()
            .contains("<svg")
    );
    let refused = draw("a.png", &[]);
    assert!(
        refused.code == 2 && refused.text.contains("SVG"),
        "{}",
        refused.text
    );
}
