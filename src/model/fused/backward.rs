//! The backward pass through the stages, without autograd.

use tch::{Kind, Tensor};

use super::stages::{Pool, Stage};
use super::{Fused, SavedActivations, extent_of, few_channels, few_shape, nhwc_of};
use crate::kernels::{self, Element, Upstream};
use crate::model::weights::NORM_EPS;
use crate::native::{Bf16, Convolution, convolution_backward, slice, slice_mut};

impl Fused {
    /// Computes the gradients of all stage parameters from the gradient of the features, and stores them in
    /// `gradients`.
    pub(super) fn backward<T: Element>(
        &self,
        parameters: &[Tensor],
        saved: Vec<SavedActivations>,
        features: &Tensor,
        gradients: &mut [Option<Tensor>],
    ) {
        let mut upstream = match self.stages.last().map(|stage| stage.pool) {
            Some(Pool::Mean) => features.contiguous(),
            Some(Pool::None | Pool::Maximum) | None => {
                features.permute([0, 2, 3, 1]).contiguous().to_kind(T::KIND)
            }
        };
        let mut skip_gradient: Option<Tensor> = None;
        for (i, (stage, saved)) in self.stages.iter().zip(saved).enumerate().rev() {
            let first = i == 0;
            let (weight, gamma, beta, input) = if first && few_channels(&saved.input) {
                let (w, g, b) = first_layer::<T>(&saved, stage, &upstream);
                (w, g, b, None)
            } else {
                let (x, skip, g, b) = norm::<T>(&saved, stage, &upstream);
                if skip.is_some() {
                    skip_gradient = skip;
                }
                let input = saved.input.to_kind(T::KIND);
                let (w, input) = convolution_gradients::<T>(
                    &x,
                    &input,
                    &parameters[stage.weight],
                    stage,
                    !first,
                );
                (w, g, b, input)
            };
            gradients[stage.weight] = Some(weight);
            gradients[stage.scale] = Some(gamma);
            gradients[stage.scale + 1] = Some(beta);
            if let Some(input) = input {
                upstream = input.permute([0, 2, 3, 1]).contiguous();
            }
            if stage.save
                && let Some(skip) = skip_gradient.take()
            {
                upstream += skip;
            }
        }
    }
}

/// Gradients of a convolution's weight and, if `wants_input`, of its input, from the gradient of its output. The
/// gradient of the weight is computed on the CPU's tile unit (AMX), if it has one.
fn convolution_gradients<T: Element>(
    output: &Tensor,
    input: &Tensor,
    weight: &Tensor,
    stage: &Stage,
    wants_input: bool,
) -> (Tensor, Option<Tensor>) {
    let tiles = tile_gradient(output, input, stage).map(|w| Tensor::from_slice(&w));
    let (x, w) = convolution_backward(
        &output.permute([0, 3, 1, 2]),
        &input.permute([0, 3, 1, 2]),
        &weight.to_kind(T::KIND),
        stage.padding,
        (wants_input, tiles.is_none()),
    );
    (tiles.or(w).unwrap_or_else(|| weight.zeros_like()), x)
}

fn tile_gradient(output: &Tensor, input: &Tensor, stage: &Stage) -> Option<Vec<f32>> {
    let extent = extent_of(input);
    let convolution = Convolution {
        height: extent.height,
        width: extent.width,
        inputs: extent.channels,
        outputs: stage.channels as usize,
        kernel: stage.kernel as usize,
        padding: stage.padding as usize,
    };
    (input.kind() == Kind::BFloat16 && convolution.is_supported()).then(|| {
        let threads = tch::get_num_threads().max(1) as usize;
        convolution.weight_gradient(
            extent.images,
            slice::<Bf16>(input),
            slice::<Bf16>(output),
            threads,
        )
    })
}

fn upstream_of<T: Element>(tensor: &Tensor, pool: Pool) -> Upstream<'_, T> {
    match pool {
        Pool::None => Upstream::Each(slice(tensor)),
        Pool::Maximum => Upstream::Maximum(slice(tensor)),
        Pool::Mean => Upstream::Mean(slice(tensor)),
    }
}

/// Backward pass of batch norm, ReLU and pooling: gradients of the convolution's output, of the skip, of γ and of β.
fn norm<T: Element>(
    saved: &SavedActivations,
    stage: &Stage,
    upstream: &Tensor,
) -> (Tensor, Option<Tensor>, Tensor, Tensor) {
    let mut dx = nhwc_of(saved.extent, T::KIND);
    let mut skip_gradient = saved.skip.as_ref().map(|_| nhwc_of(saved.extent, T::KIND));
    let (gamma, beta) = kernels::backward::<T>(
        (
            slice(&saved.x),
            saved.skip.as_ref().map(slice::<T>),
            upstream_of(upstream, stage.pool),
        ),
        (&saved.moments, &saved.affine, NORM_EPS),
        saved.extent,
        slice_mut(&mut dx),
        skip_gradient.as_mut().map_or(&mut [], slice_mut::<T>),
    );
    (
        dx,
        skip_gradient,
        Tensor::from_slice(&gamma),
        Tensor::from_slice(&beta),
    )
}

/// Backward pass of a first stage with few input channels: gradients of the weight, of γ and of β.
fn first_layer<T: Element>(
    saved: &SavedActivations,
    stage: &Stage,
    upstream: &Tensor,
) -> (Tensor, Tensor, Tensor) {
    let (weight, gamma, beta) = kernels::first_backward::<T>(
        few_shape(&saved.input, stage),
        slice(&saved.input),
        (slice(&saved.x), upstream_of(upstream, stage.pool)),
        (&saved.moments, &saved.affine, NORM_EPS),
    );
    (
        Tensor::from_slice(&weight),
        Tensor::from_slice(&gamma),
        Tensor::from_slice(&beta),
    )
}
