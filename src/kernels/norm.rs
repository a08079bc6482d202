//! Batch norm (Ioffe & Szegedy 2015) with what follows it, addition, ReLU and pooling, in one pass, and its backward in two.
//!
//! With x what the convolution gave, z = a·x + b (+ skip), a = γ/√(σ²+ε), b = β − a·μ, y = pool(max(0, z)). Backwards, with
//! dz the gradient of z, S = Σ dz and P = Σ dz·(x−μ) over the batch's M positions,
//! dx = a·(dz − S/M − (x−μ)·P/(M·(σ²+ε))), dγ = P/√(σ²+ε), dβ = S (the paper's section 3, put together).

use std::cell::RefCell;

use super::element::{Element, lanes, load, store};
use super::launch::{kernel, launch};
use crate::native::for_chunks;

/// Images, rows, columns and channels of an activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) images: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

impl Extent {
    /// Numbers of one image.
    pub(crate) fn slab(self) -> usize {
        self.height * self.width * self.channels
    }

    /// Positions of the whole batch.
    pub(crate) fn positions(self) -> usize {
        self.images * self.height * self.width
    }

    fn check(self, length: usize) {
        assert_eq!(length, self.images * self.slab(), "{self:?}");
    }
}

/// Mean and (biased) variance of each channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moments {
    pub(crate) mean: Vec<f32>,
    pub(crate) variance: Vec<f32>,
}

/// z = scale·x + shift, channel by channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Affine {
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
}

