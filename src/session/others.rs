//! Runs laid beside another one, read from their directories: the state from the journal, the configuration, and what the
//! test images both measured say about the difference.

use std::cell::OnceCell;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use fs_err::{self as fs, File};
use toml::de::{DeTable, DeValue};

use super::journal;
use super::rundir::{RunDir, resolve};
use crate::event::EvalReport;
use crate::metrics::{Comparison, Measure, Outcomes, Reference};
use crate::run::{Beside, MOST_RUNS, Other, Paired, RunState};

/// Bootstrap resamples where the first run was measured without.
const RESAMPLES: usize = 1000;
/// Tables within tables in a configuration; it has two.
const DEPTH: usize = 8;

/// Reads the runs that are wanted beside the first one. `runs` is where names are looked for; `state` is the first run's
/// state where that is complete, and without it nothing is paired: a live run is measured again.
///
/// What cannot be read is told by its name and does not keep the others from being shown.
pub fn beside(runs: &Path, first: &RunDir, state: Option<&RunState>, wanted: &[String]) -> Beside {
    let mut beside = Beside::default();
    if wanted.is_empty() {
        return beside;
    }
    let config = |run: &RunDir, problems: &mut Vec<String>| {
        configuration(&run.path).unwrap_or_else(|error| {
            problems.push(format!("{}: its configuration: {error}", run.name));
            Vec::new()
        })
    };
    let problems = &mut beside.problems;
    beside.config = config(first, problems);
    let measured = state.map(|state| Measured::read(first, state, None));
    let reference = measured.as_ref().map(|measured| First {
        measured,
        drawn: OnceCell::new(),
    });
    let room = MOST_RUNS - 1;
    for word in wanted.iter().take(room) {
        let (run, state) = match load(runs, first, word, problems) {
            Ok(found) => found,
            Err(error) => {
                problems.push(error);
                continue;
            }
        };
        let mut other = Other {
            config: config(&run, problems),
            name: run.name.clone(),
            state,
            ..Other::default()
        };
        pair(first, reference.as_ref(), &run, &mut other);
        beside.others.push(other);
    }
    let more = wanted.iter().skip(room).map(String::as_str);
    let more: Vec<&str> = more.collect();
    if !more.is_empty() {
        let more = more.join(", ");
        problems.push(format!(
            "{more}: at most {MOST_RUNS} runs are shown at once"
        ));
    }
    beside
}

/// A run by its name, with its state.
fn load(
    runs: &Path,
    first: &RunDir,
    word: &str,
    problems: &mut Vec<String>,
) -> Result<(RunDir, RunState), String> {
    let run = resolve(runs, Some(word)).map_err(|error| error.to_string())?;
    let same = |one: &Path, other: &Path| match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    };
    if same(&run.path, &first.path) {
        return Err(format!("{word}: is the run itself"));
    }
    let replay = journal::read(&run.journal()).map_err(|error| format!("{word}: {error}"))?;
    if replay.state.seq == 0 {
        return Err(format!("{word}: its journal holds no record yet"));
    }
    problems.extend(replay.problems);
    Ok((run, replay.state))
}

/// The first run, with which each other is compared.
struct First<'a> {
    measured: &'a Result<Measured, String>,
    /// Its draws, made when there is something to compare them with.
    drawn: OnceCell<Reference<'a>>,
}

impl First<'_> {
    /// The other minus the first, or why there is no telling; with `true` where their images differ.
    fn compared(&self, run: &RunDir, state: &RunState) -> Result<Vec<Paired>, (String, bool)> {
        let first = self.measured.as_ref().map_err(|why| (why.clone(), false))?;
        let second = Measured::read(run, state, Some(first.bins)).map_err(|why| (why, false))?;
        let draw = || Reference::new(&first.outcomes, first.resamples, first.seed);
        let found = self.drawn.get_or_init(draw).compare(&second.outcomes);
        let found = found.ok_or_else(|| {
            let name = &first.name;
            let why = format!("the labels of its test images are not those of {name}");
            (why, true)
        })?;
        let agree = [
            (first, found.both_right + found.only_first),
            (&second, found.both_right + found.only_second),
        ];
        match agree
            .iter()
            .find(|(one, right)| !one.agrees(*right, found.n))
        {
            None => Ok(paired(&found, [first.global_step, second.global_step])),
            Some((one, _)) => {
                let name = &one.name;
                let why =
                    format!("the predictions kept of {name} are not those of its test result");
                Err((why, false))
            }
        }
    }
}

