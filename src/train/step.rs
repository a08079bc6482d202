//! One optimizer step, from a batch to new weights, without waiting for the device.

use tch::{Kind, Tensor};

use super::optim::AdamW;
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
}

/// What the gradient is multiplied with: `min(1, c/(norm + 1e-6))` as `torch.nn.utils.clip_grad_norm_` has it
/// (Pascanu et al. 2013). `c = 0` never clips.
pub fn clip_coefficient(norm: &Tensor, threshold: f64) -> Tensor {
    if threshold > 0.0 {
        (norm + 1e-6).reciprocal() * threshold
    } else {
        norm.ones_like()
    }
    .clamp_max(1.0)
}

/// Forward, backward, clip, update. A step whose loss or gradient is not finite is masked on the device: weights,
/// optimizer and running statistics stay as they were.
pub fn train_step(
    network: &Network,
    weights: &mut Weights,
    optimizer: &mut AdamW,
    (images, labels): (&Tensor, &Tensor),
    hyper: Hyper,
) -> StepStats {
    let how = Computation {
        kind: hyper.kind,
        label_smoothing: hyper.label_smoothing,
    };
    let Gradient {
        loss,
        logits,
        flat,
        stats,
    } = network.gradient(weights, &weights.stats, (images, labels), how);
    let _guard = tch::no_grad_guard();
    let grad_norm = flat.norm();
    // The statistics too: a batch of one image on one position has no variance.
    let ok = (&loss + &grad_norm + stats.sum(Kind::Float)).isfinite();
    let clipped = flat * clip_coefficient(&grad_norm, hyper.clip_norm);
    optimizer.step(&mut weights.flat, &clipped, hyper.lr, &ok);
    let stats = stats.where_self(&ok, &weights.stats);
    weights.stats.copy_(&stats);
    let correct = logits.argmax(1, false).eq_tensor(labels).sum(Kind::Float);
    StepStats {
        loss,
        correct,
        grad_norm,
        images: labels.size().first().copied().unwrap_or(0),
    }
}

/// The numbers of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hyper {
    /// The kind of numbers between layers.
    pub kind: Kind,
    /// Learning rate.
    pub lr: f64,
    /// Share of the target spread over all classes.
    pub label_smoothing: f64,
    /// Threshold of the global gradient norm; 0: never clip.
    pub clip_norm: f64,
}
