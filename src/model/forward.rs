//! The forward pass from images to logits, and the gradient of the loss.
//!
//! There are two equivalent implementations: layer by layer with libtorch and autograd, on every device, and in
//! [`fused`](super::fused) stages on CPUs, which is several times faster. `tests/engine/fused.rs` checks that they
//! agree.

use tch::{Device, Kind, Reduction, Tensor};

use super::fused::Fused;
use super::plan::{Layer, Op, Plan};
use super::weights::{NORM_EPS, NORM_MOMENTUM, Weights, norm_views};
use crate::data::Targets;

/// A network that computes the layers of a plan. It has no weights.
#[derive(Debug)]
pub struct Network {
    /// Its layers and parameters.
    pub plan: Plan,
    fused: Option<Fused>,
    /// Weight of each class in the loss, f32 (classes); `None` if all are the same.
    class_weights: Option<Tensor>,
}

/// Loss, logits, gradient and running statistics of a batch.
#[derive(Debug)]
pub struct Gradient {
    /// Cross-entropy with label smoothing, mean over the batch, weighted by class if classes have weights; f32 scalar on the
    /// device.
    pub loss: Tensor,
    /// Logits (N, classes), f32, with the weights before the step.
    pub logits: Tensor,
    /// Gradient of all trainable parameters, f32, flat like [`Weights::flat`].
    pub flat: Tensor,
    /// The running statistics after this batch, flat like [`Weights::stats`].
    pub stats: Tensor,
}

/// Dtype and label smoothing for the gradient of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Computation {
    /// Dtype of activations: `Float` or `BFloat16`. Weights and sums are f32 in both cases.
    pub kind: Kind,
    /// Fraction of the target probability that is distributed over all classes.
    pub label_smoothing: f64,
}

impl Network {
    /// A network for this plan, with fused stages if the plan and the CPU support them.
    pub fn new(plan: Plan) -> Self {
        let fused = Fused::of(&plan);
        Self {
            plan,
            fused,
            class_weights: None,
        }
    }

    /// This network with a weight for each class in the loss.
    #[must_use]
    pub fn with_class_weights(mut self, weights: Option<&[f64]>, device: Device) -> Self {
        self.class_weights = weights.map(|weights| {
            Tensor::from_slice(weights)
                .to_kind(Kind::Float)
                .to_device(device)
        });
        self
    }

    /// The share of a part of a batch in the mean loss of the batch, an f32 scalar, if classes have weights; otherwise it is
    /// the share of its images. Both are given by their labels.
    pub(crate) fn weighted_share(&self, part: &Tensor, batch: &Tensor) -> Option<Tensor> {
        let weights = self.class_weights.as_ref()?;
        let sum = |labels: &Tensor| weights.index_select(0, labels).sum(Kind::Float);
        Some(sum(part) / sum(batch))
    }

    /// A network for this plan that uses libtorch layer by layer, without fused stages.
    #[must_use]
    pub fn plain(plan: Plan) -> Self {
        Self {
            plan,
            fused: None,
            class_weights: None,
        }
    }

    fn fused_on(&self, device: Device) -> Option<&Fused> {
        self.fused.as_ref().filter(|_| device == Device::Cpu)
    }

    /// Logits (N, classes) of normalised images (N, C, H, W) in f32, in evaluation mode: batch norm uses the running
    /// statistics and does not update them, and there is no dropout.
    pub fn logits(&self, weights: &Weights, images: &Tensor) -> Tensor {
        let _guard = tch::no_grad_guard();
        if let Some(fused) = self.fused_on(images.device()) {
            let features = fused.features(&self.plan, weights, images, Kind::Float);
            let layers = self.plan.layers.get(fused.head..).unwrap_or_default();
            return Pass::new(&weights.parameters(&self.plan), &[], (Kind::Float, false))
                .run(layers, &features);
        }
        self.forward(weights, &weights.stats, images, (Kind::Float, false))
    }

    /// Loss and gradient of a batch of normalised images and their targets (or labels), in training mode. `stats` are the
    /// running statistics before this batch. Neither they nor the weights are modified.
    pub fn gradient(
        &self,
        weights: &Weights,
        stats: &Tensor,
        (images, targets): (&Tensor, impl Into<Targets>),
        how: Computation,
    ) -> Gradient {
        let batch = (images, &targets.into());
        self.gradient_with_timing(weights, stats, batch, how, &mut || ())
    }

    /// Like [`gradient`](Self::gradient), but calls `between` after the forward pass (on a GPU: after it is enqueued)
    /// and before the backward pass, so that both can be timed.
    pub fn gradient_with_timing(
        &self,
        weights: &Weights,
        stats: &Tensor,
        (images, targets): (&Tensor, &Targets),
        how: Computation,
        between: &mut dyn FnMut(),
    ) -> Gradient {
        let loss_of = |logits: &Tensor, labels: &Tensor| {
            // libtorch smooths labels to (1-ε)·onehot + ε/K, the definition this project uses. With class weights, the mean
            // is divided by the sum of the weights of the labels.
            logits.cross_entropy_loss(
                labels,
                self.class_weights.as_ref(),
                Reduction::Mean,
                -100,
                how.label_smoothing,
            )
        };
        let loss = |logits: &Tensor| targets.loss(|labels| loss_of(logits, labels));
        if let Some(fused) = self.fused_on(images.device()) {
            let layers = self.plan.layers.get(fused.head..).unwrap_or_default();
            return fused.gradient(
                &self.plan,
                (weights, stats),
                images,
                how.kind,
                |parameters, features| {
                    let logits = Pass::new(parameters, &[], (how.kind, true)).run(layers, features);
                    let loss = loss(&logits);
                    between();
                    (loss, logits)
                },
            );
        }
        let stats = stats.copy();
        let logits = self.forward(weights, &stats, images, (how.kind, true));
        let loss = loss(&logits);
        between();
        let gradient = Tensor::run_backward(&[&loss], &[&weights.flat], false, false);
        Gradient {
            loss: loss.detach(),
            logits: logits.detach(),
            flat: gradient
                .into_iter()
                .next()
                .unwrap_or_else(|| weights.flat.zeros_like()),
            stats,
        }
    }

