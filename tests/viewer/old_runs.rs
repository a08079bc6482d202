//! Run directories written by version 0.1 can still be read: journals, evaluations, predictions, pages and comparisons.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use epochtop::metrics::Measure;
use epochtop::run::RunState;
use epochtop::session::{RunsDir, compared_runs, replay, resolve};
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/runs-0.1")
}

const RUNS: [&str; 3] = ["finished", "stopped", "resumed"];

fn state(name: &str) -> RunState {
    let run = resolve(&RunsDir::only(fixtures()), Some(name.as_ref())).unwrap();
    let (_, journal) = replay(&run).unwrap();
    assert_eq!(journal.problems, Vec::<String>::new(), "{name}");
    assert_eq!(journal.state.unknown, 0, "{name}");
    journal.state
}

fn epochtop(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epochtop"));
    command.args(args).arg("--runs").arg(fixtures());
    command.output().unwrap()
}

#[test]
fn old_journals_fold_to_the_same_state() {
    for (name, steps, restores, tests) in [
        ("finished", 420, vec![420], 2),
        ("stopped", 335, vec![], 0),
        ("resumed", 420, vec![335], 1),
    ] {
        let run = state(name);
        assert_eq!(
            (run.global_step, run.test_evaluations),
            (steps, tests),
            "{name}"
        );
        assert_eq!(run.restores, restores, "{name}");
        let rows = std::fs::read_to_string(fixtures().join(name).join("epochs.csv")).unwrap();
        assert_eq!(run.history.len(), rows.lines().count() - 1, "{name}");
    }
}

#[test]
fn old_evaluations_match_their_eval_json() {
    let report = state("resumed").test.latest.unwrap();
    let eval = std::fs::read_to_string(fixtures().join("resumed/eval.json")).unwrap();
    let eval: Value = serde_json::from_str(&eval).unwrap();
    let mut compared = 0;
    for measure in Measure::ALL {
        let node = measure
            .info()
            .path
            .iter()
            .try_fold(&eval, |node, name| node.get(name));
        let Some(node) = node else {
            // Version 0.1 did not have this measure.
            assert!(report.value(measure).is_nan(), "{measure:?}");
            continue;
        };
        let value = node.get("value").unwrap_or(node).as_f64().unwrap();
        assert!((report.value(measure) - value).abs() < 1e-12, "{measure:?}");
        let ends = report
            .interval(measure)
            .map(|ends| vec![ends.low, ends.high]);
        let wanted = node
            .get("ci95")
            .map(|ends| serde_json::from_value(ends.clone()).unwrap());
        assert_eq!(ends, wanted, "{measure:?}");
        compared += 1;
    }
    assert_eq!(compared, 11);
}

#[test]
fn old_runs_are_listed_and_all_their_pages_can_be_drawn() {
    let listed = epochtop(&["runs", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let mut names: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|run| run["run"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["finished", "resumed", "stopped"]);
    let out = tempfile::tempdir().unwrap();
    for name in RUNS {
        for page in epochtop::tui::Page::ALL {
            let file = out.path().join(format!("{name}-{}.svg", page.key()));
            let file = file.to_str().unwrap();
            let drawn = epochtop(&["view", name, "--page", page.key(), "--screenshot", file]);
            let error = String::from_utf8_lossy(&drawn.stderr);
            assert!(drawn.status.success(), "{name} {}: {error}", page.key());
        }
    }
}

#[test]
fn old_runs_are_compared_with_paired_predictions() {
    let first = resolve(&RunsDir::only(fixtures()), Some("finished".as_ref())).unwrap();
    let found = compared_runs(
        &RunsDir::only(fixtures()),
        &first,
        Some(&state("finished")),
        &["resumed".to_owned()],
    );
    assert_eq!(found.problems, Vec::<String>::new());
    let other = &found.others[0];
    assert_eq!((other.unpaired.as_deref(), other.other_data), (None, false));
    assert!(
        other
            .against
            .iter()
            .any(|paired| paired.measure == Measure::Accuracy)
    );
}
