//! Where to compute, and with how many threads.

use tch::{Cuda, Device};

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
            "train.device = {word:?}: this libtorch sees {there} CUDA devices; use \"cpu\" or \"auto\", \
             and `epochtop doctor` to see what is missing"
        )),
        None => Err(format!(
            "train.device = {word:?}: expected \"auto\", \"cpu\", \"cuda\" or \"cuda:N\""
        )),
    }
}

/// CUDA devices this libtorch can compute on; 0 also where it was built without CUDA.
pub fn cuda_devices() -> usize {
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

/// Computes with the threads of `train.threads` from here on.
pub fn set_threads(configured: i32) {
    tch::set_num_threads(cores(configured));
}

/// Threads for `train.threads`, where 0 means one for each core this process may use.
pub fn cores(configured: i32) -> i32 {
    if configured > 0 {
        return configured;
    }
    std::thread::available_parallelism().map_or(1, |n| n.get() as i32)
}
