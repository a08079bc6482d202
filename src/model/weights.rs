//! The weights of a network: all trainable parameters in one flat buffer, all running statistics in another.
//!
//! With flat buffers an optimizer step needs only a few operations, the global gradient norm one and a copy of the
//! model two. Layers use views of the buffer. The backward pass of `split_with_sizes` is a single concatenation, so the
//! gradient is flat, too.

use std::fmt;

use tch::{Device, Kind, Tensor};

use super::plan::{Init, Plan};

/// Momentum of the running statistics and epsilon of batch norm: PyTorch's defaults.
pub(super) const NORM_MOMENTUM: f64 = 0.1;
pub(super) const NORM_EPS: f64 = 1e-5;

/// An error message for tensors that do not fit a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightsError(pub String);

impl fmt::Display for WeightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WeightsError {}

/// The weights and running statistics of a network.
#[derive(Debug)]
pub struct Weights {
    /// All trainable parameters in plan order, f32, an autograd leaf.
    pub flat: Tensor,
    /// Running mean and running variance of each batch norm in plan order, f32.
    pub stats: Tensor,
}

impl Weights {
    /// Random initial weights that depend only on the plan and the seed.
    pub fn new(plan: &Plan, seed: u64, device: Device) -> Self {
        // Sampled on the CPU, so that a seed gives the same weights on every device.
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

    /// Weights with these values for the two flat buffers.
    pub fn from_slices(flat: &[f32], stats: &[f32], device: Device) -> Self {
        Self::from_flat(
            &Tensor::from_slice(flat),
            &Tensor::from_slice(stats),
            device,
        )
    }

    /// A copy that training does not change. Its `flat` is not an autograd leaf.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let _guard = tch::no_grad_guard();
        Self {
            flat: self.flat.detach().copy(),
            stats: self.stats.copy(),
        }
    }

    /// The same weights, sharing the buffers.
    #[must_use]
    pub fn shallow_clone(&self) -> Self {
        Self {
            flat: self.flat.shallow_clone(),
            stats: self.stats.shallow_clone(),
        }
    }

    /// The parameters as views of the flat buffer, in their shapes.
    pub fn parameters(&self, plan: &Plan) -> Vec<Tensor> {
        let sizes: Vec<i64> = plan.parameters.iter().map(super::Parameter::size).collect();
        let views = self.flat.split_with_sizes(sizes, 0);
        views
            .iter()
            .zip(&plan.parameters)
            .map(|(view, parameter)| view.view(parameter.shape.as_slice()))
            .collect()
    }

    /// Name, shape and values of all tensors, as in `model.safetensors`.
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

    /// Weights from tensors by name, as returned by [`Weights::named`].
    ///
    /// # Errors
    /// If a tensor is missing, unexpected or has the wrong shape.
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
                    "tensor {name} has shape {got:?}, expected {shape:?}"
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
            let unexpected = tensors.iter().find(|(name, _, _)| !known(name));
            let name = unexpected.map_or("", |(name, _, _)| name);
            return Err(WeightsError(format!(
                "tensor {name} is not part of this network"
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

/// Running mean and variance of each batch norm, as views of the flat `stats`.
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

/// The values of a tensor as f32, row-major.
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
