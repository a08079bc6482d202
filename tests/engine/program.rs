//! The program without a terminal: output lines, error messages, exit codes, and no partial run directories.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::fixture::shapes;

fn epochtop(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epochtop"));
    command
        .args(args)
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

struct Fixture {
    data: tempfile::TempDir,
    runs: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self {
            data: tempfile::tempdir().unwrap(),
            runs: tempfile::tempdir().unwrap(),
        };
        shapes(fixture.data.path());
        fixture
    }

    fn train(&self, more: &[&str]) -> Output {
        let dir = format!("data.dir={}", self.data.path().display());
        let runs = self.runs.path().to_str().unwrap();
        let sets = [
            "train.threads=1",
            "data.name=shapes",
            "data.valid=100",
            "model.channels=[8,16]",
            "train.batch_size=32",
            "train.epochs=2",
        ];
        let mut args = vec!["train", "--runs", runs, "--name", "t", "--set", &dir];
        sets.iter().for_each(|set| args.extend(["--set", set]));
        args.extend(more);
        epochtop(&args)
    }

    fn assert_refused(&self, more: &[&str], words: &[&str]) {
        let output = self.train(more);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        words
            .iter()
            .for_each(|word| assert!(stderr.contains(word), "{word:?} is not in:\n{stderr}"));
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert_eq!(
            fs::read_dir(self.runs.path()).unwrap().count(),
            0,
            "a failed start must leave no run directory"
        );
    }
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn without_a_terminal_it_prints_a_line_per_epoch_and_writes_the_run_directory() {
    let fixture = Fixture::new();
    let output = fixture.train(&[]);
    let stdout = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{stdout}{}",
        text(&output.stderr)
    );
    assert!(!stdout.contains('\x1b'), "escape codes in a pipe");
    assert_eq!(
        stdout
            .lines()
            .filter(|line| line.starts_with("epoch "))
            .count(),
        2,
        "{stdout}"
    );
    assert!(
        stdout.contains("completed after 2 epochs, 32 steps"),
        "{stdout}"
    );
    let run = fixture.runs.path().join("t");
    let csv = lines(&run.join("epochs.csv"));
    assert_eq!(csv.len(), 3);
    assert!(
        csv.iter().all(|line| line.split(',').count() == 13),
        "{csv:?}"
    );
    assert!(csv[2].starts_with("2,32,"));
    for file in [
        "config.toml",
        "run.json",
        "events.jsonl",
        "eval.json",
        "log.txt",
        "checkpoints/BEST",
        "checkpoints/LATEST",
    ] {
        assert!(run.join(file).is_file(), "{file}");
    }
    let seqs: Vec<u64> = lines(&run.join("events.jsonl"))
        .iter()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(
        seqs,
        (1..=seqs.len() as u64).collect::<Vec<_>>(),
        "the journal has a gap"
    );
    let view = epochtop(&["view", "t", "--runs", fixture.runs.path().to_str().unwrap()]);
    assert!(
        text(&view.stdout).contains("completed after 2 epochs, 32 steps"),
        "{}",
        text(&view.stdout)
    );
    // The configuration saved in the run directory reproduces the run.
    let again = epochtop(&[
        "train",
        "--runs",
        fixture.runs.path().to_str().unwrap(),
        "--name",
        "again",
        "-c",
        run.join("config.toml").to_str().unwrap(),
    ]);
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    let model = |name: &str| {
        fs::read(
            fixture
                .runs
                .path()
                .join(name)
                .join("checkpoints/step-000000032/model.safetensors"),
        )
        .unwrap()
    };
    assert!(
        model("t") == model("again"),
        "the same configuration gave different weights"
    );
}

