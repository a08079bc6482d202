//! Fused kernels for training on the CPU, on slices in the order (image, row, column, channel).
//!
//! In both passes libtorch reads and writes memory separately for batch norm, addition, ReLU and pooling, and at these
//! sizes a training step is limited by memory bandwidth. Here they are one kernel: 2×2 max-pooling commutes with ReLU,
//! a position that was not the maximum has no gradient, and cheap intermediate values are recomputed instead of stored.
//! The kernels are plain loops over a fixed number of channels, which `pulp` compiles for the widest vectors of the
//! CPU.
//!
//! Sums are computed per image and added in a fixed order, so no result depends on the number of threads.

#![expect(
    clippy::inline_always,
    reason = "a function that is not inlined is compiled for the baseline CPU"
)]
#![expect(
    clippy::many_single_char_names,
    reason = "the names are those of the formulas"
)]

mod element;
mod few;
mod launch;
mod norm;

pub(crate) use element::Element;
pub(crate) use few::{FewConv, first_backward};
pub(crate) use norm::backward::{Upstream, backward};
pub(crate) use norm::forward::{activate, maximum, mean};
pub(crate) use norm::{Affine, Extent, Moments, moments};

/// Whether the CPU has fused multiply-add instructions. Without them libtorch's kernels are faster.
pub(crate) fn is_cpu_supported() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("fma") && std::arch::is_x86_feature_detected!("avx2")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        cfg!(target_arch = "aarch64")
    }
}
