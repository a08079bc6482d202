//! The files that an evaluation writes to a run directory.

use std::io;

use super::{Predictions, csv, eval_json};
use crate::event::{EvalReport, Split};
use crate::files::{Dir, StagedFile, array};

/// Most logits in `predictions.csv`: as text they take about 100 MB.
const MOST_IN_CSV: usize = 10_000_000;
/// Name of the array with the logits of a run's result, if they are not in `predictions.csv`.
const ARRAY: &str = "predictions.npy";

/// The results of an evaluation and the predictions they were computed from.
#[derive(Debug, Clone, Copy)]
pub struct EvaluationOutput<'a> {
    /// The metrics.
    pub report: &'a EvalReport,
    /// Name of the run.
    pub run: &'a str,
    /// Names of the classes, by label.
    pub names: &'a [String],
    /// The predictions on validation, which the temperature was fitted on, and on the split itself.
    pub rows: &'a [&'a Predictions],
    /// Whether this is the result of the run: then `eval.json` and `predictions.csv` are written too.
    pub is_result: bool,
}

/// Writes `evals/step-N.json` and `evals/step-N.csv`; for the result of the run also `eval.json` and `predictions.csv`. If
/// there are too many logits for a CSV file, they are in an array of their own: those of the result in `predictions.npy`,
/// which has only the latest ones. Each file is replaced atomically; the files of one evaluation can only be mixed with older
/// ones if the machine stops between two renames. Returns the paths of the written files, relative to the run directory.
///
/// # Errors
/// The path and the error of the operating system.
pub fn write(dir: &Dir, evaluated: EvaluationOutput<'_>) -> io::Result<Vec<String>> {
    let EvaluationOutput {
        report,
        run,
        names,
        rows,
        is_result,
    } = evaluated;
    let step = format!("step-{:09}", report.global_step);
    let name = match report.split {
        Split::Test => step,
        Split::Train | Split::Valid => format!("{step}.{}", report.split.name()),
    };
    let logits = rows.iter().flat_map(|split| &split.logits);
    let classes = rows.first().map_or(0, |split| split.classes);
    let is_large = logits.clone().count() > MOST_IN_CSV;
    let array = is_large.then(|| array(logits, classes));
    let table = csv(rows, report.temperature.value, array.is_none());
    let mut json = serde_json::to_vec_pretty(&eval_json(report, Some(run), names))?;
    json.push(b'\n');
    let evals = dir.ensure_subdir("evals")?;
    let (json_name, csv_name) = (format!("{name}.json"), format!("{name}.csv"));
    let mut staged = vec![
        evals.stage(&csv_name, table.as_bytes())?,
        evals.stage(&json_name, &json)?,
    ];
    let mut files = vec![format!("evals/{json_name}"), format!("evals/{csv_name}")];
    if let Some(array) = array {
        let array_name = format!("{name}.npy");
        if is_result {
            staged.push(dir.stage(ARRAY, &array)?);
            files.push(ARRAY.to_owned());
        } else {
            staged.push(evals.stage(&array_name, &array)?);
            files.push(format!("evals/{array_name}"));
        }
    }
    if is_result {
        staged.push(dir.stage("predictions.csv", table.as_bytes())?);
        staged.push(dir.stage("eval.json", &json)?);
        files.splice(..0, ["eval.json", "predictions.csv"].map(str::to_owned));
    }
    staged.into_iter().try_for_each(StagedFile::commit)?;
    if is_result && !is_large && dir.exists(ARRAY) {
        // It belongs to an earlier evaluation, on other data.
        dir.remove(ARRAY)?;
    }
    evals.sync()?;
    dir.sync()?;
    Ok(files)
}
