//! What a restart does when a write has failed, when there is no checkpoint yet, and when there is nothing to do.

use std::fs;
use std::path::Path;
use std::process::Output;

use epochtop::checkpoint::{Store, step_name};

use crate::resume::{Place, assert_same_digest, digest, hash, was_killed, words};

/// Settings of a run whose validation accuracy never improves after the first epoch.
const STALE: [&str; 3] = ["optim.lr=1e-12", "optim.warmup_epochs=0", "train.ema=0"];

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn resume_with(place: &Place, name: &str, sets: &[&str]) -> Output {
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", *set]).collect();
    let args = ["train", "--headless", "--resume", name];
    place.program("", &[&args[..], &sets[..]].concat())
}

/// The number of test-set evaluations in the journal.
fn test_evaluations(place: &Place, name: &str) -> usize {
    let journal = fs::read_to_string(place.run(name).join("events.jsonl")).unwrap();
    let of_test =
        |line: &&str| line.contains("eval_finished") && line.contains("\"split\":\"test\"");
    journal.lines().filter(of_test).count()
}

#[test]
fn failed_writes_of_a_pointer_give_neither_old_weights_nor_a_refusal() {
    for keep in ["checkpoint.keep=20", "checkpoint.keep=1"] {
        let place = Place::new();
        // The first write of BEST has four operations.
        let output = place.train("EDQUOT@BEST:5+", "one", &[keep]);
        assert!(output.status.success(), "{}", words(&output));
        assert!(words(&output).contains("tmp-BEST-"), "{}", words(&output));
        let run = place.run("one");
        let best = Store::new(&run).best().unwrap().unwrap();
        assert_eq!(best.missing, None);
        assert!(
            best.global_step > 10,
            "the first epoch must not be the best"
        );
        let name = step_name(best.global_step);
        let pointer = || fs::read_to_string(run.join("checkpoints/BEST")).unwrap();
        assert_eq!(pointer(), "step-000000010\n", "the writes failed");
        let listed = words(&place.program("", &["checkpoints", "one"]));
        let row = listed.lines().find(|line| line.contains("best")).unwrap();
        assert!(row.contains(&name), "{listed}");
        let evaluated = place.program("", &["eval", "one", "--split", "valid"]);
        let title = format!("one {name} (best)");
        assert!(words(&evaluated).contains(&title), "{}", words(&evaluated));
        assert_eq!(pointer(), format!("{name}\n"), "readers repair the pointer");
        // A completed run is refused, but its pointers are repaired.
        fs::write(run.join("checkpoints/BEST"), "step-000000010\n").unwrap();
        assert_eq!(code(&place.resume("", "one")), Some(2));
        assert_eq!(pointer(), format!("{name}\n"));
    }
}

#[test]
fn best_checkpoint_that_could_not_be_written_is_written_with_the_next_one() {
    let place = Place::new();
    let undisturbed = place.train("", "undisturbed", &[]);
    assert!(undisturbed.status.success(), "{}", words(&undisturbed));
    // Each save has three operations on this file: those of steps 5 and 10, then that of the validated weights.
    let output = place.train(
        "EIO@model.safetensors:7",
        "one",
        &["checkpoint.keep=9", "checkpoint.every_steps=5"],
    );
    let text = words(&output);
    assert!(output.status.success(), "{text}");
    let failed = "checkpoint of step 10 not written";
    assert!(
        text.contains(failed) && text.contains("it has the best weights"),
        "{text}"
    );
    // The next save, in the middle of the second epoch, has no best weights, so it is preceded by the failed one.
    let manifest = Store::new(&place.run("one")).manifest(10).unwrap();
    assert!(manifest.validation().is_some(), "{text}");
}

#[test]
fn run_killed_before_its_first_checkpoint_starts_over_with_the_same_weights() {
    let place = Place::new();
    let undisturbed = place.train("", "undisturbed", &[]);
    assert!(undisturbed.status.success(), "{}", words(&undisturbed));
    assert!(was_killed(&place.train("kill@step:5", "cut", &[])));
    let overview = words(&place.program("", &["runs"]));
    assert!(overview.contains("crashed"), "{overview}");
    // A second kill in the same place changes nothing.
    assert!(was_killed(&place.resume("kill@step:3", "cut")));
    let output = place.resume("", "cut");
    let text = words(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("started over at step 0"), "{text}");
    let (one, other) = (digest(&place.run("undisturbed")), digest(&place.run("cut")));
    assert_same_digest(&one, &other, "started over");
    // Settings that cannot change are refused here too.
    assert!(was_killed(&place.train("kill@step:5", "again", &[])));
    let refused = resume_with(&place, "again", &["train.seed=7"]);
    assert_eq!(code(&refused), Some(2), "{}", words(&refused));
    assert!(
        words(&refused).contains("train.seed"),
        "{}",
        words(&refused)
    );
}

