//! Convolution of images with few channels, such as grey images, in f32. libtorch's convolutions are optimised for many
//! channels and take ten times as long for one. As the first layer, this convolution needs no input gradient, and its
//! weight gradient is summed directly from the output of batch norm's backward pass while that is in the cache.

use super::element::{Element, group, group_mut, load, store};
use super::launch::{kernel, launch, with_scratch};
use super::norm::backward::{Combination, Slab, Upstream, slab_dx, slab_dz, sums};
use super::norm::{Affine, Extent, Moments};
use crate::native::for_chunks;

/// Number of positions computed together; each loaded weight is used for all of them.
const BLOCK: usize = 8;
/// Number of kernel taps whose gradients are summed together: with 32 channels they fill ten vector registers.
const TAPS: usize = 5;

/// A convolution for few input channels, with stride 1, a square kernel and zero padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FewConv {
    /// Shape of the input.
    pub(crate) input: Extent,
    /// Side length of the kernel.
    pub(crate) kernel: usize,
    /// Number of zeros added on each side.
    pub(crate) padding: usize,
    /// Number of output channels.
    pub(crate) channels: usize,
}

impl FewConv {
    /// Shape of the output.
    pub(crate) fn output(self) -> Extent {
        let side = |n: usize| n + 2 * self.padding + 1 - self.kernel;
        Extent {
            images: self.input.images,
            height: side(self.input.height),
            width: side(self.input.width),
            channels: self.channels,
        }
    }

    /// Number of weights per output channel.
    fn taps(self) -> usize {
        self.input.channels * self.kernel * self.kernel
    }

    fn padded_width(self) -> usize {
        self.input.width + 2 * self.padding
    }

    fn padded_size(self) -> usize {
        (self.input.height + 2 * self.padding) * self.padded_width() * self.input.channels
    }

    /// Offset of each tap in the padded image relative to the output position, in the order of PyTorch's weights
    /// (channel, row, column).
    fn offsets(self) -> Vec<usize> {
        let (c, k, w) = (self.input.channels, self.kernel, self.padded_width());
        (0..c)
            .flat_map(|channel| {
                (0..k).flat_map(move |y| (0..k).map(move |x| (y * w + x) * c + channel))
            })
            .collect()
    }

    /// Copies an image to `out` with zero padding.
    fn pad(self, image: &[f32], out: &mut [f32]) {
        let (c, p, w) = (self.input.channels, self.padding, self.padded_width());
        out.fill(0.0);
        for (y, row) in image.chunks_exact(self.input.width * c).enumerate() {
            let start = ((y + p) * w + p) * c;
            out[start..start + row.len()].copy_from_slice(row);
        }
    }

    /// Transposes weights from (out, in, k, k) to (in, k, k, out).
    fn transposed(self, weight: &[f32]) -> Vec<f32> {
        let (taps, channels) = (self.taps(), self.channels);
        let mut out = vec![0.0; weight.len()];
        for (o, row) in weight.chunks_exact(taps).enumerate() {
            for (tap, value) in row.iter().enumerate() {
                out[tap * channels + o] = *value;
            }
        }
        out
    }

    /// Computes the convolution of `images` (N, H, W, C) with `weight` (out, in, k, k).
    pub(crate) fn forward<T: Element>(self, images: &[f32], weight: &[f32], out: &mut [T]) {
        let (offsets, weight) = (self.offsets(), self.transposed(weight));
        let (slab, size) = (self.input.slab(), self.padded_size());
        for_chunks(self.input.images, out, &mut [(); 0], |image, out, _| {
            with_scratch(size, |padded| {
                self.pad(&images[image * slab..(image + 1) * slab], padded);
                let (conv, padded, offsets, weight) = (self, &*padded, &*offsets, &*weight);
                launch(
                    self.channels,
                    SlabForward {
                        conv,
                        padded,
                        offsets,
                        weight,
                        out,
                    },
                );
            });
        });
    }
}

kernel!(SlabForward = slab_forward(conv: FewConv, padded: &'a [f32], offsets: &'a [usize], weight: &'a [f32], out: &'a mut [T]));

#[inline(always)]
fn slab_forward<T: Element, const L: usize, const W: bool>(
    conv: FewConv,
    padded: &[f32],
    offsets: &[usize],
    weight: &[f32],
    out: &mut [T],
) {
    let (c, width) = (conv.channels, conv.output().width);
    let row_step = conv.padded_width() * conv.input.channels;
    for first in (0..c).step_by(L) {
        for (y, row) in out.chunks_exact_mut(width * c).enumerate() {
            let padded = &padded[y * row_step..];
            let mut x = 0;
            while x + BLOCK <= width {
                block::<T, L, W, BLOCK>(
                    conv,
                    (&padded[x * conv.input.channels..], offsets, weight),
                    first,
                    &mut row[x * c..],
                );
                x += BLOCK;
            }
            while x + BLOCK / 2 <= width {
                block::<T, L, W, { BLOCK / 2 }>(
                    conv,
                    (&padded[x * conv.input.channels..], offsets, weight),
                    first,
                    &mut row[x * c..],
                );
                x += BLOCK / 2;
            }
            while x < width {
                block::<T, L, W, 1>(
                    conv,
                    (&padded[x * conv.input.channels..], offsets, weight),
                    first,
                    &mut row[x * c..],
                );
                x += 1;
            }
        }
    }
}

