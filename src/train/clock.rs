//! The breakdown of a step's time into loader, data, forward pass, backward pass, optimizer and waiting, which is the rest.
//!
//! On a CPU a part is finished when its call returns, and every step is measured. On a GPU calls only enqueue work, so
//! about one step every ten seconds is measured, with a device synchronisation after each part, and reported as a
//! sample. The clock uses no tensor and no random number, so it does not influence training results.

use std::time::Duration;

use tch::{Cuda, Device};

use crate::data::LoaderTimes;
use crate::event::{F64, StepTime};
use crate::stopwatch::Moment;

/// Training time before the first breakdown is reported.
const FIRST: Duration = Duration::from_secs(1);
/// Training time between later reports on a CPU.
const EVERY: Duration = Duration::from_secs(5);
/// Training time between two measured steps on a GPU.
const SAMPLE: Duration = Duration::from_secs(10);

/// A part of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Waiting for images that are made ready by other threads.
    Loader,
    /// Gathering and augmenting the batch.
    Data,
    /// From images to the loss.
    Forward,
    /// From the loss to the gradient.
    Backward,
    /// Clipping, the weight update, and the EMA of the weights.
    Optimizer,
    /// Everything else until the next step begins.
    Wait,
}

/// Measures the parts of steps and sums them until they are reported.
#[derive(Debug)]
pub(super) struct Clock {
    /// Index of the GPU to synchronise with; `None` on a CPU.
    cuda: Option<i64>,
    /// Whether the current step is measured.
    on: bool,
    /// Time up to this moment has been counted.
    mark: Moment,
    /// Training time since the last report.
    since: Duration,
    /// Sum of each part, in the order of [`Part`].
    parts: [Duration; 6],
    /// Time that the loader's threads spent on reading, and in total.
    loader: [Duration; 2],
    /// Number of steps in `parts`.
    steps: u64,
    /// Number of the last step in `parts`.
    global_step: u64,
    /// Whether anything was reported yet.
    reported: bool,
}

impl Clock {
    /// A clock that is stopped until the first [`begin`](Self::begin).
    pub(super) fn new(device: Device) -> Self {
        Self {
            cuda: match device {
                Device::Cuda(index) => Some(index as i64),
                _ => None,
            },
            on: false,
            mark: Moment::now(),
            since: Duration::ZERO,
            parts: [Duration::ZERO; 6],
            loader: [Duration::ZERO; 2],
            steps: 0,
            global_step: 0,
            reported: false,
        }
    }

    /// Marks the start of a step. `last`: it is the last step of an epoch, after which there must be something to
    /// report.
    pub(super) fn begin(&mut self, last: bool) {
        if self.on {
            self.lap(Part::Wait);
        } else {
            self.spend();
        }
        self.on = self.cuda.is_none() || self.steps == 0 && self.is_due(last);
        if self.on && self.cuda.is_some() {
            // Work that was enqueued earlier must not count for this step.
            self.synchronize();
            self.spend();
        }
    }

    /// Counts the time since the last call for this part of the step.
    pub(super) fn lap(&mut self, part: Part) {
        if !self.on {
            return;
        }
        self.synchronize();
        let spent = self.spend();
        self.add(part, spent);
    }

    fn add(&mut self, part: Part, spent: Duration) {
        if let Some(sum) = self.parts.get_mut(part as usize) {
            *sum += spent;
        }
    }

    /// Counts the time since the last call for [`Part::Data`], except what was spent waiting for the loader: that counts for
    /// [`Part::Loader`].
    pub(super) fn lap_data(&mut self, loader: LoaderTimes) {
        if !self.on {
            return;
        }
        self.synchronize();
        let spent = self.spend();
        let waited = loader.waited.min(spent);
        self.add(Part::Loader, waited);
        self.add(Part::Data, spent.saturating_sub(waited));
        let [reading, working] = &mut self.loader;
        *reading += loader.reading;
        *working += loader.reading + loader.changing;
    }

    /// Marks the end of a step; `global_step` is its number, from 1.
    pub(super) fn count(&mut self, global_step: u64) {
        if self.on {
            self.steps += 1;
            self.global_step = global_step;
        }
    }

    /// Discards the time since the last call, such as a pause or an evaluation.
    pub(super) fn skip(&mut self) {
        self.mark = Moment::now();
    }

    /// Called between two steps: returns the means over the measured steps if a report is due.
    pub(super) fn take(&mut self, last: bool) -> Option<StepTime> {
        self.lap(Part::Wait);
        // On a GPU the sample is complete and the next step is not measured.
        self.on &= self.cuda.is_none();
        if self.steps == 0 || self.cuda.is_none() && !self.is_due(last) {
            return None;
        }
        let steps = self.steps as f64;
        let [loader, data, forward, backward, optimizer, wait] = self
            .parts
            .map(|part| F64(part.as_secs_f64() * 1000.0 / steps));
        let step_time = StepTime {
            global_step: self.global_step,
            steps: self.steps,
            loader_ms: loader,
            reading: {
                let [reading, working] = self.loader.map(|time| time.as_secs_f64());
                F64(if working > 0.0 {
                    reading / working
                } else {
                    0.0
                })
            },
            data_ms: data,
            forward_ms: forward,
            backward_ms: backward,
            optimizer_ms: optimizer,
            wait_ms: wait,
            sampled: self.cuda.is_some(),
        };
        (self.parts, self.steps, self.since) = ([Duration::ZERO; 6], 0, Duration::ZERO);
        self.loader = [Duration::ZERO; 2];
        self.reported = true;
        Some(step_time)
    }