#[test]
fn run_that_lost_its_checkpoints_does_not_start_over() {
    let place = Place::new();
    place.train_and_kill("kill@step:35", "cut", 1);
    fs::remove_dir_all(place.run("cut").join("checkpoints")).unwrap();
    let output = place.resume("", "cut");
    assert_eq!(code(&output), Some(2), "{}", words(&output));
    assert!(
        words(&output).contains("had saved one"),
        "{}",
        words(&output)
    );
}

#[test]
fn resume_or_start_starts_a_run_resumes_it_and_accepts_a_completed_one() {
    let place = Place::new();
    let undisturbed = place.train("", "undisturbed", &[]);
    assert!(undisturbed.status.success(), "{}", words(&undisturbed));
    let data = format!("data.dir={}", place.data.path().display());
    let again = |fault: &str, more: &[&str]| {
        let sets = crate::resume::SETTINGS.iter().chain(more).copied();
        let sets: Vec<&str> = sets
            .chain([data.as_str()])
            .flat_map(|set| ["--set", set])
            .collect();
        let args = ["train", "--headless", "--name", "job", "--resume-or-start"];
        place.program(fault, &[&args[..], &sets[..]].concat())
    };
    for (fault, line) in [("kill@step:4", ""), ("kill@step:25", "started over")] {
        let output = again(fault, &[]);
        assert!(
            was_killed(&output) && words(&output).contains(line),
            "{}",
            words(&output)
        );
    }
    let output = again("", &["train.epochs=9"]);
    let text = words(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("train.epochs = 9 is ignored"), "{text}");
    let (one, mut other) = (digest(&place.run("undisturbed")), digest(&place.run("job")));
    other
        .state
        .log
        .retain(|line| !line.text.contains("is ignored"));
    assert_same_digest(&one, &other, "the job");
    let before = fs::read(place.run("job").join("events.jsonl")).unwrap();
    let output = again("", &[]);
    assert_eq!(code(&output), Some(0), "{}", words(&output));
    assert!(
        words(&output).contains("nothing to do"),
        "{}",
        words(&output)
    );
    assert!(before == fs::read(place.run("job").join("events.jsonl")).unwrap());
}

#[test]
fn run_with_no_step_left_is_refused_and_its_test_set_is_not_evaluated_again() {
    let place = Place::new();
    let output = place.train("", "one", &[&STALE[..], &["train.patience=1"]].concat());
    assert!(output.status.success(), "{}", words(&output));
    assert!(
        words(&output).contains("completed after 2 epochs"),
        "{}",
        words(&output)
    );
    for (sets, reason) in [
        (&["train.epochs=9"][..], "train.patience = 1"),
        (&["train.epochs=1"], "all 2 epochs are done"),
        (&["train.min_delta=0.1"], "train.patience = 1"),
        (&[], "train.patience = 1"),
    ] {
        let output = resume_with(&place, "one", sets);
        assert_eq!(code(&output), Some(2), "{}", words(&output));
        assert!(
            words(&output).contains(reason),
            "{sets:?}: {}",
            words(&output)
        );
    }
    assert_eq!(test_evaluations(&place, "one"), 1);
    let output = resume_with(&place, "one", &["train.epochs=3", "train.patience=0"]);
    assert!(output.status.success(), "{}", words(&output));
    assert!(words(&output).contains("epoch 3/3"), "{}", words(&output));
}

#[test]
fn unnamed_runs_started_in_the_same_second_all_train() {
    let place = Place::new();
    let data = format!("data.dir={}", place.data.path().display());
    let sets = crate::resume::SETTINGS.iter().copied();
    let sets: Vec<&str> = sets
        .chain([data.as_str(), "train.epochs=1"])
        .flat_map(|set| ["--set", set])
        .collect();
    let train = || place.program("", &[&["train", "--headless"], &sets[..]].concat());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(train)).collect();
        for thread in threads {
            let output = thread.join().unwrap();
            assert!(output.status.success(), "{}", words(&output));
        }
    });
    assert_eq!(fs::read_dir(place.runs.path()).unwrap().count(), 3);
}

/// How the runs with an injected error ended.
#[derive(Debug, Default)]
struct Counts {
    injected: u32,
    completed_with_a_warning: u32,
    failed_and_restarted: u32,
}

