//! A run that is killed and resumed gives the same results as an uninterrupted run, byte for byte in every file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use epochtop::checkpoint::{Depth, Store, verify};
use epochtop::random::Random;
use epochtop::run::RunState;

use crate::fixture::shapes;

/// Settings with every source of randomness and state: shuffling, augmentation, dropout, EMA weights, both evaluations.
pub(crate) const SETTINGS: [&str; 21] = [
    "data.name=shapes",
    "data.valid=100",
    "data.augment.shift=1",
    "data.augment.erase=0.5",
    "data.augment.rotate=5",
    "model.channels=[8,16]",
    "model.dropout=0.2",
    "train.epochs=4",
    "train.batch_size=50",
    "train.ema=0.9",
    "train.device=cpu",
    "train.threads=1",
    "train.precision=f32",
    "optim.lr=0.01",
    "optim.warmup_epochs=0.5",
    "optim.clip_norm=0.5",
    "eval.bootstrap=100",
    "eval.batch_size=40",
    "checkpoint.keep=2",
    "checkpoint.every_minutes=0",
    "health.spike=3",
];

/// The directories for data and runs of one test.
pub(crate) struct Place {
    pub(crate) data: tempfile::TempDir,
    pub(crate) runs: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self {
            data: tempfile::tempdir().unwrap(),
            runs: tempfile::tempdir().unwrap(),
        };
        shapes(place.data.path());
        place
    }

    pub(crate) fn command(&self, fault: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_epochtop"));
        command
            .args(args)
            .args(["--runs", self.runs.path().to_str().unwrap()])
            .env("EPOCHTOP_FAULT", fault)
            .env("EPOCHTOP_FAULT_SHOW", "1")
            .env("LC_ALL", "C.UTF-8");
        command
    }

    pub(crate) fn program(&self, fault: &str, args: &[&str]) -> Output {
        self.command(fault, args).output().unwrap()
    }

    pub(crate) fn training(&self, fault: &str, name: &str, more: &[&str]) -> Command {
        let data = format!("data.dir={}", self.data.path().display());
        let sets = SETTINGS.iter().chain(more).copied().chain([data.as_str()]);
        let sets: Vec<&str> = sets.flat_map(|set| ["--set", set]).collect();
        let args = ["train", "--headless", "--name", name];
        self.command(fault, &[&args[..], &sets[..]].concat())
    }

    pub(crate) fn train(&self, fault: &str, name: &str, more: &[&str]) -> Output {
        self.training(fault, name, more).output().unwrap()
    }

    pub(crate) fn resume(&self, fault: &str, name: &str) -> Output {
        self.program(fault, &["train", "--headless", "--resume", name])
    }

    /// Trains until the fault kills the run; repeats this until at least `least` checkpoints were saved, because on a busy
    /// disk they may not be written in time.
    pub(crate) fn train_and_kill(&self, fault: &str, name: &str, least: usize) {
        for _ in 0..10 {
            let output = self.train(fault, name, &[]);
            assert!(was_killed(&output), "{}", words(&output));
            if Store::new(&self.run(name)).steps().len() >= least {
                return;
            }
            fs::remove_dir_all(self.run(name)).unwrap();
        }
        panic!("the run was killed before {least} checkpoints were written, ten times in a row");
    }

    pub(crate) fn run(&self, name: &str) -> PathBuf {
        self.runs.path().join(name)
    }
}

