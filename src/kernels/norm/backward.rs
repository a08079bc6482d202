//! Backward pass, in two passes over memory. With dz the gradient of z, S = Σ dz and P = Σ dz·(x−μ) over the batch's M
//! positions: dx = a·(dz − S/M − (x−μ)·P/(M·(σ²+ε))), dγ = P/√(σ²+ε), dβ = S (combined from section 3 of the paper).

use super::{Affine, Extent, Moments};
use crate::kernels::element::{Element, group, group_mut, lanes, load, store};
use crate::kernels::launch::{kernel, launch, with_scratch};
use crate::native::for_chunks;

/// The gradient dy of the output, whose shape depends on the pooling.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Upstream<'a, T> {
    /// No pooling: one value per position.
    Each(&'a [T]),
    /// 2×2 max-pooling: one value per four positions.
    Maximum(&'a [T]),
    /// Global average pooling: one value per image.
    Mean(&'a [f32]),
}

/// Inputs of the backward pass, for a batch or for one image of it.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Slab<'a, T> {
    pub(in crate::kernels) x: &'a [T],
    pub(in crate::kernels) skip: Option<&'a [T]>,
    pub(in crate::kernels) upstream: Upstream<'a, T>,
    pub(in crate::kernels) extent: Extent,
}

impl<'a, T> Slab<'a, T> {
    /// The part of a batch for one image.
    pub(in crate::kernels) fn of(batch: &Slab<'a, T>, image: usize) -> Self {
        let extent = batch.extent;
        let (slab, c) = (extent.slab(), extent.channels);
        let part = image * slab..(image + 1) * slab;
        let quarter = extent.height / 2 * (extent.width / 2) * c;
        Self {
            x: &batch.x[part.clone()],
            skip: batch.skip.map(|skip| &skip[part.clone()]),
            upstream: match batch.upstream {
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

/// Computes dz of a group of channels of one image, (positions, `L`).
#[inline(always)]
pub(in crate::kernels) fn slab_dz<T: Element, const L: usize, const W: bool>(
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
                // Of several equal maxima the first one gets the gradient, as in PyTorch.
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

/// Recomputes z of a group of channels at one position.
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

/// The coefficients of dx = of_dz·dz + of_x·(x−μ) + constant per channel, and the gradients of γ and β.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::kernels) struct Combination {
    of_dz: Vec<f32>,
    of_x: Vec<f32>,
    constant: Vec<f32>,
    /// Gradient of the scale γ.
    pub(in crate::kernels) gamma: Vec<f32>,
    /// Gradient of the shift β.
    pub(in crate::kernels) beta: Vec<f32>,
}

impl Combination {
    /// Computes the coefficients from the sums S and P of each image.
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

/// First pass: computes the sums S and P. If there is a skip, its gradient is dz and is stored in `skip_gradient`.
pub(in crate::kernels) fn sums<T: Element>(
    batch: &Slab<'_, T>,
    moments: &Moments,
    affine: &Affine,
    eps: f64,
    skip_gradient: &mut [T],
) -> Combination {
    let extent = batch.extent;
    extent.check(batch.x.len());
    let c = extent.channels;
    let mut parts = vec![0.0_f32; extent.images * 2 * c];
    for_chunks(
        extent.images,
        &mut parts,
        skip_gradient,
        |image, out, skip| {
            let slab = Slab::of(batch, image);
            // Space for the widest group. It is allocated here, as a closure inside the kernel would be compiled for
            // the baseline CPU.
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

/// Computes dx of a group of channels from its dz, in place.
#[inline(always)]
pub(in crate::kernels) fn slab_dx<T: Element, const L: usize, const W: bool>(
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

/// Computes both passes and returns the gradients of γ and β. The gradient of x is written to `dx`, that of the skip to
/// `skip_gradient`, which is empty if there is no skip.
pub(crate) fn backward<T: Element>(
    (x, skip, upstream): (&[T], Option<&[T]>, Upstream<'_, T>),
    (moments, affine, eps): (&Moments, &Affine, f64),
    extent: Extent,
    dx: &mut [T],
    skip_gradient: &mut [T],
) -> (Vec<f32>, Vec<f32>) {
    let batch = Slab {
        x,
        skip,
        upstream,
        extent,
    };
    let combination = sums(&batch, moments, affine, eps, skip_gradient);
    let c = extent.channels;
    for_chunks(extent.images, dx, &mut [(); 0], |image, dx, _| {
        let slab = Slab::of(&batch, image);
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
