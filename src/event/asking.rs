//! What goes down: what is asked of a trainer, and how far that has come.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// Base learning rates that a person may mean for a run under way. What lies outside is a slip of the fingers (`3e-44`): in
/// f32 no step at such a rate would change a weight, or leave one finite.
pub const RATES: RangeInclusive<f64> = 1e-10..=1e3;

/// What a person may ask of a running trainer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Hold at the next step boundary.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Evaluate validation and test now, on the weights of this moment.
    Evaluate,
    /// Write a checkpoint now.
    Checkpoint,
    /// Use this learning rate as the new base of the schedule.
    SetLearningRate {
        /// The new base rate.
        lr: f64,
    },
    /// Train this many epochs in all.
    SetEpochs {
        /// The new total.
        epochs: u32,
    },
    /// End after the running epoch, its validation and a checkpoint.
    StopAfterEpoch,
    /// Finish the step, write a checkpoint, end.
    Stop,
}

impl Command {
    /// The verb used on screens and in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Evaluate => "evaluate",
            Self::Checkpoint => "checkpoint",
            Self::SetLearningRate { .. } => "lr",
            Self::SetEpochs { .. } => "epochs",
            Self::StopAfterEpoch => "stop-after-epoch",
            Self::Stop => "stop",
        }
    }
}

/// A command with the number its acknowledgements carry.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the asker; a request seen twice is obeyed once.
    pub id: u64,
    /// What is asked.
    pub command: Command,
}

/// How far a request has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Answer {
    /// The trainer has read it and will obey.
    Accepted,
    /// It has been carried out.
    Done {
        /// What came of it, in a few words.
        note: String,
    },
    /// It will not be carried out.
    Refused {
        /// Why not.
        reason: String,
    },
}
