//! Load of the machine during training: one sample of its processors, memory, disk and GPUs.
//!
//! Every value is optional: a driver, a container or another operating system may not report it, and then it is `None`.
//! Sizes are in bytes; shares are from 0 to 1.

use serde::{Deserialize, Serialize};

/// Maximum number of GPUs in a sample.
pub const MAX_GPUS: usize = 64;
/// Maximum number of processes per GPU in a sample.
pub const MAX_PROCESSES: usize = 32;
/// Maximum number of throttle reasons per GPU; more than there are.
const MAX_REASONS: usize = 8;
/// Maximum length of a name, characters; longer names are truncated.
const MAX_NAME_CHARS: usize = 80;

/// One sample of the machine that runs the training.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SystemSample {
    /// Share of the machine's total processor time that was used since the previous sample, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f32>,
    /// Number of processors available to the trainer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Load average of the last minute: mean number of processes that ran or waited to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<f32>,
    /// Mean number of processors that the trainer's process used since the previous sample, 0 to `cores`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_cpu: Option<f32>,
    /// Mean number of threads of the trainer's process that waited for a processor since the previous sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_waiting: Option<f32>,
    /// Main memory in use, without caches that can be freed immediately.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<u64>,
    /// Total main memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total: Option<u64>,
    /// Resident main memory of the trainer's process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_rss: Option<u64>,
    /// Free space for this user on the file system of the run directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_free: Option<u64>,
    /// Total size of that file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_total: Option<u64>,
    /// The NVIDIA GPUs, sorted by index; empty without an NVIDIA driver.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuSample>,
}

/// One sample of a GPU.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuSample {
    /// The driver's index of the GPU. It differs from CUDA's if `CUDA_VISIBLE_DEVICES` selects GPUs.
    pub index: u32,
    /// Product name.
    pub name: String,
    /// Share of the driver's last sampling period in which the GPU was busy, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilisation: Option<f32>,
    /// GPU memory in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<u64>,
    /// Total GPU memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total: Option<u64>,
    /// Power draw, watts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_w: Option<f32>,
    /// Power limit, watts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_limit_w: Option<f32>,
    /// Temperature of the chip, °C.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f32>,
    /// Clock rate of the multiprocessors, MHz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_mhz: Option<u32>,
    /// Maximum clock rate of the multiprocessors, MHz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_clock_mhz: Option<u32>,
    /// Why the GPU is throttled; empty if it is not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub throttled: Vec<ThrottleReason>,
    /// The processes that use the GPU.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<GpuProcess>,
    /// Whether this run trains on the GPU.
    pub ours: bool,
}

/// Why a GPU is throttled. The journal stores the text of [`ThrottleReason::words`], so those texts must not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ThrottleReason {
    /// The power draw has reached the power limit.
    PowerLimit,
    /// The temperature is too high; the driver lowers the clocks.
    Hot,
    /// The temperature is far too high; the hardware halves the clocks.
    Overheated,
    /// The power supply has reached its limit; the hardware halves the clocks.
    PowerBrake,
    /// The clocks are synchronized with a group of GPUs.
    SyncBoost,
    /// The hardware lowers the clocks without reporting the reason.
    Hardware,
    /// A reason from another version of this program, as its text.
    Other(String),
}

impl ThrottleReason {
    /// All reasons but [`ThrottleReason::Other`].
    pub const KNOWN: [Self; 6] = [
        Self::PowerLimit,
        Self::Hot,
        Self::Overheated,
        Self::PowerBrake,
        Self::SyncBoost,
        Self::Hardware,
    ];

    /// The text on screens and in the journal.
    pub fn words(&self) -> &str {
        match self {
            Self::PowerLimit => "power limit",
            Self::Hot => "too hot",
            Self::Overheated => "far too hot, clocks halved",
            Self::PowerBrake => "power supply at its limit, clocks halved",
            Self::SyncBoost => "held back with the GPUs of its group",
            Self::Hardware => "slowed by its hardware",
            Self::Other(words) => words,
        }
    }

    /// Whether the reason is part of normal operation: a busy GPU is always at its power limit.
    pub fn is_intended(&self) -> bool {
        match self {
            Self::PowerLimit | Self::SyncBoost => true,
            Self::Hot | Self::Overheated | Self::PowerBrake | Self::Hardware => false,
            // A reason without text gives nothing to investigate.
            Self::Other(words) => words.trim().is_empty(),
        }
    }
}

impl From<String> for ThrottleReason {
    fn from(words: String) -> Self {
        let known = Self::KNOWN.into_iter().find(|one| one.words() == words);
        known.unwrap_or(Self::Other(words))
    }
}

impl From<ThrottleReason> for String {
    fn from(reason: ThrottleReason) -> Self {
        reason.words().to_owned()
    }
}

/// A process on a GPU.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuProcess {
    /// Process ID; in a container it may be the ID on the host.
    pub pid: u32,
    /// Name of the program; empty if it is not visible.
    pub name: String,
    /// GPU memory used by the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