pub(crate) fn words(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

pub(crate) fn was_killed(output: &Output) -> bool {
    use std::os::unix::process::ExitStatusExt;
    output.status.signal() == Some(9)
}

/// Everything that must be identical; excludes times, names and traces of interruptions.
pub(crate) struct Digest {
    pub(crate) epochs: Vec<String>,
    eval: serde_json::Value,
    predictions: blake3::Hash,
    checkpoints: Vec<(u64, blake3::Hash, blake3::Hash)>,
    pub(crate) state: RunState,
}

pub(crate) fn hash(path: &Path) -> blake3::Hash {
    blake3::hash(&fs::read(path).unwrap())
}

pub(crate) fn digest(run: &Path) -> Digest {
    let epochs = fs::read_to_string(run.join("epochs.csv")).unwrap();
    // The last two columns are speed and time.
    let epochs = epochs
        .lines()
        .map(|line| line.rsplitn(3, ',').last().unwrap().to_owned())
        .collect();
    let mut eval: serde_json::Value =
        serde_json::from_slice(&fs::read(run.join("eval.json")).unwrap()).unwrap();
    let numbers = eval.as_object_mut().unwrap();
    numbers.remove("run");
    numbers.remove("seconds");
    let store = Store::new(run);
    let checkpoints = store
        .steps()
        .into_iter()
        .map(|step| {
            verify(&store.path(step), Depth::Bytes).unwrap();
            let file = |name| hash(&store.path(step).join(name));
            (step, file("model.safetensors"), file("optim.safetensors"))
        })
        .collect();
    Digest {
        epochs,
        eval,
        predictions: hash(&run.join("predictions.csv")),
        checkpoints,
        state: state(run),
    }
}

/// The state from the journal without clocks, names, requests and traces of interruptions.
fn state(run: &Path) -> RunState {
    let (_, replay) = epochtop::session::replay(&epochtop::session::RunDir::at(run)).unwrap();
    assert_eq!(replay.problems, [""; 0]);
    let mut state = replay.state;
    let blank = RunState::default();
    (state.seq, state.started_ms, state.now_ms, state.paused_ms) = (0, 0, 0, 0);
    state.ahead_ms = 0;
    (state.step_millis, state.images_per_second) = (blank.step_millis, blank.images_per_second);
    state.system = blank.system;
    // These depend on clocks, or on windows of steps, which end where a process ended.
    state.timeline = blank.timeline;
    (state.step_time, state.health) = (None, blank.health);
    state.marks = blank.marks;
    state.info.as_mut().unwrap().run.clear();
    state.restores.clear();
    state.commands.clear();
    state.askers.clear();
    // A checkpoint that is not complete on disk when the process is killed is not logged, so the counts can differ.
    (state.checkpoint, state.checkpoints) = (None, 0);
    state
        .log
        .retain(|line| !line.text.contains("checkpoint") && !line.text.contains("resumed"));
    for line in &mut state.log {
        (line.t_ms, line.worked_ms) = (0, 0);
    }
    for row in &mut state.history {
        (row.seconds.0, row.images_per_second.0) = (0.0, 0.0);
    }
    let evals = [&mut state.valid, &mut state.test];
    for report in evals
        .into_iter()
        .flat_map(|e| e.latest.iter_mut().chain(e.previous.iter_mut()))
    {
        (report.seconds.0, report.checkpoint) = (0.0, None);
    }
    state
}

/// Asserts that both are equal, field by field, because both complete digests would fill screens.
pub(crate) fn assert_same_digest(one: &Digest, other: &Digest, what: &str) {
    assert_eq!(one.epochs, other.epochs, "{what}");
    assert_eq!(one.checkpoints, other.checkpoints, "{what}");
    assert!(one.eval == other.eval, "{what}: eval.json differs");
    assert!(
        one.predictions == other.predictions,
        "{what}: predictions.csv differs"
    );
    let fields = |state: &RunState| match serde_json::to_value(state).unwrap() {
        serde_json::Value::Object(fields) => fields,
        _ => unreachable!(),
    };
    let (ones, others) = (fields(&one.state), fields(&other.state));
    let differ: Vec<&String> = ones
        .keys()
        .filter(|key| ones[*key] != others[*key])
        .collect();
    for key in &differ {
        assert_eq!(ones[*key], others[*key], "{what}: {key} of the state");
    }
}

/// Asserts that an uninterrupted run equals one with these faults, each of which kills one process.
fn assert_same_with_kills(kills: &[&str], more: &[&str]) {
    let place = Place::new();
    let uninterrupted = place.train("", "uninterrupted", more);
    assert!(uninterrupted.status.success(), "{}", words(&uninterrupted));
    let mut output = place.train(kills[0], "cut", more);
    for kill in kills[1..].iter().chain(&[""]) {
        assert!(was_killed(&output), "{kills:?}: {}", words(&output));
        output = if Store::new(&place.run("cut")).steps().is_empty() {
            // On a busy disk the first checkpoint may not have been written yet, so start again from the beginning.
            fs::remove_dir_all(place.run("cut")).unwrap();
            place.train(kill, "cut", more)
        } else {
            place.resume(kill, "cut")
        };
    }
    assert!(output.status.success(), "{kills:?}: {}", words(&output));
    let (uninterrupted, cut) = (
        digest(&place.run("uninterrupted")),
        digest(&place.run("cut")),
    );
    assert_same_digest(&uninterrupted, &cut, &format!("{kills:?}"));
}

// For the step and batch numbers below: an epoch has ten steps and three validation batches; the test split has five.

#[test]
fn a_kill_within_an_epoch_changes_no_result() {
    assert_same_with_kills(&["kill@step:27"], &["checkpoint.every_steps=4"]);
}

#[test]
fn a_kill_between_epochs_changes_no_result() {
    assert_same_with_kills(&["kill@step:21"], &["optim.name=adamw"]);
}

#[test]
fn a_kill_during_validation_changes_no_result() {
    assert_same_with_kills(
        &["kill@batch:5"],
        &[
            "optim.name=sgd",
            "optim.lr=0.1",
            "train.ema=0",
            "checkpoint.every_steps=5",
        ],
    );
}

#[test]
fn a_kill_in_the_final_evaluation_changes_no_result() {
    assert_same_with_kills(&["kill@batch:14"], &["train.threads=2"]);
}

#[test]
fn three_kills_at_random_steps_change_no_result() {
    let mut random = Random::new(&[u64::from(std::process::id())]);
    let kills: Vec<String> = (0..3)
        .map(|_| format!("kill@step:{}", 3 + random.below(8)))
        .collect();
    let kills: Vec<&str> = kills.iter().map(String::as_str).collect();
    let more = [
        "checkpoint.every_steps=2",
        "train.threads=2",
        "optim.name=lion",
        "optim.lr=0.001",
    ];
    assert_same_with_kills(&kills, &more);
}

#[test]
fn sigterm_at_any_time_changes_no_result() {
    let place = Place::new();
    let more = ["train.epochs=40"];
    let uninterrupted = place.train("", "uninterrupted", &more);
    assert!(uninterrupted.status.success(), "{}", words(&uninterrupted));
    // The stop comes from outside, after some steps.
    std::thread::scope(|scope| {
        let train = scope.spawn(|| place.train("", "cut", &more));
        let meta = place.run("cut").join("run.json");
        let rows = || fs::read_to_string(place.run("cut").join("epochs.csv")).unwrap_or_default();
        while rows().lines().count() < 4 && !train.is_finished() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let meta: serde_json::Value = serde_json::from_slice(&fs::read(meta).unwrap()).unwrap();
        let pid = meta["pid"].as_u64().unwrap().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let stopped = train.join().unwrap();
        assert_eq!(stopped.status.code(), Some(143), "{}", words(&stopped));
        assert!(words(&stopped).contains("epochtop train --resume"));
    });
    let resumed = place.resume("", "cut");
    assert!(resumed.status.success(), "{}", words(&resumed));
    let (uninterrupted, cut) = (
        digest(&place.run("uninterrupted")),
        digest(&place.run("cut")),
    );
    assert_same_digest(&uninterrupted, &cut, "stopped");
}

#[test]
fn a_kill_at_any_disk_operation_leaves_valid_checkpoints() {
    let place = Place::new();
    let uninterrupted = place.train("", "uninterrupted", &["checkpoint.every_steps=3"]);
    assert!(uninterrupted.status.success(), "{}", words(&uninterrupted));
    let expected = digest(&place.run("uninterrupted"));
    let mut output = place.train("kill@any:20", "cut", &["checkpoint.every_steps=3"]);
    let mut killed = 0;
    // Each process is killed at a later operation than the previous one, so that all operations are covered.
    for nth in 1..40 {
        if !was_killed(&output) {
            break;
        }
        killed += 1;
        let store = Store::new(&place.run("cut"));
        assert!(
            store
                .steps()
                .iter()
                .all(|&step| verify(&store.path(step), Depth::Bytes).is_ok())
        );
        output = place.resume(&format!("kill@any:{}", 12 + nth), "cut");
    }
    assert!(killed >= 3, "{killed}: {}", words(&output));
    while was_killed(&output) {
        output = place.resume("", "cut");
    }
    assert!(output.status.success(), "{}", words(&output));
    assert_same_digest(&expected, &digest(&place.run("cut")), "killed on the disk");
    let checkpoints = fs::read_dir(place.run("cut").join("checkpoints")).unwrap();
    let litter = checkpoints.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with('.')
    });
    assert_eq!(litter.count(), 0);
}

