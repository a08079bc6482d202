//! The optimizers, over the flat buffer: what they remember can be read, saved and compared, which that of tch's cannot.
//!
//! The arithmetic is that of `torch.optim`'s fused kernels, one pass over memory on CPU and GPU. The gradient is clipped
//! and a bad step masked in the same pass: the kernels divide by a scale and do nothing where they are told so.

use tch::{Device, Kind, Tensor};

use crate::config::{OptimConfig, OptimName};
use crate::model::Plan;
use crate::native::{AdamStep, SgdStep, fused_adam, fused_sgd};

/// Parameters that are treated alike: stretches of the flat buffer.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Start and length of each stretch.
    pub ranges: Vec<(i64, i64)>,
    /// Learning rate relative to the schedule's.
    pub lr_factor: f64,
    /// Weight decay.
    pub weight_decay: f64,
}

impl Group {
    fn views(&self, flat: &Tensor) -> Vec<Tensor> {
        let view = |&(start, length): &(i64, i64)| flat.narrow(0, start, length);
        self.ranges.iter().map(view).collect()
    }
}

/// The usual two groups: weights that decay; biases and norm parameters, which do not.
pub fn groups(config: &OptimConfig, plan: &Plan) -> Vec<Group> {
    let group = |decay: bool| {
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        let mut start = 0;
        for parameter in &plan.parameters {
            if parameter.decay == decay {
                match ranges.last_mut() {
                    Some((begin, length)) if *begin + *length == start => {
                        *length += parameter.size();
                    }
                    _ => ranges.push((start, parameter.size())),
                }
            }
            start += parameter.size();
        }
        Group {
            ranges,
            lr_factor: if decay { 1.0 } else { config.norm_lr_factor },
            weight_decay: if decay { config.weight_decay } else { 0.0 },
        }
    };
    [true, false]
        .map(group)
        .into_iter()
        .filter(|group| !group.ranges.is_empty())
        .collect()
}

/// An optimizer and what it remembers.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimConfig,
    groups: Vec<Group>,
    memory: Memory,
    /// Steps that counted, an f32 scalar on the device: only the device knows which were masked.
    steps: Tensor,
}

/// What an optimizer remembers of every parameter, flat.
#[derive(Debug)]
enum Memory {
    /// Running means of the gradient and of its square.
    Adam { mean: Tensor, square: Tensor },
    /// What the momentum carries on.
    Sgd { velocity: Tensor },
}

impl Optimizer {
    /// A fresh optimizer for a plan's parameters.
    pub fn new(config: &OptimConfig, plan: &Plan, device: Device) -> Self {
        Self::with_groups(config, groups(config, plan), plan.size(), device)
    }

    /// A fresh optimizer for `size` parameters in these groups.
    pub fn with_groups(
        config: &OptimConfig,
        groups: Vec<Group>,
        size: i64,
        device: Device,
    ) -> Self {
        let zeros = || Tensor::zeros([size], (Kind::Float, device));
        Self {
            memory: match config.name {
                OptimName::Adamw | OptimName::Adam => Memory::Adam {
                    mean: zeros(),
                    square: zeros(),
                },
                OptimName::Sgd => Memory::Sgd { velocity: zeros() },
            },
            config: config.clone(),
            groups,
            steps: Tensor::zeros([], (Kind::Float, device)),
        }
    }

    /// What it remembers, by the names of `torch.optim`: flat tensors, and `step`, a scalar.
    pub fn state(&self) -> Vec<(&'static str, &Tensor)> {
        let mut state = match &self.memory {
            Memory::Adam { mean, square } => vec![("exp_avg", mean), ("exp_avg_sq", square)],
            Memory::Sgd { velocity } => vec![("momentum_buffer", velocity)],
        };
        state.push(("step", &self.steps));
        state
    }

    /// A copy of the state that later steps do not touch.
    pub fn snapshot(&self) -> Vec<Tensor> {
        self.state()
            .into_iter()
            .map(|(_, tensor)| tensor.copy())
            .collect()
    }

    /// Takes a snapshot up again. It must be of an optimizer of the same kind and size.
    pub fn restore(&mut self, snapshot: &[Tensor]) {
        let _guard = tch::no_grad_guard();
        for ((_, tensor), from) in self.state().into_iter().zip(snapshot) {
            tensor.shallow_clone().copy_(from);
        }
    }

    /// One step of `theta` along the gradient divided by `scale`, on the device and without waiting for it. Where `ok` (a
    /// boolean scalar) is false nothing changes, neither weights nor memory. The gradient is used up.
    pub fn step(
        &mut self,
        theta: &Tensor,
        gradient: &Tensor,
        lr: f64,
        (scale, ok): (&Tensor, &Tensor),
    ) {
        let theta = theta.detach();
        let next = &self.steps + 1.0;
        let skip = ok.logical_not().to_kind(Kind::Float);
        for group in &self.groups {
            let lr = lr * group.lr_factor;
            let (parameters, gradients) = (group.views(&theta), group.views(gradient));
            match &self.memory {
                Memory::Adam { mean, square } => {
                    let numbers = AdamStep {
                        decoupled: self.config.name == OptimName::Adamw,
                        lr,
                        beta1: self.config.beta1,
                        beta2: self.config.beta2,
                        weight_decay: group.weight_decay,
                        eps: self.config.eps,
                    };
                    let moments = (&*group.views(mean), &*group.views(square));
                    fused_adam(
                        numbers,
                        &parameters,
                        &gradients,
                        moments,
                        &next,
                        (scale, &skip),
                    );
                }
                Memory::Sgd { velocity } => {
                    let numbers = SgdStep {
                        lr,
                        momentum: self.config.momentum,
                        weight_decay: group.weight_decay,
                        nesterov: self.config.nesterov,
                    };
                    fused_sgd(
                        numbers,
                        &parameters,
                        &gradients,
                        &group.views(velocity),
                        (scale, &skip),
                    );
                }
            }
        }
        self.steps += ok.to_kind(Kind::Float);
    }
}
