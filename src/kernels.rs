//! Kernels of ours for training on the CPU, on slices in the order (image, row, column, channel).
//!
//! libtorch makes a pass over memory for each of batch norm, addition, ReLU and pooling, forwards and backwards, and at
//! these sizes memory is what a step waits for. Here they are one: the maximum over 2×2 commutes with ReLU, a position
//! that was not the maximum has no gradient, and what can be computed again is not stored. The kernels are plain loops
//! over a fixed number of channels, compiled by `pulp` for the widest vectors the CPU has.
//!
//! Sums are made for each image and put together in order, so no result depends on the number of threads.

#![expect(
    clippy::inline_always,
    reason = "a part that is not inlined is compiled for the oldest CPU"
)]
#![expect(
    clippy::many_single_char_names,
    reason = "the letters are those of the formulas"
)]

mod draw;
mod element;
mod few;
mod launch;
mod norm;

pub(crate) use draw::{Draw, apply as apply_draws};
pub(crate) use element::Element;
pub(crate) use few::{FewConv, first_backward};
pub(crate) use norm::backward::{Upstream, backward};
pub(crate) use norm::forward::{activate, maximum, mean};
pub(crate) use norm::{Affine, Extent, Moments, moments};

/// Whether the CPU multiplies and adds in one instruction. Where it does not, libtorch's own kernels are the better ones.
pub(crate) fn worthwhile() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("fma") && std::arch::is_x86_feature_detected!("avx2")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        cfg!(target_arch = "aarch64")
    }
}
