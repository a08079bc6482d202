//! Answers queries for a range of a curve and for the values of one step, read from the relevant blocks of the journal.

use std::io;

use serde::Deserialize;

use super::index::{Head, Index};
use crate::event::{EpochSummary, EvalReport, F32, F64, StepWindow};
use crate::link::StepValues;
use crate::run::{Curve, CurveId, Source, Steps};

/// Maximum number of values in a reply.
const POINTS: usize = 16_384;
/// Maximum number of values in memory while a range is collected (16 MiB); at this limit they are downsampled to half.
const MAX_COLLECTED: usize = 1 << 20;

/// [`Event::Scalars`](crate::event::Event::Scalars) as stored in the journal.
#[derive(Debug, Deserialize)]
struct Scalars {
    global_step: u64,
    values: Vec<(String, F64)>,
}

/// The values of a curve as (step, value) in a range of steps, both ends included, downsampled to at most `points`.
///
/// # Errors
/// If the journal cannot be read; the message contains the path.
pub(super) fn between(
    index: &Index,
    curve: &CurveId,
    (from, to): (u64, u64),
    points: u32,
) -> io::Result<Vec<(u64, F32)>> {
    let mut values = Vec::new();
    let mut push = |step: u64, value: F32| {
        if (from..=to).contains(&step) {
            if values.len() >= MAX_COLLECTED {
                values = downsample(std::mem::take(&mut values), MAX_COLLECTED / 2);
            }
            values.push((step, value));
        }
    };
    for (block, (first, last)) in index.spans() {
        if last < from || to < first {
            continue;
        }
        match curve {
            CurveId::Known(curve) => known(index, block, *curve, &mut push),
            CurveId::Named(name) => index.each(block, "scalars", |_, scalars: Scalars| {
                for (_, value) in scalars.values.iter().filter(|(known, _)| known == name) {
                    push(scalars.global_step, F32(value.0 as f32));
                }
            }),
        }?;
    }
    Ok(downsample(values, (points as usize).clamp(2, POINTS)))
}

/// Passes the values of a built-in curve in a block to `push`, as (step, value).
fn known(
    index: &Index,
    block: usize,
    curve: Curve,
    push: &mut dyn FnMut(u64, F32),
) -> io::Result<()> {
    match curve.info().source {
        Source::Steps(values) => index.each(block, "steps", |_, window: StepWindow| {
            let steps = Steps::of(&window);
            for (step, value) in steps.numbered(values(&window)) {
                push(step, *value);
            }
        }),
        Source::Shared(values) => index.each(block, "steps", |_, window: StepWindow| {
            let steps = Steps::of(&window);
            for (step, value) in steps.numbered(steps.shared(values)) {
                value
                    .into_iter()
                    .for_each(|value| push(step, F32(value.0 as f32)));
            }
        }),
        Source::Sampled(values) => index.each(block, "steps", |_, window: StepWindow| {
            let values = values(&window).iter();
            values.for_each(|(step, value)| push(*step, *value));
        }),
        Source::Epoch(value) => index.each(block, "epoch_finished", |_, row: EpochSummary| {
            push(row.global_step, F32(value(&row).0 as f32));
        }),
        source @ Source::Evaluation(_) => {
            index.each(block, "eval_finished", |_, report: EvalReport| {
                if let Some((step, value)) = source.evaluation(&report) {
                    push(step, F32(value as f32));
                }
            })
        }
    }
}

/// Downsamples to at most `points` values: the minimum and the maximum of each bucket, ordered by step, so that no
/// spike is lost. NaN counts as larger than every number.
fn downsample(values: Vec<(u64, F32)>, points: usize) -> Vec<(u64, F32)> {
    if values.len() <= points {
        return values;
    }
    let bucket = values.len().div_ceil(points / 2);
    let key = |value: &(u64, F32)| {
        let number = value.1.0;
        if number.is_nan() {
            f32::INFINITY
        } else {
            number
        }
    };
    let ends = values.chunks(bucket).flat_map(|chunk| {
        let low = chunk.iter().min_by(|a, b| key(a).total_cmp(&key(b)));
        let high = chunk.iter().max_by(|a, b| key(a).total_cmp(&key(b)));
        let mut ends: Vec<(u64, F32)> = low.into_iter().chain(high).copied().collect();
        ends.sort_by_key(|(step, _)| *step);
        ends.dedup_by_key(|(step, _)| *step);
        ends
    });
    ends.collect()
}

