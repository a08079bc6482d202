//! Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), with the fused kernels of `torch.optim`.

use tch::Tensor;

use super::Step;
use crate::config::{Decay, OptimConfig};
use crate::native::{AdamStep, fused_adam};

#[derive(Debug)]
pub(super) struct Adam {
    decoupled: bool,
    beta1: f64,
    beta2: f64,
    eps: f64,
    /// EMA of the gradient (first moment).
    pub(super) mean: Tensor,
    /// EMA of the squared gradient (second moment).
    square: Tensor,
}

impl Adam {
    pub(super) fn new(config: &OptimConfig, zeros: &dyn Fn() -> Tensor) -> Self {
        Self {
            decoupled: match config.name.traits().decay {
                Decay::Decoupled(..) => true,
                Decay::Coupled => false,
            },
            beta1: config.beta1,
            beta2: config.beta2,
            eps: config.eps,
            mean: zeros(),
            square: zeros(),
        }
    }

    pub(super) fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        vec![("exp_avg", &self.mean), ("exp_avg_sq", &self.square)]
    }

    pub(super) fn step(&self, step: &Step<'_>) {
        let numbers = AdamStep {
            decoupled: self.decoupled,
            lr: step.lr,
            beta1: self.beta1,
            beta2: self.beta2,
            weight_decay: step.group.weight_decay,
            eps: self.eps,
        };
        let views = |flat| step.group.views(flat);
        fused_adam(
            numbers,
            &step.parameters,
            &step.gradients,
            (&views(&self.mean), &views(&self.square)),
            step.number,
            (step.scale, step.skip),
        );
    }
}
