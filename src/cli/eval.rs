//! `eval`: the full report of a checkpoint; of two, whether one is better.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Value, json};

use super::args::EvalArgs;
use super::print::{complain, say, say_json};
use super::progress::Progress;
use super::restore::{Restored, restore};
use super::{code, screen_sets};
use crate::event::{EvalReport, Event, F64, Split, WeightsKind};
use crate::metrics::{compare, fit_temperature};
use crate::report::{
    Contender, Evaluated, Options, Predictions, SEED, comparison, comparison_json, eval_json,
    measure, table, write,
};
use crate::session::{Journal, Located, locate_checkpoint};

/// A checkpoint, evaluated.
struct Evaluation {
    title: String,
    report: EvalReport,
    names: Vec<String>,
    rows: Predictions,
    data: String,
    /// Files written; none for a checkpoint without a run.
    written: Vec<String>,
    /// The run it belongs to, if to any.
    run: Option<String>,
    /// What could not be kept, and why.
    lost: Vec<String>,
    /// The how manieth look at the test split this is, where that is recorded.
    look: Option<u64>,
}

/// Evaluates what was named; compares each further one with the first.
pub(super) fn run(args: EvalArgs) -> u8 {
    let EvalArgs {
        runs,
        checkpoints,
        split,
        json,
        sets,
    } = args;
    let settings = [sets, screen_sets(runs, None)].concat();
    let found = match locate_all(&checkpoints, &settings) {
        Ok(found) => found,
        Err(errors) => return fail(&errors),
    };
    let mut evaluations: Vec<Evaluation> = Vec::new();
    for found in found {
        match evaluate(&found, split.split(), &settings) {
            Ok(evaluation) if json => evaluations.push(evaluation),
            Ok(evaluation) => {
                tell(&evaluation);
                evaluations.push(evaluation);
            }
            Err(error) => return fail(&[error]),
        }
    }
    let mut compared = Vec::new();
    if let [first, others @ ..] = evaluations.as_slice() {
        compared.extend(others.iter().map(|other| contrast(first, other, json)));
    }
    let told = !json || say_json(&as_json(&evaluations, &compared));
    let lost: Vec<String> = evaluations.into_iter().flat_map(|one| one.lost).collect();
    let errors: Vec<String> = compared.into_iter().filter_map(Result::err).collect();
    if !errors.is_empty() {
        return fail(&errors);
    }
    lost.iter()
        .for_each(|what| complain(&format!("error: {what}")));
    if lost.is_empty() && told {
        code::COMPLETED
    } else {
        code::FAILED
    }
}

fn fail(errors: &[String]) -> u8 {
    let told = errors.iter().map(|error| format!("error: {error}"));
    told.for_each(|error| complain(&error));
    code::USAGE
}

