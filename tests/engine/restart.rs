//! What a restart does when a write has failed, when there is no checkpoint yet, and when there is nothing to do.

use std::fs;
use std::path::Path;
use std::process::Output;

use epochtop::checkpoint::{Store, step_name};
use epochtop::event::Outcome;
use epochtop::session::{RunDir, RunOutcome};

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
    completed: u32,
    completed_with_something_missing: u32,
    failed_and_restarted: u32,
}

/// The files that a completed run has in its directory.
const RESULTS: [&str; 7] = [
    "config.toml",
    "run.json",
    "events.jsonl",
    "epochs.csv",
    "eval.json",
    "predictions.csv",
    "log.txt",
];

/// The lines of a run's log, without numbers that differ between two runs.
fn log_lines(text: &str) -> Vec<&str> {
    let is_stable = |line: &&str| line.starts_with("checkpoint ") || line.starts_with("best epoch");
    text.lines().filter(is_stable).collect()
}

/// Checks that a completed run lacks nothing.
fn assert_complete(undisturbed: &Path, run: &Path, what: &str) {
    let best = |run: &Path| Store::new(run).best().unwrap().unwrap();
    assert_eq!(best(undisturbed), best(run), "{what}");
    for step in [40, best(undisturbed).global_step] {
        for file in ["model.safetensors", "optim.safetensors"] {
            let of = |run: &Path| hash(&Store::new(run).path(step).join(file));
            assert_eq!(of(undisturbed), of(run), "{what}: {file} of step {step}");
        }
    }
    assert_eq!(digest(undisturbed).epochs, digest(run).epochs, "{what}");
    for file in RESULTS {
        assert!(
            fs::metadata(run.join(file)).unwrap().len() > 0,
            "{what}: {file}"
        );
    }
    assert_eq!(
        hash(&undisturbed.join("predictions.csv")),
        hash(&run.join("predictions.csv")),
        "{what}"
    );
    let (_, replay) = epochtop::session::replay(&RunDir::at(run)).unwrap();
    assert_eq!(replay.problems, [""; 0], "{what}");
    assert_eq!(replay.state.history.len(), 4, "{what}");
    assert_eq!(replay.state.missing, 0, "{what}");
    assert_eq!(replay.state.outcome, Some(Outcome::Completed), "{what}");
    let meta = RunDir::at(run).meta().unwrap();
    assert_eq!(
        (meta.outcome, meta.error),
        (RunOutcome::Completed, None),
        "{what}"
    );
}

/// Trains with an error at the `nth` operation that writes `file`; with `and_later`, at all later ones too. The run
/// completes with everything, or it completes with exit code 1 and names what is missing, or it fails. A failed one is
/// started again; a run without a file is evaluated again. In the end it has everything. Returns whether there was such
/// an operation.
fn one_error(
    place: &Place,
    (file, nth, and_later): (&str, u32, bool),
    counts: &mut Counts,
) -> bool {
    let later = if and_later { "+" } else { "" };
    let fault = format!("ENOSPC@{file}:{nth}{later}");
    let name = fault.replace(['@', ':', '+'], "-");
    let mut output = place.train(&fault, &name, &[]);
    let text = words(&output);
    let (undisturbed, run) = (place.run("undisturbed"), place.run(&name));
    if !text.contains("fault injected") {
        fs::remove_dir_all(run).unwrap();
        return false;
    }
    counts.injected += 1;
    let completed = text.contains("completed after 4 epochs");
    match code(&output) {
        Some(0) => {
            counts.completed += 1;
            let log = fs::read_to_string(run.join("log.txt")).unwrap();
            let printed = String::from_utf8_lossy(&output.stdout);
            assert_eq!(log_lines(&log), log_lines(&printed), "{fault}: {text}");
        }
        Some(1) if completed => {
            counts.completed_with_something_missing += 1;
            let reported = format!("error: completed, but {file} was not written: ");
            assert!(
                text.contains(&reported)
                    || file == "log.txt" && text.contains("log.txt is incomplete"),
                "{fault}: {text}"
            );
            let listed = words(&place.program("", &["runs"]));
            let row = listed.lines().find(|line| line.starts_with(&name)).unwrap();
            assert!(row.contains("completed"), "{fault}: {listed}");
            output = place.program("", &["eval", &name]);
            assert!(
                output.status.success(),
                "{fault}: {text}\nthen {}",
                words(&output)
            );
        }
        // 2: the run directory could not be created.
        Some(1 | 2) => {
            assert!(text.contains("error: "), "{fault}: {text}");
            counts.failed_and_restarted += 1;
            output = if run.exists() {
                place.resume("", &name)
            } else {
                place.train("", &name, &[])
            };
            assert!(
                output.status.success(),
                "{fault}: {text}\nthen {}",
                words(&output)
            );
        }
        other => panic!("{fault}: exit code {other:?}: {text}"),
    }
    if (file, and_later) == ("events.jsonl", true) {
        // What the journal lacks cannot be rebuilt, but it is shown, and the other files have everything.
        assert_eq!(
            digest(&undisturbed).epochs,
            digest(&run).epochs,
            "{fault}: {text}"
        );
    } else {
        assert_complete(&undisturbed, &run, &format!("{fault}: {text}"));
    }
    fs::remove_dir_all(run).unwrap();
    true
}

