//! Safe wrappers for parts of libtorch that tch does not bind: the backward pass of a convolution, the fused
//! optimizers, the thread pool and the loading of CUDA (the C++ side is `native/native.cpp`). Also access to a tensor's
//! memory as a slice, and an AMX kernel.
//!
//! This is the only module with `unsafe`. Each file explains why its use of it is sound.

mod amx;
mod cuda;
mod memory;
mod parallel;
mod torch;

pub(crate) use amx::Convolution;
pub use cuda::{Cuda, load_cuda};
pub(crate) use memory::{Bf16, Stored, empty_nhwc, slice, slice_mut};
pub use parallel::keep_memory;
pub(crate) use parallel::{at_exit, compute_alone, for_chunks, make_team};
pub(crate) use torch::{AdamStep, SgdStep, convolution_backward, fused_adam, fused_sgd};