impl SystemSample {
    /// Limits the size of a sample from any source: at most [`MAX_GPUS`] GPUs with [`MAX_PROCESSES`] processes each,
    /// and short names. Non-finite numbers become `None`.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let numbers = [
            &mut self.cpu,
            &mut self.load,
            &mut self.process_cpu,
            &mut self.process_waiting,
        ];
        for number in numbers {
            *number = number.filter(|value| value.is_finite());
        }
        self.gpus.truncate(MAX_GPUS);
        self.gpus.iter_mut().for_each(GpuSample::bound);
        self
    }
}

impl GpuSample {
    /// The reasons in [`GpuSample::throttled`], separated by commas.
    pub fn throttle_words(&self) -> String {
        let words: Vec<&str> = self.throttled.iter().map(ThrottleReason::words).collect();
        words.join(", ")
    }

    fn bound(&mut self) {
        let numbers = [
            &mut self.utilisation,
            &mut self.power_w,
            &mut self.power_limit_w,
            &mut self.temperature_c,
        ];
        for number in numbers {
            *number = number.filter(|value| value.is_finite());
        }
        self.throttled.truncate(MAX_REASONS);
        self.processes.truncate(MAX_PROCESSES);
        shorten(&mut self.name);
        for reason in &mut self.throttled {
            if let ThrottleReason::Other(words) = reason {
                shorten(words);
            }
        }
        self.processes
            .iter_mut()
            .for_each(|process| shorten(&mut process.name));
    }
}

fn shorten(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(MAX_NAME_CHARS) {
        text.truncate(at);
    }
}

/// `part / whole`, 0 to 1, if both are known and `whole` is not 0.
pub fn share_of(part: Option<u64>, whole: Option<u64>) -> Option<f32> {
    let (part, whole) = (part?, whole.filter(|whole| *whole > 0)?);
    Some((part as f64 / whole as f64).min(1.0) as f32)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn unknown_values_are_omitted_and_round_trip() {
        let sample = SystemSample {
            cpu: Some(0.5),
            gpus: vec![GpuSample::default()],
            ..SystemSample::default()
        };
        let text = serde_json::to_string(&sample).unwrap();
        assert_eq!(
            text,
            r#"{"cpu":0.5,"gpus":[{"index":0,"name":"","ours":false}]}"#
        );
        assert_eq!(serde_json::from_str::<SystemSample>(&text).unwrap(), sample);
        let empty: SystemSample = serde_json::from_str("{}").unwrap();
        assert_eq!(empty, SystemSample::default());
    }

    #[test]
    fn throttle_reasons_keep_the_texts_of_old_journals() {
        let old = r#"{"index":0,"name":"","throttled":["power limit","too hot","far too hot, clocks halved","power supply at its limit, clocks halved","held back with the GPUs of its group","slowed by its hardware","too loud"],"ours":false}"#;
        let gpu: GpuSample = serde_json::from_str(old).unwrap();
        assert_eq!(gpu.throttled[..6], ThrottleReason::KNOWN);
        let unknown = ThrottleReason::Other("too loud".to_owned());
        assert_eq!(gpu.throttled[6], unknown);
        assert!(!unknown.is_intended());
        assert_eq!(serde_json::to_string(&gpu).unwrap(), old);
    }

    #[test]
    fn bounded_limits_sizes_and_removes_non_finite_numbers() {
        let process = GpuProcess {
            name: "é".repeat(1000),
            ..GpuProcess::default()
        };
        let gpu = GpuSample {
            name: "x".repeat(1000),
            power_w: Some(f32::NAN),
            throttled: vec![ThrottleReason::Other("too hot".repeat(100)); 100],
            processes: vec![process; 1000],
            ..GpuSample::default()
        };
        let sample = SystemSample {
            load: Some(f32::INFINITY),
            gpus: vec![gpu; 1000],
            ..SystemSample::default()
        }
        .bounded();
        assert_eq!((sample.load, sample.gpus.len()), (None, MAX_GPUS));
        let gpu = &sample.gpus[0];
        assert_eq!((gpu.name.len(), gpu.power_w), (MAX_NAME_CHARS, None));
        assert_eq!(
            (gpu.processes.len(), gpu.throttled.len()),
            (MAX_PROCESSES, MAX_REASONS)
        );
        assert_eq!(gpu.processes[0].name.chars().count(), MAX_NAME_CHARS);
        assert_eq!(gpu.throttled[0].words().len(), MAX_NAME_CHARS);
    }

    #[test]
    fn the_share_of_an_unknown_or_zero_whole_is_none() {
        assert_eq!(share_of(Some(1), Some(4)), Some(0.25));
        assert_eq!(share_of(Some(5), Some(4)), Some(1.0));
        assert_eq!(share_of(Some(0), Some(0)), None);
        assert_eq!(share_of(None, Some(4)), None);
    }
}
