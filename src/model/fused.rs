//! Forward and backward pass of the network on a CPU, without autograd. Convolutions use libtorch, everything between
//! them one of our [`kernels`](crate::kernels). Only the head, which is small, uses autograd.
//!
//! Activations are stored as f32 or bf16 in the order (image, row, column, channel). Weights, sums, statistics and
//! gradients are f32, except for the gradients of convolutions, which libtorch returns in the dtype of the computation.

mod backward;
mod stages;

use tch::{Kind, Tensor};

use self::stages::{Pool, Stage};
use super::forward::Gradient;
use super::plan::Plan;
use super::weights::{NORM_EPS, NORM_MOMENTUM, Weights, norm_views};
use crate::kernels::{self, Affine, Element, Extent, FewConv, Moments};
use crate::native::{Bf16, empty_nhwc, slice, slice_mut};

/// A plan divided into fused stages, and its head.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fused {
    stages: Vec<Stage>,
    /// Index of the first layer of the head.
    pub(super) head: usize,
}

/// Activations of a stage that its backward pass needs.
struct SavedActivations {
    /// Input of the convolution, (N, H, W, C); for the first stage the images in f32.
    input: Tensor,
    /// Output of the convolution, (N, H, W, C).
    x: Tensor,
    /// The activation added by a skip connection.
    skip: Option<Tensor>,
    moments: Moments,
    affine: Affine,
    extent: Extent,
}

/// The mean and variance that batch norm uses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Statistics {
    /// Those of the batch, which also update the running statistics.
    Batch,
    /// The running statistics.
    Running,
}

impl Fused {
    /// Divides a plan into stages; `None` if the kernels do not support the plan or the CPU.
    pub(super) fn of(plan: &Plan) -> Option<Self> {
        if !kernels::is_cpu_supported() {
            return None;
        }
        let (stages, head) = stages::of(plan)?;
        Some(Self { stages, head })
    }

    /// The input of the head in evaluation mode: features (N, C) after global pooling, otherwise (N, C, H, W).
    pub(super) fn features(
        &self,
        plan: &Plan,
        weights: &Weights,
        images: &Tensor,
        kind: Kind,
    ) -> Tensor {
        let parameters = weights.parameters(plan);
        let norms = norm_views(&weights.stats, plan);
        let images = images.permute([0, 2, 3, 1]).contiguous();
        match kind {
            Kind::BFloat16 => {
                self.forward::<Bf16>(&parameters, &norms, &images, Statistics::Running)
                    .0
            }
            _ => {
                self.forward::<f32>(&parameters, &norms, &images, Statistics::Running)
                    .0
            }
        }
    }

    /// Loss, logits and the flat gradient of a batch. `head` completes the forward pass: it computes loss and logits
    /// from the parameters (autograd leaves) and the features.
    pub(super) fn gradient(
        &self,
        plan: &Plan,
        (weights, stats): (&Weights, &Tensor),
        images: &Tensor,
        kind: Kind,
        head: impl FnMut(&[Tensor], &Tensor) -> (Tensor, Tensor),
    ) -> Gradient {
        let images = images.permute([0, 2, 3, 1]).contiguous();
        match kind {
            Kind::BFloat16 => self.gradient_in::<Bf16>(plan, (weights, stats), &images, head),
            _ => self.gradient_in::<f32>(plan, (weights, stats), &images, head),
        }
    }

    fn gradient_in<T: Element>(
        &self,
        plan: &Plan,
        (weights, stats): (&Weights, &Tensor),
        images: &Tensor,
        mut head: impl FnMut(&[Tensor], &Tensor) -> (Tensor, Tensor),
    ) -> Gradient {
        let parameters: Vec<Tensor> = weights
            .parameters(plan)
            .iter()
            .map(Tensor::detach)
            .collect();
        let stats = stats.copy();
        let views = norm_views(&stats, plan);
        let (features, saved) = {
            let _guard = tch::no_grad_guard();
            self.forward::<T>(&parameters, &views, images, Statistics::Batch)
        };
        let mut gradients: Vec<Option<Tensor>> = (0..parameters.len()).map(|_| None).collect();
        // For the head, the features and its own parameters are autograd leaves.
        let features = features.detach().set_requires_grad(true);
        let own = stages::parameters_of(plan, self.head);
        let leaves: Vec<Tensor> = parameters
            .iter()
            .enumerate()
            .map(|(i, p)| {
                if own.contains(&i) {
                    p.detach().set_requires_grad(true)
                } else {
                    p.shallow_clone()
                }
            })
            .collect();
        let (loss, logits) = head(&leaves, &features);
        let wanted: Vec<&Tensor> = std::iter::once(&features)
            .chain(own.iter().filter_map(|&i| leaves.get(i)))
            .collect();
        let mut out = Tensor::run_backward(&[&loss], &wanted, false, false).into_iter();
        let _guard = tch::no_grad_guard();
        let upstream = out.next().unwrap_or_else(|| features.zeros_like());
        for (&i, gradient) in own.iter().zip(out) {
            if let Some(place) = gradients.get_mut(i) {
                *place = Some(gradient);
            }
        }
        self.backward::<T>(&parameters, saved, &upstream, &mut gradients);
        let flat: Vec<Tensor> = gradients
            .into_iter()
            .zip(&parameters)
            .map(|(gradient, parameter)| {
                gradient
                    .map_or_else(|| parameter.zeros_like(), |g| g.to_kind(Kind::Float))
                    .contiguous()
                    .view([-1])
            })
            .collect();
        Gradient {
            loss: loss.detach(),
            logits: logits.detach(),
            flat: Tensor::cat(&flat, 0),
            stats,
        }
    }

