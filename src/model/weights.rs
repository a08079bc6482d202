//! The numbers that fill a plan: all trainable ones in one flat buffer, all running statistics in another.
//!
//! One buffer makes the optimizer a handful of operations, the global norm one, and a copy of the model two. Layers
//! see views of it: `split_with_sizes` has a backward that is a single concatenation, so the gradient comes out flat.

use std::fmt;

use tch::{Device, Kind, Tensor};

use super::plan::{Init, Plan};

/// Momentum and epsilon of the running statistics, PyTorch's defaults.
pub(super) const NORM_MOMENTUM: f64 = 0.1;
pub(super) const NORM_EPS: f64 = 1e-5;

/// Why tensors do not fit a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightsError(pub String);

impl fmt::Display for WeightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WeightsError {}

/// The state of a network.
#[derive(Debug)]
pub struct Weights {
    /// All trainable numbers, f32, a leaf that gradients are taken of.
    pub flat: Tensor,
    /// Running mean, then running variance, of each norm in turn, f32.
    pub stats: Tensor,
}

impl Weights {
    /// Fresh weights that follow from the seed.
    pub fn new(plan: &Plan, seed: u64, device: Device) -> Self {
        // Drawn on the CPU, so that a seed gives the same network on every device.
        tch::manual_seed(crate::random::step_seed(seed, 0, u64::MAX));
        let options = (Kind::Float, Device::Cpu);
        let parts: Vec<Tensor> = plan
            .parameters
            .iter()
            .map(|parameter| match parameter.init {
                Init::Normal(deviation) => Tensor::randn([parameter.size()], options) * deviation,
                Init::Uniform(bound) => {
                    (Tensor::rand([parameter.size()], options) * 2.0 - 1.0) * bound
                }
                Init::Constant(value) => Tensor::full([parameter.size()], value, options),
            })
            .collect();
        let stats: Vec<Tensor> = plan
            .norms
            .iter()
            .flat_map(|(_, channels)| {
                [
                    Tensor::zeros([*channels], options),
                    Tensor::ones([*channels], options),
                ]
            })
            .collect();
        let stats = if stats.is_empty() {
            Tensor::zeros([0], options)
        } else {
            Tensor::cat(&stats, 0)
        };
        Self::from_flat(&Tensor::cat(&parts, 0), &stats, device)
    }

    fn from_flat(flat: &Tensor, stats: &Tensor, device: Device) -> Self {
        Self {
            flat: flat.to_device(device).copy().set_requires_grad(true),
            stats: stats.to_device(device).copy(),
        }
    }

    /// Weights of these numbers, in the order of the flat buffers.
    pub fn from_slices(flat: &[f32], stats: &[f32], device: Device) -> Self {
        Self::from_flat(
            &Tensor::from_slice(flat),
            &Tensor::from_slice(stats),
            device,
        )
    }

    /// A copy that training does not touch.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let _guard = tch::no_grad_guard();
        Self {
            flat: self.flat.detach().copy(),
            stats: self.stats.copy(),
        }
    }

    /// The parameters in their shapes: views of the flat buffer.
    pub fn parameters(&self, plan: &Plan) -> Vec<Tensor> {
        let sizes: Vec<i64> = plan.parameters.iter().map(super::Parameter::size).collect();
        let views = self.flat.split_with_sizes(sizes, 0);
        views
            .iter()
            .zip(&plan.parameters)
            .map(|(view, parameter)| view.view(parameter.shape.as_slice()))
            .collect()
    }

    /// All tensors by name, on the CPU: what `model.safetensors` holds.
    pub fn named(&self, plan: &Plan) -> Vec<(String, Vec<i64>, Vec<f32>)> {
        let _guard = tch::no_grad_guard();
        let parameters = self.parameters(plan).into_iter().zip(&plan.parameters);
        let mut out: Vec<_> = parameters
            .map(|(view, parameter)| named(&parameter.name, &view))
            .collect();
        for ((mean, variance), (name, _)) in norm_views(&self.stats, plan).iter().zip(&plan.norms) {
            out.push(named(&format!("{name}.running_mean"), mean));
            out.push(named(&format!("{name}.running_var"), variance));
        }
        out
    }

    /// Takes tensors by name, as [`Weights::named`] gave them.
    ///
    /// # Errors
    /// The first tensor that is missing or of another shape.
    pub fn from_named(
        plan: &Plan,
        tensors: &[(String, Vec<i64>, Vec<f32>)],
        device: Device,
    ) -> Result<Self, WeightsError> {
        let take = |name: &str, shape: &[i64]| {
            let found = tensors.iter().find(|(known, _, _)| known == name);
            let (_, got, values) =
                found.ok_or_else(|| WeightsError(format!("tensor {name} is missing")))?;
            if got != shape || values.len() as i64 != shape.iter().product::<i64>() {
                return Err(WeightsError(format!(
                    "tensor {name} has the shape {got:?}; this network needs {shape:?}"
                )));
            }
            Ok(Tensor::from_slice(values))
        };
        let wanted = plan.parameters.len() + 2 * plan.norms.len();
        if tensors.len() > wanted {
            let known = |name: &str| {
                let norm = |(norm, _): &(String, i64)| {
                    name == format!("{norm}.running_mean") || name == format!("{norm}.running_var")
                };
                plan.parameters.iter().any(|p| p.name == name) || plan.norms.iter().any(norm)
            };
            let odd = tensors.iter().find(|(name, _, _)| !known(name));
            let name = odd.map_or("", |(name, _, _)| name);
            return Err(WeightsError(format!(
                "tensor {name} has no place in this network"
            )));
        }
        let flat: Vec<Tensor> = plan
            .parameters
            .iter()
            .map(|p| take(&p.name, &p.shape))
            .collect::<Result<_, WeightsError>>()?;
        let mut stats = Vec::new();
        for (name, channels) in &plan.norms {
            stats.push(take(&format!("{name}.running_mean"), &[*channels])?);
            stats.push(take(&format!("{name}.running_var"), &[*channels])?);
        }
        let stats = if stats.is_empty() {
            Tensor::zeros([0], (Kind::Float, Device::Cpu))
        } else {
            Tensor::cat(&stats, 0)
        };
        Ok(Self::from_flat(&Tensor::cat(&flat, 0), &stats, device))
    }
}

/// Running mean and variance of each norm: views of the flat `stats`.
pub(super) fn norm_views(stats: &Tensor, plan: &Plan) -> Vec<(Tensor, Tensor)> {
    let mut start = 0;
    plan.norms
        .iter()
        .map(|(_, channels)| {
            let pair = (
                stats.narrow(0, start, *channels),
                stats.narrow(0, start + channels, *channels),
            );
            start += 2 * channels;
            pair
        })
        .collect()
}

fn named(name: &str, tensor: &Tensor) -> (String, Vec<i64>, Vec<f32>) {
    (name.to_owned(), tensor.size(), to_vec(tensor))
}

/// A tensor's numbers on the CPU, in order.
pub(crate) fn to_vec(tensor: &Tensor) -> Vec<f32> {
    let host = tensor
        .detach()
        .to_device(Device::Cpu)
        .to_kind(Kind::Float)
        .contiguous()
        .view([-1]);
    let mut out = vec![0.0; host.numel()];
    let length = out.len();
    host.copy_data(&mut out, length);
    out
}
