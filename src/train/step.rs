//! One training step, from a batch to updated weights, without waiting for the device.

use tch::{Device, Kind, Tensor};

use super::clock::{Clock, Part};
use super::optim::Optimizer;
use crate::data::Targets;
use crate::model::{Computation, Gradient, Network, Weights};

/// Statistics of one step. The tensors are scalars on the device.
#[derive(Debug)]
pub struct StepStats {
    /// Cross-entropy with label smoothing, mean over the batch.
    pub loss: Tensor,
    /// Number of correctly classified images, with the weights before the step; NaN if images are mixed.
    pub correct: Tensor,
    /// Global L2 norm of the gradient before clipping.
    pub grad_norm: Tensor,
    /// Number of images in the batch.
    pub images: i64,
    /// Whether the step was applied, a boolean; if false, nothing changed.
    pub ok: Tensor,
    /// The step number and its update-to-weight ratio, if it was measured.
    pub update_ratio: Option<(u64, Tensor)>,
}

/// The update-to-weight ratio is measured every so many steps. It needs a copy of the weights and three passes over
/// them, which is a hundredth of a step on a CPU and several kernel launches on a GPU; at most once per window, that is
/// negligible. The step number decides, so a resumed run measures the same steps.
const MEASURED: u64 = 16;

/// A copy of the weights before `step` (from 1 over the run), if its update is to be measured.
pub(super) fn weights_before(step: u64, weights: &Weights) -> Option<Tensor> {
    step.is_multiple_of(MEASURED)
        .then(|| weights.flat.detach().copy())
}

impl StepStats {
    /// Computes the update-to-weight ratio, without waiting for the device: the L2 norm of the update divided by that
    /// of the weights before the step. It is NaN for a masked step.
    pub fn measure_update(&mut self, step: u64, before: &Tensor, after: &Weights) {
        let _guard = tch::no_grad_guard();
        let ratio = (after.flat.detach() - before).norm() / before.norm();
        let masked = ratio.full_like(f64::NAN);
        self.update_ratio = Some((step, ratio.where_self(&self.ok, &masked)));
    }
}

/// Hyperparameters of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hyper {
    /// Dtype and label smoothing.
    pub how: Computation,
    /// Learning rate.
    pub lr: f64,
    /// Clipping threshold for the global gradient norm; 0 disables clipping.
    pub clip_norm: f64,
    /// Number of parts for gradient accumulation.
    pub accumulate: i64,
}

/// The divisor that clips a gradient: the inverse of `min(1, c/(norm + 1e-6))`, as in `torch.nn.utils.clip_grad_norm_`
/// (Pascanu et al. 2013). `c = 0` never clips.
pub fn clip_divisor(norm: &Tensor, threshold: f64) -> Tensor {
    if threshold > 0.0 {
        ((norm + 1e-6) / threshold).clamp_min(1.0)
    } else {
        norm.ones_like()
    }
}

/// Forward pass, backward pass, clipping and update. A step with a non-finite loss or gradient is masked on the device:
/// weights, optimizer state and running statistics do not change. Returns the statistics and the flat gradient.
pub fn train_step(
    network: &Network,
    weights: &mut Weights,
    optimizer: &mut Optimizer,
    (images, targets): (&Tensor, impl Into<Targets>),
    hyper: Hyper,
) -> (StepStats, Tensor) {
    let mut stopped = Clock::new(Device::Cpu);
    let batch = (images, &targets.into());
    timed_step(network, weights, optimizer, batch, (hyper, &mut stopped))
}

/// Like [`train_step`], and measures forward pass, backward pass and update with the clock.
pub(super) fn timed_step(
    network: &Network,
    weights: &mut Weights,
    optimizer: &mut Optimizer,
    batch: (&Tensor, &Targets),
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
    // Include the statistics: the variance of a batch with one image and one position is not finite.
    let ok = (&loss + &grad_norm + stats.sum(Kind::Float)).isfinite();
    optimizer.step(
        &weights.flat,
        &flat,
        hyper.lr,
        (&clip_divisor(&grad_norm, hyper.clip_norm), &ok),
    );
    weights.stats.copy_(&stats.where_self(&ok, &weights.stats));
    let targets = batch.1;
    let correct = logits
        .argmax(1, false)
        .eq_tensor(&targets.labels)
        .sum(Kind::Float);
    // A mixed image has two classes, so whether it is classified correctly is not defined.
    let correct = if targets.mixed.is_some() {
        correct.full_like(f64::NAN)
    } else {
        correct
    };
    let stats = StepStats {
        loss,
        correct,
        grad_norm,
        images: targets.labels.size().first().copied().unwrap_or(0),
        ok,
        update_ratio: None,
    };
    clock.lap(Part::Optimizer);
    (stats, flat)
}

/// The gradient of the mean loss of a batch, accumulated over parts of about equal size. Each part has its own
/// batch-norm statistics.
pub(super) fn gradient(
    network: &Network,
    weights: &Weights,
    (images, targets): (&Tensor, &Targets),
    (hyper, clock): (Hyper, &mut Clock),
) -> Gradient {
    let mut compute = |stats: &Tensor, batch: (&Tensor, &Targets)| {
        let between = &mut || clock.lap(Part::Forward);
        let gradient = network.gradient_with_timing(weights, stats, batch, hyper.how, between);
        clock.lap(Part::Backward);
        gradient
    };
    let labels = &targets.labels;
    let total = labels.size().first().copied().unwrap_or(0);
    let parts = hyper.accumulate.clamp(1, (total / 2).max(1));
    if parts == 1 {
        return compute(&weights.stats, (images, targets));
    }
    let mut sum: Option<Gradient> = None;
    for part in 0..parts {
        let (start, end) = (total * part / parts, total * (part + 1) / parts);
        let share = (end - start) as f64 / total as f64;
        let batch = (
            &images.narrow(0, start, end - start),
            &targets.narrow(start, end - start),
        );
        let stats = sum.as_ref().map_or(&weights.stats, |sum| &sum.stats);
        let next = compute(stats, batch);
        let _guard = tch::no_grad_guard();
        let weighted = network.weighted_share(&batch.1.labels, labels);
        let scaled = |tensor: Tensor| match &weighted {
            Some(share) => tensor * share,
            None => tensor * share,
        };
        let (loss, flat) = (scaled(next.loss), scaled(next.flat));
        sum = Some(match sum {
            None => Gradient { loss, flat, ..next },
            Some(sum) => Gradient {
                loss: sum.loss + loss,
                logits: Tensor::cat(&[sum.logits, next.logits], 0),
                flat: sum.flat + flat,
                stats: next.stats,
            },
        });
    }
    sum.unwrap_or_else(|| compute(&weights.stats, (images, targets)))
}
