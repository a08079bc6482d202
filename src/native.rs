//! What libtorch has and tch does not bind, behind safe functions: a convolution's backward, the fused optimizers, the
//! thread pool and the door to CUDA (`native/native.cpp` holds the C++ half), and a tensor's memory as a slice.
//!
//! This is the only module with `unsafe`, one small file for each need; each says why what it does is sound.

mod amx;
mod cuda;
mod memory;
mod parallel;
mod torch;

pub(crate) use amx::Convolution;
pub use cuda::{Cuda, load_cuda};
pub(crate) use memory::{Bf16, Stored, empty_nhwc, slice, slice_mut};
pub(crate) use parallel::for_chunks;
pub use parallel::keep_memory;
pub(crate) use torch::{AdamStep, SgdStep, convolution_backward, fused_adam, fused_sgd};
