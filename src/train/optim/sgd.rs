//! Stochastic gradient descent with momentum, with the fused kernel of `torch.optim`.

use tch::Tensor;

use super::Step;
use crate::config::OptimConfig;
use crate::native::{SgdStep, fused_sgd};

#[derive(Debug)]
pub(super) struct Sgd {
    momentum: f64,
    nesterov: bool,
    velocity: Tensor,
}

impl Sgd {
    pub(super) fn new(config: &OptimConfig, zeros: &dyn Fn() -> Tensor) -> Self {
        Self {
            momentum: config.momentum,
            nesterov: config.nesterov,
            velocity: zeros(),
        }
    }

    pub(super) fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        vec![("momentum_buffer", &self.velocity)]
    }

    pub(super) fn step(&self, step: &Step<'_>) {
        let numbers = SgdStep {
            lr: step.lr,
            momentum: self.momentum,
            weight_decay: step.group.weight_decay,
            nesterov: self.nesterov,
        };
        fused_sgd(
            numbers,
            &step.parameters,
            &step.gradients,
            &step.group.views(&self.velocity),
            (step.scale, step.skip),
        );
    }
}
