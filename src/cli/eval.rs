//! `eval`: the full evaluation of one checkpoint, or a comparison of several.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::args::{EvalArgs, EvalSplit};
use super::code;
use super::leaks::{self, WithoutLeaks};
use super::print::{print_error, print_json, print_line};
use super::progress::Progress;
use super::repair::repair;
use super::restore::{Restored, restore};
use crate::event::{EvalReport, Event, F64, Split, WeightsKind};
use crate::files::Dir;
use crate::images::Dataset;
use crate::inference::read_state;
use crate::metrics::{compare, fit_temperature};
use crate::report::{
    ComparedEvaluation, EvaluationOutput, Options, Predictions, SEED, comparison, comparison_json,
    eval_json, measure, table, write,
};
use crate::session::{CheckpointLocation, Journal, locate_checkpoint};

/// The evaluation of one checkpoint.
struct Evaluation {
    title: String,
    report: EvalReport,
    names: Vec<String>,
    rows: Predictions,
    data: String,
    /// Paths of the written files; empty for a checkpoint outside a run directory.
    written: Vec<String>,
    /// The name of the run that contains the checkpoint, if any.
    run: Option<String>,
    /// Errors from saving the results or from the search for leaked images.
    save_errors: Vec<String>,
    /// How often the test set of this run has been evaluated, including this time, if recorded.
    test_evaluations: Option<u64>,
    /// Whether the data have a test split.
    has_test: bool,
    /// The metrics without leaked images, if requested.
    without_leaks: Option<WithoutLeaks>,
}

/// Evaluates the given checkpoints and compares each further one with the first.
pub(super) fn run(args: EvalArgs) -> u8 {
    let EvalArgs {
        runs,
        checkpoints,
        split,
        without_leaks,
        json,
        sets,
    } = args;
    if without_leaks && matches!(split, Some(EvalSplit::Train)) {
        return fail(&["--without-leaks: no split is earlier than train".to_owned()]);
    }
    let found = match locate_all(&checkpoints, runs, &sets) {
        Ok(found) => found,
        Err(errors) => return fail(&errors),
    };
    let mut evaluations: Vec<Evaluation> = Vec::new();
    for found in found {
        let split = split.map_or_else(|| result_split(&found), EvalSplit::split);
        match evaluate(&found, split, without_leaks, &sets) {
            Ok(evaluation) if json => evaluations.push(evaluation),
            Ok(evaluation) => {
                print_evaluation(&evaluation);
                evaluations.push(evaluation);
            }
            Err(error) => return fail(&[error]),
        }
    }
    let mut compared = Vec::new();
    if let [first, others @ ..] = evaluations.as_slice() {
        compared.extend(others.iter().map(|other| compare_with(first, other, json)));
    }
    let printed = !json || print_json(&as_json(&evaluations, &compared));
    let save_errors: Vec<String> = evaluations
        .into_iter()
        .flat_map(|one| one.save_errors)
        .collect();
    let errors: Vec<String> = compared.into_iter().filter_map(Result::err).collect();
    if !errors.is_empty() {
        return fail(&errors);
    }
    save_errors
        .iter()
        .for_each(|what| print_error(&format!("error: {what}")));
    if save_errors.is_empty() && printed {
        code::COMPLETED
    } else {
        code::FAILED
    }
}

/// The split of a run's result: test, or validation if the data have no test split.
fn result_split(found: &CheckpointLocation) -> Split {
    match read_state(&found.path) {
        Ok(state) if state.dataset.test == 0 => Split::Valid,
        // An unreadable checkpoint is reported when it is restored.
        Ok(_) | Err(_) => Split::Test,
    }
}

fn fail(errors: &[String]) -> u8 {
    let lines = errors.iter().map(|error| format!("error: {error}"));
    lines.for_each(|error| print_error(&error));
    code::USAGE
}

/// Locates the given checkpoints; without a name, the best checkpoint of the newest run.
///
/// # Errors
/// One message for each name that was not found.
fn locate_all(
    names: &[OsString],
    runs: Option<PathBuf>,
    settings: &[String],
) -> Result<Vec<CheckpointLocation>, Vec<String>> {
    let runs = super::runs_dir(runs, settings).map_err(|error| vec![error])?;
    let wanted: Vec<Option<&OsStr>> = match names {
        [] => vec![None],
        names => names.iter().map(|name| Some(name.as_os_str())).collect(),
    };
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for word in wanted {
        match locate_checkpoint(&runs, word) {
            Ok(checkpoint) => found.push(checkpoint),
            Err(error) => missing.push(error.to_string()),
        }
    }
    if missing.is_empty() {
        Ok(found)
    } else {
        Err(missing)
    }
}

