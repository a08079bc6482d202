//! `predictions.csv` as a table that can be paged: the position of each row in the file, and the values that filters
//! need.

use std::cmp::Ordering;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use fs_err::File;
use serde::Deserialize;

use super::super::predictions::{ARRAY, LONGEST_ROW, Prediction, logits};
use super::stamp::Stamp;
use crate::event::F32;
use crate::files::{ArrayFile, Dir, read_line};
use crate::link::{Filter, ImageRow};
use crate::metrics::{argmax, softmax};

/// Maximum number of rows in memory (36 MiB at 36 bytes each).
pub(super) const ROWS: usize = 1 << 20;
/// Maximum size of `eval.json` in bytes; a larger file is not read.
const LONGEST_EVAL: u64 = 256 << 20;
/// Number of most probable classes in a reply for each image.
const TOP: usize = 3;

/// The test-set rows of one evaluation.
#[derive(Debug)]
pub(super) struct Table {
    /// Stays open: rows are read from the file that was scanned, even if it has been replaced since.
    file: File,
    stamps: Stamps,
    temperature: f64,
    /// The logits, if the table has none.
    logits: Option<ArrayFile>,
    /// Training step of the evaluated weights.
    pub(super) global_step: Option<u64>,
    rows: Vec<Row>,
    /// The last filter used, with the indices of the rows that match it.
    chosen: Option<(Filter, Vec<u32>)>,
}

/// Stamps of `predictions.csv` and of `eval.json`. An evaluation replaces the two files one after the other.
type Stamps = (Stamp, Option<Stamp>);

/// The parts of `eval.json` that the table needs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Evaluated {
    global_step: Option<u64>,
    temperature: Temperature,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Temperature {
    value: Option<f64>,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
struct Row {
    offset: u64,
    length: u32,
    /// Number of the row in the file.
    number: u32,
    prediction: Prediction,
    /// The highest minus the second-highest probability; infinite without logits.
    margin: f32,
}

impl Table {
    /// The table of a run's last evaluation, reloaded only if its files have changed.
    ///
    /// # Errors
    /// If `predictions.csv` cannot be read; the message contains the path. `NotFound` if there is no test-set
    /// evaluation.
    pub(super) fn renew<'a>(slot: &'a mut Option<Self>, run: &Dir) -> io::Result<&'a mut Self> {
        let file = run.open_read("predictions.csv")?;
        let eval = run.open_read("eval.json").and_then(|eval| eval.metadata());
        let stamps = (
            Stamp::of(&file.metadata()?),
            eval.ok().as_ref().map(Stamp::of),
        );
        let table = match slot.take() {
            Some(known) if known.stamps == stamps => known,
            _ => Self::new(file, run, stamps)?,
        };
        Ok(slot.insert(table))
    }

    /// Reads the table. If a file is replaced during the read, its stamp differs, and the next query reloads the table.
    fn new(file: File, run: &Dir, stamps: Stamps) -> io::Result<Self> {
        let eval = run.read("eval.json", LONGEST_EVAL).unwrap_or_default();
        let eval: Evaluated = serde_json::from_slice(&eval).unwrap_or_default();
        let temperature = eval.temperature.value.filter(|value| *value > 0.0);
        let temperature = temperature.unwrap_or(1.0);
        // A file with logits that cannot be read is as good as none: the predictions are known without them.
        let logits = ArrayFile::open(run, ARRAY).ok();
        let from = BufReader::with_capacity(1 << 16, &file);
        Ok(Self {
            rows: scan(from, temperature, logits.as_ref())?,
            logits,
            file,
            stamps,
            temperature,
            global_step: eval.global_step,
            chosen: None,
        })
    }

    /// Whether the file has no test images: without a test split it has the predictions of the validation split.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The number of matching rows, and `count` of them starting at position `from`.
    ///
    /// # Errors
    /// If `predictions.csv` cannot be read; the message contains the path.
    pub(super) fn page(
        &mut self,
        filter: Filter,
        from: u32,
        count: usize,
    ) -> io::Result<(u32, Vec<ImageRow>)> {
        let chosen = match self.chosen.take() {
            Some((known, chosen)) if known == filter => chosen,
            _ => choose(&self.rows, filter),
        };
        let places = chosen.iter().skip(from as usize).take(count);
        let rows = places.filter_map(|place| self.rows.get(*place as usize));
        let page: io::Result<Vec<ImageRow>> = rows.map(|row| self.row(row)).collect();
        let total = chosen.len() as u32;
        self.chosen = Some((filter, chosen));
        Ok((total, page?))
    }

    /// The reply for one row, with its most probable classes according to its logits.
    fn row(&self, row: &Row) -> io::Result<ImageRow> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(row.offset))?;
        let mut line = vec![0; row.length as usize];
        file.read_exact(&mut line)?;
        let parsed = std::str::from_utf8(&line).ok().and_then(Prediction::parse);
        let logits = parsed.and_then(|(prediction, cells)| {
            logits_of(
                cells,
                self.logits.as_ref(),
                row.number,
                prediction.predicted,
            )
        });
        let Prediction {
            index,
            label,
            predicted,
            confidence,
        } = row.prediction;
        let top = match logits.map(|logits| probabilities(&logits, self.temperature)) {
            Some(Some(all)) => top(predicted, &all),
            // Without logits only the prediction and its confidence are known.
            _ => vec![(predicted, F32(confidence))],
        };
        Ok(ImageRow {
            index,
            label,
            top,
            ..ImageRow::default()
        })
    }
}