#[test]
fn a_full_disk_is_reported_and_training_continues() {
    let place = Place::new();
    let output = place.train("ENOSPC@write:1+", "full", &["checkpoint.wait_minutes=0"]);
    let text = words(&output);
    assert!(
        text.contains("not written") && text.contains("training continues"),
        "{text}"
    );
    assert!(text.contains("epoch 4/4"), "{text}");
    assert_eq!(Store::new(&place.run("full")).steps(), [0_u64; 0]);
    // It is evaluated, but it does not count as completed.
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("completed and was evaluated, but its last checkpoint was not saved: ")
            && text.contains("train --resume starts over"),
        "{text}"
    );
    assert!(place.run("full").join("eval.json").exists());
}

#[test]
fn a_damaged_checkpoint_is_renamed_and_the_previous_one_is_used() {
    let place = Place::new();
    place.train_and_kill("kill@step:35", "cut", 2);
    let store = Store::new(&place.run("cut"));
    let newest = *store.steps().last().unwrap();
    let file = store.path(newest).join("optim.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let output = place.resume("", "cut");
    let text = words(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("set aside as bad-step-"), "{text}");
    assert!(text.contains("optim.safetensors"), "{text}");
}

#[test]
fn settings_that_cannot_change_are_refused_and_other_changes_are_reported() {
    let place = Place::new();
    place.train_and_kill("kill@step:35", "cut", 1);
    let resume = |sets: &[&str]| {
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", *set]).collect();
        let args = ["train", "--headless", "--resume", "cut"];
        place.program("", &[&args[..], &sets[..]].concat())
    };
    let refused = resume(&["model.channels=[8,8]", "train.seed=5", "optim.lr=0.001"]);
    let text = words(&refused);
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(
        text.contains("model.channels") && text.contains("train.seed"),
        "{text}"
    );
    assert!(!text.contains("optim.lr"), "{text}");
    let longer = resume(&["train.epochs=5", "optim.lr=0.001"]);
    let text = words(&longer);
    assert!(longer.status.success(), "{text}");
    assert!(text.contains("train.epochs: 4 -> 5"), "{text}");
    assert!(text.contains("epoch 5/5"), "{text}");
}

#[test]
fn a_completed_run_resumes_only_with_more_epochs() {
    let place = Place::new();
    assert!(place.train("", "one", &[]).status.success());
    let again = place.resume("", "one");
    assert_eq!(again.status.code(), Some(2), "{}", words(&again));
    assert!(
        words(&again).contains("completed after 4 epochs"),
        "{}",
        words(&again)
    );
    let args = [
        "train",
        "--headless",
        "--resume",
        "one",
        "--set",
        "train.epochs=6",
    ];
    let more = place.program("", &args);
    assert!(more.status.success(), "{}", words(&more));
    let rows = fs::read_to_string(place.run("one").join("epochs.csv")).unwrap();
    assert_eq!(rows.lines().count(), 7);
}

#[test]
fn a_second_process_is_refused_and_the_first_is_named() {
    let place = Place::new();
    place.train_and_kill("kill@step:25", "one", 1);
    let run = epochtop::session::RunDir::at(&place.run("one"));
    let lock = epochtop::session::Journal::take(&run).unwrap();
    let second = place.resume("", "one");
    assert_eq!(second.status.code(), Some(2), "{}", words(&second));
    assert!(
        words(&second).contains("another process writes this run (last seen: process "),
        "{}",
        words(&second)
    );
    drop(lock);
    assert!(place.resume("", "one").status.success());
}

#[test]
fn runs_checkpoints_export_and_clean_report_what_is_on_disk() {
    let place = Place::new();
    assert!(place.train("", "uninterrupted", &[]).status.success());
    place.train_and_kill("kill@step:25", "cut", 1);
    assert!(was_killed(&place.train("kill@step:3", "nothing", &[])));
    let out = |args: &[&str]| String::from_utf8(place.program("", args).stdout).unwrap();
    let runs: serde_json::Value = serde_json::from_str(&out(&["runs", "--json"])).unwrap();
    let state = |name: &str| {
        let all = runs.as_array().unwrap();
        let run = all.iter().find(|run| run["run"] == name).unwrap();
        (
            run["state"].as_str().unwrap().to_owned(),
            run["epoch"].as_u64().unwrap(),
        )
    };
    assert_eq!(state("uninterrupted"), ("completed".to_owned(), 4));
    assert_eq!(state("cut"), ("crashed".to_owned(), 2));
    let table = out(&["runs"]);
    assert!(table.lines().next().unwrap().starts_with("run "), "{table}");
    assert_eq!(table.lines().count(), 4, "{table}");

    let output = place.program("", &["checkpoints", "cut", "--verify"]);
    assert!(
        output.status.success() && words(&output).contains("verified"),
        "{}",
        words(&output)
    );
    let store = Store::new(&place.run("cut"));
    let newest = store.path(*store.steps().last().unwrap());
    fs::write(newest.join("state.json"), "{}").unwrap();
    let output = place.program("", &["checkpoints", "cut"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        words(&output).contains("DAMAGED: state.json"),
        "{}",
        words(&output)
    );

    let steps = out(&["export", "uninterrupted", "--format", "csv"]);
    assert_eq!(steps.lines().count(), 1 + 40, "{steps}");
    let exported: serde_json::Value =
        serde_json::from_str(&out(&["export", "uninterrupted", "--format", "json"])).unwrap();
    assert_eq!(exported["epochs"].as_array().unwrap().len(), 4);
    let script = place.run("uninterrupted").join("model.pt");
    let output = place.program("", &["export", "uninterrupted", "--format", "torchscript"]);
    assert!(output.status.success(), "{}", words(&output));
    assert_same_logits(&place, &script);
    assert_same_logits_in_python(&place, &script);

    let shown = out(&["clean"]);
    assert!(
        shown.contains("nothing") && shown.contains("--yes"),
        "{shown}"
    );
    assert!(place.run("nothing").exists());
    out(&["clean", "--yes"]);
    assert!(!place.run("nothing").exists() && place.run("cut").exists());
}

/// If there is a Python with PyTorch, checks that `examples/load_in_pytorch.py` loads the network, and that the exported
/// TorchScript gives the same logits for any batch size.
fn assert_same_logits_in_python(place: &Place, script: &Path) {
    let python = std::env::var("EPOCHTOP_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let call = |args: &[&str]| Command::new(&python).args(args).output();
    let has = call(&["-c", "import torch, safetensors, numpy"]);
    if !has.is_ok_and(|output| output.status.success()) {
        return;
    }
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/load_in_pytorch.py");
    let run = place.run("uninterrupted");
    let data = place.data.path().to_str().unwrap();
    let output = call(&[example, run.to_str().unwrap(), data]).unwrap();
    assert!(output.status.success(), "{}", words(&output));
    let check = "import sys, torch; m = torch.jit.load(sys.argv[1]); x = torch.randn(7, 1, 20, 24); \
                 y = m(x); z = torch.cat([m(x[i:i+1]) for i in range(7)]); assert (y - z).abs().max() < 1e-4";
    let output = call(&["-c", check, script.to_str().unwrap()]).unwrap();
    assert!(output.status.success(), "{}", words(&output));
}

/// The exported TorchScript gives the logits in `predictions.csv`, with batches of 1, 7 and 100 images.
fn assert_same_logits(place: &Place, script: &Path) {
    use tch::{CModule, Device, Tensor};
    let module = CModule::load(script).unwrap();
    let config = crate::fixture::small_config(place.data.path());
    let test = crate::fixture::load(&config);
    let images = epochtop::data::Loader::new(&test.test, &test.info, Device::Cpu).unwrap();
    let table = fs::read_to_string(place.run("uninterrupted").join("predictions.csv")).unwrap();
    let rows: Vec<Vec<f32>> = table
        .lines()
        .filter(|line| line.starts_with("test,"))
        .map(|line| {
            line.split(',')
                .skip(5)
                .map(|v| v.parse().unwrap())
                .collect()
        })
        .collect();
    for (start, count) in [(0, 1), (1, 7), (8, 100)] {
        let logits = module
            .forward_ts(&[images.run(start, count).unwrap()])
            .unwrap();
        let expected = rows[start as usize..(start + count) as usize].concat();
        let off = (logits.view([-1]) - Tensor::from_slice(&expected))
            .abs()
            .max();
        assert!(off.double_value(&[]) < 1e-4, "{start}, {count}");
    }
}

#[test]
fn a_fork_continues_in_a_new_run() {
    let place = Place::new();
    let first = place.train("", "first", &[]);
    assert!(first.status.success(), "{}", words(&first));
    let before = digest(&place.run("first"));
    let args = [
        "train",
        "--headless",
        "--fork",
        "first",
        "--name",
        "second",
        "--set",
        "train.epochs=6",
    ];
    let second = place.program("", &args);
    assert!(second.status.success(), "{}", words(&second));
    assert!(words(&second).contains("epoch 6/6"), "{}", words(&second));
    assert_same_digest(&before, &digest(&place.run("first")), "forked from");
}

/// The results of killing a run repeatedly at random times.
#[derive(Debug, Default)]
struct Counts {
    kills: u32,
    resumed: u32,
    damaged: u32,
}

/// Minutes; `make kill` runs it.
#[test]
#[ignore = "minutes; make kill"]
#[expect(clippy::print_stdout, reason = "the counts are the result")]
fn two_hundred_kills_at_random_times_lose_nothing() {
    let place = Place::new();
    let every = [
        "checkpoint.every_steps=1",
        "train.epochs=100000",
        "optim.schedule=constant",
    ];
    // Repeat the first process until it has saved a checkpoint.
    while !was_killed(&place.train("kill@step:5", "cut", &every))
        || Store::new(&place.run("cut")).steps().is_empty()
    {
        fs::remove_dir_all(place.run("cut")).unwrap();
    }
    let mut random = Random::new(&[u64::from(std::process::id())]);
    let mut counts = Counts::default();
    let checkpoints = place.run("cut").join("checkpoints");
    while counts.kills < 200 {
        let before = resumes(&place);
        let runs = place.runs.path().to_str().unwrap().to_owned();
        let mut child = Command::new(env!("CARGO_BIN_EXE_epochtop"))
            .args(["train", "--headless", "--resume", "cut", "--runs", &runs])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Wait until it has resumed (at most 10 s), then kill it at a random time.
        for _ in 0..400 {
            if resumes(&place) > before || child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        counts.resumed += u32::from(resumes(&place) > before);
        std::thread::sleep(std::time::Duration::from_millis(random.below(700) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        counts.kills += 1;
        let store = Store::new(&place.run("cut"));
        let valid = |step: &u64| verify(&store.path(*step), Depth::Bytes).is_ok();
        counts.damaged += store.steps().iter().filter(|step| !valid(step)).count() as u32;
    }
    println!(
        "{counts:?}, at step {:?}",
        Store::new(&place.run("cut")).steps().last()
    );
    assert_eq!((counts.resumed, counts.damaged), (200, 0));
    let output = place.program(
        "",
        &[
            "train",
            "--headless",
            "--resume",
            "cut",
            "--set",
            "train.epochs=1",
        ],
    );
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(left(&checkpoints, ".tmp-") + left(&checkpoints, "bad-"), 0);
}

fn resumes(place: &Place) -> usize {
    let journal = fs::read_to_string(place.run("cut").join("events.jsonl")).unwrap_or_default();
    journal.matches("\"event\":\"resumed\"").count()
}

fn left(dir: &Path, prefix: &str) -> u32 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(prefix)).count() as u32
}