impl Affine {
    /// Batch norm with these moments as one multiplication and one addition.
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

/// Where the gradient comes from: as many positions as there are, one of four, or one of all.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Upstream<'a, T> {
    /// Nothing was pooled.
    Each(&'a [T]),
    /// The 2×2 maximum was taken.
    Maximum(&'a [T]),
    /// The mean over all positions was taken.
    Mean(&'a [f32]),
}

/// Part of a row of channels that is group `first..first + L`.
#[inline(always)]
pub(super) fn group<T, const L: usize>(row: &[T], first: usize) -> &[T] {
    row.get(first..row.len().min(first + L)).unwrap_or_default()
}

#[inline(always)]
pub(super) fn group_mut<T, const L: usize>(row: &mut [T], first: usize) -> &mut [T] {
    let end = row.len().min(first + L);
    row.get_mut(first..end).unwrap_or_default()
}

/// max(0, v), where NaN stays NaN.
#[inline(always)]
fn relu(v: f32) -> f32 {
    if v < 0.0 { 0.0 } else { v }
}

/// Mean and variance of each channel over images and positions: two passes over an image while it is in the cache, and
/// the images put together in f64 (Chan, Golub & LeVeque 1979), which loses nothing when the mean is large.
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

/// Means, then sums of squared differences, of one image.
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

/// y = max(0, a·x + b + skip).
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

/// y = max(0, the largest a·x + b of each 2×2). An odd last row or column has no part in it, as in PyTorch.
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

/// y = the mean over all positions of max(0, a·x + b + skip), in f32, (images, channels).
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

/// One image's part of a backward pass.
#[derive(Clone, Copy)]
pub(super) struct Slab<'a, T> {
    pub(super) x: &'a [T],
    pub(super) skip: Option<&'a [T]>,
    pub(super) upstream: Upstream<'a, T>,
    pub(super) extent: Extent,
}

impl<'a, T> Slab<'a, T> {
    pub(super) fn of(whole: &Slab<'a, T>, image: usize) -> Self {
        let extent = whole.extent;
        let (slab, c) = (extent.slab(), extent.channels);
        let part = image * slab..(image + 1) * slab;
        let quarter = extent.height / 2 * (extent.width / 2) * c;
        Self {
            x: &whole.x[part.clone()],
            skip: whole.skip.map(|skip| &skip[part.clone()]),
            upstream: match whole.upstream {
                Upstream::Each(dy) => Upstream::Each(&dy[part]),
                Upstream::Maximum(dy) => {
                    Upstream::Maximum(&dy[image * quarter..(image + 1) * quarter])
                }
                Upstream::Mean(dy) => Upstream::Mean(&dy[image * c..(image + 1) * c]),
            },
            extent,
        }
    }
}

thread_local! {
    /// A group's dz of one image, in f32. It lives in the cache, and an allocation for each image would cost more.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Calls `body` with room for `length` numbers.
pub(super) fn with_scratch<R>(length: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < length {
            scratch.resize(length, 0.0);
        }
        body(&mut scratch[..length])
    })
}

/// dz of a group of channels, `L` numbers for each position.
#[inline(always)]
pub(super) fn slab_dz<T: Element, const L: usize, const W: bool>(
    slab: &Slab<'_, T>,
    affine: &Affine,
    first: usize,
    dz: &mut [f32],
) {
    let (c, w) = (slab.extent.channels, slab.extent.width);
    let a = load::<f32, L, W>(group::<f32, L>(&affine.scale, first));
    let b = load::<f32, L, W>(group::<f32, L>(&affine.shift, first));
    match slab.upstream {
        Upstream::Each(dy) => {
            for (i, (dz, dy)) in dz.chunks_exact_mut(L).zip(dy.chunks_exact(c)).enumerate() {
                let z = slab_z::<T, L, W>(slab, i, first, &a, &b);
                let d = load::<T, L, W>(group::<T, L>(dy, first));
                store::<_, L, W>(dz, &lanes::<L>(|l| if z[l] > 0.0 { d[l] } else { 0.0 }));
            }
        }
        Upstream::Mean(dy) => {
            let count = (slab.extent.height * w) as f32;
            let d = load::<f32, L, W>(group::<f32, L>(dy, first));
            let d: [f32; L] = lanes(|l| d[l] / count);
            for (i, dz) in dz.chunks_exact_mut(L).enumerate() {
                let z = slab_z::<T, L, W>(slab, i, first, &a, &b);
                store::<_, L, W>(dz, &lanes::<L>(|l| if z[l] > 0.0 { d[l] } else { 0.0 }));
            }
        }
        Upstream::Maximum(dy) => {
            if !slab.extent.height.is_multiple_of(2) || !w.is_multiple_of(2) {
                dz.fill(0.0);
            }
            for (j, dy) in dy.chunks_exact(c).enumerate() {
                let (row, column) = (j / (w / 2), j % (w / 2));
                let corner = 2 * row * w + 2 * column;
                let four = [corner, corner + 1, corner + w, corner + w + 1];
                let mut z = [[0.0_f32; L]; 4];
                for (z, i) in z.iter_mut().zip(four) {
                    *z = slab_z::<T, L, W>(slab, i, first, &a, &b);
                }
                let best: [f32; L] = lanes(|l| z[0][l].max(z[1][l]).max(z[2][l].max(z[3][l])));
                let mut left: [f32; L] = load::<T, L, W>(group::<T, L>(dy, first));
                for l in 0..L {
                    left[l] = if best[l] > 0.0 { left[l] } else { 0.0 };
                }
                // The first of equals gets the gradient, as in PyTorch.
                for (i, z) in four.into_iter().zip(&z) {
                    let mut out = [0.0_f32; L];
                    for l in 0..L {
                        let here = z[l] == best[l];
                        out[l] = if here { left[l] } else { 0.0 };
                        left[l] = if here { 0.0 } else { left[l] };
                    }
                    store::<_, L, W>(&mut dz[i * L..(i + 1) * L], &out);
                }
            }
        }
    }
}

#[inline(always)]
fn slab_z<T: Element, const L: usize, const W: bool>(
    slab: &Slab<'_, T>,
    position: usize,
    first: usize,
    a: &[f32; L],
    b: &[f32; L],
) -> [f32; L] {
    let c = slab.extent.channels;
    let row = position * c..(position + 1) * c;
    let v = load::<T, L, W>(group::<T, L>(&slab.x[row.clone()], first));
    if let Some(skip) = slab.skip {
        let s = load::<T, L, W>(group::<T, L>(&skip[row], first));
        lanes(|l| v[l] * a[l] + b[l] + s[l])
    } else {
        lanes(|l| v[l] * a[l] + b[l])
    }
}

/// The three factors of dx = of_dz·dz + of_x·(x−μ) + constant, with the gradients of γ and β.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Combination {
    of_dz: Vec<f32>,
    of_x: Vec<f32>,
    constant: Vec<f32>,
    /// Gradient of the scale γ.
    pub(super) gamma: Vec<f32>,
    /// Gradient of the shift β.
    pub(super) beta: Vec<f32>,
}