    fn forward<T: Element>(
        &self,
        parameters: &[Tensor],
        norms: &[(Tensor, Tensor)],
        images: &Tensor,
        statistics: Statistics,
    ) -> (Tensor, Vec<SavedActivations>) {
        let mut activations = Vec::with_capacity(self.stages.len());
        let mut saved: Option<Tensor> = None;
        let mut input = images.shallow_clone();
        for (i, stage) in self.stages.iter().enumerate() {
            if stage.save {
                saved = Some(input.shallow_clone());
            }
            let weight = &parameters[stage.weight];
            let x = if i == 0 && few_channels(&input) {
                few::<T>(&input, weight, stage)
            } else {
                convolution(&input.to_kind(T::KIND), weight, stage.padding)
            };
            let extent = extent_of(&x);
            let gamma = slice::<f32>(&parameters[stage.scale]);
            let beta = slice::<f32>(&parameters[stage.scale + 1]);
            let (mean, variance) = &norms[stage.norm];
            let moments = match statistics {
                Statistics::Batch => {
                    let moments = kernels::moments(slice::<T>(&x), extent);
                    update_running((mean, variance), &moments, extent);
                    moments
                }
                Statistics::Running => Moments {
                    mean: slice::<f32>(mean).to_vec(),
                    variance: slice::<f32>(variance).to_vec(),
                },
            };
            let affine = Affine::new(&moments, gamma, beta, NORM_EPS);
            let skip = if stage.add { saved.take() } else { None };
            let y = activation::<T>(&x, skip.as_ref(), &affine, extent, stage.pool);
            if statistics == Statistics::Batch {
                activations.push(SavedActivations {
                    input,
                    x,
                    skip,
                    moments,
                    affine,
                    extent,
                });
            }
            input = y;
        }
        let features = match self.stages.last().map(|stage| stage.pool) {
            Some(Pool::Mean) => input,
            Some(Pool::None | Pool::Maximum) | None => {
                input.permute([0, 3, 1, 2]).to_kind(Kind::Float)
            }
        };
        (features, activations)
    }
}

/// Whether [`FewConv`] is faster than libtorch's convolution for these images (N, H, W, C).
fn few_channels(images: &Tensor) -> bool {
    images.size().last().is_some_and(|&channels| channels <= 4)
}

fn extent_of(nhwc: &Tensor) -> Extent {
    let size: Vec<usize> = nhwc.size().iter().map(|&n| n as usize).collect();
    let at = |i: usize| size.get(i).copied().unwrap_or(1);
    Extent {
        images: at(0),
        height: at(1),
        width: at(2),
        channels: at(3),
    }
}

fn few_shape(images: &Tensor, stage: &Stage) -> FewConv {
    FewConv {
        input: extent_of(images),
        kernel: stage.kernel as usize,
        padding: stage.padding as usize,
        channels: stage.channels as usize,
    }
}

fn nhwc_of(extent: Extent, kind: Kind) -> Tensor {
    let Extent {
        images,
        height,
        width,
        channels,
    } = extent;
    empty_nhwc(
        [images as i64, height as i64, width as i64, channels as i64],
        kind,
    )
}

fn few<T: Element>(images: &Tensor, weight: &Tensor, stage: &Stage) -> Tensor {
    let shape = few_shape(images, stage);
    let mut out = nhwc_of(shape.output(), T::KIND);
    shape.forward::<T>(slice(images), slice(weight), slice_mut(&mut out));
    out
}

fn convolution(nhwc: &Tensor, weight: &Tensor, padding: i64) -> Tensor {
    nhwc.permute([0, 3, 1, 2])
        .conv2d(
            &weight.to_kind(nhwc.kind()),
            None::<Tensor>,
            [1, 1],
            [padding, padding],
            [1, 1],
            1,
        )
        .permute([0, 2, 3, 1])
        .contiguous()
}

/// Updates the running statistics as PyTorch does, with the batch's mean and unbiased variance.
fn update_running((mean, variance): (&Tensor, &Tensor), moments: &Moments, extent: Extent) {
    let m = extent.positions() as f64;
    let unbiased: Vec<f32> = moments
        .variance
        .iter()
        .map(|v| (f64::from(*v) * m / (m - 1.0)) as f32)
        .collect();
    for (running, batch) in [(mean, &moments.mean), (variance, &unbiased)] {
        let moved = running * (1.0 - NORM_MOMENTUM) + Tensor::from_slice(batch) * NORM_MOMENTUM;
        running.shallow_clone().copy_(&moved);
    }
}

fn activation<T: Element>(
    x: &Tensor,
    skip: Option<&Tensor>,
    affine: &Affine,
    extent: Extent,
    pool: Pool,
) -> Tensor {
    let skip = skip.map(slice::<T>);
    match pool {
        Pool::None => {
            let mut y = nhwc_of(extent, T::KIND);
            kernels::activate::<T>(slice(x), skip, affine, extent, slice_mut(&mut y));
            y
        }
        Pool::Maximum => {
            let half = Extent {
                height: extent.height / 2,
                width: extent.width / 2,
                ..extent
            };
            let mut y = nhwc_of(half, T::KIND);
            kernels::maximum::<T>(slice(x), affine, extent, slice_mut(&mut y));
            y
        }
        Pool::Mean => {
            let mut y = Tensor::empty(
                [extent.images as i64, extent.channels as i64],
                (Kind::Float, tch::Device::Cpu),
            );
            kernels::mean::<T>(slice(x), skip, affine, extent, slice_mut(&mut y));
            y
        }
    }
}
