//! From images to logits, and from logits back to a gradient.
//!
//! There are two ways that give the same: layer by layer with libtorch and its autograd, on every device, and on CPUs in
//! [`fused`](super::fused) stages, which is several times as fast. `tests/engine/fused.rs` holds them together.

use tch::{Device, Kind, Reduction, Tensor};

use super::fused::Fused;
use super::plan::{Layer, Op, Plan};
use super::weights::{NORM_EPS, NORM_MOMENTUM, Weights, norm_views};

/// A plan that can be computed.
#[derive(Debug, Clone)]
pub struct Network {
    /// What it is made of.
    pub plan: Plan,
    fused: Option<Fused>,
}

/// What a batch gives.
#[derive(Debug)]
pub struct Gradient {
    /// Cross-entropy with label smoothing, mean over the batch; f32 scalar on the device.
    pub loss: Tensor,
    /// Logits (N, classes), f32, with the weights before the step.
    pub logits: Tensor,
    /// Gradient of every trainable number, f32, flat as [`Weights::flat`].
    pub flat: Tensor,
    /// The running statistics after this batch, flat as [`Weights::stats`].
    pub stats: Tensor,
}

/// How a batch is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Computation {
    /// The kind of numbers between layers: `Float` or `BFloat16`. Weights and sums are f32 in both.
    pub kind: Kind,
    /// Share of the target spread over all classes.
    pub label_smoothing: f64,
}

impl Network {
    /// A network of this plan.
    pub fn new(plan: Plan) -> Self {
        let fused = Fused::of(&plan);
        Self { plan, fused }
    }

    /// The same network without our own kernels: libtorch layer by layer.
    #[must_use]
    pub fn plain(plan: Plan) -> Self {
        Self { plan, fused: None }
    }

    fn fused_on(&self, device: Device) -> Option<&Fused> {
        self.fused.as_ref().filter(|_| device == Device::Cpu)
    }

    /// Logits (N, classes) of normalised images (N, C, H, W) in f32, as an evaluation computes them: batch norm uses the
    /// running statistics, nothing is dropped, nothing moves.
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

    /// Loss and gradient of a batch of normalised images and their labels. `stats` are the running statistics to go on
    /// from; neither they nor the weights change.
    pub fn gradient(
        &self,
        weights: &Weights,
        stats: &Tensor,
        batch: (&Tensor, &Tensor),
        how: Computation,
    ) -> Gradient {
        self.gradient_in_two(weights, stats, batch, how, &mut || ())
    }

    /// As [`gradient`](Self::gradient); `between` is called when the loss is there (or asked for, on a GPU) and the way back
    /// begins, so that both can be timed.
    pub fn gradient_in_two(
        &self,
        weights: &Weights,
        stats: &Tensor,
        (images, labels): (&Tensor, &Tensor),
        how: Computation,
        between: &mut dyn FnMut(),
    ) -> Gradient {
        let loss = |logits: &Tensor| {
            // libtorch's smoothing is (1-ε)·onehot + ε/K, the definition this project uses.
            logits.cross_entropy_loss(
                labels,
                None::<Tensor>,
                Reduction::Mean,
                -100,
                how.label_smoothing,
            )
        };
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

    /// Layer by layer, through autograd. While training, batch norm uses the batch's statistics and moves `stats`, and
    /// dropout drops.
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

    /// The name of the first layer whose output is not finite for these images, as training computes it; `None` when all
    /// are.
    pub fn first_bad_layer(
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

/// One way through layers.
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
                .map_or_else(|| x.shallow_clone(), |kept| x + kept),
            Op::Gap => x.mean_dim([2_i64, 3].as_slice(), false, Kind::Float),
            // Channels-last in memory, but PyTorch's order in the matrix.
            Op::Flatten => x.contiguous().flatten(1, -1),
            Op::Dropout(p) => x.dropout(p, self.train),
            Op::Linear { weight } => linear(x, parameter(weight), parameter(weight + 1), self.kind),
        }
    }
}

// A plan draws its own indices, so a missing parameter cannot happen; were it to, the layer would pass its input on and
// the shapes that follow would not fit, which libtorch reports.

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

/// A matrix of many features is worth the smaller numbers; one of few is not.
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