impl Combination {
    /// From the sums S and P of each image.
    fn new(parts: &[f32], moments: &Moments, affine: &Affine, extent: Extent, eps: f64) -> Self {
        let c = extent.channels;
        let mut sums = vec![0.0_f64; 2 * c];
        for part in parts.chunks_exact(2 * c) {
            for (sum, value) in sums.iter_mut().zip(part) {
                *sum += f64::from(*value);
            }
        }
        let (s, p) = sums.split_at(c);
        let m = extent.positions() as f64;
        let zip = s.iter().zip(p).zip(&moments.variance).zip(&affine.scale);
        let mut out = Self {
            of_dz: affine.scale.clone(),
            of_x: Vec::with_capacity(c),
            constant: Vec::with_capacity(c),
            gamma: Vec::with_capacity(c),
            beta: Vec::with_capacity(c),
        };
        for (((s, p), variance), scale) in zip {
            let (variance, scale) = (f64::from(*variance) + eps, f64::from(*scale));
            out.of_x.push((-scale * p / (m * variance)) as f32);
            out.constant.push((-scale * s / m) as f32);
            out.gamma.push((p / variance.sqrt()) as f32);
            out.beta.push(*s as f32);
        }
        out
    }
}

/// First pass: the sums S and P. Where there was a skip, dz is its gradient and is stored.
pub(super) fn sums<T: Element>(
    whole: &Slab<'_, T>,
    moments: &Moments,
    affine: &Affine,
    eps: f64,
    skip_gradient: &mut [T],
) -> Combination {
    let extent = whole.extent;
    extent.check(whole.x.len());
    let c = extent.channels;
    let mut parts = vec![0.0_f32; extent.images * 2 * c];
    for_chunks(
        extent.images,
        &mut parts,
        skip_gradient,
        |image, out, skip| {
            let slab = Slab::of(whole, image);
            // Room for the widest group; a closure inside the kernel would be compiled for the oldest CPU.
            with_scratch(slab.x.len() / c * 32, |dz| {
                launch(
                    c,
                    SlabSums {
                        slab: &slab,
                        moments,
                        affine,
                        dz,
                        out,
                        skip,
                    },
                );
            });
        },
    );
    Combination::new(&parts, moments, affine, extent, eps)
}

