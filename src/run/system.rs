//! The machine: its latest sample, and the recent history of its main values.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::history::push_bounded;
use super::state::RunState;
use crate::event::{GpuSample, MAX_GPUS, SystemSample, share_of};

/// Number of retained samples: twenty minutes at one sample every five seconds.
pub const SAMPLES: usize = 240;

/// Number of samples over which the share of waiting is computed: half a minute at one every five seconds.
const WAITING: usize = 6;

/// A value over the latest samples, newest last; `None` where it is unknown.
pub type Trace = VecDeque<Option<f32>>;

/// The machine over the latest samples. Each trace ends with the latest sample; a trace that started later is shorter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SystemHistory {
    /// The complete latest sample.
    pub latest: Option<Box<SystemSample>>,
    /// Time of each sample, milliseconds since 1970.
    pub t_ms: VecDeque<u64>,
    /// CPU utilization of the machine, 0 to 1.
    pub cpu: Trace,
    /// Number of CPU cores that the trainer used.
    pub process_cpu: Trace,
    /// Number of threads of the trainer that waited for a CPU core.
    pub process_waiting: Trace,
    /// Share of main memory in use, 0 to 1.
    pub memory: Trace,
    /// Share of main memory used by the trainer, 0 to 1.
    pub rss: Trace,
    /// The GPUs, in the order in which they first appeared.
    pub gpus: Vec<GpuHistory>,
}

/// A GPU over the latest samples.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuHistory {
    /// Its index in the driver.
    pub index: u32,
    /// Share of the time in which it was computing, 0 to 1.
    pub utilisation: Trace,
    /// Share of its memory in use, 0 to 1.
    pub memory: Trace,
    /// Temperature in °C.
    pub temperature: Trace,
    /// Power in watts.
    pub power: Trace,
}

impl SystemHistory {
    /// Adds a sample.
    pub(super) fn push(&mut self, t_ms: u64, sample: &SystemSample) {
        let sample = sample.clone().bounded();
        push_bounded(&mut self.t_ms, SAMPLES, t_ms);
        push_bounded(&mut self.cpu, SAMPLES, sample.cpu);
        push_bounded(&mut self.process_cpu, SAMPLES, sample.process_cpu);
        push_bounded(&mut self.process_waiting, SAMPLES, sample.process_waiting);
        let memory = |used| share_of(used, sample.memory_total);
        push_bounded(&mut self.memory, SAMPLES, memory(sample.memory_used));
        push_bounded(&mut self.rss, SAMPLES, memory(sample.process_rss));
        for gpu in &sample.gpus {
            let known = self.gpus.iter().any(|known| known.index == gpu.index);
            if !known && self.gpus.len() < MAX_GPUS {
                self.gpus.push(GpuHistory {
                    index: gpu.index,
                    ..GpuHistory::default()
                });
            }
        }
        // A GPU that is missing from the sample, for example after a driver failure, gets a gap.
        for history in &mut self.gpus {
            let gpu = sample.gpus.iter().find(|gpu| gpu.index == history.index);
            history.push(gpu);
        }
        self.latest = Some(Box::new(sample));
    }

    /// The share of its time that the trainer waited for a core, over the latest [`WAITING`] samples; `None` until there
    /// are as many, or if it is unknown.
    pub fn waiting_share(&self) -> Option<f32> {
        let sum = |trace: &Trace| {
            let latest = trace.iter().rev().take(WAITING);
            let known: Vec<f32> = latest.flatten().copied().collect();
            (known.len() == WAITING).then(|| known.iter().sum::<f32>())
        };
        let (waited, worked) = (sum(&self.process_waiting)?, sum(&self.process_cpu)?);
        let all = waited + worked;
        (all > 0.0).then(|| (waited / all).clamp(0.0, 1.0))
    }

    /// Time of the latest sample, milliseconds since 1970.
    pub fn latest_ms(&self) -> Option<u64> {
        self.t_ms.back().copied()
    }

    /// The history of a GPU, by its index.
    pub fn gpu(&self, index: u32) -> Option<&GpuHistory> {
        self.gpus.iter().find(|known| known.index == index)
    }
}

impl GpuHistory {
    fn push(&mut self, gpu: Option<&GpuSample>) {
        let memory = gpu.and_then(|gpu| share_of(gpu.memory_used, gpu.memory_total));
        push_bounded(
            &mut self.utilisation,
            SAMPLES,
            gpu.and_then(|gpu| gpu.utilisation),
        );
        push_bounded(&mut self.memory, SAMPLES, memory);
        push_bounded(
            &mut self.temperature,
            SAMPLES,
            gpu.and_then(|gpu| gpu.temperature_c),
        );
        push_bounded(&mut self.power, SAMPLES, gpu.and_then(|gpu| gpu.power_w));
    }
}

