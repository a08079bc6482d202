#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use fs_err as fs;

use super::super::files::RunFiles;
use super::super::meta::{Meta, RunOutcome};
use super::*;

/// A run that ended before its first epoch.
fn run_in(runs: &Path, name: &str) -> RunDir {
    let run = RunDir::create(runs, name, "").unwrap();
    drop(RunFiles::create(&run.path, Meta::default()).unwrap());
    run
}

fn found_in(runs: &Path) -> Vec<String> {
    let below = |found: &Deletable| {
        let below = found.path.strip_prefix(runs).unwrap();
        below.to_string_lossy().into_owned()
    };
    deletable(runs).iter().map(below).collect()
}

fn age(dir: &Path) {
    let old = SystemTime::now() - Duration::from_secs(120);
    std::fs::File::open(dir).unwrap().set_modified(old).unwrap();
}

#[test]
fn locked_run_is_not_deleted() {
    let runs = tempfile::tempdir().unwrap();
    let run = RunDir::create(runs.path(), "one", "").unwrap();
    let meta = Meta {
        outcome: RunOutcome::Running,
        ..Meta::default()
    };
    let files = RunFiles::create(&run.path, meta).unwrap();
    assert!(deletable(runs.path()).is_empty());
    drop(files);
    let [found] = deletable(runs.path()).try_into().unwrap();
    assert_eq!((&found.path, found.why), (&run.path, WITHOUT_RESULT));
    // Another process locks the run before it is deleted.
    let lock = LockedJournal::open(&run, false).unwrap();
    assert!(found.remove().is_err());
    drop(lock);
    found.remove().unwrap();
    assert!(!run.path.exists());
}

/// Before: a directory that a killed process had named but not finished was neither found nor replaced.
#[test]
fn run_that_a_killed_process_was_creating_is_deletable_and_its_name_is_free_again() {
    let runs = tempfile::tempdir().unwrap();
    for name in [".tmp-run-0123456789abcdef", "one"] {
        let place = runs.path().join(name);
        fs::create_dir(&place).unwrap();
        fs::write(place.join("config.toml"), "").unwrap();
        fs::write(place.join("events.jsonl"), "").unwrap();
    }
    assert!(deletable(runs.path()).is_empty(), "they may be in use");
    let one = runs.path().join("one");
    remove_unstarted(&one).unwrap();
    assert!(one.exists(), "it may be in use");
    age(&runs.path().join(".tmp-run-0123456789abcdef"));
    age(&one);
    assert_eq!(found_in(runs.path()), [".tmp-run-0123456789abcdef", "one"]);
    remove_unstarted(&one).unwrap();
    RunDir::create(runs.path(), "one", "").unwrap();
    deletable(runs.path())[0].remove().unwrap();
    assert!(deletable(runs.path()).is_empty());
    // A run that has started is not replaced.
    let run = run_in(runs.path(), "two");
    age(&run.path);
    remove_unstarted(&run.path).unwrap();
    assert!(run.path.exists());
}

/// Before: a run was deleted if its epochs were only in `epochs.csv`, or if it contained files of the user.
#[test]
fn run_with_a_result_or_with_files_of_the_user_is_not_deletable() {
    let runs = tempfile::tempdir().unwrap();
    let row = "epoch\n1,2,3\n";
    let line = "{\"seq\":1,\"t_ms\":1,\"event\":\"log\",\"level\":\"info\",\"text\":\"a\"}\n";
    for (name, content) in [
        ("eval.json", ""),
        ("epochs.csv", row),
        ("checkpoints/step-000000007/x", ""),
        ("checkpoints/bad-step-000000007-1/x", ""),
        ("evals/step-000000007.json", ""),
        ("tb/notes.md", ""),
        ("notes.md", ""),
        ("model.pt", ""),
        ("run.tmp/mine", ""),
        ("events.jsonl", "damaged\n"),
        ("events.jsonl", "\0\0\0\0"),
        ("events.jsonl/x", ""),
    ] {
        let run = run_in(runs.path(), "one");
        fs::write(run.journal(), line).unwrap();
        assert_eq!(found_in(runs.path()), ["one"]);
        let path = run.path.join(name);
        let above = path.parent().unwrap();
        if above == run.journal() {
            fs::remove_file(above).unwrap();
        }
        fs::create_dir_all(above).unwrap();
        fs::write(path, content).unwrap();
        let found = found_in(runs.path());
        assert!(
            found.iter().all(|found| found != "one"),
            "{name}: {found:?}"
        );
        fs::remove_dir_all(&run.path).unwrap();
    }
}