/// The files that a run writes.
const FILES: [&str; 16] = [
    "config.toml",
    "run.json",
    "events.jsonl",
    "epochs.csv",
    "log.txt",
    "tb",
    "eval.json",
    "predictions.csv",
    "evals",
    "LATEST",
    "BEST",
    "model.safetensors",
    "optim.safetensors",
    "state.json",
    "MANIFEST.json",
    "checkpoints",
];

fn place_with_an_undisturbed_run() -> Place {
    let place = Place::new();
    let undisturbed = place.train("", "undisturbed", &[]);
    assert!(undisturbed.status.success(), "{}", words(&undisturbed));
    place
}

/// Runs cases on a few threads, because most of the time they wait.
fn each_error(place: &Place, cases: &[(&str, u32, bool)]) -> Counts {
    let next = std::sync::Mutex::new(cases.iter());
    let counts = std::sync::Mutex::new(Counts::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = { next.lock().unwrap().next() } {
                    let mut own = Counts::default();
                    assert!(
                        one_error(place, *case, &mut own),
                        "{case:?} was not reached"
                    );
                    let mut all = counts.lock().unwrap();
                    all.injected += own.injected;
                    all.completed += own.completed;
                    all.completed_with_something_missing += own.completed_with_something_missing;
                    all.failed_and_restarted += own.failed_and_restarted;
                }
            });
        }
    });
    counts.into_inner().unwrap()
}

#[test]
fn an_error_in_a_write_of_any_file_costs_nothing() {
    let place = place_with_an_undisturbed_run();
    let cases: Vec<(&str, u32, bool)> = FILES.iter().map(|file| (*file, 1, false)).collect();
    let counts = each_error(&place, &cases);
    assert_eq!(counts.completed_with_something_missing, 0, "{counts:?}");
    let cases =
        ["run.json", "events.jsonl", "epochs.csv", "tb", "BEST"].map(|file| (file, 6, false));
    let counts = each_error(&place, &cases);
    assert_eq!(counts.completed, 5, "{counts:?}");
}

/// Regression test: such runs had exit code 0, and a run whose last write failed was listed as crashed.
#[test]
fn a_file_that_stays_unwritten_is_reported_with_exit_code_1_and_rebuilt() {
    let place = place_with_an_undisturbed_run();
    let cases = [
        ("eval.json", 1, true),
        ("epochs.csv", 8, true),
        ("tb", 8, true),
        ("log.txt", 5, true),
        ("events.jsonl", 30, true),
        // The last of three times that it is written.
        ("run.json", 9, true),
    ];
    let counts = each_error(&place, &cases);
    assert_eq!(counts.completed_with_something_missing, 6, "{counts:?}");
}

