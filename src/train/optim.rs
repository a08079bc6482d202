//! The optimizers, over the flat buffer: what they remember can be read, saved and compared, which that of tch's cannot.
//!
//! The arithmetic is that of `torch.optim`'s fused kernels, one pass over memory on CPU and GPU. The gradient is clipped
//! and a bad step masked in the same pass: the kernels divide by a scale and do nothing where they are told so.

use tch::{Device, Kind, Tensor};

use super::muon::Muon;
use crate::config::{OptimConfig, OptimName};
use crate::model::{Parameter, Plan};
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
    /// Rows and columns of each stretch, where they are matrices whose steps Muon makes orthogonal; empty elsewhere.
    pub matrices: Vec<(i64, i64)>,
}

impl Group {
    fn views(&self, flat: &Tensor) -> Vec<Tensor> {
        let view = |&(start, length): &(i64, i64)| flat.narrow(0, start, length);
        self.ranges.iter().map(view).collect()
    }
}

/// The usual groups: weights that decay; biases and norm parameters, which do not. With Muon, the matrices between the first
/// and the last layer are a group of their own: those two are rather lists of vectors, and take AdamW's steps.
pub fn groups(config: &OptimConfig, plan: &Plan) -> Vec<Group> {
    let decay = |p: &Parameter| p.decay;
    let first = plan.parameters.iter().position(decay);
    let last = plan.parameters.iter().rposition(decay);
    let is_matrix = |i: usize, p: &Parameter| {
        config.name == OptimName::Muon && p.decay && Some(i) != first && Some(i) != last
    };
    let group = |wanted: &dyn Fn(usize, &Parameter) -> bool, decays: bool| Group {
        ranges: ranges(plan, wanted),
        lr_factor: if decays { 1.0 } else { config.norm_lr_factor },
        weight_decay: if decays { config.weight_decay } else { 0.0 },
        matrices: Vec::new(),
    };
    let mut matrices = group(&is_matrix, true);
    let parameters = plan.parameters.iter().enumerate();
    let mut own = parameters.filter(|(i, p)| is_matrix(*i, p));
    matrices.matrices = own.by_ref().map(|(_, p)| rows_and_columns(p)).collect();
    let mut all = vec![
        matrices,
        group(&|i, p| p.decay && !is_matrix(i, p), true),
        group(&|_, p| !p.decay, false),
    ];
    all.retain(|group| !group.ranges.is_empty());
    // Where each number is moved by itself, neighbours can be moved in one go.
    for group in all.iter_mut().filter(|group| group.matrices.is_empty()) {
        group.ranges.dedup_by(|next, before| {
            let touches = before.0 + before.1 == next.0;
            if touches {
                before.1 += next.1;
            }
            touches
        });
    }
    all
}

/// The stretches of these parameters, one for each.
fn ranges(plan: &Plan, wanted: &dyn Fn(usize, &Parameter) -> bool) -> Vec<(i64, i64)> {
    let mut ranges = Vec::new();
    let mut start = 0;
    for (i, parameter) in plan.parameters.iter().enumerate() {
        if wanted(i, parameter) {
            ranges.push((start, parameter.size()));
        }
        start += parameter.size();
    }
    ranges
}

/// A weight as a matrix: a row for each output.
fn rows_and_columns(parameter: &Parameter) -> (i64, i64) {
    let rows = parameter.shape.first().copied().unwrap_or(1).max(1);
    (rows, parameter.size() / rows)
}

/// An optimizer and what it remembers.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimConfig,
    groups: Vec<Group>,
    memory: Memory,
    /// Numbers that Muon's iteration computes with.
    kind: Kind,
    /// A step has begun and has not been settled: what it moves may be half moved.
    moving: bool,
    /// Steps that counted, an f32 scalar on the device: only the device knows which were masked.
    steps: Tensor,
}

/// What an optimizer remembers of every parameter, flat.
#[derive(Debug)]
enum Memory {
    /// Running means of the gradient and of its square; Muon's matrices use the first only.
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
                OptimName::Adamw | OptimName::Adam | OptimName::Muon => Memory::Adam {
                    mean: zeros(),
                    square: zeros(),
                },
                OptimName::Sgd => Memory::Sgd { velocity: zeros() },
            },
            config: config.clone(),
            groups,
            kind: Kind::Float,
            moving: false,
            steps: Tensor::zeros([], (Kind::Float, device)),
        }
    }

    /// Muon's iteration may compute with numbers of this kind.
    #[must_use]
    pub fn computing_in(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// The last step is counted: weights, memory and counters belong together again.
    pub fn settle(&mut self) {
        self.moving = false;
    }

    /// Whether a step began that was not settled.
    pub fn is_moving(&self) -> bool {
        self.moving
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

    /// A copy of the state by name, that later steps do not touch.
    pub fn named_snapshot(&self) -> Vec<(&'static str, Tensor)> {
        let state = self.state().into_iter();
        state.map(|(name, tensor)| (name, tensor.copy())).collect()
    }

    /// Takes the state up again by name, all of it or nothing.
    ///
    /// # Errors
    /// What is missing or of another size.
    pub fn take_up(&mut self, tensors: &[(String, Vec<i64>, Vec<f32>)]) -> Result<(), String> {
        let own = self.state();
        let mut found = Vec::with_capacity(own.len());
        for (name, tensor) in &own {
            let there = tensors.iter().find(|(known, _, _)| known == name);
            let (_, size, values) =
                there.ok_or_else(|| format!("{name} is missing: another optimizer wrote it"))?;
            if *size != tensor.size() || values.len() as i64 != size.iter().product::<i64>() {
                return Err(format!(
                    "{name} has the size {size:?}; it must be {:?}",
                    tensor.size()
                ));
            }
            found.push(Tensor::from_slice(values).view(size.as_slice()));
        }
        drop(own);
        self.restore(&found);
        Ok(())
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
        self.moving = true;
        let theta = theta.detach();
        let next = &self.steps + 1.0;
        let skip = ok.logical_not().to_kind(Kind::Float);
        for group in &self.groups {
            let lr = lr * group.lr_factor;
            let (parameters, gradients) = (group.views(&theta), group.views(gradient));
            match &self.memory {
                Memory::Adam { mean, .. } if !group.matrices.is_empty() => {
                    let muon = Muon {
                        lr,
                        momentum: self.config.momentum,
                        nesterov: self.config.nesterov,
                        weight_decay: group.weight_decay,
                        kind: self.kind,
                    };
                    let _guard = tch::no_grad_guard();
                    let means = group.views(mean);
                    let all = parameters.iter().zip(&means).zip(&gradients);
                    for ((own, gradient), &shape) in all.zip(&group.matrices) {
                        muon.step(own, gradient, shape, (scale, ok));
                    }
                }
                Memory::Adam { mean, square } => {
                    let numbers = AdamStep {
                        decoupled: self.config.name != OptimName::Adam,
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
