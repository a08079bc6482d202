//! The optimizers. They update the flat parameter buffer, and their state can be read, saved and compared, unlike the
//! state of tch's optimizers.
//!
//! Each has its own file: a struct with its state and hyperparameters, the names of its tensors and the update of one
//! group. Gradient clipping and the masking of non-finite steps are part of the update, so that they need no device
//! synchronisation: the gradient is divided by a scale, and if the step is not ok, nothing changes. The properties that
//! the configuration checks are in [`OptimName::traits`].

mod adam;
mod lion;
mod muon;
mod sgd;

use tch::{Device, Kind, Tensor};

use crate::config::{OptimConfig, OptimName};
use crate::model::{Parameter, Plan};
use adam::Adam;
use lion::Lion;
use muon::Muon;
use sgd::Sgd;

/// A parameter group: ranges of the flat buffer with the same learning rate and weight decay.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Start and length of each range.
    pub ranges: Vec<(i64, i64)>,
    /// Learning rate relative to that of the schedule.
    pub lr_factor: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// How the ranges are updated.
    pub layout: Layout,
}

/// How the ranges of a group are updated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// Element by element.
    Elements,
    /// As matrices: one per range, with these numbers of rows and columns.
    Matrices(Vec<(i64, i64)>),
}

impl Group {
    fn views(&self, flat: &Tensor) -> Vec<Tensor> {
        let view = |&(start, length): &(i64, i64)| flat.narrow(0, start, length);
        self.ranges.iter().map(view).collect()
    }
}

/// The groups of a plan: weights, with weight decay, and biases and norm parameters, without. If the optimizer updates
/// matrices, the weights between the first and the last layer form a separate group. The first and the last weight are
/// excluded, as they are better treated as lists of vectors.
pub fn groups(config: &OptimConfig, plan: &Plan) -> Vec<Group> {
    let decay = |p: &Parameter| p.decay;
    let first = plan.parameters.iter().position(decay);
    let last = plan.parameters.iter().rposition(decay);
    let has_matrices = config.name.traits().matrices;
    let (mut matrices, mut shapes) = (Vec::new(), Vec::new());
    let (mut weights, mut others) = (Vec::new(), Vec::new());
    let mut start = 0;
    for (i, parameter) in plan.parameters.iter().enumerate() {
        let range = (start, parameter.size());
        start += parameter.size();
        if !parameter.decay {
            extend(&mut others, range);
        } else if has_matrices && Some(i) != first && Some(i) != last {
            matrices.push(range);
            shapes.push(rows_and_columns(parameter));
        } else {
            extend(&mut weights, range);
        }
    }
    let group = |ranges, layout| Group {
        ranges,
        lr_factor: 1.0,
        weight_decay: config.weight_decay,
        layout,
    };
    let mut all = vec![
        group(matrices, Layout::Matrices(shapes)),
        group(weights, Layout::Elements),
        Group {
            lr_factor: config.norm_lr_factor,
            weight_decay: 0.0,
            ..group(others, Layout::Elements)
        },
    ];
    all.retain(|group| !group.ranges.is_empty());
    all
}

/// Adds a range, merged with the last one if they are adjacent.
fn extend(ranges: &mut Vec<(i64, i64)>, range: (i64, i64)) {
    match ranges.last_mut() {
        Some(last) if last.0 + last.1 == range.0 => last.1 += range.1,
        _ => ranges.push(range),
    }
}

/// Shape of a weight as a matrix: one row per output channel.
fn rows_and_columns(parameter: &Parameter) -> (i64, i64) {
    let rows = parameter.shape.first().copied().unwrap_or(1).max(1);
    (rows, parameter.size() / rows)
}

/// An optimizer with its state.
#[derive(Debug)]
pub struct Optimizer {
    groups: Vec<Group>,
    state: State,
    /// Dtype of matrix products inside a step.
    kind: Kind,
    /// Whether a step has started that was not settled: parameters and state may be partly updated.
    moving: bool,
    /// Number of steps that were not masked, an f32 scalar on the device, since only the device knows which were.
    steps: Tensor,
}

/// The optimizers, each with its hyperparameters and state.
#[derive(Debug)]
enum State {
    /// `adamw` and `adam`.
    Adam(Adam),
    Sgd(Sgd),
    Muon(Muon),
    Lion(Lion),
}

impl State {
    fn new(config: &OptimConfig, zeros: &dyn Fn() -> Tensor) -> Self {
        match config.name {
            OptimName::Adamw | OptimName::Adam => Self::Adam(Adam::new(config, zeros)),
            OptimName::Sgd => Self::Sgd(Sgd::new(config, zeros)),
            OptimName::Muon => Self::Muon(Muon::new(config, zeros)),
            OptimName::Lion => Self::Lion(Lion::new(config, zeros)),
        }
    }