/// The values of the step nearest to `wanted`; if two steps are equally near, of the earlier one.
///
/// # Errors
/// If the journal cannot be read; the message contains the path.
pub(super) fn nearest(index: &Index, wanted: u64) -> io::Result<Option<StepValues>> {
    let distance_to = |(first, last): (u64, u64)| {
        let before = first.saturating_sub(wanted);
        before.max(wanted.saturating_sub(last))
    };
    let mut blocks: Vec<(u64, usize)> = index
        .spans()
        .map(|(block, span)| (distance_to(span), block))
        .collect();
    blocks.sort_unstable();
    let mut best = Nearest {
        wanted,
        found: None,
    };
    for (distance, block) in blocks {
        // The blocks are sorted by distance: no step of this block or a later one is nearer.
        if best
            .found
            .as_ref()
            .is_some_and(|(known, _)| *known < distance)
        {
            break;
        }
        index.each(block, "steps", |head: Head, window: StepWindow| {
            best.update(nearest_in_window(&head, &window, wanted));
        })?;
        index.each(block, "scalars", |head: Head, scalars: Scalars| {
            let named = |(name, value)| (CurveId::Named(name), value);
            best.update(Some(StepValues {
                step: scalars.global_step,
                t_ms: head.t_ms,
                values: scalars.values.into_iter().map(named).collect(),
                ..StepValues::default()
            }));
        })?;
    }
    Ok(best.found.map(|(_, values)| values))
}

/// The nearest step found so far, with its distance to `wanted`.
struct Nearest {
    wanted: u64,
    found: Option<(u64, StepValues)>,
}

impl Nearest {
    /// Replaces the nearest step if `values` is nearer; merges values if both belong to the same step.
    fn update(&mut self, values: Option<StepValues>) {
        let Some(values) = values else { return };
        let distance = values.step.abs_diff(self.wanted);
        match &mut self.found {
            Some((known, found)) if (*known, found.step) < (distance, values.step) => {}
            Some((_, found)) if found.step == values.step => {
                let epoch = found.epoch.max(values.epoch);
                let clipped = found.clipped | values.clipped;
                found.values.extend(values.values);
                (found.epoch, found.clipped) = (epoch, clipped);
            }
            _ => self.found = Some((distance, values)),
        }
    }
}

/// The step of a window that is nearest to `wanted`; `None` for an empty window.
fn nearest_in_window(head: &Head, window: &StepWindow, wanted: u64) -> Option<StepValues> {
    let steps = Steps::of(window);
    let last = steps.count().checked_sub(1)?;
    let at = wanted.saturating_sub(steps.first()).min(last as u64);
    let sample = steps.sample(at as usize);
    let value = |curve: Curve| Some((curve.into(), F64(steps.value(curve, at as usize)?)));
    Some(StepValues {
        step: sample.step,
        epoch: window.epoch,
        clipped: sample.clipped,
        t_ms: head.t_ms,
        values: Curve::ALL.into_iter().filter_map(value).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spikes_and_nan_survive_downsampling() {
        let mut values: Vec<(u64, F32)> = (0..10_000).map(|i| (i, F32(1.0))).collect();
        values[4321].1 = F32(900.0);
        values[777].1 = F32(f32::NAN);
        values[5].1 = F32(-3.0);
        let downsampled = downsample(values.clone(), 100);
        assert!(downsampled.len() <= 100 && downsampled.is_sorted_by_key(|(step, _)| *step));
        for step in [4321, 777, 5] {
            assert!(
                downsampled.iter().any(|(remaining, _)| *remaining == step),
                "{step}"
            );
        }
        assert_eq!(downsample(values[..50].to_vec(), 100).len(), 50);
    }
}