/// Evaluates a checkpoint, records a test-set evaluation in the journal and writes the result files.
fn evaluate(
    found: &CheckpointLocation,
    split: Split,
    without_leaks: bool,
    settings: &[String],
) -> Result<Evaluation, String> {
    // The journal is opened first: while another process writes it, the test set must not be evaluated unrecorded.
    let journal = if split == Split::Test {
        journal_of(found)?
    } else {
        None
    };
    if let (Some(run), Some(journal)) = (&found.run, &journal) {
        let notes = repair(run, journal).into_iter();
        notes.for_each(|note| print_error(&format!("warning: {note}")));
    }
    // The directory may be renamed during the evaluation.
    let dir = found.run.as_ref().and_then(|run| run.open().ok());
    let restored = restore(&found.path, settings)?;
    let Numbers {
        report,
        names,
        fingerprint,
        valid,
        rows,
        dataset,
        options,
    } = numbers(found, &restored, split)?;
    let mut evaluation = Evaluation {
        without_leaks: None,
        title: found.title(),
        names,
        data: fingerprint,
        has_test: restored.state.dataset.test > 0,
        written: Vec::new(),
        save_errors: Vec::new(),
        run: found.run.as_ref().map(|run| run.name.clone()),
        test_evaluations: journal
            .as_ref()
            .map(|journal| journal.test_evaluations() + 1),
        rows,
        report,
    };
    save(&mut evaluation, (found, dir), valid.as_ref(), journal);
    if without_leaks {
        let found = leaks::without_leaks(&dataset, &evaluation.rows, &evaluation.report, options);
        match found {
            Ok(found) => evaluation.without_leaks = Some(found),
            Err(error) => evaluation
                .save_errors
                .push(format!("the leaked images could not be found: {error}")),
        }
    }
    Ok(evaluation)
}

