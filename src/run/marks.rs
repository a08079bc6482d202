//! Events at steps, for the time axis of charts: changes of the learning rate, checkpoints, evaluations, pauses.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::event::F64;

/// Greatest number of marks. When it is reached, every second routine mark is discarded, then the oldest mark.
const CAPACITY: usize = 512;

/// Kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum MarkKind {
    /// A periodic checkpoint.
    Checkpoint,
    /// A checkpoint that a user requested.
    Requested,
    /// A test-set evaluation.
    Tested,
    /// Start of a pause.
    Paused,
    /// End of a pause.
    Resumed,
    /// A new process restored the run from a checkpoint.
    #[serde(rename = "restarted")]
    Restored,
    /// A new base learning rate.
    LearningRate {
        /// The rate.
        lr: F64,
    },
    /// A new number of epochs.
    Epochs {
        /// Total number of epochs.
        epochs: u32,
    },
}

impl MarkKind {
    /// Whether it occurs regularly, without a user's action.
    pub fn is_routine(self) -> bool {
        matches!(self, Self::Checkpoint)
    }

    /// A short description.
    pub fn words(self) -> String {
        match self {
            Self::Checkpoint => "checkpoint".to_owned(),
            Self::Requested => "user checkpoint".to_owned(),
            Self::Tested => "test evaluated".to_owned(),
            Self::Paused => "paused".to_owned(),
            Self::Resumed => "resumed".to_owned(),
            Self::Restored => "restored".to_owned(),
            Self::LearningRate { lr } => format!("base lr {:.3e}", lr.0),
            Self::Epochs { epochs } => format!("{epochs} epochs"),
        }
    }
}

/// An event at a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Steps done at the time of the event.
    pub step: u64,
    /// Kind of the event.
    pub kind: MarkKind,
}

/// The marks of a run, in the order of their steps.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Marks(VecDeque<Mark>);

impl Marks {
    /// Adds a mark; an immediate repetition, as after a restart, is skipped.
    pub(super) fn push(&mut self, step: u64, kind: MarkKind) {
        let mark = Mark { step, kind };
        if self.0.back() == Some(&mark) {
            return;
        }
        if self.0.len() >= CAPACITY {
            let mut keep = false;
            self.0.retain(|mark| {
                keep ^= mark.kind.is_routine();
                !mark.kind.is_routine() || keep
            });
        }
        if self.0.len() >= CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(mark);
    }

    /// All marks, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Mark> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_events_are_retained_longer_than_routine_ones() {
        let mut marks = Marks::default();
        let rate = MarkKind::LearningRate { lr: F64(1e-3) };
        marks.push(1, rate);
        for step in 0..10_000 {
            marks.push(step, MarkKind::Checkpoint);
        }
        assert!(marks.iter().count() <= CAPACITY);
        assert_eq!(marks.iter().next().map(|mark| mark.kind), Some(rate));
        // The routine marks still cover the entire run.
        assert!(marks.iter().any(|mark| mark.step > 0 && mark.step < 3_000));
        for step in 0..1_000 {
            marks.push(step, rate);
        }
        assert_eq!(marks.iter().count(), CAPACITY);
    }
}
