//! The time of each step, for charts over time.

use serde::{Deserialize, Serialize};

/// Greatest number of points; when it is reached, every second one is discarded.
const CAPACITY: usize = 1024;

/// Working time at some steps, as pairs of step and milliseconds, both ascending. Times in between are interpolated.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Timeline {
    points: Vec<(u64, u64)>,
    /// Sampling interval: one in so many points is retained.
    every: u64,
    /// Points since the last retained one.
    waiting: u64,
    last: (u64, u64),
}

impl Timeline {
    /// Adds the working time in milliseconds at which a step was done. Points from that step on are replaced, because a
    /// restored run repeats steps.
    pub(super) fn push(&mut self, step: u64, worked_ms: u64) {
        let before = self.points.partition_point(|(known, _)| *known < step);
        self.points.truncate(before);
        let worked_ms = worked_ms.max(self.points.last().map_or(0, |point| point.1));
        self.last = (step, worked_ms);
        self.waiting += 1;
        if self.waiting < self.every.max(1) {
            return;
        }
        self.waiting = 0;
        self.points.push((step, worked_ms));
        if self.points.len() >= CAPACITY {
            let mut keep = false;
            self.points.retain(|_| {
                keep = !keep;
                keep
            });
            self.every = self.every.max(1).saturating_mul(2);
        }
    }

    /// The last step and its working time in milliseconds.
    pub fn last(&self) -> (u64, u64) {
        self.last
    }

    /// Working time in milliseconds when a step was done; extrapolated at the mean pace after the last step.
    pub fn at(&self, step: u64) -> f64 {
        self.between(step as f64, |point| point)
    }

    /// The step done after a working time in milliseconds; extrapolated at the mean pace after the last step.
    pub fn step_at(&self, worked_ms: f64) -> f64 {
        self.between(worked_ms, |(step, ms)| (ms, step))
    }

    /// Interpolates from the first to the second coordinate of the points, after `turn` has ordered them; extrapolates
    /// after the last point. The origin is the first point.
    fn between(&self, x: f64, turn: impl Fn((u64, u64)) -> (u64, u64)) -> f64 {
        let after = self
            .points
            .partition_point(|point| turn(*point).0 as f64 <= x);
        let left = after.checked_sub(1).and_then(|i| self.points.get(i));
        let left = turn(left.copied().unwrap_or((0, 0)));
        let right = turn(self.points.get(after).copied().unwrap_or(self.last));
        let (left, right) = if right.0 <= left.0 {
            ((0, 0), turn(self.last))
        } else {
            (left, right)
        };
        let span = right.0.saturating_sub(left.0) as f64;
        if span <= 0.0 {
            return x;
        }
        let slope = (right.1 as f64 - left.1 as f64) / span;
        (left.1 as f64 + (x - left.0 as f64) * slope).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steps_and_times_convert_both_ways() {
        let mut line = Timeline::default();
        for step in 1..=5000 {
            // Twice as slow in the second half.
            line.push(step, step * 10 + step.saturating_sub(2500) * 10);
        }
        assert!(line.points.len() < CAPACITY);
        assert!((line.at(1000) - 10_000.0).abs() < 50.0);
        assert!((line.step_at(10_000.0) - 1000.0).abs() < 5.0);
        assert!((line.at(4000) - 55_000.0).abs() < 100.0);
        assert!(line.at(6000) > line.at(5000));
    }

    #[test]
    fn repeated_steps_replace_earlier_ones() {
        let mut line = Timeline::default();
        for step in 1..=100 {
            line.push(step, step * 10);
        }
        line.push(51, 2000);
        assert_eq!(line.last(), (51, 2000));
        assert!(line.points.iter().all(|(step, _)| *step <= 51));
    }

    proptest! {
        #[test]
        fn time_never_runs_backwards(points in prop::collection::vec((0_u64..1_000_000, 0_u64..u64::MAX), 0..300), steps in prop::collection::vec(0_u64..2_000_000, 2)) {
            let mut line = Timeline::default();
            for (step, ms) in points {
                line.push(step, ms);
            }
            let (a, b) = (steps[0].min(steps[1]), steps[0].max(steps[1]));
            // Only up to the last point: after it the pace is an estimate.
            if b <= line.last().0 {
                prop_assert!(line.at(a) <= line.at(b) * (1.0 + 1e-9) + 1e-3, "{} {}", line.at(a), line.at(b));
            }
            prop_assert!(line.step_at(1e9).is_finite());
        }
    }
}
