//! Batch norm (Ioffe & Szegedy 2015), fused with the skip addition, ReLU and pooling that follow.
//!
//! For the output x of a convolution: z = a·x + b (+ skip), a = γ/√(σ²+ε), b = β − a·μ, y = pool(max(0, z)). `forward`
//! computes y from x in one pass over memory, `backward` computes dx from dy in two.

pub(super) mod backward;
pub(super) mod forward;

use super::element::{Element, group, group_mut, lanes, load, store};
use super::launch::{kernel, launch};
use crate::native::for_chunks;

/// Shape of an activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) images: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

impl Extent {
    /// Number of elements per image.
    pub(crate) fn slab(self) -> usize {
        self.height * self.width * self.channels
    }

    /// Number of positions in the batch.
    pub(crate) fn positions(self) -> usize {
        self.images * self.height * self.width
    }

    pub(super) fn check(self, length: usize) {
        assert_eq!(length, self.images * self.slab(), "{self:?}");
    }
}

/// Mean and (biased) variance of each channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moments {
    pub(crate) mean: Vec<f32>,
    pub(crate) variance: Vec<f32>,
}

/// Batch norm as an affine function per channel: z = scale·x + shift.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Affine {
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
}

impl Affine {
    /// The affine function for these moments, γ, β and ε.
    pub(crate) fn new(moments: &Moments, gamma: &[f32], beta: &[f32], eps: f64) -> Self {
        let scale: Vec<f32> = gamma
            .iter()
            .zip(&moments.variance)
            .map(|(gamma, variance)| {
                (f64::from(*gamma) / (f64::from(*variance) + eps).sqrt()) as f32
            })
            .collect();
        let shift = beta
            .iter()
            .zip(&moments.mean)
            .zip(&scale)
            .map(|((beta, mean), scale)| {
                (f64::from(*beta) - f64::from(*mean) * f64::from(*scale)) as f32
            })
            .collect();
        Self { scale, shift }
    }
}

/// Mean and variance of each channel over all images and positions. Each image is read twice while it is in the cache,
/// and the moments of the images are combined in f64 (Chan, Golub & LeVeque 1979), which stays accurate for large
/// means.
pub(crate) fn moments<T: Element>(x: &[T], extent: Extent) -> Moments {
    extent.check(x.len());
    let (c, slab) = (extent.channels, extent.slab());
    let mut parts = vec![0.0_f32; extent.images * 2 * c];
    for_chunks(extent.images, &mut parts, &mut [(); 0], |image, out, _| {
        let x = &x[image * slab..(image + 1) * slab];
        launch(c, SlabMoments { x, c, out });
    });
    merge_moments(&parts, extent)
}

kernel!(SlabMoments = slab_moments(x: &'a [T], c: usize, out: &'a mut [f32]));

/// Computes the channel means of one image, then the sums of squared differences from them.
#[inline(always)]
pub(super) fn slab_moments<T: Element, const L: usize, const W: bool>(
    x: &[T],
    c: usize,
    out: &mut [f32],
) {
    let (means, squares) = out.split_at_mut(c);
    let count = (x.len() / c) as f32;
    for first in (0..c).step_by(L) {
        let mut sum = [0.0_f32; L];
        for row in x.chunks_exact(c) {
            let v = load::<T, L, W>(group::<T, L>(row, first));
            for l in 0..L {
                sum[l] += v[l];
            }
        }
        let mean: [f32; L] = lanes(|l| sum[l] / count);
        let mut square = [0.0_f32; L];
        for row in x.chunks_exact(c) {
            let v = load::<T, L, W>(group::<T, L>(row, first));
            for l in 0..L {
                let d = v[l] - mean[l];
                square[l] += d * d;
            }
        }
        store::<_, L, W>(group_mut::<f32, L>(means, first), &mean);
        store::<_, L, W>(group_mut::<f32, L>(squares, first), &square);
    }
}

/// Combines the moments of all images.
pub(super) fn merge_moments(parts: &[f32], extent: Extent) -> Moments {
    let c = extent.channels;
    let images = extent.images as f64;
    let count = (extent.height * extent.width) as f64;
    let mut mean = vec![0.0_f64; c];
    for part in parts.chunks_exact(2 * c) {
        for (sum, value) in mean.iter_mut().zip(part) {
            *sum += f64::from(*value) / images;
        }
    }
    let mut variance = vec![0.0_f64; c];
    for part in parts.chunks_exact(2 * c) {
        let (means, squares) = part.split_at(c);
        for (((sum, value), square), mean) in variance.iter_mut().zip(means).zip(squares).zip(&mean)
        {
            let d = f64::from(*value) - mean;
            *sum += (f64::from(*square) + count * d * d) / (images * count);
        }
    }
    let narrow = |v: Vec<f64>| v.into_iter().map(|v| v as f32).collect();
    Moments {
        mean: narrow(mean),
        variance: narrow(variance),
    }
}