    /// Whether a measurement (on a GPU) or a report (on a CPU) is due. Short runs report once, after their first epoch.
    fn is_due(&self, last: bool) -> bool {
        let wanted = match (self.reported, self.cuda) {
            (false, _) => FIRST,
            (true, None) => EVERY,
            (true, Some(_)) => SAMPLE,
        };
        self.since >= wanted || last && !self.reported
    }

    fn spend(&mut self) -> Duration {
        let now = Moment::now();
        let spent = now.since(self.mark);
        self.mark = now;
        self.since += spent;
        spent
    }

    fn synchronize(&self) {
        if let Some(index) = self.cuda {
            Cuda::synchronize(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn step(clock: &mut Clock, global_step: u64) {
        clock.begin(false);
        clock.lap_data(LoaderTimes::default());
        for part in [Part::Forward, Part::Backward, Part::Optimizer] {
            clock.lap(part);
        }
        clock.count(global_step);
    }

    #[test]
    fn all_time_from_the_first_step_to_the_report_is_counted() {
        let mut clock = Clock::new(Device::Cpu);
        clock.skip();
        let began = Instant::now();
        for global_step in 1..=3 {
            step(&mut clock, global_step);
        }
        // Counted from the start of the first step.
        let time = clock.take(true).unwrap_or_default();
        let sum = time.total_ms() * time.steps as f64;
        assert_eq!((time.steps, time.global_step, time.sampled), (3, 3, false));
        assert!(time.parts().iter().all(|(_, ms)| *ms >= 0.0), "{time:?}");
        assert!(sum > 0.0 && sum <= began.elapsed().as_secs_f64() * 1000.0);
    }

    #[test]
    fn first_epoch_is_always_reported_once() {
        let mut clock = Clock::new(Device::Cpu);
        step(&mut clock, 1);
        assert!(clock.take(false).is_none(), "less than a second has passed");
        step(&mut clock, 2);
        assert_eq!(clock.take(true).map(|time| time.steps), Some(2));
        step(&mut clock, 3);
        assert!(clock.take(true).is_none(), "already reported");
    }

    #[test]
    fn reports_are_due_after_a_fixed_training_time() {
        let mut clock = Clock::new(Device::Cpu);
        step(&mut clock, 1);
        clock.since = FIRST;
        assert!(clock.take(false).is_some());
        step(&mut clock, 2);
        clock.since = FIRST;
        assert!(clock.take(false).is_none());
        clock.since = EVERY;
        assert!(clock.take(false).is_some());
    }

    #[test]
    fn skipped_time_is_not_counted() {
        let mut clock = Clock::new(Device::Cpu);
        step(&mut clock, 1);
        let pause = Duration::from_millis(300);
        std::thread::sleep(pause);
        clock.skip();
        let time = clock.take(true).unwrap_or_default();
        assert!(time.total_ms() < 300.0, "{time:?}");
    }

    #[test]
    fn waiting_for_the_loader_is_counted_apart_from_other_work_on_data() {
        let mut clock = Clock::new(Device::Cpu);
        clock.begin(false);
        std::thread::sleep(Duration::from_millis(20));
        clock.lap_data(LoaderTimes {
            waited: Duration::from_millis(15),
            reading: Duration::from_millis(30),
            changing: Duration::from_millis(10),
        });
        clock.count(1);
        let time = clock.take(true).unwrap_or_default();
        assert!((time.loader_ms.0 - 15.0).abs() < 1e-9, "{time:?}");
        assert!(time.data_ms.0 >= 4.9, "{time:?}");
        assert!((time.reading.0 - 0.75).abs() < 1e-9, "{time:?}");
        assert!(
            (time.parts().iter().map(|(_, ms)| ms).sum::<f64>() - time.total_ms()).abs() < 1e-9
        );
    }

    /// `cargo test --lib -- --ignored --nocapture measure_overhead_per_step`
    #[test]
    #[ignore = "a benchmark"]
    #[expect(clippy::print_stdout, reason = "the benchmark prints its result")]
    fn measure_overhead_per_step() {
        const STEPS: u64 = 1_000_000;
        let mut clock = Clock::new(Device::Cpu);
        let began = Instant::now();
        let reports = (1..=STEPS).filter(|global_step| {
            step(&mut clock, *global_step);
            clock.take(false).is_some()
        });
        let reports = reports.count();
        let each = began.elapsed().as_secs_f64() * 1e9 / STEPS as f64;
        println!("{each:.0} ns per step over {STEPS} steps, {reports} reports");
    }

    #[test]
    fn stopped_clock_measures_nothing() {
        let mut clock = Clock::new(Device::Cpu);
        clock.lap(Part::Forward);
        clock.count(1);
        assert!(clock.take(true).is_none());
    }
}