/// All test-set rows of a file; invalid rows are skipped.
fn scan(
    mut from: impl BufRead,
    temperature: f64,
    array: Option<&ArrayFile>,
) -> io::Result<Vec<Row>> {
    let (mut rows, mut line, mut offset) = (Vec::new(), Vec::new(), 0_u64);
    let mut number = 0;
    let mut cells = None;
    while rows.len() < ROWS {
        let bytes = read_line(&mut from, LONGEST_ROW, &mut line)?;
        if bytes == 0 {
            break;
        }
        let count = line.split(|byte| *byte == b',').count();
        if offset == 0 && line.starts_with(b"split,") {
            cells = Some(count);
        } else {
            if *cells.get_or_insert(count) == count {
                rows.extend(row(&line, (offset, number), temperature, array));
            }
            number += 1;
        }
        offset += bytes;
    }
    Ok(rows)
}

/// Parses one line. `None` if it is not a valid test-set row.
fn row(
    line: &[u8],
    (offset, number): (u64, u32),
    temperature: f64,
    array: Option<&ArrayFile>,
) -> Option<Row> {
    let (prediction, cells) = Prediction::parse(std::str::from_utf8(line).ok()?)?;
    let logits = logits_of(cells, array, number, prediction.predicted)?;
    if !logits.is_empty() && prediction.predicted as usize >= logits.len() {
        return None;
    }
    let probabilities = probabilities(&logits, temperature);
    Some(Row {
        offset,
        length: u32::try_from(line.len()).ok()?,
        number,
        margin: probabilities.map_or(f32::INFINITY, |all| margin(&all)),
        prediction,
    })
}

/// The logits of a row: from its cells or, if the table has no logit columns, from the array file. Empty without logits.
fn logits_of(
    cells: &str,
    array: Option<&ArrayFile>,
    number: u32,
    predicted: u32,
) -> Option<Vec<f32>> {
    match array {
        Some(array) if cells.is_empty() => {
            let row = array.read(u64::from(number), 1).unwrap_or_default();
            // An evaluation replaces the array before the table, so it may be that of a later one.
            let is_same = argmax(&row) == predicted as usize;
            Some(if is_same { row } else { Vec::new() })
        }
        _ => logits(cells),
    }
}

/// The calibrated probability of each class. `None` without logits, or if a probability is not finite.
fn probabilities(logits: &[f32], temperature: f64) -> Option<Vec<f64>> {
    let all = softmax(logits, temperature);
    (!all.is_empty() && all.iter().all(|p| p.is_finite())).then_some(all)
}

/// The highest minus the second-highest probability.
fn margin(probabilities: &[f64]) -> f32 {
    let two = probabilities.iter().fold((0.0, 0.0), |(first, second), p| {
        if *p > first {
            (*p, first)
        } else {
            (first, second.max(*p))
        }
    });
    (two.0 - two.1) as f32
}

/// The predicted class, followed by the other most probable classes in descending order of probability.
fn top(predicted: u32, probabilities: &[f64]) -> Vec<(u32, F32)> {
    let mut all: Vec<(u32, f64)> = (0..).zip(probabilities.iter().copied()).collect();
    let order = |a: &(u32, f64), b: &(u32, f64)| {
        let is_other = (a.0 != predicted).cmp(&(b.0 != predicted));
        is_other.then(b.1.total_cmp(&a.1)).then(a.0.cmp(&b.0))
    };
    if all.len() > TOP {
        all.select_nth_unstable_by(TOP - 1, order);
        all.truncate(TOP);
    }
    all.sort_unstable_by(order);
    all.into_iter()
        .map(|(class, p)| (class, F32(p as f32)))
        .collect()
}

/// The indices of the rows that match, in the order of the filter; rows that compare equal stay in the order of the
/// data set.
fn choose(rows: &[Row], filter: Filter) -> Vec<u32> {
    let matches = |row: &Prediction| match filter {
        Filter::All | Filter::LeastCertain => true,
        Filter::Mistakes | Filter::ConfidentMistakes => row.predicted != row.label,
        Filter::Class(class) => row.label == class,
        Filter::Confused { truth, predicted } => row.label == truth && row.predicted == predicted,
    };
    let all = (0..).zip(rows).filter(|(_, row)| matches(&row.prediction));
    let mut chosen: Vec<(u32, &Row)> = all.collect();
    match filter {
        Filter::ConfidentMistakes => chosen.sort_by(|a, b| by_confidence(a.1, b.1)),
        Filter::LeastCertain => chosen.sort_by(|a, b| a.1.margin.total_cmp(&b.1.margin)),
        _ => {}
    }
    chosen.into_iter().map(|(place, _)| place).collect()
}

/// Descending order of confidence, NaN last.
fn by_confidence(a: &Row, b: &Row) -> Ordering {
    let key = |row: &Row| {
        let confidence = row.prediction.confidence;
        if confidence.is_nan() {
            f32::NEG_INFINITY
        } else {
            confidence
        }
    };
    key(b).total_cmp(&key(a))
}

#[cfg(test)]
mod tests;