#[test]
fn an_existing_run_name_is_refused_and_the_run_is_unchanged() {
    let fixture = Fixture::new();
    assert_eq!(fixture.train(&[]).status.code(), Some(0));
    let before = lines(&fixture.runs.path().join("t/events.jsonl"));
    let output = fixture.train(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("a run of this name exists"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(lines(&fixture.runs.path().join("t/events.jsonl")), before);
}

#[test]
fn bad_data_is_reported_before_a_run_directory_is_created() {
    Fixture::new().assert_refused(
        &["--set", "data.dir=/no/such/place"],
        &["/no/such/place", "no such directory"],
    );
    let truncated = Fixture::new();
    fs::write(
        truncated.data.path().join("train-images-idx3-ubyte"),
        [0, 0, 8, 3, 0, 0],
    )
    .unwrap();
    truncated.assert_refused(&[], &["train-images-idx3-ubyte", "ends inside its header"]);
}

#[test]
fn five_mistakes_are_reported_together_with_their_lines() {
    let fixture = Fixture::new();
    let file = fixture.data.path().join("mine.toml");
    let mistakes = "[optim]\nlr = -0.1\nwarmup = 3\n[train]\nepochs = \"many\"\nbatch_size = 0\n[model]\nhead = \"gapp\"\n";
    fs::write(&file, mistakes).unwrap();
    let file = file.to_str().unwrap();
    let expected = [
        "5 problems",
        ":2 ",
        "optim.lr",
        ":3 ",
        "optim.warmup",
        ":5 ",
        "train.epochs",
        ":6 ",
        "train.batch_size",
        ":8 ",
        "model.head",
    ];
    let only_file = epochtop(&["config", "check", "-c", file]);
    assert_eq!(only_file.status.code(), Some(2));
    expected.iter().for_each(|word| {
        assert!(
            text(&only_file.stderr).contains(word),
            "{word:?}:\n{}",
            text(&only_file.stderr)
        );
    });
    let output = epochtop(&[
        "train",
        "--runs",
        fixture.runs.path().to_str().unwrap(),
        "-c",
        file,
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("5 problems"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(fs::read_dir(fixture.runs.path()).unwrap().count(), 0);
}

#[test]
fn an_unavailable_device_is_refused() {
    Fixture::new().assert_refused(
        &["--set", "train.device=cuda:7"],
        &["train.device", "CUDA devices"],
    );
}

#[test]
fn keys_and_themes_are_validated() {
    Fixture::new().assert_refused(
        &["--theme", "drak", "--set", "optim.lr=-1"],
        &["2 problems", "ui.theme", "drak", "optim.lr"],
    );
    Fixture::new().assert_refused(&["--set", "keys.pause=hyper-x"], &["keys.pause", "hyper-x"]);
}

#[test]
fn a_closed_pipe_does_not_end_the_run() {
    let fixture = Fixture::new();
    let dir = format!("data.dir={}", fixture.data.path().display());
    let script = format!(
        "'{}' train --runs '{}' --name t --set '{dir}' --set train.threads=1 --set data.name=shapes --set data.valid=100 \
         --set 'model.channels=[8,16]' --set train.batch_size=32 --set train.epochs=2 | head -1",
        env!("CARGO_BIN_EXE_epochtop"),
        fixture.runs.path().display()
    );
    assert!(
        Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap()
            .status
            .success()
    );
    let meta = fs::read_to_string(fixture.runs.path().join("t/run.json")).unwrap();
    assert!(meta.contains("\"outcome\": \"completed\""), "{meta}");
}

#[test]
fn summary_data_check_config_print_and_doctor_work() {
    let summary = text(&epochtop(&["summary"]).stdout);
    assert!(summary.contains("482,666 parameters"), "{summary}");
    let data = text(&epochtop(&["data", "check"]).stdout);
    assert!(
        data.contains("balanced: 6000 per class") && data.contains("as published"),
        "{data}"
    );
    let row = data.lines().find(|line| line.starts_with("Shirt")).unwrap();
    assert_eq!(
        row.split_whitespace().skip(1).collect::<Vec<_>>(),
        ["6000", "5500", "500", "1000"]
    );
    let printed = text(&epochtop(&["config", "print", "--set", "optim.lr=0.5"]).stdout);
    assert!(printed.contains("lr = 0.5"), "{printed}");
    assert_eq!(epochtop(&["doctor"]).status.code(), Some(0));
}

#[test]
fn a_signal_stops_the_run_with_a_checkpoint() {
    let fixture = Fixture::new();
    let dir = format!("data.dir={}", fixture.data.path().display());
    let runs = fixture.runs.path().to_str().unwrap();
    let args = [
        "train",
        "--headless",
        "--runs",
        runs,
        "--name",
        "t",
        "--set",
        &dir,
        "--set",
        "train.threads=1",
        "--set",
        "data.name=shapes",
        "--set",
        "data.valid=100",
        "--set",
        "model.channels=[8,16]",
        "--set",
        "train.epochs=5000",
    ];
    let mut child = Command::new(env!("CARGO_BIN_EXE_epochtop"))
        .args(args)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let journal = fixture.runs.path().join("t/events.jsonl");
    let started = std::time::Instant::now();
    while !fs::read_to_string(&journal)
        .unwrap_or_default()
        .contains("\"event\":\"steps\"")
    {
        assert!(started.elapsed().as_secs() < 60, "no step");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(fixture.runs.path().join("t/checkpoints/LATEST").is_file());
}
