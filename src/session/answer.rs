//! Answers to questions, read from a run's directory: alike for a live run, over a socket, and in a replay.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::thread::Builder;

use crossbeam_channel::bounded;
use flate2::read::MultiGzDecoder;
use fs_err::{self as fs, File};

use super::journal::live_records;
use super::rundir::RunDir;
use crate::event::{Event, F32, Pixels, Record, StepWindow};
use crate::idx::{self, Idx};
use crate::link::{Curve, ImageRow, Queries, Query, Reply};
use crate::metrics::softmax;

/// Questions that may wait.
const WAITING: usize = 16;
/// Values told at most, and images.
const POINTS: usize = 16_384;
const IMAGES: usize = 256;
/// Classes told of an image.
const TOP: usize = 3;

/// Starts answering questions about the run in a directory. `None` when the system gives no thread.
pub(super) fn start(dir: &Path) -> Option<Queries> {
    let (ask, questions) = bounded::<(u64, Query)>(WAITING);
    let (answered, replies) = bounded(WAITING);
    let run = RunDir::at(dir);
    let answering = move || {
        // The images are read once.
        let mut images = None;
        for (id, query) in questions {
            let reply = answer(&run, &query, &mut images).unwrap_or_else(|error| Reply::Unknown {
                reason: error.to_string(),
            });
            if answered.send((id, reply)).is_err() {
                break;
            }
        }
    };
    let spawned = Builder::new().name("answers".to_owned()).spawn(answering);
    spawned.ok().map(|_| Queries { ask, replies })
}

fn answer(run: &RunDir, query: &Query, images: &mut Option<Idx>) -> io::Result<Reply> {
    match *query {
        Query::Series {
            curve,
            from,
            to,
            points,
        } => {
            let mut values = Vec::new();
            live_records(run, |record| take(record, curve, (from, to), &mut values))?;
            let points = (points as usize).clamp(2, POINTS);
            Ok(Reply::Series(thin(values, points)))
        }
        Query::Images { from, count } => {
            let mut rows = rows(run, from as usize, (count as usize).min(IMAGES))?;
            if images.is_none() {
                // Where the images are not, their predictions are still worth telling.
                *images = pictures(run).ok();
            }
            if let Some(images) = images {
                rows.iter_mut().for_each(|row| put_picture(row, images));
            }
            Ok(Reply::Images(rows))
        }
    }
}

fn take(record: &Record, curve: Curve, (from, to): (u64, u64), values: &mut Vec<(u64, F32)>) {
    let mut push = |step: u64, value: F32| {
        if (from..=to).contains(&step) {
            values.push((step, value));
        }
    };
    match (&record.event, curve) {
        (Event::Steps(window), Curve::TrainLoss) => each(window, &window.loss, push),
        (Event::Steps(window), Curve::TrainAccuracy) => each(window, &window.accuracy, push),
        (Event::Steps(window), Curve::GradNorm) => each(window, &window.grad_norm, push),
        (Event::EpochFinished(row), Curve::ValidNll) => {
            push(row.global_step, F32(row.valid_nll.0 as f32));
        }
        (Event::EpochFinished(row), Curve::ValidAccuracy) => {
            push(row.global_step, F32(row.valid_accuracy.0 as f32));
        }
        _ => {}
    }
}

fn each(window: &StepWindow, values: &[F32], mut push: impl FnMut(u64, F32)) {
    let first = window.global_step.saturating_sub(values.len() as u64);
    for (i, value) in values.iter().enumerate() {
        push(first.saturating_add(i as u64 + 1), *value);
    }
}

/// Keeps at most so many values: of each stretch its lowest and its highest, in their order, so that no spike is lost. One
/// that is not a number stands for its stretch's highest.
fn thin(values: Vec<(u64, F32)>, points: usize) -> Vec<(u64, F32)> {
    if values.len() <= points {
        return values;
    }
    let stretch = values.len().div_ceil(points / 2);
    let key = |value: &(u64, F32)| {
        let number = value.1.0;
        if number.is_nan() {
            f32::INFINITY
        } else {
            number
        }
    };
    let ends = values.chunks(stretch).flat_map(|chunk| {
        let low = chunk.iter().min_by(|a, b| key(a).total_cmp(&key(b)));
        let high = chunk.iter().max_by(|a, b| key(a).total_cmp(&key(b)));
        let mut ends: Vec<(u64, F32)> = low.into_iter().chain(high).copied().collect();
        ends.sort_by_key(|(step, _)| *step);
        ends.dedup_by_key(|(step, _)| *step);
        ends
    });
    ends.collect()
}