/// Compares the other run with the first, or says why not.
fn pair(first: &RunDir, reference: Option<&First<'_>>, run: &RunDir, other: &mut Other) {
    let compared = match (other_images(first, run), reference) {
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

/// Why two runs cannot have been measured on the same images, by what their `run.json` say of the data.
fn other_images(first: &RunDir, run: &RunDir) -> Option<String> {
    let fingerprint = |run: &RunDir| run.meta().map(|meta| meta.data_fingerprint);
    let (ours, theirs) = (fingerprint(first)?, fingerprint(run)?);
    let differ = !ours.is_empty() && !theirs.is_empty() && ours != theirs;
    differ.then(|| {
        format!(
            "trained and tested on other images than {}: data_fingerprint in run.json differs",
            first.name
        )
    })
}

fn paired(found: &Comparison, global_steps: [u64; 2]) -> Vec<Paired> {
    let known = found
        .differences
        .iter()
        .filter_map(|(measure, difference)| {
            Some(Paired {
                measure: *measure,
                global_steps,
                difference: (*difference)?,
            })
        });
    known.collect()
}

/// What a run's test split was measured to, row by row.
struct Measured {
    name: String,
    outcomes: Outcomes,
    /// Steps the evaluated weights had seen.
    global_step: u64,
    /// The accuracy of the report.
    accuracy: f64,
    bins: usize,
    resamples: usize,
    seed: u64,
}

impl Measured {
    /// The rows behind the test result of a state. A calibration error depends on its bins: both get the first run's.
    fn read(run: &RunDir, state: &RunState, bins: Option<usize>) -> Result<Self, String> {
        let name = &run.name;
        let report = state.test.latest.as_ref();
        let report = report.ok_or_else(|| format!("{name} has not been tested yet"))?;
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

    /// Whether the rows give what the report tells, told by how many are right.
    fn agrees(&self, right: u64, n: u64) -> bool {
        (right as f64 / n.max(1) as f64 - self.accuracy).abs() < 1e-9
    }
}

/// Logits and labels of a test split.
#[derive(Debug, PartialEq)]
struct Rows {
    /// Row-major (n, classes).
    logits: Vec<f32>,
    labels: Vec<u32>,
    classes: usize,
}

/// The rows of a measurement: the file kept of its step, else that of the last evaluation.
fn rows(run: &RunDir, report: &EvalReport) -> io::Result<Rows> {
    let step = run
        .path
        .join(format!("evals/step-{:09}.csv", report.global_step));
    if step.is_file() {
        return read(&step);
    }
    read(&run.path.join("predictions.csv"))
}

/// `split,index,label,predicted,confidence,logit_0,…`
fn read(path: &Path) -> io::Result<Rows> {
    let bad = |number: usize, what: &str| {
        let text = format!("{}:{number}: {what}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    let mut lines = BufReader::new(File::open(path)?).lines();
    let header = lines.next().transpose()?.unwrap_or_default();
    let classes = header
        .split(',')
        .filter(|cell| cell.starts_with("logit_"))
        .count();
    if classes == 0 {
        return Err(bad(1, "no columns of logits"));
    }
    let mut rows = Rows {
        logits: Vec::new(),
        labels: Vec::new(),
        classes,
    };
    for (line, number) in lines.zip(2..) {
        let line = line?;
        let Some(rest) = line.strip_prefix("test,") else {
            continue;
        };
        take(rest, &mut rows).ok_or_else(|| bad(number, "no row of a test image"))?;
    }
    if rows.labels.is_empty() {
        return Err(bad(1, "no rows of the test split"));
    }
    Ok(rows)
}

/// Takes a row in; none where it is not the next one, or not whole.
fn take(line: &str, rows: &mut Rows) -> Option<()> {
    let mut cells = line.split(',');
    let index: usize = cells.next()?.parse().ok()?;
    let label = cells.next()?.parse().ok()?;
    let before = rows.logits.len();
    for cell in cells.skip(2) {
        rows.logits.push(cell.parse().ok()?);
    }
    (index == rows.labels.len() && rows.logits.len() == before + rows.classes).then_some(())?;
    rows.labels.push(label);
    Some(())
}

/// A run's configuration, key by key in the order of its file.
fn configuration(run: &Path) -> io::Result<Vec<(String, String)>> {
    let path = run.join("config.toml");
    let text = fs::read_to_string(&path)?;
    flattened(&text).map_err(|error| {
        let text = format!("{}: {}", path.display(), error.message());
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}

/// `section.key` and value, in the order they are written.
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

fn flatten(
    above: &str,
    values: &toml::Table,
    places: &DeTable<'_>,
    depth: usize,
    found: &mut Vec<(usize, String, String)>,
) {
    for (name, place) in places {
        let Some(value) = values.get(name.get_ref().as_ref()) else {
            continue;
        };
        let key = match above {
            "" => name.get_ref().to_string(),
            above => format!("{above}.{}", name.get_ref()),
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
    fn a_configuration_is_told_key_by_key_in_the_order_of_its_file() {
        let text = "[train]\nepochs = 8\n\n[data]\nname = 'mine'\ndir = ''\n[data.augment]\nshift = 1\n\n[optim]\nlr = 1e-3\n[model]\nchannels = [32, 64]\n";
        let told = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            flattened(text).unwrap(),
            [
                told("train.epochs", "8"),
                told("data.name", "mine"),
                told("data.dir", "\"\""),
                told("data.augment.shift", "1"),
                told("optim.lr", "0.001"),
                told("model.channels", "[32, 64]"),
            ]
        );
        assert!(flattened("a = [").is_err());
    }

    #[test]
    fn the_rows_of_the_test_split_are_read_bit_by_bit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("predictions.csv");
        let head = "split,index,label,predicted,confidence,logit_0,logit_1\n";
        let text = "valid,0,1,1,0.9,1,2\ntest,0,1,0,0.6,0.1,-1e-30\ntest,1,0,1,NaN,NaN,-inf\n";
        fs::write(&path, format!("{head}{text}")).unwrap();
        let rows = read(&path).unwrap();
        assert_eq!((rows.labels, rows.classes), (vec![1, 0], 2));
        assert_eq!(rows.logits[..2], [0.1, -1e-30]);
        assert!(rows.logits[2].is_nan() && rows.logits[3] == f32::NEG_INFINITY);
        for (text, why) in [
            ("", ":1: no columns of logits"),
            (head, ":1: no rows of the test split"),
            (
                &format!("{head}test,1,0,0,0.5,1,2\n"),
                ":2: no row of a test image",
            ),
            (
                &format!("{head}test,0,0,0,0.5,1\n"),
                ":2: no row of a test image",
            ),
            (
                &format!("{head}test,0,0,0,0.5,1,x\n"),
                ":2: no row of a test image",
            ),
        ] {
            fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.ends_with(why), "{error}");
        }
    }
}