/// Number of further checkpoints of the size of the last one that fit on the disk; `None` before the first checkpoint
/// or if the free space is unknown. The removal of old checkpoints is not taken into account.
pub fn checkpoints_left(run: &RunState) -> Option<u64> {
    let free = run.system.latest.as_ref()?.disk_free?;
    let bytes = run.checkpoint.as_ref()?.bytes;
    free.checked_div(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use crate::event::{CheckpointReason, CheckpointSaved, Event, F64, Record};

    fn gpu(index: u32, utilisation: f32) -> GpuSample {
        GpuSample {
            index,
            utilisation: Some(utilisation),
            memory_used: Some(1),
            memory_total: Some(4),
            ..GpuSample::default()
        }
    }

    fn fold(samples: impl IntoIterator<Item = SystemSample>) -> RunState {
        let mut run = RunState::default();
        for (seq, sample) in (1..).zip(samples) {
            run.apply(&Record {
                seq,
                t_ms: seq * 5000,
                run_ms: None,
                event: Event::System(Box::new(sample)),
            });
        }
        run
    }

    #[test]
    fn latest_sample_is_complete_and_earlier_ones_are_traces() {
        let sample = |cpu| SystemSample {
            cpu: Some(cpu),
            memory_used: Some(3),
            memory_total: Some(4),
            gpus: vec![gpu(2, cpu)],
            ..SystemSample::default()
        };
        let run = fold([sample(0.25), sample(0.5)]);
        let system = &run.system;
        assert_eq!(system.cpu, [Some(0.25), Some(0.5)]);
        assert_eq!(system.memory, [Some(0.75); 2]);
        assert_eq!(system.rss, [None, None]);
        assert_eq!(system.latest_ms(), Some(10_000));
        assert_eq!(system.gpu(2).unwrap().utilisation, [Some(0.25), Some(0.5)]);
        assert_eq!(system.gpu(2).unwrap().memory, [Some(0.25); 2]);
        assert_eq!(system.gpu(0), None);
        assert_eq!(system.latest.as_deref(), Some(&sample(0.5)));
    }

    #[test]
    fn missing_gpu_leaves_a_gap_and_a_late_one_has_a_shorter_trace() {
        let sample = |gpus| SystemSample {
            gpus,
            ..SystemSample::default()
        };
        let run = fold([
            sample(vec![gpu(0, 0.5)]),
            sample(Vec::new()),
            sample(vec![gpu(0, 0.75), gpu(1, 1.0)]),
        ]);
        let system = &run.system;
        let trace = |index| &system.gpu(index).unwrap().utilisation;
        assert_eq!(trace(0), &[Some(0.5), None, Some(0.75)]);
        assert_eq!(trace(1), &[Some(1.0)]);
    }

    #[test]
    fn memory_is_bounded_for_many_samples_and_gpus() {
        // Each sample has different GPUs, and more than the limit.
        let sample = |i: u32| SystemSample {
            cpu: Some(f32::NAN),
            gpus: (0..200).map(|n| gpu(i + n, f32::NAN)).collect(),
            ..SystemSample::default()
        };
        let run = fold((0..1000).map(sample));
        let system = &run.system;
        assert_eq!((system.cpu.len(), system.gpus.len()), (SAMPLES, MAX_GPUS));
        assert!(system.cpu.iter().all(Option::is_none));
        let text = serde_json::to_string(&run).unwrap();
        assert!(text.len() < 1 << 20, "{} bytes", text.len());
        assert_eq!(serde_json::from_str::<RunState>(&text).unwrap(), run);
    }

    #[test]
    fn checkpoints_left_uses_the_size_of_the_last_one() {
        let mut run = fold([SystemSample {
            disk_free: Some(1000),
            ..SystemSample::default()
        }]);
        assert_eq!(checkpoints_left(&run), None);
        let mut saved = CheckpointSaved {
            global_step: 1,
            epoch: 1,
            path: String::new(),
            bytes: 300,
            reason: CheckpointReason::Periodic,
            best: false,
            pause_ms: F64(0.0),
            write_ms: F64(0.0),
        };
        run.checkpoint = Some(saved.clone());
        assert_eq!(checkpoints_left(&run), Some(3));
        saved.bytes = 0;
        run.checkpoint = Some(saved);
        assert_eq!(checkpoints_left(&run), None);
    }
}
