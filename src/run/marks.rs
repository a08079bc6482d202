//! What happened at a step, for the time axis of charts: changes of the learning rate, checkpoints, evaluations, pauses.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::event::F64;

/// Marks kept; beyond that every second routine one goes, then the oldest.
const CAPACITY: usize = 512;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum MarkKind {
    /// A checkpoint that the configuration asked for.
    Checkpoint,
    /// A checkpoint that somebody asked for.
    Requested,
    /// The test split was measured.
    Tested,
    /// A pause began.
    Paused,
    /// A pause ended.
    Resumed,
    /// A new process restored the run from a checkpoint.
    #[serde(rename = "restarted")]
    Restored,
    /// A new base learning rate.
    LearningRate {
        /// The rate.
        lr: F64,
    },
    /// Another number of epochs.
    Epochs {
        /// Epochs in all.
        epochs: u32,
    },
}

impl MarkKind {
    /// Whether it happens by itself, again and again.
    pub fn is_routine(self) -> bool {
        matches!(self, Self::Checkpoint)
    }

    /// In a few words.
    pub fn words(self) -> String {
        match self {
            Self::Checkpoint => "checkpoint".to_owned(),
            Self::Requested => "checkpoint, asked".to_owned(),
            Self::Tested => "test measured".to_owned(),
            Self::Paused => "paused".to_owned(),
            Self::Resumed => "resumed".to_owned(),
            Self::Restored => "restored".to_owned(),
            Self::LearningRate { lr } => format!("base rate {:.3e}", lr.0),
            Self::Epochs { epochs } => format!("{epochs} epochs"),
        }
    }
}

/// Something that happened at a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Steps done then.
    pub step: u64,
    /// What happened.
    pub kind: MarkKind,
}

/// The marks of a run, in the order of their steps.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Marks(VecDeque<Mark>);

impl Marks {
    /// Adds one. What a resumed run does again is told once.
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

    /// All of them, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Mark> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_did_outlives_what_happens_by_itself() {
        let mut marks = Marks::default();
        let rate = MarkKind::LearningRate { lr: F64(1e-3) };
        marks.push(1, rate);
        for step in 0..10_000 {
            marks.push(step, MarkKind::Checkpoint);
        }
        assert!(marks.iter().count() <= CAPACITY);
        assert_eq!(marks.iter().next().map(|mark| mark.kind), Some(rate));
        // And the routine ones still tell of the whole run.
        assert!(marks.iter().any(|mark| mark.step > 0 && mark.step < 3_000));
        for step in 0..1_000 {
            marks.push(step, rate);
        }
        assert_eq!(marks.iter().count(), CAPACITY);
    }
}
// x
