//! Forward pass from the output of a convolution to the input of the next, in one pass over memory.

use super::{Affine, Extent};
use crate::kernels::element::{Element, group, group_mut, lanes, load, store};
use crate::kernels::launch::{kernel, launch};
use crate::native::for_chunks;

/// max(0, v); NaN stays NaN.
#[inline(always)]
fn relu(v: f32) -> f32 {
    if v < 0.0 { 0.0 } else { v }
}

/// Without pooling: y = max(0, a·x + b + skip).
pub(crate) fn activate<T: Element>(
    x: &[T],
    skip: Option<&[T]>,
    affine: &Affine,
    extent: Extent,
    y: &mut [T],
) {
    extent.check(x.len());
    let (c, slab) = (extent.channels, extent.slab());
    for_chunks(extent.images, y, &mut [(); 0], |image, y, _| {
        let part = image * slab..(image + 1) * slab;
        let (x, skip) = (&x[part.clone()], skip.map(|skip| &skip[part]));
        launch(
            c,
            SlabActivate {
                x,
                skip,
                affine,
                c,
                y,
            },
        );
    });
}

kernel!(SlabActivate = slab_activate(x: &'a [T], skip: Option<&'a [T]>, affine: &'a Affine, c: usize, y: &'a mut [T]));

#[inline(always)]
fn slab_activate<T: Element, const L: usize, const W: bool>(
    x: &[T],
    skip: Option<&[T]>,
    affine: &Affine,
    c: usize,
    y: &mut [T],
) {
    for first in (0..c).step_by(L) {
        let a = load::<f32, L, W>(group::<f32, L>(&affine.scale, first));
        let b = load::<f32, L, W>(group::<f32, L>(&affine.shift, first));
        let rows = x.chunks_exact(c).zip(y.chunks_exact_mut(c));
        if let Some(skip) = skip {
            for ((x, y), skip) in rows.zip(skip.chunks_exact(c)) {
                let v = load::<T, L, W>(group::<T, L>(x, first));
                let s = load::<T, L, W>(group::<T, L>(skip, first));
                let out = lanes::<L>(|l| relu(v[l] * a[l] + b[l] + s[l]));
                store::<_, L, W>(group_mut::<T, L>(y, first), &out);
            }
        } else {
            for (x, y) in rows {
                let v = load::<T, L, W>(group::<T, L>(x, first));
                let out = lanes::<L>(|l| relu(v[l] * a[l] + b[l]));
                store::<_, L, W>(group_mut::<T, L>(y, first), &out);
            }
        }
    }
}

/// With 2×2 max-pooling: y = max(0, the largest a·x + b of each 2×2 square). An odd last row or column is ignored, as
/// in PyTorch.
pub(crate) fn maximum<T: Element>(x: &[T], affine: &Affine, extent: Extent, y: &mut [T]) {
    extent.check(x.len());
    let (c, slab) = (extent.channels, extent.slab());
    for_chunks(extent.images, y, &mut [(); 0], |image, y, _| {
        let x = &x[image * slab..(image + 1) * slab];
        launch(
            c,
            SlabMaximum {
                x,
                affine,
                extent,
                y,
            },
        );
    });
}

kernel!(SlabMaximum = slab_maximum(x: &'a [T], affine: &'a Affine, extent: Extent, y: &'a mut [T]));

#[inline(always)]
fn slab_maximum<T: Element, const L: usize, const W: bool>(
    x: &[T],
    affine: &Affine,
    extent: Extent,
    y: &mut [T],
) {
    let (c, w) = (extent.channels, extent.width);
    for first in (0..c).step_by(L) {
        let a = load::<f32, L, W>(group::<f32, L>(&affine.scale, first));
        let b = load::<f32, L, W>(group::<f32, L>(&affine.shift, first));
        let pairs = x.chunks_exact(2 * w * c);
        for (rows, out) in pairs.zip(y.chunks_exact_mut((w / 2 * c).max(1))) {
            let (upper, lower) = rows.split_at(w * c);
            let squares = upper.chunks_exact(2 * c).zip(lower.chunks_exact(2 * c));
            for ((upper, lower), out) in squares.zip(out.chunks_exact_mut(c)) {
                let mut best = [f32::NEG_INFINITY; L];
                for row in upper.chunks_exact(c).chain(lower.chunks_exact(c)) {
                    let v = load::<T, L, W>(group::<T, L>(row, first));
                    for l in 0..L {
                        let z = v[l] * a[l] + b[l];
                        best[l] = if z <= best[l] { best[l] } else { z };
                    }
                }
                store::<_, L, W>(
                    group_mut::<T, L>(out, first),
                    &lanes::<L>(|l| relu(best[l])),
                );
            }
        }
    }
}

/// With global average pooling: y = the mean over all positions of max(0, a·x + b + skip), f32, (images, channels).
pub(crate) fn mean<T: Element>(
    x: &[T],
    skip: Option<&[T]>,
    affine: &Affine,
    extent: Extent,
    y: &mut [f32],
) {
    extent.check(x.len());
    let (c, slab) = (extent.channels, extent.slab());
    for_chunks(extent.images, y, &mut [(); 0], |image, y, _| {
        let part = image * slab..(image + 1) * slab;
        let (x, skip) = (&x[part.clone()], skip.map(|skip| &skip[part]));
        launch(
            c,
            SlabMean {
                x,
                skip,
                affine,
                c,
                y,
            },
        );
    });
}

kernel!(SlabMean = slab_mean(x: &'a [T], skip: Option<&'a [T]>, affine: &'a Affine, c: usize, y: &'a mut [f32]));

#[inline(always)]
fn slab_mean<T: Element, const L: usize, const W: bool>(
    x: &[T],
    skip: Option<&[T]>,
    affine: &Affine,
    c: usize,
    y: &mut [f32],
) {
    let count = (x.len() / c) as f32;
    for first in (0..c).step_by(L) {
        let a = load::<f32, L, W>(group::<f32, L>(&affine.scale, first));
        let b = load::<f32, L, W>(group::<f32, L>(&affine.shift, first));
        let mut sum = [0.0_f32; L];
        for (i, x) in x.chunks_exact(c).enumerate() {
            let v = load::<T, L, W>(group::<T, L>(x, first));
            let s = skip.map_or([0.0; L], |skip| {
                load::<T, L, W>(group::<T, L>(&skip[i * c..(i + 1) * c], first))
            });
            for l in 0..L {
                sum[l] += relu(v[l] * a[l] + b[l] + s[l]);
            }
        }
        store::<_, L, W>(
            group_mut::<f32, L>(y, first),
            &lanes::<L>(|l| sum[l] / count),
        );
    }
}
