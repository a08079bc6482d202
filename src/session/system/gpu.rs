//! The NVIDIA GPUs, through the driver's own library (NVML), which is looked for when the run begins. Where there is none,
//! or where it may not be used, there are no GPUs; a call that fails costs its number and nothing else.

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};

use crate::event::{GPUS, GpuProcess, GpuSample, PROCESSES, ThrottleReason};

/// The driver's library, if there is one.
pub(super) struct Gpus {
    nvml: Option<Nvml>,
    /// The GPU that is trained on, by CUDA's number.
    ordinal: Option<u32>,
    /// `CUDA_VISIBLE_DEVICES`.
    visible: Option<String>,
}

impl Gpus {
    /// Loads the library. It may take a second where the driver keeps nothing ready.
    pub(super) fn open(ordinal: Option<u32>) -> Self {
        Self {
            nvml: Nvml::init().ok(),
            ordinal,
            visible: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
        }
    }

    /// One look at each.
    pub(super) fn look(&self) -> Vec<GpuSample> {
        let Some(nvml) = &self.nvml else {
            return Vec::new();
        };
        let count = nvml.device_count().unwrap_or(0).min(GPUS as u32);
        (0..count)
            .filter_map(|index| {
                let device = nvml.device_by_index(index).ok()?;
                Some(self.look_at(nvml, index, &device))
            })
            .collect()
    }

    fn look_at(&self, nvml: &Nvml, index: u32, device: &Device<'_>) -> GpuSample {
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
                .take(PROCESSES)
                .map(|process| named(nvml, process))
                .collect(),
        }
    }
}

fn named(nvml: &Nvml, process: &ProcessInfo) -> GpuProcess {
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

/// Milliwatts in watts.
fn watts(milliwatts: u32) -> f32 {
    milliwatts as f32 / 1000.0
}

/// The program of a command line: the file name of its first word.
fn program(command: &str) -> String {
    let first = command.split_ascii_whitespace().next().unwrap_or_default();
    first.rsplit('/').next().unwrap_or(first).to_owned()
}

/// What holds the clocks down. Clocks that were set by hand and a GPU that idles are no throttling.
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
    // That the hardware does it is left out where it says why.
    let why = ThrottleReasons::HW_THERMAL_SLOWDOWN | ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN;
    known
        .into_iter()
        .filter(|(bit, _)| bits.contains(*bit))
        .map(|(_, reason)| reason)
        .filter(|reason| *reason != ThrottleReason::Hardware || !bits.intersects(why))
        .collect()
}

/// Whether CUDA's GPU of this number is the driver's GPU of that index. `CUDA_VISIBLE_DEVICES` lists indices, or the
/// beginnings of UUIDs; what follows on an entry that is neither does not exist for CUDA.
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
    fn what_holds_the_clocks_down_has_reasons() {
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
    fn the_gpu_that_is_trained_on_is_found_by_what_cuda_may_see() {
        let chosen = |visible, index, uuid| is_chosen(Some(1), visible, index, uuid);
        assert!(chosen(None, 1, "GPU-b"));
        assert!(!chosen(None, 0, "GPU-a"));
        assert!(chosen(Some("3,2"), 2, "GPU-c"));
        assert!(!chosen(Some("3,2"), 1, "GPU-b"));
        assert!(chosen(Some("0, GPU-ab"), 5, "GPU-abcd"));
        assert!(
            !chosen(Some("-1,2"), 2, "GPU-c"),
            "nothing behind it is there"
        );
        assert!(!chosen(Some(""), 1, "GPU-b"));
        assert!(!is_chosen(None, None, 0, ""), "the CPU is trained on");
    }

    #[test]
    fn a_program_is_the_end_of_its_path() {
        assert_eq!(program("/usr/bin/python3 -m train"), "python3");
        assert_eq!(program("epochtop"), "epochtop");
        assert_eq!(program(""), "");
    }

    #[test]
    fn where_there_is_no_driver_there_are_no_gpus_and_nobody_complains() {
        let none = Gpus {
            nvml: None,
            ordinal: Some(0),
            visible: None,
        };
        assert_eq!(none.look(), []);
    }

    proptest! {
        #[test]
        fn no_answer_of_a_driver_is_too_much(bits in any::<u64>(), text in ".{0,40}", ordinal in any::<u32>(), mw in any::<u32>()) {
            prop_assert!(reasons(ThrottleReasons::from_bits_retain(bits)).len() <= 6);
            let _ = (is_chosen(Some(ordinal), Some(&text), ordinal, &text), program(&text));
            prop_assert!(watts(mw).is_finite());
        }
    }
}
