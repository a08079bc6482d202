//! Samples the NVIDIA GPUs through the driver's library (NVML), which is loaded when the run starts. If it is missing
//! or access is denied, no GPUs are reported. If a call fails, only its value is missing from the sample.

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};

use crate::event::{GpuProcess, GpuSample, MAX_GPUS, MAX_PROCESSES, ThrottleReason};

/// Access to the GPUs; reports none if the driver's library could not be loaded.
pub(super) struct Gpus {
    nvml: Option<Nvml>,
    /// CUDA device ordinal of the GPU used for training; `None` if the run trains on the CPU.
    ordinal: Option<u32>,
    /// Value of `CUDA_VISIBLE_DEVICES`.
    visible: Option<String>,
}

impl Gpus {
    /// Loads the library. This may take a second if the driver is not in persistence mode.
    pub(super) fn open(ordinal: Option<u32>) -> Self {
        Self {
            nvml: Nvml::init().ok(),
            ordinal,
            visible: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
        }
    }

    /// Samples every GPU.
    pub(super) fn sample(&self) -> Vec<GpuSample> {
        let Some(nvml) = &self.nvml else {
            return Vec::new();
        };
        let count = nvml.device_count().unwrap_or(0).min(MAX_GPUS as u32);
        (0..count)
            .filter_map(|index| {
                let device = nvml.device_by_index(index).ok()?;
                Some(self.sample_gpu(nvml, index, &device))
            })
            .collect()
    }

    fn sample_gpu(&self, nvml: &Nvml, index: u32, device: &Device<'_>) -> GpuSample {
        let memory = device.memory_info().ok();
        let processes = device.running_compute_processes().unwrap_or_default();
        let uuid = device.uuid().unwrap_or_default();
        let own = std::process::id();
        GpuSample {
            index,
            name: device.name().unwrap_or_default(),
            utilisation: device
                .utilization_rates()
                .ok()
                .map(|rates| rates.gpu.min(100) as f32 / 100.0),
            memory_used: memory.as_ref().map(|memory| memory.used),
            memory_total: memory.as_ref().map(|memory| memory.total),
            power_w: device.power_usage().ok().map(watts),
            power_limit_w: device.enforced_power_limit().ok().map(watts),
            temperature_c: device
                .temperature(TemperatureSensor::Gpu)
                .ok()
                .map(|degrees| degrees as f32),
            clock_mhz: device.clock_info(Clock::SM).ok(),
            max_clock_mhz: device.max_clock_info(Clock::SM).ok(),
            throttled: device
                .current_throttle_reasons()
                .map_or_else(|_| Vec::new(), reasons),
            ours: processes.iter().any(|process| process.pid == own)
                || is_chosen(self.ordinal, self.visible.as_deref(), index, &uuid),
            processes: processes
                .iter()
                .take(MAX_PROCESSES)
                .map(|process| process_info(nvml, process))
                .collect(),
        }
    }
}

/// A process with its program name and its GPU memory.
fn process_info(nvml: &Nvml, process: &ProcessInfo) -> GpuProcess {
    GpuProcess {
        pid: process.pid,
        name: nvml
            .sys_process_name(process.pid, 256)
            .map_or_else(|_| String::new(), |path| program(&path)),
        memory: match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        },
    }
}

/// Converts milliwatts to watts.
fn watts(milliwatts: u32) -> f32 {
    milliwatts as f32 / 1000.0
}

/// The program name of a command line: the file name in its first word.
fn program(command: &str) -> String {
    let first = command.split_ascii_whitespace().next().unwrap_or_default();
    first.rsplit('/').next().unwrap_or(first).to_owned()
}

