//! AdamW of our own, over the flat buffer: its state can be read, saved and compared, which tch's cannot.

use tch::{Device, Kind, Tensor};

use crate::config::OptimConfig;
use crate::model::Plan;

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019, in the form of `torch.optim.AdamW`):
/// `θ ← θ(1 − lr·λ)`, then `θ ← θ − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε)`.
#[derive(Debug)]
pub struct AdamW {
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    /// 1 where weight decay applies, else 0.
    decays: Tensor,
    /// Mean of gradients, of squared gradients; steps that counted.
    state: AdamWState,
}

/// What an optimizer remembers.
#[derive(Debug)]
pub struct AdamWState {
    /// Running mean of the gradient, flat.
    pub exp_avg: Tensor,
    /// Running mean of the squared gradient, flat.
    pub exp_avg_sq: Tensor,
    /// Steps taken, f64 on the device: skipped steps do not count, and only the device knows which were.
    pub steps: Tensor,
}

impl AdamW {
    /// A fresh optimizer for a plan's parameters.
    pub fn new(config: &OptimConfig, plan: &Plan, device: Device) -> Self {
        let masks: Vec<Tensor> = plan
            .parameters
            .iter()
            .map(|p| {
                Tensor::full(
                    [p.size()],
                    f64::from(u8::from(p.decay)),
                    (Kind::Float, device),
                )
            })
            .collect();
        Self::with_mask(config, Tensor::cat(&masks, 0))
    }

    /// A fresh optimizer that decays where the mask is 1.
    pub fn with_mask(config: &OptimConfig, decays: Tensor) -> Self {
        let device = decays.device();
        let state = AdamWState {
            exp_avg: decays.zeros_like(),
            exp_avg_sq: decays.zeros_like(),
            steps: Tensor::zeros([], (Kind::Double, device)),
        };
        let OptimConfig {
            beta1,
            beta2,
            eps,
            weight_decay,
            ..
        } = *config;
        Self {
            beta1,
            beta2,
            eps,
            weight_decay,
            decays,
            state,
        }
    }

    /// What it remembers.
    pub fn state(&self) -> &AdamWState {
        &self.state
    }

    /// One step of `theta` along the clipped gradient, on the device and without waiting for it. Where `ok` (a boolean
    /// scalar) is false nothing changes, neither weights nor memory.
    pub fn step(&mut self, theta: &mut Tensor, gradient: &Tensor, lr: f64, ok: &Tensor) {
        let state = &mut self.state;
        let steps = &state.steps + 1.0;
        let exp_avg = state.exp_avg.lerp(gradient, 1.0 - self.beta1);
        let exp_avg_sq = &state.exp_avg_sq * self.beta2 + gradient * gradient * (1.0 - self.beta2);
        let bias1 = Tensor::pow_scalar(self.beta1, &steps) * -1.0 + 1.0;
        let bias2 = (Tensor::pow_scalar(self.beta2, &steps) * -1.0 + 1.0).sqrt();
        let denominator = exp_avg_sq.sqrt() / bias2 + self.eps;
        let kept = &self.decays * (-lr * self.weight_decay) + 1.0;
        let next = &*theta * kept - &exp_avg / denominator * (bias1.reciprocal() * lr);
        theta.copy_(&next.where_self(ok, theta));
        state.exp_avg.copy_(&exp_avg.where_self(ok, &state.exp_avg));
        state
            .exp_avg_sq
            .copy_(&exp_avg_sq.where_self(ok, &state.exp_avg_sq));
        state.steps.copy_(&steps.where_self(ok, &state.steps));
    }
}
