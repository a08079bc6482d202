//! Reads the compared runs from their directories: the state from the journal, the configuration, and the paired
//! differences from the reference run on the common test images.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::journal;
use super::predictions::{ARRAY, Rows};
use super::rundir::{RunDir, RunsDir, resolve};
use crate::event::EvalReport;
use crate::files::ArrayFile;
use crate::metrics::{Comparison, Measure, Outcomes, Reference};
use crate::run::{ComparedRun, ComparedRuns, MAX_RUNS, PairedDifference, RunState};

/// The number of bootstrap resamples if the reference run was evaluated without resamples.
const RESAMPLES: usize = 1000;
/// The maximum nesting of tables in a configuration; it normally has two levels.
const DEPTH: usize = 8;

/// Reads the runs to compare with the reference run `first`. Names are searched in `runs`. `state` is the reference
/// run's final state. Without it (the run is live and will be evaluated again) no paired differences are computed.
///
/// Each run that cannot be read gives an error message in `problems`; the others are still returned.
pub fn compared_runs(
    runs: &RunsDir,
    first: &RunDir,
    state: Option<&RunState>,
    wanted: &[impl AsRef<OsStr>],
) -> ComparedRuns {
    let mut compared = ComparedRuns::default();
    if wanted.is_empty() {
        return compared;
    }
    let config = |run: &RunDir, problems: &mut Vec<String>| {
        configuration(run).unwrap_or_else(|error| {
            problems.push(format!("{}: its configuration: {error}", run.name));
            Vec::new()
        })
    };
    let problems = &mut compared.problems;
    compared.config = config(first, problems);
    let predictions = state.map(|state| TestPredictions::read(first, state, None));
    let reference = predictions.as_ref().map(|predictions| ReferenceRun {
        predictions,
        resampled: OnceCell::new(),
    });
    let room = MAX_RUNS - 1;
    for word in wanted.iter().take(room) {
        let (run, state) = match load(runs, first, word.as_ref(), problems) {
            Ok(found) => found,
            Err(error) => {
                problems.push(error);
                continue;
            }
        };
        let mut other = ComparedRun {
            config: config(&run, problems),
            name: run.name.clone(),
            state,
            ..ComparedRun::default()
        };
        pair(first, reference.as_ref(), &run, &mut other);
        compared.others.push(other);
    }
    let more = wanted
        .iter()
        .skip(room)
        .map(|word| word.as_ref().to_string_lossy());
    let more: Vec<_> = more.collect();
    if !more.is_empty() {
        let more = more.join(", ");
        problems.push(format!("{more}: at most {MAX_RUNS} runs are shown at once"));
    }
    compared
}

/// Finds a run by name and reads its state. Errors of single journal lines are added to `problems`.
fn load(
    runs: &RunsDir,
    first: &RunDir,
    word: &OsStr,
    problems: &mut Vec<String>,
) -> Result<(RunDir, RunState), String> {
    let run = resolve(runs, Some(word)).map_err(|error| error.to_string())?;
    let word = word.to_string_lossy();
    let same = |one: &Path, other: &Path| match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    };
    if same(&run.path, &first.path) {
        return Err(format!("{word}: is the reference run"));
    }
    let replay = journal::read(&run.journal()).map_err(|error| format!("{word}: {error}"))?;
    if replay.state.seq == 0 {
        return Err(format!("{word}: its journal has no records yet"));
    }
    problems.extend(replay.problems);
    Ok((run, replay.state))
}

/// The reference run, with which each other run is compared.
struct ReferenceRun<'a> {
    predictions: &'a Result<TestPredictions, String>,
    /// The bootstrap resamples, drawn at the first comparison.
    resampled: OnceCell<Reference<'a>>,
}

impl ReferenceRun<'_> {
    /// The differences: the other run minus the reference run.
    ///
    /// # Errors
    /// Why they cannot be computed, and whether the reason is that the test images differ.
    fn compared(
        &self,
        run: &RunDir,
        state: &RunState,
    ) -> Result<Vec<PairedDifference>, (String, bool)> {
        let first = self
            .predictions
            .as_ref()
            .map_err(|why| (why.clone(), false))?;
        let second =
            TestPredictions::read(run, state, Some(first.bins)).map_err(|why| (why, false))?;
        let draw = || Reference::new(&first.outcomes, first.resamples, first.seed);
        let found = self.resampled.get_or_init(draw).compare(&second.outcomes);
        let found = found.ok_or_else(|| {
            let name = &first.name;
            let why = format!("the labels of its test images differ from those of {name}");
            (why, true)
        })?;
        let agree = [
            (first, found.both_right + found.only_first),
            (&second, found.both_right + found.only_second),
        ];
        match agree
            .iter()
            .find(|(one, correct)| !one.agrees(*correct, found.n))
        {
            None => Ok(paired(&found, [first.global_step, second.global_step])),
            Some((one, _)) => {
                let name = &one.name;
                let why =
                    format!("the saved predictions of {name} do not match its test-set result");
                Err((why, false))
            }
        }
    }
}

/// Stores the paired differences in `other`, or the reason why there are none.
fn pair(
    first: &RunDir,
    reference: Option<&ReferenceRun<'_>>,
    run: &RunDir,
    other: &mut ComparedRun,
) {
    let compared = match (data_mismatch(first, run), reference) {
        (Some(why), _) => Err((why, true)),
        (None, Some(reference)) => reference.compared(run, &other.state),
        (None, None) => return,
    };
    match compared {
        Ok(against) => other.against = against,
        Err((why, other_data)) => {
            (other.unpaired, other.other_data) = (Some(why), other_data);
        }
    }
}