/// The journal in which to record the test-set evaluation; `None` for a checkpoint outside a run directory or for a
/// read-only run.
///
/// # Errors
/// If another process is writing the journal.
fn journal_of(found: &CheckpointLocation) -> Result<Option<Journal>, String> {
    let Some(run) = &found.run else {
        return Ok(None);
    };
    match Journal::take(run) {
        Ok(journal) => Ok(Some(journal)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(format!(
            "{error}; every test-set evaluation is recorded in the journal: \
             `epochtop ctl evaluate --split test` has its trainer do it, or use --split valid"
        )),
        Err(error) => {
            print_error(&format!(
                "warning: this test-set evaluation is not recorded: {error}"
            ));
            Ok(None)
        }
    }
}

/// A report, what it was computed from, and class names and fingerprint of the data.
struct Numbers {
    report: EvalReport,
    names: Vec<String>,
    fingerprint: String,
    valid: Option<Predictions>,
    rows: Predictions,
    dataset: Dataset,
    options: Options,
}

fn numbers(
    found: &CheckpointLocation,
    restored: &Restored,
    split: Split,
) -> Result<Numbers, String> {
    let Restored {
        state,
        config,
        trained,
        ..
    } = restored;
    let dataset = restored.dataset()?;
    let began = std::time::Instant::now();
    let mut progress = Progress::new();
    let mut predict = |split: Split| {
        let report = &mut |done, total| progress.show(split.name(), done, total);
        trained.predict(&dataset, split, config.eval.batch_size, report)
    };
    // The temperature is always fitted on the validation split.
    let valid = predict(Split::Valid)?;
    let temperature = fit_temperature(&valid.logits, &valid.labels, valid.classes);
    let (valid, rows) = if split == Split::Valid {
        (None, valid)
    } else {
        (Some(valid), predict(split)?)
    };
    let options = Options {
        bins: config.eval.ece_bins,
        resamples: config.eval.bootstrap,
    };
    let mut report = measure(&rows, temperature, options);
    report.epoch = state.epoch;
    report.global_step = state.global_step;
    report.checkpoint = Some(found.name());
    report.weights = if found.best.is_some() {
        WeightsKind::Best
    } else {
        WeightsKind::Checkpoint
    };
    report.seconds = F64(began.elapsed().as_secs_f64());
    Ok(Numbers {
        report,
        names: dataset.info.classes.clone(),
        fingerprint: dataset.fingerprint.clone(),
        valid,
        rows,
        dataset,
        options,
    })
}

/// Records the evaluation in the journal of the run and writes the results to its directory. Errors are added to
/// `save_errors`; the results are printed in any case.
fn save(
    evaluation: &mut Evaluation,
    (found, dir): (&CheckpointLocation, Option<Dir>),
    valid: Option<&Predictions>,
    journal: Option<Journal>,
) {
    let Some(run) = &found.run else {
        return;
    };
    if let Some(mut journal) = journal {
        let event = Event::EvalFinished(Box::new(evaluation.report.clone()));
        if let Err(error) = journal.append(event) {
            let what = format!("this test-set evaluation is not recorded: {error}");
            evaluation.save_errors.push(what);
        }
    }
    let mut rows: Vec<&Predictions> = valid.into_iter().collect();
    rows.push(&evaluation.rows);
    let evaluated = EvaluationOutput {
        report: &evaluation.report,
        run: &run.name,
        names: &evaluation.names,
        rows: &rows,
        is_result: evaluation.report.split == Split::Test || !evaluation.has_test,
    };
    let written = dir.map_or_else(|| run.open(), Ok).and_then(|dir| {
        let files = write(&dir, evaluated)?;
        Ok((dir.path(), files))
    });
    match written {
        Ok((dir, files)) => {
            let path = |file: String| dir.join(file).display().to_string();
            evaluation.written = files.into_iter().map(path).collect();
        }
        Err(error) => {
            let what = format!("the results could not be saved: {error}");
            evaluation.save_errors.push(what);
        }
    }
}

fn print_evaluation(evaluation: &Evaluation) {
    let Evaluation {
        title,
        report,
        names,
        written,
        test_evaluations,
        run,
        without_leaks,
        ..
    } = evaluation;
    let what = if report.epoch > 0 {
        format!("epoch {}, ", report.epoch)
    } else {
        String::new()
    };
    print_line(&format!(
        "{title} · {what}{} split, {} images, {:.1} s\n",
        report.split.name(),
        report.n,
        report.seconds.0
    ));
    print_line(&table(report, names));
    if let Some(without_leaks) = without_leaks {
        print_line(&without_leaks.table(report));
    }
    if let Some(count) = test_evaluations {
        print_line(&format!(
            "\ntest set evaluated {count}×; repeated use biases the result"
        ));
    }
    match (written.as_slice(), run) {
        ([], None) => print_line("\nno files written: this checkpoint is not in a run directory"),
        ([], Some(_)) => {}
        (files, _) => print_line(&format!("\nwritten: {}", files.join(", "))),
    }
    print_line("");
}

/// Compares two evaluations by a paired test; prints the comparison unless `quiet`, and returns it as JSON.
///
/// # Errors
/// If the checkpoints were evaluated on different images.
fn compare_with<'a>(
    first: &'a Evaluation,
    second: &'a Evaluation,
    quiet: bool,
) -> Result<Value, String> {
    // ECE depends on the number of bins, so both use that of the first.
    let bins = first.report.reliability.len();
    let outcomes = |one: &Evaluation| one.rows.outcomes(one.report.temperature.value, bins);
    let resamples = match first.report.estimates.resamples {
        0 => 1000,
        resamples => resamples,
    };
    let found = (first.data == second.data)
        .then(|| compare(&outcomes(first), &outcomes(second), resamples, SEED))
        .flatten()
        .ok_or_else(|| {
            format!(
                "{} and {} were evaluated on different images; a paired comparison is not possible",
                first.title, second.title
            )
        })?;
    if !quiet {
        let side = |one: &'a Evaluation| ComparedEvaluation {
            title: &one.title,
            report: &one.report,
        };
        print_line(&comparison(side(first), side(second), &found));
    }
    Ok(comparison_json(&first.title, &second.title, &found))
}

/// One evaluation in the format of `eval.json`; several as a list with their comparisons.
fn as_json(evaluations: &[Evaluation], compared: &[Result<Value, String>]) -> Value {
    let one = |evaluation: &Evaluation| {
        let (run, names) = (evaluation.run.as_deref(), &evaluation.names);
        let mut value = eval_json(&evaluation.report, run, names);
        if let Some(without_leaks) = &evaluation.without_leaks {
            value["without_leaks"] = without_leaks.json(run, names);
        }
        value
    };
    let comparison = |found: &Result<Value, String>| match found {
        Ok(value) => value.clone(),
        Err(error) => json!({ "error": error }),
    };
    match evaluations {
        [single] => one(single),
        all => json!({
            "evaluations": all.iter().map(one).collect::<Vec<Value>>(),
            "comparisons": compared.iter().map(comparison).collect::<Vec<Value>>(),
        }),
    }
}