kernel!(SlabSums = slab_sums(slab: &'a Slab<'a, T>, moments: &'a Moments, affine: &'a Affine, dz: &'a mut [f32], out: &'a mut [f32], skip: &'a mut [T]));

#[inline(always)]
fn slab_sums<T: Element, const L: usize, const W: bool>(
    slab: &Slab<'_, T>,
    moments: &Moments,
    affine: &Affine,
    dz: &mut [f32],
    out: &mut [f32],
    skip: &mut [T],
) {
    let c = slab.extent.channels;
    let (s, p) = out.split_at_mut(c);
    let dz = &mut dz[..slab.x.len() / c * L];
    for first in (0..c).step_by(L) {
        slab_dz::<T, L, W>(slab, affine, first, dz);
        let mean = load::<f32, L, W>(group::<f32, L>(&moments.mean, first));
        let (mut sum, mut product) = ([0.0_f32; L], [0.0_f32; L]);
        for (dz, x) in dz.chunks_exact(L).zip(slab.x.chunks_exact(c)) {
            let v = load::<T, L, W>(group::<T, L>(x, first));
            let d = load::<f32, L, W>(dz);
            for l in 0..L {
                sum[l] += d[l];
                product[l] += d[l] * (v[l] - mean[l]);
            }
        }
        for (skip, dz) in skip.chunks_exact_mut(c).zip(dz.chunks_exact(L)) {
            store::<_, L, W>(group_mut::<T, L>(skip, first), &load::<f32, L, W>(dz));
        }
        store::<_, L, W>(group_mut::<f32, L>(s, first), &sum);
        store::<_, L, W>(group_mut::<f32, L>(p, first), &product);
    }
}

/// dx of a group, from its dz and in its place.
#[inline(always)]
pub(super) fn slab_dx<T: Element, const L: usize, const W: bool>(
    slab: &Slab<'_, T>,
    moments: &Moments,
    combination: &Combination,
    first: usize,
    dz: &mut [f32],
) {
    let mean = load::<f32, L, W>(group::<f32, L>(&moments.mean, first));
    let of_dz = load::<f32, L, W>(group::<f32, L>(&combination.of_dz, first));
    let of_x = load::<f32, L, W>(group::<f32, L>(&combination.of_x, first));
    let constant = load::<f32, L, W>(group::<f32, L>(&combination.constant, first));
    for (dz, x) in dz
        .chunks_exact_mut(L)
        .zip(slab.x.chunks_exact(slab.extent.channels))
    {
        let v = load::<T, L, W>(group::<T, L>(x, first));
        let d = load::<f32, L, W>(dz);
        store::<_, L, W>(
            dz,
            &lanes::<L>(|l| d[l] * of_dz[l] + (v[l] - mean[l]) * of_x[l] + constant[l]),
        );
    }
}

/// The gradients of γ and β; dx goes to `dx`, and the gradient of the skip, where there was one, to `skip_gradient`
/// (else empty).
pub(crate) fn backward<T: Element>(
    (x, skip, upstream): (&[T], Option<&[T]>, Upstream<'_, T>),
    (moments, affine, eps): (&Moments, &Affine, f64),
    extent: Extent,
    dx: &mut [T],
    skip_gradient: &mut [T],
) -> (Vec<f32>, Vec<f32>) {
    let whole = Slab {
        x,
        skip,
        upstream,
        extent,
    };
    let combination = sums(&whole, moments, affine, eps, skip_gradient);
    let c = extent.channels;
    for_chunks(extent.images, dx, &mut [(); 0], |image, dx, _| {
        let slab = Slab::of(&whole, image);
        let combination = &combination;
        with_scratch(slab.x.len() / c * 32, |dz| {
            launch(
                c,
                SlabBackward {
                    slab: &slab,
                    moments,
                    affine,
                    combination,
                    dz,
                    dx,
                },
            );
        });
    });
    (combination.gamma, combination.beta)
}

kernel!(SlabBackward = slab_backward(slab: &'a Slab<'a, T>, moments: &'a Moments, affine: &'a Affine, combination: &'a Combination, dz: &'a mut [f32], dx: &'a mut [T]));

#[inline(always)]
fn slab_backward<T: Element, const L: usize, const W: bool>(
    slab: &Slab<'_, T>,
    moments: &Moments,
    affine: &Affine,
    combination: &Combination,
    dz: &mut [f32],
    dx: &mut [T],
) {
    let c = slab.extent.channels;
    let dz = &mut dz[..slab.x.len() / c * L];
    for first in (0..c).step_by(L) {
        slab_dz::<T, L, W>(slab, affine, first, dz);
        slab_dx::<T, L, W>(slab, moments, combination, first, dz);
        for (dx, dz) in dx.chunks_exact_mut(c).zip(dz.chunks_exact(L)) {
            store::<_, L, W>(group_mut::<T, L>(dx, first), &load::<f32, L, W>(dz));
        }
    }
}
