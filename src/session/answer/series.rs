//! Stretches of a curve, and the numbers of a step, read from the blocks of the journal that hold them.

use std::io;

use super::index::{Head, Index};
use crate::event::{EpochSummary, F32, StepWindow};
use crate::link::{Curve, StepValues};

/// Values told at most.
const POINTS: usize = 16_384;
/// Values held while they are gathered (16 MiB); where there are more, what there is is thinned to half of it.
const HELD: usize = 1 << 20;

/// The values of a curve at the steps of a stretch, both ends included.
///
/// # Errors
/// The path and why it cannot be read.
pub(super) fn between(
    index: &Index,
    curve: Curve,
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
        let steps = |list: fn(&StepWindow) -> &[F32], push: &mut dyn FnMut(u64, F32)| {
            index.each(block, "steps", |_, window: StepWindow| {
                each(&window, list(&window), &mut *push);
            })
        };
        let epochs = |value: fn(&EpochSummary) -> f64, push: &mut dyn FnMut(u64, F32)| {
            index.each(block, "epoch_finished", |_, row: EpochSummary| {
                push(row.global_step, F32(value(&row) as f32));
            })
        };
        match curve {
            Curve::TrainLoss => steps(|window| &window.loss, &mut push),
            Curve::TrainAccuracy => steps(|window| &window.accuracy, &mut push),
            Curve::GradNorm => steps(|window| &window.grad_norm, &mut push),
            Curve::ValidNll => epochs(|row| row.valid_nll.0, &mut push),
            Curve::ValidAccuracy => epochs(|row| row.valid_accuracy.0, &mut push),
        }?;
    }
    Ok(thin(values, (points as usize).clamp(2, POINTS)))
}

fn each(window: &StepWindow, values: &[F32], push: &mut dyn FnMut(u64, F32)) {
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
    let mut best: Option<(u64, StepValues)> = None;
    for (distance, block) in blocks {
        // No step of this block or of those behind it is nearer.
        if best.is_some_and(|(known, _)| known < distance) {
            break;
        }
        index.each(block, "steps", |head: Head, window: StepWindow| {
            let found = in_window(&head, &window, wanted);
            let found = found.map(|values| (values.step.abs_diff(wanted), values));
            let order = |(distance, values): (u64, StepValues)| (distance, values.step);
            if let Some(found) = found
                && best.is_none_or(|best| order(found) < order(best))
            {
                best = Some(found);
            }
        })?;
    }
    Ok(best.map(|(_, values)| values))
}

/// The step of a window that is nearest.
fn in_window(head: &Head, window: &StepWindow, wanted: u64) -> Option<StepValues> {
    let count = window.loss.len() as u64;
    let last = window.global_step;
    let first = last.checked_sub(count.checked_sub(1)?)?;
    let step = wanted.clamp(first, last);
    let at = (step - first) as usize;
    let missing = F32(f32::NAN);
    Some(StepValues {
        step,
        epoch: window.epoch,
        lr: window.lr,
        loss: window.loss.get(at).copied().unwrap_or(missing),
        accuracy: window.accuracy.get(at).copied().unwrap_or(missing),
        grad_norm: window.grad_norm.get(at).copied().unwrap_or(missing),
        clipped: window.clipped.get(at).is_some_and(|clipped| *clipped != 0),
        t_ms: head.t_ms,
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
