//! CUDA for a program that is linked only against the CPU library of libtorch.
#![expect(unsafe_code, reason = "calls into C++ that loads a library")]

use std::ffi::c_int;
use std::sync::OnceLock;

// SAFETY: the signature matches native.cpp.
unsafe extern "C" {
    fn epochtop_load_cuda() -> c_int;
}

/// Whether libtorch's CUDA library is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cuda {
    /// It is in the directory of the loaded libtorch and was loaded.
    Loaded,
    /// This libtorch has no CUDA library.
    Absent,
    /// It exists but cannot be loaded, for this reason.
    Broken(String),
}

/// Loads `libtorch_cuda.so` from the directory of the loaded `libtorch_cpu.so`, once per process and before the first
/// tensor is created. After that libtorch can use CUDA devices.
pub fn load_cuda() -> &'static Cuda {
    static STATE: OnceLock<Cuda> = OnceLock::new();
    STATE.get_or_init(|| {
        // SAFETY: no arguments. Loading runs the library's initializers, as linking against it would.
        match unsafe { epochtop_load_cuda() } {
            1 => Cuda::Loaded,
            0 => Cuda::Absent,
            _ => Cuda::Broken(super::torch::last_error()),
        }
    })
}