    /// The forward pass layer by layer, with autograd. In training mode batch norm uses the statistics of the batch and
    /// updates `stats` in place, and dropout is active.
    fn forward(
        &self,
        weights: &Weights,
        stats: &Tensor,
        images: &Tensor,
        how: (Kind, bool),
    ) -> Tensor {
        let parameters = weights.parameters(&self.plan);
        let norms = norm_views(stats, &self.plan);
        Pass::new(&parameters, &norms, how).run(&self.plan.layers, images)
    }

    /// The name of the first layer whose output is not finite for these images, in training mode; `None` if all outputs
    /// are finite.
    pub fn first_non_finite_layer(
        &self,
        weights: &Weights,
        images: &Tensor,
        kind: Kind,
    ) -> Option<String> {
        let _guard = tch::no_grad_guard();
        let stats = weights.stats.copy();
        let (parameters, norms) = (
            weights.parameters(&self.plan),
            norm_views(&stats, &self.plan),
        );
        let mut pass = Pass::new(&parameters, &norms, (kind, true));
        let mut x = images.shallow_clone();
        for layer in &self.plan.layers {
            x = pass.layer(layer, &x);
            if !bool::try_from(x.isfinite().all()).unwrap_or(true) {
                return Some(layer.name.clone());
            }
        }
        None
    }
}

/// A forward pass through layers.
struct Pass<'a> {
    parameters: &'a [Tensor],
    norms: &'a [(Tensor, Tensor)],
    kind: Kind,
    train: bool,
    saved: Option<Tensor>,
}

impl<'a> Pass<'a> {
    fn new(
        parameters: &'a [Tensor],
        norms: &'a [(Tensor, Tensor)],
        (kind, train): (Kind, bool),
    ) -> Self {
        Self {
            parameters,
            norms,
            kind,
            train,
            saved: None,
        }
    }

    fn run(mut self, layers: &[Layer], input: &Tensor) -> Tensor {
        let mut x = input.shallow_clone();
        for layer in layers {
            x = self.layer(layer, &x);
        }
        x.to_kind(Kind::Float)
    }

    fn layer(&mut self, layer: &Layer, x: &Tensor) -> Tensor {
        let parameter = |i: usize| self.parameters.get(i);
        match layer.op {
            Op::Conv { weight, padding } => conv(x, parameter(weight), padding, self.kind),
            Op::Norm { weight, norm } => norm_layer(
                x,
                parameter(weight),
                parameter(weight + 1),
                self.norms.get(norm),
                self.train,
            ),
            Op::Relu => x.relu(),
            Op::MaxPool => x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false),
            Op::Save => {
                self.saved = Some(x.shallow_clone());
                x.shallow_clone()
            }
            Op::AddSaved => self
                .saved
                .take()
                .map_or_else(|| x.shallow_clone(), |saved| x + saved),
            Op::Gap => x.mean_dim([2_i64, 3].as_slice(), false, Kind::Float),
            // Memory is channels-last, but the weight matrix expects PyTorch's order (C, H, W).
            Op::Flatten => x.contiguous().flatten(1, -1),
            Op::Dropout(p) => x.dropout(p, self.train),
            Op::Linear { weight } => linear(x, parameter(weight), parameter(weight + 1), self.kind),
        }
    }
}

// A plan creates its own parameter indices, so a parameter cannot be missing. If one were, the layer would return its
// input and libtorch would report a shape mismatch in a later layer.

fn conv(x: &Tensor, weight: Option<&Tensor>, padding: i64, kind: Kind) -> Tensor {
    let Some(weight) = weight else {
        return x.shallow_clone();
    };
    x.to_kind(kind).conv2d(
        &weight.to_kind(kind),
        None::<Tensor>,
        [1, 1],
        [padding, padding],
        [1, 1],
        1,
    )
}

fn norm_layer(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    running: Option<&(Tensor, Tensor)>,
    train: bool,
) -> Tensor {
    let (mean, variance) = running.map_or((None, None), |(mean, variance)| {
        (Some(mean), Some(variance))
    });
    x.batch_norm(
        weight,
        bias,
        mean,
        variance,
        train,
        NORM_MOMENTUM,
        NORM_EPS,
        true,
    )
}

/// A linear layer. It uses the dtype `kind` only for 1024 or more input features; with fewer, the speed gain does not
/// justify the lower precision.
fn linear(x: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>, kind: Kind) -> Tensor {
    let Some(weight) = weight else {
        return x.shallow_clone();
    };
    let wide = weight
        .size()
        .last()
        .is_some_and(|&features| features >= 1024);
    let kind = if wide { kind } else { Kind::Float };
    x.to_kind(kind)
        .linear(&weight.to_kind(kind), bias.map(|bias| bias.to_kind(kind)))
}