/// Computes `B` neighbouring positions of a row for a group of output channels.
#[inline(always)]
fn block<T: Element, const L: usize, const W: bool, const B: usize>(
    conv: FewConv,
    (padded, offsets, weight): (&[f32], &[usize], &[f32]),
    first: usize,
    out: &mut [T],
) {
    let (c, step) = (conv.channels, conv.input.channels);
    let mut sum = [[0.0_f32; L]; B];
    for (offset, weight) in offsets.iter().zip(weight.chunks_exact(c)) {
        let w = load::<f32, L, W>(group::<f32, L>(weight, first));
        for (b, sum) in sum.iter_mut().enumerate() {
            let value = padded[offset + b * step];
            for l in 0..L {
                sum[l] = value.mul_add(w[l], sum[l]);
            }
        }
    }
    for (row, sum) in out.chunks_exact_mut(c).zip(&sum) {
        store::<_, L, W>(group_mut::<T, L>(row, first), sum);
    }
}

/// Backward pass of the first convolution and its batch norm: gradients of the weight (out, in, k, k), of γ and of β.
pub(crate) fn first_backward<T: Element>(
    conv: FewConv,
    images: &[f32],
    (x, upstream): (&[T], Upstream<'_, T>),
    (moments, affine, eps): (&Moments, &Affine, f64),
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let batch = Slab {
        x,
        skip: None,
        upstream,
        extent: conv.output(),
    };
    let combination = sums(&batch, moments, affine, eps, &mut []);
    let offsets = conv.offsets();
    let (taps, c, size) = (conv.taps(), conv.channels, conv.padded_size());
    let (slab, positions) = (conv.input.slab(), batch.extent.slab() / c);
    let mut parts = vec![0.0_f32; conv.input.images * taps * c];
    for_chunks(
        conv.input.images,
        &mut parts,
        &mut [(); 0],
        |image, out, _| {
            let part = Slab::of(&batch, image);
            // Space for the padded image and for the gradient of a group of at most 32 channels.
            with_scratch(size + positions * 32, |scratch| {
                let (padded, dz) = scratch.split_at_mut(size);
                conv.pad(&images[image * slab..(image + 1) * slab], padded);
                let input = (conv, &*padded, &*offsets);
                launch(
                    c,
                    SlabFirst {
                        input,
                        slab: &part,
                        norm: (moments, affine, &combination),
                        dz,
                        out,
                    },
                );
            });
        },
    );
    let mut sum = vec![0.0_f64; taps * c];
    for part in parts.chunks_exact(taps * c) {
        for (sum, value) in sum.iter_mut().zip(part) {
            *sum += f64::from(*value);
        }
    }
    let weight = (0..c)
        .flat_map(|o| sum.iter().skip(o).step_by(c).map(|v| *v as f32))
        .collect();
    (weight, combination.gamma, combination.beta)
}

kernel!(SlabFirst = slab_first(input: (FewConv, &'a [f32], &'a [usize]), slab: &'a Slab<'a, T>, norm: (&'a Moments, &'a Affine, &'a Combination), dz: &'a mut [f32], out: &'a mut [f32]));

#[inline(always)]
fn slab_first<T: Element, const L: usize, const W: bool>(
    (conv, padded, offsets): (FewConv, &[f32], &[usize]),
    slab: &Slab<'_, T>,
    (moments, affine, combination): (&Moments, &Affine, &Combination),
    dz: &mut [f32],
    out: &mut [f32],
) {
    let (c, extent) = (conv.channels, slab.extent);
    let dz = &mut dz[..extent.slab() / c * L];
    for first in (0..c).step_by(L) {
        slab_dz::<T, L, W>(slab, affine, first, dz);
        slab_dx::<T, L, W>(slab, moments, combination, first, dz);
        for (offsets, out) in offsets.chunks(TAPS).zip(out.chunks_mut(TAPS * c)) {
            if let Some(five) = offsets.first_chunk::<TAPS>() {
                tap_sums::<L, W, TAPS>(conv, extent, padded, five, dz, first, out);
            } else {
                for (offset, out) in offsets.iter().zip(out.chunks_exact_mut(c)) {
                    tap_sums::<L, W, 1>(conv, extent, padded, &[*offset], dz, first, out);
                }
            }
        }
    }
}

/// Sums input times gradient over all positions, for `N` taps and a group of output channels.
#[inline(always)]
fn tap_sums<const L: usize, const W: bool, const N: usize>(
    conv: FewConv,
    extent: Extent,
    padded: &[f32],
    offsets: &[usize; N],
    dx: &[f32],
    first: usize,
    out: &mut [f32],
) {
    let step = conv.input.channels;
    let row_step = conv.padded_width() * step;
    let mut sum = [[0.0_f32; L]; N];
    for (y, row) in dx.chunks_exact(extent.width * L).enumerate() {
        let mut taps = [padded; N];
        for (tap, offset) in taps.iter_mut().zip(offsets) {
            *tap = &padded[y * row_step + offset..];
        }
        for (x, d) in row.chunks_exact(L).enumerate() {
            let d = load::<f32, L, W>(d);
            for (sum, tap) in sum.iter_mut().zip(&taps) {
                let value = tap[x * step];
                for l in 0..L {
                    sum[l] = value.mul_add(d[l], sum[l]);
                }
            }
        }
    }
    for (row, sum) in out.chunks_exact_mut(conv.channels).zip(&sum) {
        store::<_, L, W>(group_mut::<f32, L>(row, first), sum);
    }
}