/// The reasons for reduced clocks. Clocks set by the user and an idle GPU do not count as throttling.
fn reasons(bits: ThrottleReasons) -> Vec<ThrottleReason> {
    let known = [
        (ThrottleReasons::SW_POWER_CAP, ThrottleReason::PowerLimit),
        (ThrottleReasons::SW_THERMAL_SLOWDOWN, ThrottleReason::Hot),
        (
            ThrottleReasons::HW_THERMAL_SLOWDOWN,
            ThrottleReason::Overheated,
        ),
        (
            ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN,
            ThrottleReason::PowerBrake,
        ),
        (ThrottleReasons::SYNC_BOOST, ThrottleReason::SyncBoost),
        (ThrottleReasons::HW_SLOWDOWN, ThrottleReason::Hardware),
    ];
    // The general hardware bit is omitted if a more specific hardware reason is set.
    let why = ThrottleReasons::HW_THERMAL_SLOWDOWN | ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN;
    known
        .into_iter()
        .filter(|(bit, _)| bits.contains(*bit))
        .map(|(_, reason)| reason)
        .filter(|reason| *reason != ThrottleReason::Hardware || !bits.intersects(why))
        .collect()
}

/// Whether CUDA device `ordinal` is the GPU with the NVML index `index`. `CUDA_VISIBLE_DEVICES` (`visible`) lists
/// indices or prefixes of UUIDs; CUDA ignores the first invalid entry and all entries after it.
fn is_chosen(ordinal: Option<u32>, visible: Option<&str>, index: u32, uuid: &str) -> bool {
    let Some(ordinal) = ordinal else {
        return false;
    };
    let Some(visible) = visible else {
        return ordinal == index;
    };
    let is_known = |entry: &&str| entry.parse::<u32>().is_ok() || entry.starts_with("GPU-");
    let mut entries = visible.split(',').map(str::trim).take_while(is_known);
    entries
        .nth(ordinal as usize)
        .is_some_and(|entry| match entry.parse::<u32>() {
            Ok(number) => number == index,
            Err(_) => uuid.starts_with(entry),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn throttle_reasons_are_decoded() {
        let idle = ThrottleReasons::GPU_IDLE | ThrottleReasons::APPLICATIONS_CLOCKS_SETTING;
        assert_eq!(reasons(idle), []);
        let hot = ThrottleReasons::SW_POWER_CAP | ThrottleReasons::SW_THERMAL_SLOWDOWN;
        assert_eq!(
            reasons(hot),
            [ThrottleReason::PowerLimit, ThrottleReason::Hot]
        );
        let hardware = ThrottleReasons::HW_SLOWDOWN;
        assert_eq!(reasons(hardware), [ThrottleReason::Hardware]);
        let halved = hardware | ThrottleReasons::HW_THERMAL_SLOWDOWN;
        assert_eq!(reasons(halved), [ThrottleReason::Overheated]);
    }

    #[test]
    fn training_gpu_is_found_from_cuda_visible_devices() {
        let chosen = |visible, index, uuid| is_chosen(Some(1), visible, index, uuid);
        assert!(chosen(None, 1, "GPU-b"));
        assert!(!chosen(None, 0, "GPU-a"));
        assert!(chosen(Some("3,2"), 2, "GPU-c"));
        assert!(!chosen(Some("3,2"), 1, "GPU-b"));
        assert!(chosen(Some("0, GPU-ab"), 5, "GPU-abcd"));
        assert!(
            !chosen(Some("-1,2"), 2, "GPU-c"),
            "entries after an invalid one are ignored"
        );
        assert!(!chosen(Some(""), 1, "GPU-b"));
        assert!(!is_chosen(None, None, 0, ""), "the run trains on the CPU");
    }

    #[test]
    fn program_name_is_the_file_name_of_its_path() {
        assert_eq!(program("/usr/bin/python3 -m train"), "python3");
        assert_eq!(program("epochtop"), "epochtop");
        assert_eq!(program(""), "");
    }

    #[test]
    fn without_a_driver_no_gpus_are_reported() {
        let none = Gpus {
            nvml: None,
            ordinal: Some(0),
            visible: None,
        };
        assert_eq!(none.sample(), []);
    }

    proptest! {
        #[test]
        fn arbitrary_driver_values_do_not_panic(bits in any::<u64>(), text in ".{0,40}", ordinal in any::<u32>(), mw in any::<u32>()) {
            prop_assert!(reasons(ThrottleReasons::from_bits_retain(bits)).len() <= 6);
            let _ = (is_chosen(Some(ordinal), Some(&text), ordinal, &text), program(&text));
            prop_assert!(watts(mw).is_finite());
        }
    }
}
