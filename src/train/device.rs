//! Where to compute, and with how many threads.

use tch::{Cuda, Device, Kind};

use crate::config::Precision;
use crate::native::{self, load_cuda};

/// The device of `train.device`: `auto`, `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// What was asked for and what is there.
pub fn choose(word: &str) -> Result<Device, String> {
    let there = cuda_devices();
    let wanted = match word {
        "cpu" => return Ok(Device::Cpu),
        "auto" => {
            return Ok(if there > 0 {
                Device::Cuda(0)
            } else {
                Device::Cpu
            });
        }
        "cuda" => Some(0),
        other => other
            .strip_prefix("cuda:")
            .and_then(|index| index.parse().ok()),
    };
    match wanted {
        Some(index) if index < there => Ok(Device::Cuda(index)),
        Some(_) => Err(format!(
            "train.device = {word:?}: this libtorch sees {there} CUDA devices{}; use \"cpu\" or \"auto\", \
             and `epochtop doctor` to see what is missing",
            match load_cuda() {
                native::Cuda::Loaded => String::new(),
                native::Cuda::Absent => " (it is one for CPUs only)".to_owned(),
                native::Cuda::Broken(why) => format!(" (its CUDA part cannot be loaded: {why})"),
            }
        )),
        None => Err(format!(
            "train.device = {word:?}: expected \"auto\", \"cpu\", \"cuda\" or \"cuda:N\""
        )),
    }
}

/// The GPU that `train.device` means, by CUDA's number; `None` for the CPU.
pub fn gpu(word: &str) -> Option<u32> {
    match choose(word) {
        Ok(Device::Cuda(index)) => u32::try_from(index).ok(),
        _ => None,
    }
}

/// CUDA devices this libtorch can compute on; 0 also where it was built without CUDA.
pub fn cuda_devices() -> usize {
    // libtorch must know its CUDA part before it is asked.
    load_cuda();
    if Cuda::is_available() {
        Cuda::device_count().max(0) as usize
    } else {
        0
    }
}

/// The device's name in records.
pub(super) fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        Device::Cpu => "cpu".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// The kind of numbers between layers for `train.precision` on this device.
pub fn kind(precision: Precision, device: Device) -> Kind {
    match precision {
        Precision::Bf16 => Kind::BFloat16,
        Precision::Auto if has_bf16(device) => Kind::BFloat16,
        Precision::F32 | Precision::Auto => Kind::Float,
    }
}

/// That kind's name in records.
pub(super) fn precision(kind: Kind) -> &'static str {
    match kind {
        Kind::BFloat16 => "bf16",
        _ => "f32",
    }
}

/// Whether the device multiplies matrices of bf16 faster than of f32.
fn has_bf16(device: Device) -> bool {
    match device {
        #[cfg(target_arch = "x86_64")]
        Device::Cpu => std::arch::is_x86_feature_detected!("avx512bf16"),
        // Every GPU that libtorch with CUDA 13 supports and that this was made for is an Ampere or younger.
        Device::Cuda(_) => true,
        _ => false,
    }
}

/// Computes with the threads of `train.threads` from here on, and keeps the memory of a step for the next.
pub fn set_threads(configured: i32) {
    crate::native::keep_memory();
    tch::set_num_threads(cores(configured));
}

/// Threads for `train.threads`, where 0 means one for each core this process may use.
pub fn cores(configured: i32) -> i32 {
    if configured > 0 {
        return configured;
    }
    std::thread::available_parallelism().map_or(1, |n| n.get() as i32)
}
