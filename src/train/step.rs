//! One optimizer step, from a batch to new weights, without waiting for the device.

use tch::{Device, Kind, Tensor};

use super::clock::{Clock, Part};
use super::optim::Optimizer;
use crate::model::{Computation, Gradient, Network, Weights};

/// What a step tells of itself: scalars that still lie on the device.
#[derive(Debug)]
pub struct StepStats {
    /// Cross-entropy with label smoothing, mean over the batch.
    pub loss: Tensor,
    /// Images classified rightly, with the weights before the step.
    pub correct: Tensor,
    /// Global L2 norm of the gradient before clipping.
    pub grad_norm: Tensor,
    /// Images in the batch.
    pub images: i64,
    /// Whether the step counted, a boolean: nothing changed where it did not.
    pub ok: Tensor,
    /// The step's number, and its update-to-weight ratio, if that was measured.
    pub update_ratio: Option<(u64, Tensor)>,
}

/// Steps from one whose update-to-weight ratio is measured to the next. Measuring takes a copy of the weights and three passes
/// over them, a hundredth of a step on a CPU and several launches on a GPU; as often as a window at most, it costs nothing that
/// can be seen. The steps are fixed by their numbers, so a resumed run measures the same ones.
const MEASURED: u64 = 16;

/// The weights before a step, counted from 1 over the run, whose update is to be measured.
pub(super) fn weights_before(step: u64, weights: &Weights) -> Option<Tensor> {
    step.is_multiple_of(MEASURED)
        .then(|| weights.flat.detach().copy())
}

impl StepStats {
    /// Measures the update, on the device and without waiting for it: its L2 norm over that of the weights before the step.
    pub fn measure_update(&mut self, step: u64, before: &Tensor, after: &Weights) {
        let _guard = tch::no_grad_guard();
        let ratio = (after.flat.detach() - before).norm() / before.norm();
        let masked = ratio.full_like(f64::NAN);
        self.update_ratio = Some((step, ratio.where_self(&self.ok, &masked)));
    }
}

/// The numbers of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hyper {
    /// How a batch is computed.
    pub how: Computation,
    /// Learning rate.
    pub lr: f64,
    /// Threshold of the global gradient norm; 0: never clip.
    pub clip_norm: f64,
    /// Parts that the batch is computed in.
    pub accumulate: i64,
}

/// What the gradient is divided by: the inverse of `min(1, c/(norm + 1e-6))`, as `torch.nn.utils.clip_grad_norm_` has it
/// (Pascanu et al. 2013). `c = 0` never clips.
pub fn clip_divisor(norm: &Tensor, threshold: f64) -> Tensor {
    if threshold > 0.0 {
        ((norm + 1e-6) / threshold).clamp_min(1.0)
    } else {
        norm.ones_like()
    }
}

/// Forward, backward, clip, update. A step whose loss or gradient is not finite is masked on the device: weights,
/// optimizer and running statistics stay as they were.
pub fn train_step(
    network: &Network,
    weights: &mut Weights,
    optimizer: &mut Optimizer,
    batch: (&Tensor, &Tensor),
    hyper: Hyper,
) -> (StepStats, Tensor) {
    let mut standing = Clock::new(Device::Cpu);
    timed_step(network, weights, optimizer, batch, (hyper, &mut standing))
}

/// As [`train_step`]; the clock is told where each part ends, up to the update.
pub(super) fn timed_step(
    network: &Network,
    weights: &mut Weights,
    optimizer: &mut Optimizer,
    batch: (&Tensor, &Tensor),
    (hyper, clock): (Hyper, &mut Clock),
) -> (StepStats, Tensor) {
    let gradient = gradient(network, weights, batch, (hyper, &mut *clock));
    let _guard = tch::no_grad_guard();
    let Gradient {
        loss,
        logits,
        flat,
        stats,
    } = gradient;
    let grad_norm = flat.norm();
    // The statistics too: a batch of one image on one position has no variance.
    let ok = (&loss + &grad_norm + stats.sum(Kind::Float)).isfinite();
    optimizer.step(
        &weights.flat,
        &flat,
        hyper.lr,
        (&clip_divisor(&grad_norm, hyper.clip_norm), &ok),
    );
    weights.stats.copy_(&stats.where_self(&ok, &weights.stats));
    let correct = logits.argmax(1, false).eq_tensor(batch.1).sum(Kind::Float);
    let stats = StepStats {
        loss,
        correct,
        grad_norm,
        images: batch.1.size().first().copied().unwrap_or(0),
        ok,
        update_ratio: None,
    };
    clock.lap(Part::Optimizer);
    (stats, flat)
}

/// The gradient of the mean loss of a batch, computed in parts of about the same size whose batch norm is their own.
pub(super) fn gradient(
    network: &Network,
    weights: &Weights,
    (images, labels): (&Tensor, &Tensor),
    (hyper, clock): (Hyper, &mut Clock),
) -> Gradient {
    let mut whole = |stats: &Tensor, batch: (&Tensor, &Tensor)| {
        let between = &mut || clock.lap(Part::Forward);
        let gradient = network.gradient_in_two(weights, stats, batch, hyper.how, between);
        clock.lap(Part::Backward);
        gradient
    };
    let total = labels.size().first().copied().unwrap_or(0);
    let parts = hyper.accumulate.clamp(1, (total / 2).max(1));
    if parts == 1 {
        return whole(&weights.stats, (images, labels));
    }
    let mut sum: Option<Gradient> = None;
    for part in 0..parts {
        let (start, end) = (total * part / parts, total * (part + 1) / parts);
        let share = (end - start) as f64 / total as f64;
        let batch = (
            &images.narrow(0, start, end - start),
            &labels.narrow(0, start, end - start),
        );
        let stats = sum.as_ref().map_or(&weights.stats, |sum| &sum.stats);
        let next = whole(stats, batch);
        let _guard = tch::no_grad_guard();
        sum = Some(match sum {
            None => Gradient {
                loss: next.loss * share,
                flat: next.flat * share,
                ..next
            },
            Some(sum) => Gradient {
                loss: sum.loss + next.loss * share,
                logits: Tensor::cat(&[sum.logits, next.logits], 0),
                flat: sum.flat + next.flat * share,
                stats: next.stats,
            },
        });
    }
    sum.unwrap_or_else(|| whole(&weights.stats, (images, labels)))
}
