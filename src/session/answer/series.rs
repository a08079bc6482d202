//! Stretches of a curve, and the numbers of a step, read from the blocks of the journal that hold them.

use std::io;

use serde::Deserialize;

use super::index::{Head, Index};
use crate::event::{EpochSummary, F32, F64, StepWindow};
use crate::link::StepValues;
use crate::run::{Curve, CurveId, Source, Steps};

/// Values told at most.
const POINTS: usize = 16_384;
/// Values held while they are gathered (16 MiB); where there are more, what there is is thinned to half of it.
const HELD: usize = 1 << 20;

/// [`Event::Scalars`](crate::event::Event::Scalars) as it stands in the journal.
#[derive(Debug, Deserialize)]
struct Scalars {
    global_step: u64,
    values: Vec<(String, F64)>,
}

/// The values of a curve at the steps of a stretch, both ends included.
///
/// # Errors
/// The path and why it cannot be read.
pub(super) fn between(
    index: &Index,
    curve: &CurveId,
    (from, to): (u64, u64),
    points: u32,
) -> io::Result<Vec<(u64, F32)>> {
    let mut values = Vec::new();
    let mut push = |step: u64, value: F32| {
        if (from..=to).contains(&step) {
            if values.len() >= HELD {
                values = thin(std::mem::take(&mut values), HELD / 2);
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
    Ok(thin(values, (points as usize).clamp(2, POINTS)))
}

/// The values of a known curve that a block has.
fn known(
    index: &Index,
    block: usize,
    curve: Curve,
    push: &mut dyn FnMut(u64, F32),
) -> io::Result<()> {
    match curve.info().source {
        Source::Steps(values) => index.each(block, "steps", |_, window: StepWindow| {
            let first = Steps::of(&window).first();
            let values = (first..).zip(values(&window));
            values.for_each(|(step, value)| push(step, *value));
        }),
        Source::Window(value) => index.each(block, "steps", |_, window: StepWindow| {
            push(window.global_step, F32(value(&window).0 as f32));
        }),
        Source::Sampled(values) => index.each(block, "steps", |_, window: StepWindow| {
            let values = values(&window).iter();
            values.for_each(|(step, value)| push(*step, *value));
        }),
        Source::Epoch(value) => index.each(block, "epoch_finished", |_, row: EpochSummary| {
            push(row.global_step, F32(value(&row).0 as f32));
        }),
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

/// The numbers of the step nearest to the one asked for; of two as near, the earlier one's.
///
/// # Errors
/// The path and why it cannot be read.
pub(super) fn nearest(index: &Index, wanted: u64) -> io::Result<Option<StepValues>> {
    let far = |(first, last): (u64, u64)| {
        let before = first.saturating_sub(wanted);
        before.max(wanted.saturating_sub(last))
    };
    let mut blocks: Vec<(u64, usize)> = index
        .spans()
        .map(|(block, span)| (far(span), block))
        .collect();
    blocks.sort_unstable();
    let mut best = Nearest {
        wanted,
        found: None,
    };
    for (distance, block) in blocks {
        // No step of this block or of those behind it is nearer.
        if best
            .found
            .as_ref()
            .is_some_and(|(known, _)| *known < distance)
        {
            break;
        }
        index.each(block, "steps", |head: Head, window: StepWindow| {
            best.take(in_window(&head, &window, wanted));
        })?;
        index.each(block, "scalars", |head: Head, scalars: Scalars| {
            let named = |(name, value)| (CurveId::Named(name), value);
            best.take(Some(StepValues {
                step: scalars.global_step,
                t_ms: head.t_ms,
                values: scalars.values.into_iter().map(named).collect(),
                ..StepValues::default()
            }));
        })?;
    }
    Ok(best.found.map(|(_, values)| values))
}

/// The nearest step so far, with its distance.
struct Nearest {
    wanted: u64,
    found: Option<(u64, StepValues)>,
}

impl Nearest {
    /// Takes a step for the nearest where it is; what two records report of the same step belongs together.
    fn take(&mut self, values: Option<StepValues>) {
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

/// The step of a window that is nearest.
fn in_window(head: &Head, window: &StepWindow, wanted: u64) -> Option<StepValues> {
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
}
