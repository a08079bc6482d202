//! What an evaluation leaves in a run directory.

use std::io;
use std::path::Path;

use fs_err as fs;

use super::{Predictions, csv, eval_json};
use crate::event::{EvalReport, Split};

/// An evaluation with what it was computed from.
#[derive(Debug, Clone, Copy)]
pub struct Evaluated<'a> {
    /// The numbers.
    pub report: &'a EvalReport,
    /// Name of the run.
    pub run: &'a str,
    /// Names of the classes, by label.
    pub names: &'a [String],
    /// The rows: of validation, which the temperature was fitted on, and of the split itself.
    pub rows: &'a [&'a Predictions],
}

/// Writes `evals/step-N.json` and `evals/step-N.csv`; of the test split also `eval.json` and `predictions.csv`, which are
/// the last evaluation's. Each file is whole or the old one. Returns what was written, below the run directory.
///
/// # Errors
/// The path and what the system said.
pub fn write(run_dir: &Path, evaluated: Evaluated<'_>) -> io::Result<Vec<String>> {
    let Evaluated {
        report,
        run,
        names,
        rows,
    } = evaluated;
    let step = format!("step-{:09}", report.global_step);
    let (name, is_last) = match report.split {
        Split::Test => (format!("evals/{step}"), true),
        other => (format!("evals/{step}.{}", other.name()), false),
    };
    let table = csv(rows, report.temperature.value);
    let mut json = serde_json::to_vec_pretty(&eval_json(report, Some(run), names))?;
    json.push(b'\n');
    fs::create_dir_all(run_dir.join("evals"))?;
    let mut files = vec![
        (format!("{name}.csv"), table.as_bytes()),
        (format!("{name}.json"), &json),
    ];
    if is_last {
        files.push(("predictions.csv".to_owned(), table.as_bytes()));
        files.push(("eval.json".to_owned(), &json));
    }
    replace_all(run_dir, &files)?;
    Ok(files.into_iter().map(|(file, _)| file).rev().collect())
}

/// Writes all files under temporary names and then renames one after the other: readers see old or new ones, never half, and
/// those of one evaluation together unless the machine stops between two renames.
fn replace_all(dir: &Path, files: &[(String, &[u8])]) -> io::Result<()> {
    let temporary = |file: &str| dir.join(format!("{file}.tmp-{}", std::process::id()));
    let written = files
        .iter()
        .try_for_each(|(file, bytes)| fs::write(temporary(file), bytes))
        .and_then(|()| {
            let mut names = files.iter();
            names.try_for_each(|(file, _)| fs::rename(temporary(file), dir.join(file)))
        });
    if written.is_err() {
        for (file, _) in files {
            let _ = fs::remove_file(temporary(file));
        }
    }
    written
}