/// Trains with one error at the `nth` operation that writes `file`. The run completes with a warning or fails with an
/// error; a failed one is started again. In the end it has the weights of the undisturbed run. Returns whether there
/// was such an operation.
fn one_error(place: &Place, file: &str, nth: u32, counts: &mut Counts) -> bool {
    let (name, fault) = ("disturbed", format!("ENOSPC@{file}:{nth}"));
    let mut output = place.train(&fault, name, &[]);
    let text = words(&output);
    if !text.contains("fault injected") {
        fs::remove_dir_all(place.run(name)).unwrap();
        return false;
    }
    counts.injected += 1;
    assert!(
        text.contains("warning: ") || text.contains("error: "),
        "{fault} is not reported: {text}"
    );
    if output.status.success() {
        counts.completed_with_a_warning += 1;
    } else {
        // 2: the run directory could not be created.
        assert!(matches!(code(&output), Some(1 | 2)), "{fault}: {text}");
        counts.failed_and_restarted += 1;
        output = if place.run(name).exists() {
            place.resume("", name)
        } else {
            place.train("", name, &[])
        };
        assert!(
            output.status.success(),
            "{fault}: {text}\nthen {}",
            words(&output)
        );
    }
    let (one, other) = (place.run("undisturbed"), place.run(name));
    let best = |run: &Path| Store::new(run).best().unwrap().unwrap();
    assert_eq!(best(&one), best(&other), "{fault}: {text}");
    for step in [40, best(&one).global_step] {
        for file in ["model.safetensors", "optim.safetensors"] {
            let of = |run: &Path| hash(&Store::new(run).path(step).join(file));
            assert_eq!(of(&one), of(&other), "{fault}: {file} of step {step}");
        }
    }
    if other.join("eval.json").exists() {
        assert_eq!(
            digest(&one).epochs,
            digest(&other).epochs,
            "{fault}: {text}"
        );
    } else {
        assert!(text.contains("evaluation not written"), "{fault}: {text}");
    }
    let (_, replay) = epochtop::session::replay(&epochtop::session::RunDir::at(&other)).unwrap();
    assert_eq!(replay.problems, [""; 0], "{fault}");
    assert_eq!(replay.state.history.len(), 4, "{fault}");
    assert!(replay.state.outcome.is_some(), "{fault}");
    let meta = fs::read_to_string(other.join("run.json")).unwrap();
    assert!(
        meta.contains("\"outcome\": \"completed\""),
        "{fault}: {meta}"
    );
    fs::remove_dir_all(other).unwrap();
    true
}

/// The files that a run writes.
const FILES: [&str; 14] = [
    "config.toml",
    "run.json",
    "events.jsonl",
    "epochs.csv",
    "tb",
    "eval.json",
    "predictions.csv",
    "LATEST",
    "BEST",
    "model.safetensors",
    "optim.safetensors",
    "state.json",
    "MANIFEST.json",
    "checkpoints",
];

#[test]
fn an_error_in_a_write_of_a_file_costs_no_weights() {
    let place = Place::new();
    let undisturbed = place.train("", "undisturbed", &[]);
    assert!(undisturbed.status.success(), "{}", words(&undisturbed));
    let mut counts = Counts::default();
    for file in ["events.jsonl", "epochs.csv", "tb", "BEST", "MANIFEST.json"] {
        assert!(one_error(&place, file, 5, &mut counts), "{file}");
    }
}

/// Minutes; `make kill` runs it.
#[test]
#[ignore = "minutes; make kill"]
#[expect(clippy::print_stdout, reason = "the counts are the result")]
fn an_error_in_each_write_of_each_file_costs_no_weights() {
    let place = Place::new();
    let undisturbed = place.train("", "undisturbed", &[]);
    assert!(undisturbed.status.success(), "{}", words(&undisturbed));
    let steps = [10, 20, 30, 40].map(step_name);
    let of_steps = steps.iter().flat_map(|step| {
        [
            step.clone(),
            format!(".tmp-{step}"),
            format!(".tmp-removed-{step}"),
            format!("{step}.json"),
            format!("{step}.csv"),
        ]
    });
    let mut all = Counts::default();
    for file in FILES.iter().map(|&file| file.to_owned()).chain(of_steps) {
        let mut counts = Counts::default();
        for nth in 1.. {
            if !one_error(&place, &file, nth, &mut counts) {
                break;
            }
        }
        println!("{file}: {counts:?}");
        all.injected += counts.injected;
        all.completed_with_a_warning += counts.completed_with_a_warning;
        all.failed_and_restarted += counts.failed_and_restarted;
    }
    println!("all files: {all:?}");
    assert!(all.injected > 100);
}
