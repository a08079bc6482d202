//! What was said of an image at earlier evaluations: of the gallery's images by the journal after each validation, of every
//! image by the evaluations of the test split that `evals/` keeps.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::super::rundir::RunDir;
use super::index::{Index, Look};
use super::stamp::Stamp;
use super::table::{ROWS, said};
use crate::event::{F32, GalleryPredictions};
use crate::files::open_read;
use crate::link::Earlier;

/// Evaluations told of an image at most: the last ones.
const EARLIER: usize = 32;
/// Rows of kept evaluations held at most, 8 bytes each: 32 MiB. Where they do not suffice, the oldest evaluations are left out.
const HELD: usize = 4 << 20;
/// A line longer than this is no row.
const LONGEST: u64 = 4 << 20;
/// Stands for an image that an evaluation says nothing of.
const NOTHING: (u32, f32) = (u32::MAX, f32::NAN);

/// EarlierEvaluations evaluations that have been read: each once, and again when its file has changed.
#[derive(Debug, Default)]
pub(super) struct EarlierEvaluations(Vec<Evaluation>);

#[derive(Debug)]
struct Evaluation {
    global_step: u64,
    epoch: u32,
    stamp: Stamp,
    /// By index: class and probability.
    said: Vec<(u32, f32)>,
}

/// What was said before an evaluation of the test split, of all images.
#[derive(Debug)]
pub(super) struct Story<'a> {
    galleries: Vec<GalleryPredictions>,
    kept: &'a [Evaluation],
}

impl EarlierEvaluations {
    /// Reads what was told before the evaluation of these steps; all of it where they are not known.
    pub(super) fn before(
        &mut self,
        global_step: Option<u64>,
        run: &RunDir,
        journal: &Index,
    ) -> Story<'_> {
        // The same weights may be measured twice, and those of an earlier step after those of a later one.
        let told =
            global_step.and_then(|step| journal.looks().rfind(|look| look.global_step == step));
        let is_earlier = |seq: u64, step: u64| match (global_step, told) {
            (Some(present), Some(told)) => seq < told.seq && step != present,
            (Some(present), None) => step < present,
            (None, _) => true,
        };
        let galleries = journal.galleries().rev();
        let galleries = galleries.skip_while(|place| told.is_some_and(|told| place.seq > told.seq));
        let galleries = galleries.filter_map(|place| {
            let told: GalleryPredictions = journal.read(place)?;
            is_earlier(place.seq, told.global_step).then_some(told)
        });
        let galleries = galleries.take(EARLIER).collect();
        let looks = journal.looks();
        self.renew(
            run,
            looks.filter(|look| is_earlier(look.seq, look.global_step)),
        );
        Story {
            galleries,
            kept: &self.0,
        }
    }

    fn renew(&mut self, run: &RunDir, looks: impl Iterator<Item = Look>) {
        // One of the same step took the place of the one before.
        let by_step: BTreeMap<u64, Look> = looks.map(|look| (look.global_step, look)).collect();
        let mut known = std::mem::take(&mut self.0);
        let mut room = HELD;
        for look in by_step.values().rev().take(EARLIER) {
            let path = run
                .path
                .join(format!("evals/step-{:09}.csv", look.global_step));
            let Ok(stamp) = path.metadata().map(|file| Stamp::of(&file)) else {
                continue;
            };
            let place = known
                .iter()
                .position(|one| one.global_step == look.global_step && one.stamp == stamp);
            let evaluation = place.map(|place| known.swap_remove(place)).or_else(|| {
                let said = read(&path).ok()?;
                Some(Evaluation {
                    global_step: look.global_step,
                    epoch: look.epoch,
                    stamp,
                    said,
                })
            });
            let Some(evaluation) = evaluation else {
                continue;
            };
            let Some(left) = room.checked_sub(evaluation.said.len()) else {
                break;
            };
            room = left;
            self.0.push(evaluation);
        }
    }
}

impl Story<'_> {
    /// What was said of an image, by step, oldest first.
    pub(super) fn of(&self, index: u32) -> Vec<Earlier> {
        let at = index as usize;
        // Oldest first, so that of two that tell of the same weights the newer one stays; what was kept tells more exactly.
        let galleries = self.galleries.iter().rev().filter_map(|told| {
            let (label, probability) = *told.top.get(at)?.first()?;
            Some(Earlier {
                epoch: told.epoch,
                global_step: told.global_step,
                label,
                probability,
            })
        });
        let kept = self.kept.iter().filter_map(|evaluation| {
            let (label, probability) = *evaluation.said.get(at)?;
            (label != NOTHING.0).then_some(Earlier {
                epoch: evaluation.epoch,
                global_step: evaluation.global_step,
                label,
                probability: F32(probability),
            })
        });
        let all = galleries.chain(kept);
        let by_step: BTreeMap<u64, Earlier> = all.map(|one| (one.global_step, one)).collect();
        let skipped = by_step.len().saturating_sub(EARLIER);
        by_step.into_values().skip(skipped).collect()
    }
}

/// The first cells of each row of the test split.
fn read(path: &Path) -> io::Result<Vec<(u32, f32)>> {
    let mut from = BufReader::with_capacity(1 << 16, open_read(path)?);
    let (mut all, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if from.by_ref().take(LONGEST).read_until(b'\n', &mut line)? == 0 {
            return Ok(all);
        }
        let Some((said, _)) = std::str::from_utf8(&line).ok().and_then(said) else {
            continue;
        };
        let at = said.index as usize;
        if at < ROWS {
            if all.len() <= at {
                all.resize(at + 1, NOTHING);
            }
            if let Some(place) = all.get_mut(at) {
                *place = (said.predicted, said.confidence);
            }
        }
    }
}
