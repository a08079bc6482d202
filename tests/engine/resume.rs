//! A run that is killed and resumed ends as one that was left alone: byte for byte, in every file that tells of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use epochtop::checkpoint::{Depth, Store, verify};
use epochtop::random::Random;
use epochtop::run::{Curve, RunState};

use crate::fixture::shapes;

/// A training with all that could make a difference: shuffling, shifts, erasing, dropout, an average, both splits.
const SETTINGS: [&str; 21] = [
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

/// Data, and a directory of runs.
struct Place {
    data: tempfile::TempDir,
    runs: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            data: tempfile::tempdir().unwrap(),
            runs: tempfile::tempdir().unwrap(),
        };
        shapes(place.data.path());
        place
    }

    fn program(&self, fault: &str, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_epochtop"))
            .args(args)
            .args(["--runs", self.runs.path().to_str().unwrap()])
            .env("EPOCHTOP_FAULT", fault)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap()
    }

    fn train(&self, fault: &str, name: &str, more: &[&str]) -> Output {
        let data = format!("data.dir={}", self.data.path().display());
        let sets = SETTINGS.iter().chain(more).copied().chain([data.as_str()]);
        let sets: Vec<&str> = sets.flat_map(|set| ["--set", set]).collect();
        let args = ["train", "--headless", "--name", name];
        self.program(fault, &[&args[..], &sets[..]].concat())
    }

    fn resume(&self, fault: &str, name: &str) -> Output {
        self.program(fault, &["train", "--headless", "--resume", name])
    }

    /// Trains until it is killed, and has left so many checkpoints: on a busy disk they may come too late.
    fn train_and_kill(&self, fault: &str, name: &str, least: usize) {
        for _ in 0..10 {
            let output = self.train(fault, name, &[]);
            assert!(was_killed(&output), "{}", words(&output));
            if Store::new(&self.run(name)).steps().len() >= least {
                return;
            }
            fs::remove_dir_all(self.run(name)).unwrap();
        }
        panic!("a disk that takes longer than three epochs for a checkpoint, ten times");
    }

    fn run(&self, name: &str) -> PathBuf {
        self.runs.path().join(name)
    }
}