#[test]
fn files_that_a_power_failure_emptied_are_rebuilt() {
    let place = place_with_an_undisturbed_run();
    let run = place.run("undisturbed");
    let read = |file: &str| fs::read(run.join(file)).unwrap_or_default();
    let json = |file: &str| serde_json::from_slice::<serde_json::Value>(&read(file)).unwrap();
    let files = ["config.toml", "epochs.csv", "eval.json", "predictions.csv"];
    let before = files.map(read);
    let meta = json("run.json");
    let damage = || {
        for file in files {
            fs::write(run.join(file), "").unwrap();
        }
        fs::remove_file(run.join("run.json")).unwrap();
    };
    let assert_meta = || {
        let after = json("run.json");
        for key in [
            "run",
            "outcome",
            "seed",
            "device",
            "threads",
            "data_fingerprint",
            "ended_ms",
            "parameters",
        ] {
            assert_eq!(after[key], meta[key], "{key}");
        }
    };
    damage();
    let output = place.resume("", "undisturbed");
    assert_eq!(code(&output), Some(2), "{}", words(&output));
    for file in [&files[..3], &["run.json", "`epochtop eval`"]].concat() {
        assert!(words(&output).contains(file), "{file}: {}", words(&output));
    }
    assert_meta();
    assert!(
        files[..3]
            .iter()
            .zip(&before)
            .all(|(file, before)| read(file) == *before)
    );
    damage();
    let output = place.program("", &["eval", "undisturbed"]);
    assert!(output.status.success(), "{}", words(&output));
    assert_meta();
    for (file, before) in files.iter().zip(&before) {
        // The duration of the evaluation differs.
        assert!(*file == "eval.json" || read(file) == *before, "{file}");
    }
    assert_eq!(
        json("eval.json")["accuracy"],
        serde_json::from_slice::<serde_json::Value>(&before[2]).unwrap()["accuracy"]
    );
}

/// Regression test: `epochs.csv` was rebuilt from the journal alone, so it lost the rows that the journal lacked.
#[test]
fn resume_keeps_rows_of_epochs_that_the_journal_lacks() {
    let place = place_with_an_undisturbed_run();
    place.train_and_kill("kill@step:35", "cut", 2);
    let journal = place.run("cut").join("events.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let of_first = |line: &&str| line.contains("\"epoch_finished\",\"epoch\":1,");
    assert_eq!(text.lines().filter(of_first).count(), 1, "{text}");
    let lines = text.lines().filter(|line| !of_first(line));
    fs::write(&journal, lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    let output = place.resume("", "cut");
    assert!(output.status.success(), "{}", words(&output));
    let missing = "1 record is missing from the journal";
    assert!(words(&output).contains(missing), "{}", words(&output));
    let (one, other) = (place.run("undisturbed"), place.run("cut"));
    assert_eq!(digest(&one).epochs, digest(&other).epochs);
    let listed = words(&place.program("", &["runs"]));
    assert!(listed.contains(&format!("cut: {missing}")), "{listed}");
}

/// Minutes; `make kill` runs it.
#[test]
#[ignore = "minutes; make kill"]
#[expect(clippy::print_stdout, reason = "the counts are the result")]
fn an_error_in_each_write_of_each_file_costs_nothing() {
    let place = place_with_an_undisturbed_run();
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
            if !one_error(&place, (&file, nth, false), &mut counts) {
                break;
            }
        }
        println!("{file}: {counts:?}");
        all.injected += counts.injected;
        all.completed += counts.completed;
        all.completed_with_something_missing += counts.completed_with_something_missing;
        all.failed_and_restarted += counts.failed_and_restarted;
    }
    println!("all files: {all:?}");
    assert!(all.injected > 100);
    assert_eq!(all.completed_with_something_missing, 0);
}