/// Rows of the test split from `predictions.csv`.
fn rows(run: &RunDir, from: usize, count: usize) -> io::Result<Vec<ImageRow>> {
    let file = File::open(run.path.join("predictions.csv"))?;
    let temperature = temperature(run);
    let lines = BufReader::new(file).lines();
    let mut rows = Vec::new();
    for line in lines {
        let line = line?;
        let Some(rest) = line.strip_prefix("test,") else {
            continue;
        };
        let Some(row) = row(rest, temperature) else {
            continue;
        };
        let index = row.index as usize;
        if index >= from.saturating_add(count) {
            break;
        }
        if index >= from {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// `index,label,predicted,confidence,logit_0,…`
fn row(line: &str, temperature: f64) -> Option<ImageRow> {
    let mut cells = line.split(',');
    let index = cells.next()?.parse().ok()?;
    let label = cells.next()?.parse().ok()?;
    let logits: Vec<f32> = cells.skip(2).map_while(|cell| cell.parse().ok()).collect();
    let probabilities = softmax(&logits, temperature);
    let mut top: Vec<(u32, F32)> = (0..)
        .zip(probabilities.iter().map(|p| F32(*p as f32)))
        .collect();
    top.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
    top.truncate(TOP);
    Some(ImageRow {
        index,
        label,
        top,
        ..ImageRow::default()
    })
}

/// The temperature of the last evaluation; 1 where there is none.
fn temperature(run: &RunDir) -> f64 {
    let text = fs::read_to_string(run.path.join("eval.json")).unwrap_or_default();
    let eval: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let value = eval
        .pointer("/temperature/value")
        .and_then(serde_json::Value::as_f64);
    value.filter(|value| *value > 0.0).unwrap_or(1.0)
}

/// The test images, where the run found them.
fn pictures(run: &RunDir) -> io::Result<Idx> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, "the images are not known");
    let dir = run
        .meta()
        .and_then(|meta| meta.data_dir)
        .ok_or_else(missing)?;
    let plain = dir.join("t10k-images-idx3-ubyte");
    let packed = plain.with_extension("gz");
    let mut bytes = Vec::new();
    if packed.is_file() {
        MultiGzDecoder::new(File::open(packed)?).read_to_end(&mut bytes)?;
    } else {
        bytes = fs::read(plain)?;
    }
    idx::parse(&bytes).map_err(io::Error::other)
}

fn put_picture(row: &mut ImageRow, images: &Idx) {
    let (channels, height, width) = images.image_shape();
    let area = height as usize * width as usize;
    let size = area * channels.max(1) as usize;
    let start = (row.index as usize).saturating_mul(size);
    let Some(image) = images.data.get(start..start.saturating_add(size)) else {
        return;
    };
    let grey = |at: usize| {
        let planes = image.iter().skip(at).step_by(area.max(1));
        let sum: usize = planes.map(|&byte| usize::from(byte)).sum();
        (sum / channels.max(1) as usize) as u8
    };
    row.size = (height, width);
    row.pixels = Pixels((0..area).map(grey).collect());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_and_a_hole_survive_thinning() {
        let mut values: Vec<(u64, F32)> = (0..10_000).map(|i| (i, F32(1.0))).collect();
        values[4321].1 = F32(900.0);
        values[777].1 = F32(f32::NAN);
        values[5].1 = F32(-3.0);
        let thinned = thin(values.clone(), 100);
        assert!(thinned.len() <= 100 && thinned.is_sorted_by_key(|(step, _)| *step));
        for step in [4321, 777, 5] {
            assert!(thinned.iter().any(|(kept, _)| *kept == step), "{step}");
        }
        assert_eq!(thin(values[..50].to_vec(), 100).len(), 50);
    }

    #[test]
    fn a_row_is_read_back_with_its_most_probable_classes() {
        let row = row("7,2,2,0.9,0.5,-1.5,3", 0.5).map(|row| (row.index, row.label, row.top));
        let (index, label, top) = row.unwrap_or_default();
        assert_eq!((index, label, top.first().map(|t| t.0)), (7, 2, Some(2)));
        assert_eq!(top.len(), 3);
    }
}
