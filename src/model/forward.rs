//! From images to logits.

use tch::Tensor;

use super::plan::{Op, Plan};
use super::weights::{NORM_EPS, NORM_MOMENTUM, Weights};

/// A plan that can be computed.
#[derive(Debug, Clone)]
pub struct Network {
    /// What it is made of.
    pub plan: Plan,
}

impl Network {
    /// Logits (N, classes) of normalised images (N, C, H, W). While training, batch norm uses the batch's statistics,
    /// moves the running ones, and dropout drops.
    pub fn forward(&self, weights: &Weights, images: &Tensor, train: bool) -> Tensor {
        let parameters = weights.parameters(&self.plan);
        let norms = weights.norms(&self.plan);
        let mut saved: Option<Tensor> = None;
        let mut x = images.shallow_clone();
        for layer in &self.plan.layers {
            x = match layer.op {
                Op::Conv { weight, padding } => conv(&x, parameters.get(weight), padding),
                Op::Norm { weight, norm } => norm_layer(
                    &x,
                    parameters.get(weight),
                    parameters.get(weight + 1),
                    norms.get(norm),
                    train,
                ),
                Op::Relu => x.relu(),
                Op::MaxPool => x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false),
                Op::Save => {
                    saved = Some(x.shallow_clone());
                    x
                }
                Op::AddSaved => saved
                    .take()
                    .map_or_else(|| x.shallow_clone(), |kept| &x + kept),
                Op::Gap => x.mean_dim([2_i64, 3].as_slice(), false, None),
                // Channels-last in memory, but PyTorch's order in the matrix.
                Op::Flatten => x.contiguous().flatten(1, -1),
                Op::Dropout(p) => x.dropout(p, train),
                Op::Linear { weight } => {
                    linear(&x, parameters.get(weight), parameters.get(weight + 1))
                }
            };
        }
        x
    }
}

// A plan draws its own indices, so a missing parameter cannot happen; were it to, the layer would pass its input on and
// the shapes that follow would not fit, which libtorch reports.

fn conv(x: &Tensor, weight: Option<&Tensor>, padding: i64) -> Tensor {
    let Some(weight) = weight else {
        return x.shallow_clone();
    };
    x.conv2d(
        weight,
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

fn linear(x: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Tensor {
    weight.map_or_else(|| x.shallow_clone(), |weight| x.linear(weight, bias))
}