/// What was named, or everything that is not there; without a name the newest run.
fn locate_all(names: &[String], settings: &[String]) -> Result<Vec<Located>, Vec<String>> {
    let runs = super::runs_dir(settings).map_err(|error| vec![error])?;
    let wanted: Vec<Option<&str>> = match names {
        [] => vec![None],
        names => names.iter().map(|name| Some(name.as_str())).collect(),
    };
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for word in wanted {
        match locate_checkpoint(Path::new(&runs), word) {
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

/// From a checkpoint to every number, with what it leaves behind.
fn evaluate(found: &Located, split: Split, settings: &[String]) -> Result<Evaluation, String> {
    // Before anything is computed: a look at the test split that could not be written down is not taken.
    let journal = if split == Split::Test {
        journal_of(found)?
    } else {
        None
    };
    let restored = restore(&found.path, settings)?;
    let (report, names, valid, rows) = numbers(found, &restored, split)?;
    let mut evaluation = Evaluation {
        title: found.title(),
        names,
        data: restored.state.data.clone(),
        written: Vec::new(),
        lost: Vec::new(),
        run: found.run.as_ref().map(|run| run.name.clone()),
        look: journal.as_ref().map(|journal| journal.test_looks() + 1),
        rows,
        report,
    };
    keep(&mut evaluation, found, valid.as_ref(), journal);
    Ok(evaluation)
}

/// The journal that must tell of the look; none for a checkpoint without a run, or a run that may not be written to.
fn journal_of(found: &Located) -> Result<Option<Journal>, String> {
    let Some(run) = &found.run else {
        return Ok(None);
    };
    match Journal::take(run) {
        Ok(journal) => Ok(Some(journal)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(format!(
            "{error}; each look at the test split is recorded in the journal, so press the key for evaluation there, or use --split valid"
        )),
        Err(error) => {
            complain(&format!(
                "warning: this look at the test split is not recorded: {error}"
            ));
            Ok(None)
        }
    }
}

type Numbers = (EvalReport, Vec<String>, Option<Predictions>, Predictions);

fn numbers(found: &Located, restored: &Restored, split: Split) -> Result<Numbers, String> {
    let Restored {
        state,
        config,
        trained,
    } = restored;
    let dataset = restored.dataset()?;
    let began = std::time::Instant::now();
    let mut progress = Progress::new();
    let mut predict = |split: Split| {
        let told = &mut |done, total| progress.say(split.name(), done, total);
        trained.predict(&dataset, split, config.eval.batch_size, told)
    };
    // The temperature is fitted on validation, whatever is measured.
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
    report.weights = if found.best {
        WeightsKind::Best
    } else {
        WeightsKind::Checkpoint
    };
    report.seconds = F64(began.elapsed().as_secs_f64());
    Ok((report, dataset.info.classes.clone(), valid, rows))
}

/// Writes the look down in the run's journal, then the numbers into its directory. What cannot be kept is shown all the same.
fn keep(
    evaluation: &mut Evaluation,
    found: &Located,
    valid: Option<&Predictions>,
    journal: Option<Journal>,
) {
    let Some(run) = &found.run else {
        return;
    };
    if let Some(mut journal) = journal {
        let event = Event::EvalFinished(Box::new(evaluation.report.clone()));
        if let Err(error) = journal.append(event) {
            let what = format!("this look at the test split is not recorded: {error}");
            evaluation.lost.push(what);
        }
    }
    let mut rows: Vec<&Predictions> = valid.into_iter().collect();
    rows.push(&evaluation.rows);
    let evaluated = Evaluated {
        report: &evaluation.report,
        run: &run.name,
        names: &evaluation.names,
        rows: &rows,
    };
    match write(&run.path, evaluated) {
        Ok(files) => {
            let path = |file: String| run.path.join(file).display().to_string();
            evaluation.written = files.into_iter().map(path).collect();
        }
        Err(error) => {
            let what = format!("the evaluation is shown but not written: {error}");
            evaluation.lost.push(what);
        }
    }
}

fn tell(evaluation: &Evaluation) {
    let Evaluation {
        title,
        report,
        names,
        written,
        look,
        run,
        ..
    } = evaluation;
    let what = if report.epoch > 0 {
        format!("epoch {}, ", report.epoch)
    } else {
        String::new()
    };
    say(&format!(
        "{title} · {what}{} split, {} images, {:.1} s\n",
        report.split.name(),
        report.n,
        report.seconds.0
    ));
    say(&table(report, names));
    if let Some(look) = look {
        say(&format!(
            "\nlook {look} at this run's test split: the more there are, the less it proves"
        ));
    }
    match (written.as_slice(), run) {
        ([], None) => say("\nnothing was written: this checkpoint lies in no run directory"),
        ([], Some(_)) => {}
        (files, _) => say(&format!("\nwritten: {}", files.join(", "))),
    }
    say("");
}

/// Compares two, in words unless only the value is wanted.
fn contrast<'a>(
    first: &'a Evaluation,
    second: &'a Evaluation,
    quiet: bool,
) -> Result<Value, String> {
    // A calibration error depends on its bins: both get those of the first.
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
                "{} and {} were measured on different images, so they cannot be compared image by image",
                first.title, second.title
            )
        })?;
    if !quiet {
        let contender = |one: &'a Evaluation| Contender {
            title: &one.title,
            report: &one.report,
        };
        say(&comparison(contender(first), contender(second), &found));
    }
    Ok(comparison_json(&first.title, &second.title, &found))
}

/// One evaluation as it is in `eval.json`; of several a list, with the comparisons.
fn as_json(evaluations: &[Evaluation], compared: &[Result<Value, String>]) -> Value {
    let one = |evaluation: &Evaluation| {
        let run = evaluation.run.as_deref();
        eval_json(&evaluation.report, run, &evaluation.names)
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
