//! One optimizer step, from a batch to new weights, without waiting for the device.

use tch::{Kind, Reduction, Tensor};

use super::optim::AdamW;
use crate::model::{Network, Weights};

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
    let stats_before = weights.stats.copy();
    let logits = network.forward(weights, images, true);
    // libtorch's smoothing is (1-ε)·onehot + ε/K, the definition this project uses.
    let loss = logits.cross_entropy_loss(
        labels,
        None::<Tensor>,
        Reduction::Mean,
        -100,
        hyper.label_smoothing,
    );
    let gradients = Tensor::run_backward(&[&loss], &[&weights.flat], false, false);
    let _guard = tch::no_grad_guard();
    let gradient = gradients
        .into_iter()
        .next()
        .unwrap_or_else(|| weights.flat.zeros_like());
    let grad_norm = gradient.norm();
    // The statistics too: a batch of one image on one position has no variance.
    let ok = (&loss + &grad_norm + weights.stats.sum(Kind::Float)).isfinite();
    let clipped = gradient * clip_coefficient(&grad_norm, hyper.clip_norm);
    optimizer.step(&mut weights.flat, &clipped, hyper.lr, &ok);
    let stats = weights.stats.where_self(&ok, &stats_before);
    weights.stats.copy_(&stats);
    let correct = logits.argmax(1, false).eq_tensor(labels).sum(Kind::Float);
    StepStats {
        loss: loss.detach(),
        correct,
        grad_norm,
        images: labels.size().first().copied().unwrap_or(0),
    }
}

/// The numbers of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hyper {
    /// Learning rate.
    pub lr: f64,
    /// Share of the target spread over all classes.
    pub label_smoothing: f64,
    /// Threshold of the global gradient norm; 0: never clip.
    pub clip_norm: f64,
}
