//! Bounded histories of values that are recorded throughout a run.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::event::F64;

/// Samples of the entire run, evenly spaced. When there are too many, every second one is discarded and the sampling
/// interval doubles. The latest sample is always retained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History<T> {
    /// The samples, oldest first.
    pub moments: Vec<T>,
    /// Sampling interval: one in so many samples is retained.
    every: u64,
    /// Samples since the last one that is retained permanently.
    waiting: u64,
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self {
            moments: Vec::new(),
            every: 0,
            waiting: 0,
        }
    }
}

impl<T> History<T> {
    /// Adds a sample. `place` returns its position in the run; samples from that position on are replaced, because a
    /// restored run repeats steps.
    pub(super) fn push<P: Ord>(&mut self, capacity: usize, moment: T, place: impl Fn(&T) -> P) {
        let at = place(&moment);
        let before = self.moments.partition_point(|known| place(known) < at);
        self.moments.truncate(before);
        if self.waiting > 0 {
            self.moments.pop();
        }
        self.waiting = (self.waiting + 1) % self.every.max(1);
        self.moments.push(moment);
        if self.moments.len() > capacity.max(1) {
            let last = self.moments.len() - 1;
            let mut at = 0;
            self.moments.retain(|_| {
                at += 1;
                at % 2 == 0 || at == last + 1
            });
            self.every = self.every.max(1).saturating_mul(2);
            self.waiting = 0;
        }
    }
}

/// Appends to a queue; if it is full, the oldest element is removed.
pub(super) fn push_bounded<T>(queue: &mut VecDeque<T>, capacity: usize, item: T) {
    if queue.len() >= capacity {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// Updates the lowest finite value so far.
pub(super) fn lower(lowest: &mut Option<F64>, value: F64) {
    if value.0.is_finite() && lowest.is_none_or(|low| value.0 < low.0) {
        *lowest = Some(value);
    }
}
