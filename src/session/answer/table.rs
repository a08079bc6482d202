//! `predictions.csv` as a table that can be paged through: each row's place in the file and what filters need of it.

use std::cmp::Ordering;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use fs_err::File;

use super::super::predictions::{Prediction, logits};
use super::super::rundir::RunDir;
use super::stamp::Stamp;
use crate::event::F32;
use crate::link::{Filter, ImageRow};
use crate::metrics::softmax;

/// Rows taken in at most, 36 bytes each: 36 MiB.
pub(super) const ROWS: usize = 1 << 20;
/// A line longer than this is no row; a logit has at most 16 characters.
const LONGEST: u64 = 4 << 20;
/// Classes told of an image.
const TOP: usize = 3;

/// The rows of the test split of one evaluation.
#[derive(Debug)]
pub(super) struct Table {
    /// Stays open: rows are read from the file they were found in, though another may have taken its name since.
    file: File,
    stamps: Stamps,
    temperature: f64,
    /// Steps the weights had seen.
    pub(super) global_step: Option<u64>,
    rows: Vec<Row>,
    /// The places of the rows that matched last.
    chosen: Option<(Filter, Vec<u32>)>,
}

/// Of `predictions.csv` and of `eval.json`, which come one after the other.
type Stamps = (Stamp, Option<Stamp>);

#[derive(Debug, Clone, Copy)]
struct Row {
    offset: u64,
    length: u32,
    prediction: Prediction,
    /// Between the first and the second probability; infinite where there are none.
    margin: f32,
}

impl Table {
    /// The table of a run's last evaluation, read again only when its files have changed.
    ///
    /// # Errors
    /// The path and why it cannot be read; `NotFound` where the test split has not been evaluated.
    pub(super) fn renew<'a>(slot: &'a mut Option<Self>, run: &RunDir) -> io::Result<&'a mut Self> {
        let path = run.path.join("predictions.csv");
        let eval = run.path.join("eval.json");
        let stamp = |path: &Path| fs_err::metadata(path).map(|file| Stamp::of(&file));
        let stamps = (stamp(&path)?, stamp(&eval).ok());
        let table = match slot.take() {
            Some(known) if known.stamps == stamps => known,
            _ => Self::open(&path, &eval, stamps)?,
        };
        Ok(slot.insert(table))
    }

    /// A file that is replaced meanwhile has another stamp, and is read again when the next question comes.
    fn open(path: &Path, eval: &Path, stamps: Stamps) -> io::Result<Self> {
        let text = fs_err::read_to_string(eval).unwrap_or_default();
        let eval: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let temperature = eval.pointer("/temperature/value");
        let temperature = temperature.and_then(serde_json::Value::as_f64);
        let temperature = temperature.filter(|value| *value > 0.0).unwrap_or(1.0);
        let file = File::open(path)?;
        Ok(Self {
            rows: scan(BufReader::with_capacity(1 << 16, &file), temperature)?,
            file,
            stamps,
            temperature,
            global_step: eval.get("global_step").and_then(serde_json::Value::as_u64),
            chosen: None,
        })
    }

    /// How many rows match, and those of a stretch of them.
    ///
    /// # Errors
    /// The path and why it cannot be read.
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

    /// A row with the classes its logits tell of.
    fn row(&self, row: &Row) -> io::Result<ImageRow> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(row.offset))?;
        let mut line = vec![0; row.length as usize];
        file.read_exact(&mut line)?;
        let parsed = std::str::from_utf8(&line).ok().and_then(Prediction::parse);
        let logits = parsed.and_then(|(_, cells)| logits(cells));
        let Prediction {
            index,
            label,
            predicted,
            confidence,
        } = row.prediction;
        let top = match logits.map(|logits| probabilities(&logits, self.temperature)) {
            Some(Some(all)) => top(predicted, &all),
            // Without logits there is what the row itself says.
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

/// All rows of the test split; what is no row is passed over.
fn scan(mut from: impl BufRead, temperature: f64) -> io::Result<Vec<Row>> {
    let (mut rows, mut line, mut offset) = (Vec::new(), Vec::new(), 0_u64);
    let mut cells = None;
    while rows.len() < ROWS {
        line.clear();
        let read = Read::take(&mut from, LONGEST).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        let count = line.split(|byte| *byte == b',').count();
        if offset == 0 && line.starts_with(b"split,") {
            cells = Some(count);
        } else if *cells.get_or_insert(count) == count {
            rows.extend(row(&line, offset, temperature));
        }
        offset += read as u64;
    }
    Ok(rows)
}

fn row(line: &[u8], offset: u64, temperature: f64) -> Option<Row> {
    let (prediction, cells) = Prediction::parse(std::str::from_utf8(line).ok()?)?;
    let logits = logits(cells)?;
    if !logits.is_empty() && prediction.predicted as usize >= logits.len() {
        return None;
    }
    let probabilities = probabilities(&logits, temperature);
    Some(Row {
        offset,
        length: u32::try_from(line.len()).ok()?,
        margin: probabilities.map_or(f32::INFINITY, |all| margin(&all)),
        prediction,
    })
}

/// The calibrated probability of each class; none where the logits are no numbers.
fn probabilities(logits: &[f32], temperature: f64) -> Option<Vec<f64>> {
    let all = softmax(logits, temperature);
    (!all.is_empty() && all.iter().all(|p| p.is_finite())).then_some(all)
}

/// Between the first and the second probability.
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

/// The most probable classes, what was said first.
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

/// The places of the rows that match, in the filter's order; those that are alike in it stay in the order of the split.
fn choose(rows: &[Row], filter: Filter) -> Vec<u32> {
    let matches = |row: &Prediction| match filter {
        Filter::All | Filter::LeastCertain => true,
        Filter::Mistakes | Filter::ConfidentMistakes => row.predicted != row.label,
        Filter::Class(class) => row.label == class,
        Filter::Confused { truth, said: word } => row.label == truth && row.predicted == word,
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

/// The most confident first, and what is no number last.
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
