//! Predictions for an image in earlier evaluations: for the gallery images from the journal, after each validation; for
//! all images from the test-set evaluations stored in `evals/`.

use std::collections::BTreeMap;
use std::io::{self, BufReader};

use fs_err::File;

use super::super::predictions::{LONGEST_ROW, Prediction};
use super::index::{Index, TestEvaluation};
use super::stamp::Stamp;
use super::table::ROWS;
use crate::event::{F32, GalleryPredictions};
use crate::files::{Dir, read_line};
use crate::link::EarlierPrediction;

/// Maximum number of earlier predictions reported for an image; the most recent are used.
const EARLIER: usize = 32;
/// Maximum number of rows of stored evaluations in memory (32 MiB at 8 bytes each). At this limit, the oldest
/// evaluations are omitted.
const MAX_ROWS: usize = 4 << 20;
/// Marks an image for which an evaluation has no prediction.
const MISSING: (u32, f32) = (u32::MAX, f32::NAN);

/// The stored test-set evaluations that have been read, newest first. A file is read again only if it has changed.
#[derive(Debug, Default)]
pub(super) struct EarlierEvaluations(Vec<Evaluation>);

/// The predictions of one stored test-set evaluation.
#[derive(Debug)]
struct Evaluation {
    global_step: u64,
    epoch: u32,
    stamp: Stamp,
    /// Predicted class and its probability, by image index.
    predictions: Vec<(u32, f32)>,
}

/// The predictions made before a test-set evaluation, for all images.
#[derive(Debug)]
pub(super) struct PredictionHistory<'a> {
    /// Predictions for the gallery images after each validation, newest first.
    galleries: Vec<GalleryPredictions>,
    /// Stored test-set evaluations, newest first.
    stored: &'a [Evaluation],
}

impl EarlierEvaluations {
    /// Reads the predictions made before the evaluation at `global_step`; all of them if the step is unknown.
    pub(super) fn before(
        &mut self,
        global_step: Option<u64>,
        run: &Dir,
        journal: &Index,
    ) -> PredictionHistory<'_> {
        // The same weights can be evaluated twice, and an earlier step can be evaluated after a later one.
        let current = global_step.and_then(|step| {
            let mut evaluations = journal.test_evaluations();
            evaluations.rfind(|evaluation| evaluation.global_step == step)
        });
        let is_earlier = |seq: u64, step: u64| match (global_step, current) {
            (Some(present), Some(current)) => seq < current.seq && step != present,
            (Some(present), None) => step < present,
            (None, _) => true,
        };
        let galleries = journal.galleries().rev();
        let is_later = |seq: u64| current.is_some_and(|current| seq > current.seq);
        let galleries = galleries.skip_while(|place| is_later(place.seq));
        let galleries = galleries.filter_map(|place| {
            let gallery: GalleryPredictions = journal.read(place)?;
            is_earlier(place.seq, gallery.global_step).then_some(gallery)
        });
        let galleries = galleries.take(EARLIER).collect();
        let evaluations = journal.test_evaluations();
        self.renew(
            run,
            evaluations.filter(|one| is_earlier(one.seq, one.global_step)),
        );
        PredictionHistory {
            galleries,
            stored: &self.0,
        }
    }

    /// Reads the stored predictions of these evaluations, newest first.
    fn renew(&mut self, run: &Dir, recorded: impl Iterator<Item = TestEvaluation>) {
        // The file of an evaluation replaces that of an earlier evaluation at the same step.
        let by_step: BTreeMap<u64, TestEvaluation> =
            recorded.map(|one| (one.global_step, one)).collect();
        let mut known = std::mem::take(&mut self.0);
        let mut room = MAX_ROWS;
        let Ok(evals) = run.subdir("evals") else {
            return;
        };
        for recorded in by_step.values().rev().take(EARLIER) {
            let name = format!("step-{:09}.csv", recorded.global_step);
            let opened = evals.open_read(&name).and_then(|file| {
                let stamp = Stamp::of(&file.metadata()?);
                Ok((file, stamp))
            });
            let Ok((file, stamp)) = opened else {
                continue;
            };
            let place = known
                .iter()
                .position(|one| one.global_step == recorded.global_step && one.stamp == stamp);
            let evaluation = place.map(|place| known.swap_remove(place)).or_else(|| {
                let predictions = read(file).ok()?;
                Some(Evaluation {
                    global_step: recorded.global_step,
                    epoch: recorded.epoch,
                    stamp,
                    predictions,
                })
            });
            let Some(evaluation) = evaluation else {
                continue;
            };
            let Some(left) = room.checked_sub(evaluation.predictions.len()) else {
                break;
            };
            room = left;
            self.0.push(evaluation);
        }
    }
}

impl PredictionHistory<'_> {
    /// The earlier predictions for an image, ordered by step, oldest first.
    pub(super) fn of(&self, index: u32) -> Vec<EarlierPrediction> {
        let at = index as usize;
        // Oldest first: for the same step, a later entry of the map replaces an earlier one. Stored evaluations come
        // last because their probabilities are more precise.
        let galleries = self.galleries.iter().rev().filter_map(|gallery| {
            let (label, probability) = *gallery.top.get(at)?.first()?;
            Some(EarlierPrediction {
                epoch: gallery.epoch,
                global_step: gallery.global_step,
                label,
                probability,
            })
        });
        let stored = self.stored.iter().filter_map(|evaluation| {
            let (label, probability) = *evaluation.predictions.get(at)?;
            (label != MISSING.0).then_some(EarlierPrediction {
                epoch: evaluation.epoch,
                global_step: evaluation.global_step,
                label,
                probability: F32(probability),
            })
        });
        let all = galleries.chain(stored);
        let by_step: BTreeMap<u64, EarlierPrediction> =
            all.map(|one| (one.global_step, one)).collect();
        let skipped = by_step.len().saturating_sub(EARLIER);
        by_step.into_values().skip(skipped).collect()
    }
}

/// Predicted class and probability of each test-set row of a file, by image index.
fn read(file: File) -> io::Result<Vec<(u32, f32)>> {
    let mut from = BufReader::with_capacity(1 << 16, file);
    let (mut all, mut line) = (Vec::new(), Vec::new());
    loop {
        if read_line(&mut from, LONGEST_ROW, &mut line)? == 0 {
            return Ok(all);
        }
        let Some((row, _)) = std::str::from_utf8(&line).ok().and_then(Prediction::parse) else {
            continue;
        };
        let at = row.index as usize;
        if at < ROWS {
            if all.len() <= at {
                all.resize(at + 1, MISSING);
            }
            if let Some(place) = all.get_mut(at) {
                *place = (row.predicted, row.confidence);
            }
        }
    }
}
