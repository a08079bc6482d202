//! What a state keeps of something that goes on for as long as the run does.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::event::F64;

/// Moments of the whole run, evenly spread: when there are too many, every second goes, and from then on fewer are kept. The
/// newest is always there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History<T> {
    /// Oldest first.
    pub moments: Vec<T>,
    /// One in so many is kept.
    every: u64,
    /// Moments since the last that is kept for good.
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
    /// Adds a moment, at the place in the run that `place` reads of it; what a restored run does again counts once.
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

/// Adds to a queue, whose oldest goes where it is full.
pub(super) fn push_bounded<T>(queue: &mut VecDeque<T>, capacity: usize, item: T) {
    if queue.len() >= capacity {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// Keeps the lowest value so far.
pub(super) fn lower(lowest: &mut Option<F64>, value: F64) {
    if value.0.is_finite() && lowest.is_none_or(|low| value.0 < low.0) {
        *lowest = Some(value);
    }
}
