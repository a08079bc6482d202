//! The choice of device, dtype and number of threads.

use std::time::Duration;

use crossbeam_channel::bounded;
use fs_err as fs;
use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};
use tch::{Cuda, Device, Kind};

use crate::config::Precision;
use crate::native::{self, load_cuda};
use crate::threads;

/// The device for a value of `train.device`: `auto`, `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// If the value is not one of these, the device does not exist, or the limit of the address space is too low to compute.
pub fn choose(word: &str) -> Result<Device, String> {
    enough_address_space()?;
    let count = cuda_devices();
    let wanted = match word {
        "cpu" => return Ok(Device::Cpu),
        "auto" => {
            return Ok(if count > 0 {
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
        Some(index) if index < count => Ok(Device::Cuda(index)),
        Some(_) => Err(format!(
            "train.device = {word:?}: libtorch finds {count} CUDA devices{}; use \"cpu\" or \"auto\", \
             or run `epochtop doctor` to see what is missing",
            match load_cuda() {
                native::Cuda::Loaded => String::new(),
                native::Cuda::Absent => " (it is a CPU-only build)".to_owned(),
                native::Cuda::Broken(why) => format!(" (its CUDA library cannot be loaded: {why})"),
            }
        )),
        None => Err(format!(
            "train.device = {word:?}: expected \"auto\", \"cpu\", \"cuda\" or \"cuda:N\""
        )),
    }
}

/// Address space that training needs beyond that of the program itself. libtorch and the C++ library end the process in
/// several ways if they get none.
const ADDRESS_SPACE: u64 = 512 << 20;

fn enough_address_space() -> Result<(), String> {
    let Some(limit) = getrlimit(Resource::As).current else {
        return Ok(());
    };
    // The size of the program in pages, 4 KiB or more each.
    let used = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let used = used.split_ascii_whitespace().next().unwrap_or_default();
    let used = used
        .parse::<u64>()
        .unwrap_or(0)
        .saturating_mul(page_size() as u64);
    let least = used.saturating_add(ADDRESS_SPACE);
    if limit >= least {
        return Ok(());
    }
    let mib = |bytes: u64| bytes >> 20;
    Err(format!(
        "the limit of the address space is {} MiB (ulimit -v): expected at least {} MiB; raise it, for example with \
         `ulimit -v unlimited`",
        mib(limit),
        mib(least)
    ))
}

/// CUDA index of the GPU that a value of `train.device` selects; `None` for the CPU.
pub fn gpu(word: &str) -> Option<u32> {
    match choose(word) {
        Ok(Device::Cuda(index)) => u32::try_from(index).ok(),
        _ => None,
    }
}

/// Number of CUDA devices that libtorch can use; 0 if it was built without CUDA.
pub fn cuda_devices() -> usize {
    // libtorch reports CUDA devices only after its CUDA library is loaded.
    load_cuda();
    if Cuda::is_available() {
        Cuda::device_count().max(0) as usize
    } else {
        0
    }
}

/// Name of a device in events and files: `cpu` or `cuda:N`.
pub(super) fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        Device::Cpu => "cpu".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Dtype of activations for `train.precision` on this device.
pub fn kind(precision: Precision, device: Device) -> Kind {
    match precision {
        Precision::Bf16 => Kind::BFloat16,
        Precision::Auto if has_bf16(device) => Kind::BFloat16,
        Precision::F32 | Precision::Auto => Kind::Float,
    }
}

/// Name of that dtype in events and files: `f32` or `bf16`.
pub(super) fn precision(kind: Kind) -> &'static str {
    match kind {
        Kind::BFloat16 => "bf16",
        _ => "f32",
    }
}

/// Whether the device multiplies bf16 matrices faster than f32 matrices.
fn has_bf16(device: Device) -> bool {
    match device {
        #[cfg(target_arch = "x86_64")]
        Device::Cpu => std::arch::is_x86_feature_detected!("avx512bf16"),
        // All supported GPUs are Ampere or newer, and these have bf16 tensor cores.
        Device::Cuda(_) => true,
        _ => false,
    }
}

/// How long libtorch may take to create its threads.
const CREATION: Duration = Duration::from_secs(10);

/// Sets the number of threads that libtorch computes with on this thread, from `train.threads`, creates them, and
/// configures the allocator to reuse the memory of a step. If the system does not allow so many threads, there are
/// fewer, and the result is a warning: sums over several threads round differently.
///
/// # Errors
/// If the limit is reached while the threads are created.
pub fn set_threads(configured: i32) -> Result<Option<String>, String> {
    crate::native::keep_memory();
    let wanted = cores(configured).max(1) as usize;
    // libtorch creates two sets of threads. It hangs if it cannot create one of them, and OpenMP ends the process.
    let possible = threads::possible(2 * (wanted - 1)) / 2 + 1;
    let count = possible as i32;
    if possible > 1 {
        // The first set is created by the first call, on any thread.
        let (created, answer) = bounded(1);
        let create = move || {
            tch::set_num_threads(count);
            let _ = created.send(());
        };
        threads::start("libtorch", create).map_err(|error| error.to_string())?;
        answer.recv_timeout(CREATION).map_err(|_| {
            format!(
                "libtorch cannot create {wanted} threads; {}",
                threads::limits()
            )
        })?;
    }
    tch::set_num_threads(count);
    crate::native::make_team(possible as u32);
    super::waiting::choose(possible);
    Ok((possible < wanted).then(|| {
        format!(
            "computing with {possible} instead of {wanted} threads, so results round differently: {}",
            threads::limits()
        )
    }))
}

/// Number of threads for a value of `train.threads`; 0 means one per core that this process may use.
pub fn cores(configured: i32) -> i32 {
    if configured > 0 {
        return configured;
    }
    i32::try_from(threads::cores()).unwrap_or(1)
}
