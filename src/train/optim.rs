//! The optimizers, over the flat parameter buffer, with a state that can be read, saved and compared, unlike that of tch's.
//!
//! Each lies in a file of its own: a struct with its state, the names of its tensors and the step of one group. Clipping and
//! the mask of steps that are not finite are part of that step: the gradient is divided by a scale, and where the step is
//! not ok nothing changes, without the device being waited for. What the configuration needs to know is in
//! [`OptimName::traits`].

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

/// Parameters with the same learning rate and decay: ranges of the flat buffer.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Start and length of each range.
    pub ranges: Vec<(i64, i64)>,
    /// Learning rate relative to the schedule's.
    pub lr_factor: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// What the ranges hold.
    pub layout: Layout,
}

/// What the ranges of a group hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// Parameters that are updated element by element.
    Elements,
    /// Matrices, one a range, with these numbers of rows and columns.
    Matrices(Vec<(i64, i64)>),
}

impl Group {
    fn views(&self, flat: &Tensor) -> Vec<Tensor> {
        let view = |&(start, length): &(i64, i64)| flat.narrow(0, start, length);
        self.ranges.iter().map(view).collect()
    }
}

/// The groups of a plan: weights, which decay; biases and norm parameters, which do not. Where the optimizer updates whole
/// matrices, those between the first and the last layer are a group of their own: these two are rather lists of vectors.
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

/// Adds a range, joined to the last one where they touch.
fn extend(ranges: &mut Vec<(i64, i64)>, range: (i64, i64)) {
    match ranges.last_mut() {
        Some(last) if last.0 + last.1 == range.0 => last.1 += range.1,
        _ => ranges.push(range),
    }
}

/// A weight as a matrix: a row for each output.
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
    /// A step has begun and has not been settled: parameters and state may be half updated.
    moving: bool,
    /// Steps that counted, an f32 scalar on the device: only the device knows which were masked.
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

    /// Its flat tensors by the names of `torch.optim`, which checkpoints use.
    fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        match self {
            Self::Adam(adam) => adam.tensors(),
            Self::Sgd(sgd) => sgd.tensors(),
            Self::Muon(muon) => muon.tensors(),
            Self::Lion(lion) => lion.tensors(),
        }
    }

    /// Updates the parameters of one group and what belongs to them.
    fn step(&self, step: &Step<'_>) {
        match self {
            Self::Adam(adam) => adam.step(step),
            Self::Sgd(sgd) => sgd.step(step),
            Self::Muon(muon) => muon.step(step),
            Self::Lion(lion) => lion.step(step),
        }
    }
}

/// One step of one group.
struct Step<'a> {
    group: &'a Group,
    /// Views of the group's ranges.
    parameters: Vec<Tensor>,
    /// Views of the same ranges of the gradient, which the step may overwrite.
    gradients: Vec<Tensor>,
    /// Learning rate of this group.
    lr: f64,
    /// Number of this step, from 1, an f32 scalar.
    number: &'a Tensor,
    /// What the gradient is divided by, an f32 scalar.
    scale: &'a Tensor,
    /// Whether the step counts, a boolean scalar; where it is false nothing may change.
    ok: &'a Tensor,
    /// 1 where the step does not count, an f32 scalar: the form that libtorch's fused kernels take.
    skip: &'a Tensor,
    /// Dtype of matrix products.
    kind: Kind,
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
            state: State::new(config, &zeros),
            groups,
            kind: Kind::Float,
            moving: false,
            steps: Tensor::zeros([], (Kind::Float, device)),
        }
    }

    /// Matrix products inside a step may use this dtype.
    #[must_use]
    pub fn computing_in(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// The last step is counted: weights, state and counters belong together again.
    pub fn settle(&mut self) {
        self.moving = false;
    }

    /// Whether a step began that was not settled.
    pub fn is_moving(&self) -> bool {
        self.moving
    }

    /// The state by the names of `torch.optim`: flat tensors, and `step`, a scalar.
    pub fn state(&self) -> Vec<(&'static str, &Tensor)> {
        let mut state = self.state.tensors();
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

    /// Restores the state by name, all of it or nothing.
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

    /// Restores a snapshot. It must be of an optimizer of the same kind and size.
    pub fn restore(&mut self, snapshot: &[Tensor]) {
        let _guard = tch::no_grad_guard();
        for ((_, tensor), from) in self.state().into_iter().zip(snapshot) {
            tensor.shallow_clone().copy_(from);
        }
    }

    /// One step of `theta` along the gradient divided by `scale`, on the device and without waiting for it. Where `ok` (a
    /// boolean scalar) is false nothing changes, neither weights nor state. The gradient is used up.
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
