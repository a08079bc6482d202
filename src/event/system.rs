//! What the machine does while it trains: one look at its processors, memory, disk and GPUs.
//!
//! Nothing here is certain to be known: a driver, a container or another operating system may keep any number to itself,
//! and then it is `None`. Bytes are bytes; shares go from 0 to 1.

use serde::{Deserialize, Serialize};

/// GPUs of a machine that are told of.
pub const GPUS: usize = 64;
/// Processes of a GPU that are told of.
pub const PROCESSES: usize = 32;
/// Reasons that are told of; there are fewer.
const REASONS: usize = 8;
/// Characters of a name that are kept.
const LETTERS: usize = 80;

/// One look at the machine that trains.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SystemSample {
    /// Share of the whole machine's processor time that was used since the look before, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f32>,
    /// Processors the trainer may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Processes that ran or waited to run, mean of the last minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<f32>,
    /// Processors the trainer's process kept busy since the look before, 0 to `cores`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_cpu: Option<f32>,
    /// Main memory that could not be given away at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<u64>,
    /// Main memory in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total: Option<u64>,
    /// Main memory the trainer's process holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process_rss: Option<u64>,
    /// What the file system of the run directory still takes from this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_free: Option<u64>,
    /// What it holds in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_total: Option<u64>,
    /// The NVIDIA GPUs, by index; none where there is no driver.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuSample>,
}

/// One look at a GPU.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuSample {
    /// Its number with the driver, which is not CUDA's where `CUDA_VISIBLE_DEVICES` chooses some.
    pub index: u32,
    /// What it is called.
    pub name: String,
    /// Share of the last moments in which it computed anything, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilisation: Option<f32>,
    /// Its memory that is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<u64>,
    /// Its memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total: Option<u64>,
    /// Power it draws, watts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_w: Option<f32>,
    /// Power it is allowed to draw, watts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_limit_w: Option<f32>,
    /// Temperature of the chip, °C.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f32>,
    /// Clock of its multiprocessors, MHz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_mhz: Option<u32>,
    /// The fastest that clock can be, MHz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_clock_mhz: Option<u32>,
    /// Why it runs slower than it could; empty when nothing holds it back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub throttled: Vec<ThrottleReason>,
    /// Who computes on it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<GpuProcess>,
    /// The run is trained on it.
    pub ours: bool,
}

/// Why a GPU runs slower than it could. In the journal it is its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ThrottleReason {
    /// It draws the power it is allowed to.
    PowerLimit,
    /// It is too hot; the driver slows it down.
    Hot,
    /// It is far too hot; the hardware halves its clocks.
    Overheated,
    /// The power supply is at its limit; the hardware halves its clocks.
    PowerBrake,
    /// It keeps to the clocks of a group of GPUs.
    SyncBoost,
    /// The hardware slows it down and does not say why.
    Hardware,
    /// A reason that another version of this program knows.
    Other(String),
}

impl ThrottleReason {
    /// All but those of other versions.
    pub const KNOWN: [Self; 6] = [
        Self::PowerLimit,
        Self::Hot,
        Self::Overheated,
        Self::PowerBrake,
        Self::SyncBoost,
        Self::Hardware,
    ];

    /// What screens show and the journal keeps.
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

    /// Whether the GPU is meant to run like that: a busy one is at its power limit all day.
    pub fn is_intended(&self) -> bool {
        match self {
            Self::PowerLimit | Self::SyncBoost => true,
            Self::Hot | Self::Overheated | Self::PowerBrake | Self::Hardware => false,
            // Without words there is nothing to look into.
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
    /// Its number; in a container it may be the host's.
    pub pid: u32,
    /// Its program, where that may be seen.
    pub name: String,
    /// Memory it holds on the GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

impl SystemSample {
    /// The same in bounded size, whoever made it: at most [`GPUS`] GPUs with [`PROCESSES`] processes each, short names,
    /// and no number that is none.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        for number in [&mut self.cpu, &mut self.load, &mut self.process_cpu] {
            *number = number.filter(|value| value.is_finite());
        }
        self.gpus.truncate(GPUS);
        self.gpus.iter_mut().for_each(GpuSample::bound);
        self
    }
}

impl GpuSample {
    /// The reasons in [`GpuSample::throttled`], one behind the other.
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
        self.throttled.truncate(REASONS);
        self.processes.truncate(PROCESSES);
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
    if let Some((at, _)) = text.char_indices().nth(LETTERS) {
        text.truncate(at);
    }
}

/// A part of a whole, where both are known and the whole is something; 0 to 1.
pub fn share_of(part: Option<u64>, whole: Option<u64>) -> Option<f32> {
    let (part, whole) = (part?, whole.filter(|whole| *whole > 0)?);
    Some((part as f64 / whole as f64).min(1.0) as f32)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn what_is_not_known_is_not_written_and_reads_back_as_not_known() {
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
    fn reasons_are_read_and_written_in_the_words_of_old_journals() {
        let old = r#"{"index":0,"name":"","throttled":["power limit","too hot","far too hot, clocks halved","power supply at its limit, clocks halved","held back with the GPUs of its group","slowed by its hardware","too loud"],"ours":false}"#;
        let gpu: GpuSample = serde_json::from_str(old).unwrap();
        assert_eq!(gpu.throttled[..6], ThrottleReason::KNOWN);
        let unknown = ThrottleReason::Other("too loud".to_owned());
        assert_eq!(gpu.throttled[6], unknown);
        assert!(!unknown.is_intended());
        assert_eq!(serde_json::to_string(&gpu).unwrap(), old);
    }

    #[test]
    fn whoever_made_it_it_is_bounded() {
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
        assert_eq!((sample.load, sample.gpus.len()), (None, GPUS));
        let gpu = &sample.gpus[0];
        assert_eq!((gpu.name.len(), gpu.power_w), (LETTERS, None));
        assert_eq!(
            (gpu.processes.len(), gpu.throttled.len()),
            (PROCESSES, REASONS)
        );
        assert_eq!(gpu.processes[0].name.chars().count(), LETTERS);
        assert_eq!(gpu.throttled[0].words().len(), LETTERS);
    }

    #[test]
    fn a_share_of_nothing_is_not_known() {
        assert_eq!(share_of(Some(1), Some(4)), Some(0.25));
        assert_eq!(share_of(Some(5), Some(4)), Some(1.0));
        assert_eq!(share_of(Some(0), Some(0)), None);
        assert_eq!(share_of(None, Some(4)), None);
    }
}