/// An error message if the data fingerprints in the `run.json` files of two runs differ.
fn data_mismatch(first: &RunDir, run: &RunDir) -> Option<String> {
    let (ours, theirs) = (first.meta()?, run.meta()?);
    ours.has_other_data(&theirs).then(|| {
        format!(
            "trained and tested on different images than {}: data_fingerprint in run.json differs",
            first.name
        )
    })
}

/// The differences of all measures that could be computed.
fn paired(found: &Comparison, global_steps: [u64; 2]) -> Vec<PairedDifference> {
    let known = found
        .differences
        .iter()
        .filter_map(|(measure, difference)| {
            Some(PairedDifference {
                measure: *measure,
                global_steps,
                difference: (*difference)?,
            })
        });
    known.collect()
}

/// The test-set predictions of a run, one outcome per image.
struct TestPredictions {
    name: String,
    outcomes: Outcomes,
    /// The number of training steps of the evaluated weights.
    global_step: u64,
    /// The accuracy in the evaluation report, 0 to 1.
    accuracy: f64,
    bins: usize,
    resamples: usize,
    seed: u64,
}

impl TestPredictions {
    /// Reads the predictions behind the latest test-set result of `state`. `bins` is the number of calibration bins, by
    /// default that of the report. Calibration errors depend on it, so both runs must use the reference run's.
    fn read(run: &RunDir, state: &RunState, bins: Option<usize>) -> Result<Self, String> {
        let name = &run.name;
        let report = state.test.latest.as_ref();
        let report = report.ok_or_else(|| format!("{name} has no test-set evaluation yet"))?;
        let rows = rows(run, report).map_err(|error| format!("{name}: {error}"))?;
        let bins = bins.unwrap_or(report.reliability.len());
        let Rows {
            logits,
            labels,
            classes,
        } = rows;
        let temperature = report.temperature.value;
        Ok(Self {
            name: name.clone(),
            outcomes: Outcomes::new(&logits, &labels, classes, temperature, bins),
            global_step: report.global_step,
            accuracy: report.value(Measure::Accuracy),
            bins,
            resamples: match report.estimates.resamples {
                0 => RESAMPLES,
                resamples => resamples,
            },
            seed: report.estimates.seed,
        })
    }

    /// Whether `correct` of `n` predictions gives the accuracy of the report.
    fn agrees(&self, correct: u64, n: u64) -> bool {
        (correct as f64 / n.max(1) as f64 - self.accuracy).abs() < 1e-9
    }
}

/// The predictions of an evaluation: from the file saved for its step, otherwise from `predictions.csv`.
fn rows(run: &RunDir, report: &EvalReport) -> io::Result<Rows> {
    let dir = run.open()?;
    let array = ArrayFile::open(&dir, ARRAY);
    let name = format!("step-{:09}.csv", report.global_step);
    match dir.subdir("evals") {
        Ok(evals) if evals.exists(&name) => Rows::read(&evals, &name, array),
        Ok(_) | Err(_) => Rows::read(&dir, "predictions.csv", array),
    }
}

/// A run's configuration: pairs of `section.key` and value, in the order of its file.
fn configuration(run: &RunDir) -> io::Result<Vec<(String, String)>> {
    flattened(&run.config()?).map_err(|error| {
        let path = run.path.join("config.toml");
        let text = format!("{}: {}", path.display(), error.message());
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}

/// Parses a TOML text to pairs of `section.key` and value, in the order of the text.
fn flattened(text: &str) -> Result<Vec<(String, String)>, toml::de::Error> {
    let values: toml::Table = toml::from_str(text)?;
    let places = DeTable::parse(text)?;
    let mut found = Vec::new();
    flatten("", &values, places.get_ref(), DEPTH, &mut found);
    found.sort_by_key(|(at, ..)| *at);
    Ok(found
        .into_iter()
        .map(|(_, key, value)| (key, value))
        .collect())
}

/// Adds the values of a table with their byte offsets. `prefix` is the key of the table.
fn flatten(
    prefix: &str,
    values: &toml::Table,
    places: &DeTable<'_>,
    depth: usize,
    found: &mut Vec<(usize, String, String)>,
) {
    for (name, place) in places {
        let Some(value) = values.get(name.get_ref().as_ref()) else {
            continue;
        };
        let key = match prefix {
            "" => name.get_ref().to_string(),
            prefix => format!("{prefix}.{}", name.get_ref()),
        };
        match (value, place.get_ref()) {
            (toml::Value::Table(values), DeValue::Table(places)) if depth > 0 => {
                flatten(&key, values, places, depth - 1, found);
            }
            (toml::Value::String(text), _) if !text.is_empty() => {
                found.push((place.span().start, key, text.clone()));
            }
            (value, _) => found.push((place.span().start, key, value.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn configuration_is_flattened_in_file_order() {
        let text = "[train]\nepochs = 8\n\n[data]\nname = 'mine'\ndir = ''\n[data.augment]\nshift = 1\n\n[optim]\nlr = 1e-3\n[model]\nchannels = [32, 64]\n";
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            flattened(text).unwrap(),
            [
                pair("train.epochs", "8"),
                pair("data.name", "mine"),
                pair("data.dir", "\"\""),
                pair("data.augment.shift", "1"),
                pair("optim.lr", "0.001"),
                pair("model.channels", "[32, 64]"),
            ]
        );
        assert!(flattened("a = [").is_err());
    }
}
