//! Runs and data are found and written by handle, not by a path that may change: renamed and deleted run directories,
//! paths that are not UTF-8, relative paths, names that a shell would interpret, and names used in other directories.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use epochtop::session::{RunDir, RunOutcome};

use crate::fixture::shapes;
use crate::pty::kill_trainer;

const PROGRAM: &str = env!("CARGO_BIN_EXE_epochtop");

/// A directory with a data set `data`, sockets and remembered runs; commands are run in a directory within it.
pub(crate) struct Lab {
    root: tempfile::TempDir,
    pub(crate) dir: PathBuf,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::within(OsStr::new("work"))
    }

    /// The commands run in the directory `name`.
    fn within(name: &OsStr) -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join(name);
        fs::create_dir_all(dir.join("data")).unwrap();
        shapes(&dir.join("data"));
        Self { root, dir }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(args)
            .current_dir(&self.dir)
            .env("EPOCHTOP_SOCKET_DIR", self.root.path())
            .env("XDG_CONFIG_HOME", "/nonexistent")
            .env_remove("XDG_STATE_HOME")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn call(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The same from another directory.
    pub(crate) fn call_in(&self, dir: &Path, args: &[&str]) -> Output {
        self.command(args).current_dir(dir).output().unwrap()
    }

    pub(crate) fn train(&self, name: &str, epochs: u32) -> Command {
        let (name, epochs) = (format!("--name={name}"), format!("train.epochs={epochs}"));
        let mut command = self.command(&["train", "--headless", &name, "--set", &epochs]);
        for set in [
            "data.dir=data",
            "data.name=shapes",
            "data.valid=100",
            "model.channels=[8,16]",
            "train.batch_size=32",
            "train.threads=1",
            "eval.bootstrap=0",
        ] {
            command.args(["--set", set]);
        }
        command
    }

    /// Starts a run and waits until it has a checkpoint.
    pub(crate) fn start(&self, name: &str) -> Live {
        self.start_with(name, &mut self.train(name, 4000))
    }

    /// The same with another command.
    pub(crate) fn start_with(&self, name: &str, train: &mut Command) -> Live {
        let child = train.stdout(Stdio::null()).spawn();
        let live = Live {
            child: child.unwrap(),
            run: self.dir.join("runs").join(name),
        };
        wait("a checkpoint", || {
            live.run.join("checkpoints/LATEST").exists()
        });
        live
    }
}

/// A trainer, which is killed at the end of the test.
pub(crate) struct Live {
    child: Child,
    pub(crate) run: PathBuf,
}

impl Live {
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn wait(what: &str, mut happened: impl FnMut() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < Duration::from_secs(120), "no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr]
        .map(String::from_utf8_lossy)
        .concat()
}

#[track_caller]
pub(crate) fn succeeds(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(output));
    text(output)
}

fn outcome(run: &Path) -> RunOutcome {
    RunDir::at(run).meta().unwrap().outcome
}

#[test]
fn a_run_directory_renamed_while_training_stays_one_run() {
    let lab = Lab::new();
    let mut live = lab.start("a");
    let runs = lab.dir.join("runs");
    let (old, new) = (runs.join("a"), lab.dir.join("moved/b"));
    fs::create_dir(lab.dir.join("moved")).unwrap();
    fs::rename(&old, &new).unwrap();
    let checkpoint = fs::read_to_string(new.join("checkpoints/LATEST")).unwrap();
    wait("a later checkpoint in the new directory", || {
        fs::read_to_string(new.join("checkpoints/LATEST")).unwrap() != checkpoint
    });
    // It is found under its new path, and a new run can have its old name.
    let there = new.to_str().unwrap();
    succeeds(&lab.call(&["ctl", "evaluate", there]));
    succeeds(&lab.train("a", 1).output().unwrap());
    assert_eq!(outcome(&old), RunOutcome::Completed);
    let epochs = || {
        fs::read_to_string(new.join("epochs.csv"))
            .unwrap()
            .lines()
            .count()
    };
    let until = format!("{}", epochs() + 2);
    succeeds(&lab.call(&["ctl", "epochs", &until, there]));
    assert_eq!(live.child.wait().unwrap().code(), Some(0));
    assert_eq!(outcome(&new), RunOutcome::Completed);
    for file in ["eval.json", "predictions.csv", "evals", "tb", "log.txt"] {
        assert!(new.join(file).exists(), "{file}");
    }
    let log = fs::read_to_string(new.join("log.txt")).unwrap();
    assert!(!log.contains("not written"), "{log}");
    let done = RunDir::at(&new).meta().unwrap();
    let more = format!("train.epochs={}", epochs());
    let resume = ["train", "--headless", "--resume", there, "--set", &more];
    succeeds(&lab.call(&resume));
    assert_eq!(RunDir::at(&new).meta().unwrap().started_ms, done.started_ms);
    assert_eq!(fs::read_dir(&runs).unwrap().count(), 1);
}

#[test]
fn a_deleted_run_directory_fails_the_run_and_is_not_created_again() {
    let lab = Lab::new();
    let mut train = lab.train("a", 60);
    let mut child = train.stdout(Stdio::piped()).spawn().unwrap();
    let run = lab.dir.join("runs/a");
    wait("an epoch", || {
        fs::read_to_string(run.join("epochs.csv")).is_ok_and(|csv| csv.lines().count() > 1)
    });
    // The trainer may create a file meanwhile.
    while run.exists() {
        let _ = fs::remove_dir_all(&run);
    }
    let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .collect();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{lines:?}");
    let said = |words: &str| lines.iter().any(|line| line.contains(words));
    assert!(said("the run directory has been deleted"), "{lines:?}");
    assert!(!run.exists());
}

