//! Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2). The update direction is the
//! sign of an interpolation between momentum and gradient, so every element changes by the learning rate.

use tch::Tensor;

use super::Step;
use crate::config::OptimConfig;

#[derive(Debug)]
pub(super) struct Lion {
    beta1: f64,
    beta2: f64,
    /// EMA of the gradient (momentum).
    mean: Tensor,
}

impl Lion {
    pub(super) fn new(config: &OptimConfig, zeros: &dyn Fn() -> Tensor) -> Self {
        Self {
            beta1: config.beta1,
            beta2: config.beta2,
            mean: zeros(),
        }
    }

    pub(super) fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        vec![("exp_avg", &self.mean)]
    }

    pub(super) fn step(&self, step: &Step<'_>) {
        let means = step.group.views(&self.mean);
        let all = step.parameters.iter().zip(&means).zip(&step.gradients);
        for ((theta, mean), gradient) in all {
            let gradient = gradient / step.scale;
            let direction = gradient.lerp(mean, self.beta1).sign();
            let moved = theta * (1.0 - step.lr * step.group.weight_decay) - direction * step.lr;
            let next = gradient.lerp(mean, self.beta2);
            theta
                .shallow_clone()
                .copy_(&moved.where_self(step.ok, theta));
            mean.shallow_clone().copy_(&next.where_self(step.ok, mean));
        }
    }
}
