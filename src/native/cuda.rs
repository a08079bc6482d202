//! CUDA from a program that was linked against the CPU part of libtorch only.
#![expect(unsafe_code, reason = "calls into C++ that opens a library")]

use std::ffi::c_int;
use std::sync::OnceLock;

// SAFETY: the signature is that of native.cpp.
unsafe extern "C" {
    fn epochtop_load_cuda() -> c_int;
}

/// What became of libtorch's CUDA part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cuda {
    /// It lies beside the libtorch that was loaded, and is open.
    Loaded,
    /// This libtorch has none.
    Absent,
    /// It is there and cannot be loaded, for this reason.
    Broken(String),
}

/// Opens `libtorch_cuda.so` where it lies beside the `libtorch_cpu.so` that was loaded, once for the process and before
/// the first tensor: from then on libtorch knows the device.
pub fn load_cuda() -> &'static Cuda {
    static STATE: OnceLock<Cuda> = OnceLock::new();
    STATE.get_or_init(|| {
        // SAFETY: no arguments; opening runs the library's own initializers, as linking against it would.
        match unsafe { epochtop_load_cuda() } {
            1 => Cuda::Loaded,
            0 => Cuda::Absent,
            _ => Cuda::Broken(super::torch::last_error()),
        }
    })
}
