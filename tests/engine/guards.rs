//! A run has one trainer, also on a file system without locks; and a command without a name does not reach a run that is
//! not meant.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::by_path::{Lab, succeeds, text};

/// A library in whose presence `flock` fails, as on NFS without a lock server. `None` without a C compiler.
fn without_locks(dir: &Path) -> Option<PathBuf> {
    let (source, library) = (dir.join("noflock.c"), dir.join("noflock.so"));
    let code = "#include <errno.h>\nint flock(int fd, int op) { errno = ENOLCK; return -1; }\n";
    fs::write(&source, code).unwrap();
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source]);
    compiler
        .status()
        .is_ok_and(|status| status.success())
        .then_some(library)
}

#[track_caller]
fn refused(output: &Output, words: &str) {
    let said = text(output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(words), "{said}");
}

#[test]
fn without_locks_a_run_has_one_trainer() {
    let lab = Lab::new();
    let Some(library) = without_locks(&lab.dir) else {
        return;
    };
    let call = |args: &[&str]| {
        lab.command(args)
            .env("LD_PRELOAD", &library)
            .output()
            .unwrap()
    };
    let mut train = lab.train("a", 4000);
    let mut live = lab.start_with("a", train.env("LD_PRELOAD", &library));
    let state = || {
        let runs = call(&["runs", "--json"]).stdout;
        let runs: serde_json::Value = serde_json::from_slice(&runs).unwrap();
        runs[0]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(), "live");
    let resume = ["train", "--headless", "--resume", "a"];
    refused(&call(&resume), "another process writes this run");
    refused(
        &call(&[&resume[..], &["--take-over"]].concat()),
        "another process writes this run",
    );
    refused(&call(&["eval", "a"]), "another process writes this run");
    assert!(succeeds(&call(&["clean", "--yes"])).contains("nothing to delete"));
    succeeds(&call(&["ctl", "checkpoint", "a"]));
    live.kill();
    assert_eq!(state(), "crashed");
    // A trainer of another host: it may live.
    let meta = live.run.join("run.json");
    let here = fs::read_to_string(&meta).unwrap();
    let host = epochtop::session::host();
    fs::write(&meta, here.replace(&format!("\"{host}\""), "\"node17\"")).unwrap();
    assert_eq!(state(), "unknown");
    refused(&call(&resume), "--take-over");
    refused(&call(&["ctl", "stop", "a"]), "ssh -t node17");
    fs::write(&meta, here).unwrap();
    let csv = fs::read_to_string(live.run.join("epochs.csv")).unwrap();
    let epochs = format!("train.epochs={}", csv.lines().count() + 1);
    succeeds(&call(&[&resume[..], &["--set", &epochs]].concat()));
    assert_eq!(state(), "completed");
    assert!(!live.run.join("writer.json").exists());
}

#[test]
fn a_command_without_a_name_reaches_only_the_live_run_of_this_directory() {
    let lab = Lab::new();
    let stranger = lab.start("stranger");
    let path = stranger.run.to_str().unwrap();
    let other = lab.dir.join("elsewhere");
    fs::create_dir(&other).unwrap();
    for command in [&["ctl", "pause"][..], &["attach"]] {
        let output = lab.call_in(&other, command);
        refused(&output, "no run is live in runs");
        assert!(text(&output).contains(path), "{}", text(&output));
    }
    // Its only live run, then one of two.
    assert!(succeeds(&lab.call(&["ctl", "checkpoint"])).contains("done"));
    let _second = lab.start("second");
    let output = lab.call(&["ctl", "stop"]);
    refused(&output, "2 runs are live in runs");
    assert!(text(&output).contains(path), "{}", text(&output));
    // By its name it is reached from everywhere.
    succeeds(&lab.call_in(&other, &["ctl", "checkpoint", "stranger"]));
}