#[test]
fn paths_that_are_not_utf8_work() {
    let lab = Lab::within(OsStr::from_bytes(b"caf\xe9"));
    let mut live = lab.start("a");
    let runs: serde_json::Value =
        serde_json::from_slice(&lab.call(&["runs", "--json"]).stdout).unwrap();
    assert_eq!(runs[0]["state"], "live");
    succeeds(&lab.call(&["ctl", "stop", "a"]));
    assert_eq!(live.child.wait().unwrap().code(), Some(3));
    // From another directory, with the path of the directory of runs.
    let dir = lab.dir.join("other runs");
    let root = Path::new("/");
    let train = |name: &str| {
        let mut train = lab.train(name, 1);
        train.arg("--runs").arg(&dir);
        train
    };
    let printed = succeeds(&train("b").output().unwrap());
    assert!(printed.contains("completed"), "{printed}");
    assert!(dir.join("b/checkpoints/LATEST").exists());
    let found = |word: &OsStr| {
        let mut command = lab.command(&["eval", "--split", "valid"]);
        command.arg(word).current_dir(root).output().unwrap()
    };
    succeeds(&found(dir.join("b").as_os_str()));
    let mut environment = train("c");
    environment.args(["--set", "data.dir="]).current_dir(root);
    environment.env("EPOCHTOP_DATA", lab.dir.join("data"));
    succeeds(&environment.output().unwrap());
    // The data is found again without the variable.
    succeeds(&found(dir.join("c").as_os_str()));
    let mut argument = lab.command(&["data", "check", "--set"]);
    let output = argument
        .arg(OsStr::from_bytes(b"data.dir=\xe9"))
        .output()
        .unwrap();
    assert!(text(&output).contains(r#""$(printf 'data.dir=\351')": not UTF-8"#));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_relative_data_dir_is_found_from_another_directory() {
    let lab = Lab::new();
    succeeds(&lab.train("a", 1).output().unwrap());
    let run = lab.dir.join("runs/a");
    let path = run.to_str().unwrap();
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    let data = lab.dir.join("data");
    assert!(config.contains(data.to_str().unwrap()), "{config}");
    // A checkpoint of an earlier version has the relative path.
    for checkpoint in fs::read_dir(run.join("checkpoints")).unwrap() {
        let state = checkpoint.unwrap().path().join("state.json");
        if let Ok(text) = fs::read_to_string(&state) {
            assert!(text.contains(data.to_str().unwrap()));
        }
    }
    let root = Path::new("/");
    succeeds(&lab.call_in(root, &["eval", path, "--split", "valid"]));
    let more = [
        "train",
        "--headless",
        "--resume",
        path,
        "--set",
        "train.epochs=2",
    ];
    succeeds(&lab.call_in(root, &more));
}

/// A run whose trainer is killed at the end of the test.
struct Killed<'a>(&'a Path);

impl Drop for Killed<'_> {
    fn drop(&mut self) {
        kill_trainer(self.0);
    }
}

#[test]
fn printed_commands_can_be_typed_as_they_are() {
    let lab = Lab::new();
    let name = "a;b $(id) it's";
    let mut train = lab.train(name, 4000);
    let args: Vec<_> = train.get_args().map(OsStr::to_owned).collect();
    train = lab.command(&[]);
    train
        .args(args.iter().filter(|arg| *arg != "--headless"))
        .arg("--detach");
    let printed = succeeds(&train.output().unwrap());
    let run = lab.dir.join("runs").join(name);
    let hint = printed
        .lines()
        .find_map(|line| line.split_once("to reattach: "));
    let (program, word) = hint.unwrap().1.split_once(" attach ").unwrap();
    let typed = |dir: &str, words: &str| {
        let mut shell = Command::new("sh");
        let environment = lab.command(&[]);
        let variables = environment
            .get_envs()
            .filter_map(|(key, value)| Some((key, value?)));
        shell
            .args(["-c", &format!("cd {dir} && {program} {words}")])
            .envs(variables)
            .output()
            .unwrap()
    };
    let _killed = Killed(&run);
    wait("a checkpoint", || run.join("checkpoints/LATEST").exists());
    succeeds(&typed("/", &format!("ctl stop {word}")));
    wait("the end", || outcome(&run) == RunOutcome::Stopped);
    assert!(succeeds(&typed("/tmp", &format!("attach {word}"))).contains("run has ended"));
    let started = succeeds(&lab.call(&["view", name]));
    assert!(started.contains("stopped"), "{started}");
}

#[test]
fn a_name_that_begins_with_a_dash_is_refused() {
    let lab = Lab::new();
    let output = lab.train("-dash", 1).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output).contains("start with a dot or a dash"),
        "{}",
        text(&output)
    );
    assert!(!lab.dir.join("runs").exists());
}

#[test]
fn a_killed_run_is_found_by_its_name_from_another_directory() {
    let lab = Lab::new();
    let mut live = lab.start("first");
    live.kill();
    let root = Path::new("/");
    for command in [
        &["attach", "first"][..],
        &["view", "first"],
        &["checkpoints", "first"],
    ] {
        succeeds(&lab.call_in(root, command));
    }
    // With --runs, only that directory is searched.
    let output = lab.call_in(root, &["view", "first", "--runs", "/nonexistent"]);
    assert!(text(&output).contains("no such run"), "{}", text(&output));
    // None of several is guessed.
    let other = lab.dir.join("other");
    let train = lab.train("first", 1).arg("--runs").arg(&other).output();
    succeeds(&train.unwrap());
    let output = lab.call_in(root, &["view", "first"]);
    assert_eq!(output.status.code(), Some(2));
    for run in [&live.run, &other.join("first")] {
        assert!(
            text(&output).contains(run.to_str().unwrap()),
            "{}",
            text(&output)
        );
    }
}
