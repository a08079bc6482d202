//! Where the time of a step goes: data, forward, backward, optimizer, and what is left, which is waiting.
//!
//! On a CPU a part is done when its call returns, and every step is measured. On a GPU calls only ask for work: there one
//! step in about ten seconds is measured, with the device waited for after each part, and told as a sample. Nothing here
//! touches a tensor or draws a number, so a training is the same with the clock and without.

use std::time::{Duration, Instant};

use tch::{Cuda, Device};

use crate::event::{F64, StepTime};

/// The first is told after about a second of training, the later ones after so much more.
const FIRST: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_secs(5);
/// Time between two steps that a GPU is waited for in.
const SAMPLE: Duration = Duration::from_secs(10);

/// A part of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Gathering and augmenting the batch.
    Data,
    /// From images to the loss.
    Forward,
    /// From the loss to the gradient.
    Backward,
    /// Clipping, the update, the average of the weights.
    Optimizer,
    /// Everything else until the next step begins.
    Wait,
}

/// Measures steps and adds them up until they are told.
#[derive(Debug)]
pub(super) struct Clock {
    /// The GPU whose work goes on after a call has returned.
    cuda: Option<i64>,
    /// The step under way is measured.
    on: bool,
    /// Up to here time has been counted.
    mark: Instant,
    /// Training since the last time that parts were told.
    since: Duration,
    parts: [Duration; 5],
    /// Steps in `parts`, and the number of the last.
    steps: u64,
    global_step: u64,
    told: bool,
}

impl Clock {
    /// A clock that stands until the first [`begin`](Self::begin).
    pub(super) fn new(device: Device) -> Self {
        Self {
            cuda: match device {
                Device::Cuda(index) => Some(index as i64),
                _ => None,
            },
            on: false,
            mark: Instant::now(),
            since: Duration::ZERO,
            parts: [Duration::ZERO; 5],
            steps: 0,
            global_step: 0,
            told: false,
        }
    }

    /// A step begins; `last` is that of an epoch, after which there must be something to tell.
    pub(super) fn begin(&mut self, last: bool) {
        if self.on {
            self.lap(Part::Wait);
        } else {
            self.spend();
        }
        self.on = self.cuda.is_none() || self.steps == 0 && self.is_due(last);
        if self.on && self.cuda.is_some() {
            // What was asked for before is no part of this step.
            self.synchronize();
            self.spend();
        }
    }

    /// What was done since the last call was this part of the step.
    pub(super) fn lap(&mut self, part: Part) {
        if !self.on {
            return;
        }
        self.synchronize();
        let spent = self.spend();
        if let Some(sum) = self.parts.get_mut(part as usize) {
            *sum += spent;
        }
    }

    /// The step is done; it was this one of the run, counted from 1.
    pub(super) fn count(&mut self, global_step: u64) {
        if self.on {
            self.steps += 1;
            self.global_step = global_step;
        }
    }

    /// What was done since the last call is no part of a step: a pause, an evaluation.
    pub(super) fn skip(&mut self) {
        self.mark = Instant::now();
    }

    /// Between two steps: the means of those measured, when it is time to tell them.
    pub(super) fn take(&mut self, last: bool) -> Option<StepTime> {
        self.lap(Part::Wait);
        // The sample is whole; the next step is none.
        self.on &= self.cuda.is_none();
        if self.steps == 0 || self.cuda.is_none() && !self.is_due(last) {
            return None;
        }
        let steps = self.steps as f64;
        let [data, forward, backward, optimizer, wait] = self
            .parts
            .map(|part| F64(part.as_secs_f64() * 1000.0 / steps));
        let told = StepTime {
            global_step: self.global_step,
            steps: self.steps,
            data_ms: data,
            forward_ms: forward,
            backward_ms: backward,
            optimizer_ms: optimizer,
            wait_ms: wait,
            sampled: self.cuda.is_some(),
        };
        (self.parts, self.steps, self.since) = ([Duration::ZERO; 5], 0, Duration::ZERO);
        self.told = true;
        Some(told)
    }

    /// Whether it is time to measure (on a GPU) or to tell (on a CPU). A run too short for either tells once all the same.
    fn is_due(&self, last: bool) -> bool {
        let wanted = match (self.told, self.cuda) {
            (false, _) => FIRST,
            (true, None) => EVERY,
            (true, Some(_)) => SAMPLE,
        };
        self.since >= wanted || last && !self.told
    }

    fn spend(&mut self) -> Duration {
        let now = Instant::now();
        let spent = now.saturating_duration_since(self.mark);
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
    use super::*;

    fn step(clock: &mut Clock, global_step: u64) {
        clock.begin(false);
        for part in [Part::Data, Part::Forward, Part::Backward, Part::Optimizer] {
            clock.lap(part);
        }
        clock.count(global_step);
    }

    #[test]
    fn all_time_between_the_first_step_and_the_telling_is_in_some_part() {
        let mut clock = Clock::new(Device::Cpu);
        clock.skip();
        let began = Instant::now();
        for global_step in 1..=3 {
            step(&mut clock, global_step);
        }
        // Counted from the first step's beginning.
        let told = clock.take(true).unwrap_or_default();
        let sum = told.total_ms() * told.steps as f64;
        assert_eq!((told.steps, told.global_step, told.sampled), (3, 3, false));
        assert!(told.parts().iter().all(|(_, ms)| *ms >= 0.0), "{told:?}");
        assert!(sum > 0.0 && sum <= began.elapsed().as_secs_f64() * 1000.0);
    }

    #[test]
    fn an_epoch_ends_with_something_told_once() {
        let mut clock = Clock::new(Device::Cpu);
        step(&mut clock, 1);
        assert!(clock.take(false).is_none(), "a second is not over");
        step(&mut clock, 2);
        assert_eq!(clock.take(true).map(|told| told.steps), Some(2));
        step(&mut clock, 3);
        assert!(clock.take(true).is_none(), "there is something already");
    }

    #[test]
    fn it_is_told_when_so_much_training_is_over() {
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
    fn what_is_skipped_is_no_part_of_a_step() {
        let mut clock = Clock::new(Device::Cpu);
        step(&mut clock, 1);
        // A pause of a minute.
        let minute = Duration::from_secs(60);
        clock.mark = clock.mark.checked_sub(minute).unwrap_or(clock.mark);
        clock.skip();
        let told = clock.take(true).unwrap_or_default();
        assert!(told.total_ms() < 60_000.0, "{told:?}");
    }

    /// `cargo test --lib -- --ignored --nocapture what_measuring_a_step_costs`
    #[test]
    #[ignore = "it measures"]
    #[expect(clippy::print_stdout, reason = "what is measured is printed")]
    fn what_measuring_a_step_costs() {
        const STEPS: u64 = 1_000_000;
        let mut clock = Clock::new(Device::Cpu);
        let began = Instant::now();
        let told = (1..=STEPS).filter(|global_step| {
            step(&mut clock, *global_step);
            clock.take(false).is_some()
        });
        let told = told.count();
        let each = began.elapsed().as_secs_f64() * 1e9 / STEPS as f64;
        println!("{each:.0} ns for each of {STEPS} steps, told {told} times");
    }

    #[test]
    fn a_clock_that_stands_measures_nothing() {
        let mut clock = Clock::new(Device::Cpu);
        clock.lap(Part::Forward);
        clock.count(1);
        assert!(clock.take(true).is_none());
    }
}