fn words(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn was_killed(output: &Output) -> bool {
    use std::os::unix::process::ExitStatusExt;
    output.status.signal() == Some(9)
}

/// All that must be the same, and nothing that tells of times, names or interruptions.
struct Digest {
    epochs: Vec<String>,
    eval: serde_json::Value,
    predictions: blake3::Hash,
    checkpoints: Vec<(u64, blake3::Hash, blake3::Hash)>,
    state: RunState,
}

fn hash(path: &Path) -> blake3::Hash {
    blake3::hash(&fs::read(path).unwrap())
}

fn digest(run: &Path) -> Digest {
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

/// The folded journal without clocks, names, requests and the trace of interruptions.
fn state(run: &Path) -> RunState {
    let (_, replay) = epochtop::session::replay(&epochtop::session::RunDir::at(run)).unwrap();
    assert_eq!(replay.problems, [""; 0]);
    let mut state = replay.state;
    let blank = RunState::default();
    (state.seq, state.started_ms, state.now_ms, state.paused_ms) = (0, 0, 0, 0);
    (state.step_millis, state.images_per_second) = (blank.step_millis, blank.images_per_second);
    state.system = blank.system;
    // Clocks, and windows of steps, which end where a process did.
    state.timeline = blank.timeline;
    state.curves.clear(Curve::LearningRate);
    (state.step_time, state.health) = (None, blank.health);
    state.marks = blank.marks;
    state.info.as_mut().unwrap().run.clear();
    state.restores.clear();
    state.commands.clear();
    state.askers.clear();
    // What is not on the disk yet when a process is killed is never told to be; nor is the same save told twice.
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

/// The first difference, in a line: both whole would fill screens.
fn assert_same(one: &Digest, other: &Digest, what: &str) {
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

/// Trains undisturbed, and again with these kills, each of which ends one process.
fn the_same_with(kills: &[&str], more: &[&str]) {
    let place = Place::new();
    let whole = place.train("", "whole", more);
    assert!(whole.status.success(), "{}", words(&whole));
    let mut output = place.train(kills[0], "cut", more);
    for kill in kills[1..].iter().chain(&[""]) {
        assert!(was_killed(&output), "{kills:?}: {}", words(&output));
        output = if Store::new(&place.run("cut")).steps().is_empty() {
            // On a busy disk the first checkpoint may not have been written yet: nothing to go on from.
            fs::remove_dir_all(place.run("cut")).unwrap();
            place.train(kill, "cut", more)
        } else {
            place.resume(kill, "cut")
        };
    }
    assert!(output.status.success(), "{kills:?}: {}", words(&output));
    let (whole, cut) = (digest(&place.run("whole")), digest(&place.run("cut")));
    assert_same(&whole, &cut, &format!("{kills:?}"));
}

// An epoch has ten steps and three batches of validation, the test split five.

#[test]
fn killed_inside_an_epoch_nothing_is_different() {
    the_same_with(&["kill@step:27"], &["checkpoint.every_steps=4"]);
}

#[test]
fn killed_at_an_epochs_boundary_nothing_is_different() {
    the_same_with(&["kill@step:21"], &["optim.name=adamw"]);
}

#[test]
fn killed_while_evaluating_nothing_is_different() {
    the_same_with(
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
fn killed_in_the_final_test_nothing_is_different() {
    the_same_with(&["kill@batch:14"], &["train.threads=2"]);
}

#[test]
fn killed_three_times_at_any_step_nothing_is_different() {
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
    the_same_with(&kills, &more);
}

#[test]
fn stopped_by_a_signal_at_any_moment_nothing_is_different() {
    let place = Place::new();
    let more = ["train.epochs=40"];
    let whole = place.train("", "whole", &more);
    assert!(whole.status.success(), "{}", words(&whole));
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
    let (whole, cut) = (digest(&place.run("whole")), digest(&place.run("cut")));
    assert_same(&whole, &cut, "stopped");
}

#[test]
fn killed_at_any_operation_on_the_disk_it_resumes_from_what_is_whole() {
    let place = Place::new();
    let whole = place.train("", "whole", &["checkpoint.every_steps=3"]);
    assert!(whole.status.success(), "{}", words(&whole));
    let expected = digest(&place.run("whole"));
    let mut output = place.train("kill@any:20", "cut", &["checkpoint.every_steps=3"]);
    let mut killed = 0;
    // Each process is killed at a later operation than the one before, so that all are met in turn.
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
    assert_same(&expected, &digest(&place.run("cut")), "killed on the disk");
    let checkpoints = fs::read_dir(place.run("cut").join("checkpoints")).unwrap();
    let litter = checkpoints.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with('.')
    });
    assert_eq!(litter.count(), 0);
}

#[test]
fn a_full_disk_costs_checkpoints_and_says_so_but_not_the_run() {
    let place = Place::new();
    let output = place.train("ENOSPC@write:1+", "full", &[]);
    let told = words(&output);
    assert!(
        told.contains("not written") && told.contains("training goes on"),
        "{told}"
    );
    assert!(told.contains("epoch 4/4"), "{told}");
    assert_eq!(Store::new(&place.run("full")).steps(), [0_u64; 0]);
}

#[test]
fn a_damaged_checkpoint_is_set_aside_and_the_one_before_is_taken() {
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
    let told = words(&output);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("set aside as bad-step-"), "{told}");
    assert!(told.contains("optim.safetensors"), "{told}");
}

#[test]
fn what_would_make_another_run_is_refused_by_its_key_and_the_rest_is_told() {
    let place = Place::new();
    place.train_and_kill("kill@step:35", "cut", 1);
    let resume = |sets: &[&str]| {
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", *set]).collect();
        let args = ["train", "--headless", "--resume", "cut"];
        place.program("", &[&args[..], &sets[..]].concat())
    };
    let refused = resume(&["model.channels=[8,8]", "train.seed=5", "optim.lr=0.001"]);
    let told = words(&refused);
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(
        told.contains("model.channels") && told.contains("train.seed"),
        "{told}"
    );
    assert!(!told.contains("optim.lr"), "{told}");
    let longer = resume(&["train.epochs=5", "optim.lr=0.001"]);
    let told = words(&longer);
    assert!(longer.status.success(), "{told}");
    assert!(told.contains("train.epochs: 4 -> 5"), "{told}");
    assert!(told.contains("epoch 5/5"), "{told}");
}

#[test]
fn a_complete_run_goes_on_only_when_it_is_given_more() {
    let place = Place::new();
    assert!(place.train("", "one", &[]).status.success());
    let again = place.resume("", "one");
    assert_eq!(again.status.code(), Some(2), "{}", words(&again));
    assert!(
        words(&again).contains("is complete after 4 epochs"),
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
fn a_second_process_is_told_who_holds_the_run() {
    let place = Place::new();
    place.train_and_kill("kill@step:25", "one", 1);
    let run = epochtop::session::RunDir::at(&place.run("one"));
    let held = epochtop::session::Journal::take(&run).unwrap();
    let second = place.resume("", "one");
    assert_eq!(second.status.code(), Some(2), "{}", words(&second));
    assert!(
        words(&second).contains("another process writes this run (last seen: process "),
        "{}",
        words(&second)
    );
    drop(held);
    assert!(place.resume("", "one").status.success());
}

#[test]
fn runs_checkpoints_and_exports_tell_what_lies_on_the_disk() {
    let place = Place::new();
    assert!(place.train("", "whole", &[]).status.success());
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
    assert_eq!(state("whole"), ("finished".to_owned(), 4));
    assert_eq!(state("cut"), ("crashed".to_owned(), 2));
    let table = out(&["runs"]);
    assert!(table.lines().next().unwrap().starts_with("run "), "{table}");
    assert_eq!(table.lines().count(), 4, "{table}");

    let told = place.program("", &["checkpoints", "cut", "--verify"]);
    assert!(
        told.status.success() && words(&told).contains("whole"),
        "{}",
        words(&told)
    );
    let store = Store::new(&place.run("cut"));
    let newest = store.path(*store.steps().last().unwrap());
    fs::write(newest.join("state.json"), "{}").unwrap();
    let told = place.program("", &["checkpoints", "cut"]);
    assert_eq!(told.status.code(), Some(1));
    assert!(
        words(&told).contains("NOT WHOLE: state.json"),
        "{}",
        words(&told)
    );

    let steps = out(&["export", "whole", "--format", "csv"]);
    assert_eq!(steps.lines().count(), 1 + 40, "{steps}");
    let told: serde_json::Value =
        serde_json::from_str(&out(&["export", "whole", "--format", "json"])).unwrap();
    assert_eq!(told["epochs"].as_array().unwrap().len(), 4);
    let script = place.run("whole").join("model.pt");
    let told = place.program("", &["export", "whole", "--format", "torchscript"]);
    assert!(told.status.success(), "{}", words(&told));
    assert_same_logits(&place, &script);
    python_agrees(&place, &script);

    let shown = out(&["clean"]);
    assert!(
        shown.contains("nothing") && shown.contains("--yes"),
        "{shown}"
    );
    assert!(place.run("nothing").exists());
    out(&["clean", "--yes"]);
    assert!(!place.run("nothing").exists() && place.run("cut").exists());
}

/// Where there is a Python with PyTorch, the example loads the network, and TorchScript gives the same there.
fn python_agrees(place: &Place, script: &Path) {
    let python = std::env::var("EPOCHTOP_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let call = |args: &[&str]| Command::new(&python).args(args).output();
    let has = call(&["-c", "import torch, safetensors, numpy"]);
    if !has.is_ok_and(|output| output.status.success()) {
        return;
    }
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/load_in_pytorch.py");
    let run = place.run("whole");
    let data = place.data.path().to_str().unwrap();
    let output = call(&[example, run.to_str().unwrap(), data]).unwrap();
    assert!(output.status.success(), "{}", words(&output));
    let check = "import sys, torch; m = torch.jit.load(sys.argv[1]); x = torch.randn(7, 1, 20, 24); \
                 y = m(x); z = torch.cat([m(x[i:i+1]) for i in range(7)]); assert (y - z).abs().max() < 1e-4";
    let output = call(&["-c", check, script.to_str().unwrap()]).unwrap();
    assert!(output.status.success(), "{}", words(&output));
}

/// The traced network gives the logits of `predictions.csv`, one image at a time and seven.
fn assert_same_logits(place: &Place, script: &Path) {
    use tch::{CModule, Device, Tensor};
    let module = CModule::load(script).unwrap();
    let config = crate::fixture::small_config(place.data.path());
    let test = crate::fixture::load(&config);
    let images = epochtop::data::Resident::new(&test.test, &test.info, Device::Cpu).unwrap();
    let table = fs::read_to_string(place.run("whole").join("predictions.csv")).unwrap();
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
        let logits = module.forward_ts(&[images.run(start, count)]).unwrap();
        let told = rows[start as usize..(start + count) as usize].concat();
        let off = (logits.view([-1]) - Tensor::from_slice(&told)).abs().max();
        assert!(off.double_value(&[]) < 1e-4, "{start}, {count}");
    }
}

#[test]
fn a_fork_goes_on_in_a_run_of_its_own() {
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
    assert_same(&before, &digest(&place.run("first")), "forked from");
}

/// What came of killing a run again and again at random times.
#[derive(Debug, Default)]
struct Counts {
    kills: u32,
    resumed: u32,
    damaged: u32,
}

/// Minutes; `make kill` runs it.
#[test]
#[ignore = "minutes; make kill"]
#[expect(clippy::print_stdout, reason = "the counts are what it is for")]
fn two_hundred_kills_at_random_times_lose_nothing() {
    let place = Place::new();
    let every = [
        "checkpoint.every_steps=1",
        "train.epochs=100000",
        "optim.schedule=constant",
    ];
    // The first process gets to its first checkpoint.
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
        // After it has begun, at any time.
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
        let whole = |step: &u64| verify(&store.path(*step), Depth::Bytes).is_ok();
        counts.damaged += store.steps().iter().filter(|step| !whole(step)).count() as u32;
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