/// Before: every name with `.tmp-` and every `*.tmp` was deleted.
#[test]
fn only_names_that_this_program_makes_are_deletable() {
    let runs = tempfile::tempdir().unwrap();
    let run = run_in(runs.path(), "one");
    let own = [
        "checkpoints/.tmp-BEST-0123456789abcdef",
        "checkpoints/.tmp-removed-step-000000008/model.safetensors",
        "checkpoints/.tmp-step-000000008/model.safetensors",
        "checkpoints/bad-step-000000006-1/state.json",
        ".tmp-eval.json-0123456789abcdef",
        ".tmp-writer.json-77",
        "config.tmp",
        "epochs.tmp",
        "eval.json.tmp-77",
        "model.pt.tmp",
        "predictions.csv.tmp-77",
        "run.tmp",
        "writer.json",
        "evals/.tmp-step-000000007.csv-0123456789abcdef",
        "evals/step-000000007.json.tmp-77",
        "evals/step-000000007.valid.csv.tmp-77",
    ];
    let others = [
        "checkpoints/step-000000007/model.safetensors",
        "checkpoints/.tmp-mine/a",
        "checkpoints/bad-idea/a",
        ".tmp-mine",
        "mine.tmp",
        "mine.tmp-77",
        "eval.json.tmp-mine",
        "notes.tmpl",
        "tb/eval.json.tmp-77",
        "evals/mine.csv.tmp-77",
        "evals/step-000000007.csv",
    ];
    for name in own.iter().chain(&others) {
        let path = run.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let mut expected: Vec<String> = own
        .iter()
        .map(|name| match name.strip_prefix("checkpoints/") {
            Some(name) => format!("one/checkpoints/{}", name.split('/').next().unwrap()),
            None => format!("one/{name}"),
        })
        .collect();
    expected.sort();
    let mut found = found_in(runs.path());
    found.sort();
    assert_eq!(found, expected);
    for found in deletable(runs.path()) {
        found.remove().unwrap();
    }
    assert!(deletable(runs.path()).is_empty());
    for name in own {
        assert!(!run.path.join(name).exists(), "{name}");
    }
    for name in others {
        assert!(run.path.join(name).exists(), "{name}");
    }
}

/// Before: `clean` deleted through `checkpoints` and `evals` if they were links to directories of another run.
#[test]
fn nothing_is_deletable_through_a_link() {
    let outside = tempfile::tempdir().unwrap();
    let leftover = outside.path().join("bad-step-000000006-1");
    fs::create_dir(&leftover).unwrap();
    fs::write(outside.path().join("step-000000007.csv.tmp-7"), "").unwrap();
    for link in ["checkpoints", "evals", "tb"] {
        let runs = tempfile::tempdir().unwrap();
        let run = run_in(runs.path(), "one");
        if link == "tb" {
            fs::remove_dir_all(run.path.join(link)).unwrap();
        }
        symlink(outside.path(), run.path.join(link)).unwrap();
        assert!(found_in(runs.path()).is_empty(), "{link}");
    }
    let runs = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let run = run_in(elsewhere.path(), "one");
    symlink(&run.path, runs.path().join("linked")).unwrap();
    assert!(found_in(runs.path()).is_empty());
    assert_eq!(found_in(elsewhere.path()), ["one"]);
}
