//! Commands to a trainer, their ranges, and how far they have come.

use serde::{Deserialize, Serialize};

/// The base learning rate, if a running trainer accepts it. In f32 no step at a rate outside the range would change a weight,
/// or leave one finite: it is a typing error such as `3e-44`.
///
/// # Errors
/// The range.
pub fn check_lr(lr: f64) -> Result<f64, String> {
    let range = 1e-10..=1e30;
    if range.contains(&lr) {
        return Ok(lr);
    }
    let (low, high) = (range.start(), range.end());
    Err(format!(
        "a learning rate must be between {low:e} and {high:e}"
    ))
}

/// The total number of epochs, if a trainer in epoch `current` (from 1; 0 before the first) accepts it.
///
/// # Errors
/// The epoch that is under way.
pub fn check_epochs(epochs: u32, current: u32) -> Result<u32, String> {
    let current = current.max(1);
    if epochs >= current {
        return Ok(epochs);
    }
    Err(format!("epoch {current} is under way already"))
}

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