    /// The flat state tensors by their names in `torch.optim`, which checkpoints use.
    fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        match self {
            Self::Adam(adam) => adam.tensors(),
            Self::Sgd(sgd) => sgd.tensors(),
            Self::Muon(muon) => muon.tensors(),
            Self::Lion(lion) => lion.tensors(),
        }
    }

    /// Updates the parameters of one group and their optimizer state.
    fn step(&self, step: &Step<'_>) {
        match self {
            Self::Adam(adam) => adam.step(step),
            Self::Sgd(sgd) => sgd.step(step),
            Self::Muon(muon) => muon.step(step),
            Self::Lion(lion) => lion.step(step),
        }
    }
}

/// Arguments for the update of one group.
struct Step<'a> {
    group: &'a Group,
    /// Views of the group's ranges.
    parameters: Vec<Tensor>,
    /// Views of the same ranges of the gradient; the update may overwrite them.
    gradients: Vec<Tensor>,
    /// Learning rate of this group.
    lr: f64,
    /// Number of this step, from 1, an f32 scalar.
    number: &'a Tensor,
    /// Divisor of the gradient, an f32 scalar.
    scale: &'a Tensor,
    /// Whether the step is applied, a boolean scalar; if false, nothing may change.
    ok: &'a Tensor,
    /// 1 if the step is skipped, else 0, an f32 scalar: the form that libtorch's fused kernels expect.
    skip: &'a Tensor,
    /// Dtype of matrix products.
    kind: Kind,
}

impl Optimizer {
    /// A new optimizer for the parameters of a plan.
    pub fn new(config: &OptimConfig, plan: &Plan, device: Device) -> Self {
        Self::with_groups(config, groups(config, plan), plan.size(), device)
    }

    /// A new optimizer for `size` parameters in these groups.
    pub fn with_groups(
        config: &OptimConfig,
        groups: Vec<Group>,
        size: i64,
        device: Device,
    ) -> Self {
        let zeros = || Tensor::zeros([size], (Kind::Float, device));
        Self {
            state: State::new(config, &zeros),
            groups,
            kind: Kind::Float,
            moving: false,
            steps: Tensor::zeros([], (Kind::Float, device)),
        }
    }

    /// Sets the dtype of matrix products inside an update.
    #[must_use]
    pub fn computing_in(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Marks the last step as complete: weights, optimizer state and the trainer's counters are consistent again.
    pub fn settle(&mut self) {
        self.moving = false;
    }

    /// Whether a step has started that was not settled.
    pub fn is_moving(&self) -> bool {
        self.moving
    }

    /// The state by its names in `torch.optim`: flat tensors, and the scalar `step`.
    pub fn state(&self) -> Vec<(&'static str, &Tensor)> {
        let mut state = self.state.tensors();
        state.push(("step", &self.steps));
        state
    }

    /// A copy of the state that later steps do not change.
    pub fn snapshot(&self) -> Vec<Tensor> {
        self.state()
            .into_iter()
            .map(|(_, tensor)| tensor.copy())
            .collect()
    }

    /// A copy of the state by name that later steps do not change.
    pub fn named_snapshot(&self) -> Vec<(&'static str, Tensor)> {
        let state = self.state().into_iter();
        state.map(|(name, tensor)| (name, tensor.copy())).collect()
    }

    /// Restores the state by name. After an error the state is unchanged.
    ///
    /// # Errors
    /// If a tensor is missing or has the wrong size.
    pub fn restore_named(
        &mut self,
        tensors: &[(String, Vec<i64>, Vec<f32>)],
    ) -> Result<(), String> {
        let own = self.state();
        let mut found = Vec::with_capacity(own.len());
        for (name, tensor) in &own {
            let stored = tensors.iter().find(|(known, _, _)| known == name);
            let (_, size, values) =
                stored.ok_or_else(|| format!("{name} is missing: written by another optimizer"))?;
            if *size != tensor.size() || values.len() as i64 != size.iter().product::<i64>() {
                return Err(format!(
                    "{name} has size {size:?}, expected {:?}",
                    tensor.size()
                ));
            }
            found.push(Tensor::from_slice(values).view(size.as_slice()));
        }
        drop(own);
        self.restore(&found);
        Ok(())
    }

    /// Restores a snapshot of an optimizer of the same kind and size.
    pub fn restore(&mut self, snapshot: &[Tensor]) {
        let _guard = tch::no_grad_guard();
        for ((_, tensor), from) in self.state().into_iter().zip(snapshot) {
            tensor.shallow_clone().copy_(from);
        }
    }

    /// Updates `theta` with the gradient divided by `scale`, without waiting for the device. If `ok` (a boolean scalar)
    /// is false, neither weights nor state change. The gradient is overwritten.
    pub fn step(
        &mut self,
        theta: &Tensor,
        gradient: &Tensor,
        lr: f64,
        (scale, ok): (&Tensor, &Tensor),
    ) {
        self.moving = true;
        let _guard = tch::no_grad_guard();
        let theta = theta.detach();
        let number = &self.steps + 1.0;
        let skip = ok.logical_not().to_kind(Kind::Float);
        for group in &self.groups {
            self.state.step(&Step {
                group,
                parameters: group.views(&theta),
                gradients: group.views(gradient),
                lr: lr * group.lr_factor,
                number: &number,
                scale,
                ok,
                skip: &skip,
                kind: self.kind,
            });
        }
        self.steps += ok.to_kind(Kind::Float);
    }
}
