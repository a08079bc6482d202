//! Commands to a trainer, their valid ranges, and the state of a request.

use std::ffi::OsStr;

use serde::{Deserialize, Serialize};

use super::Split;
use crate::shell;

/// Returns a base learning rate if it is valid for a running trainer. In f32, a step with a rate outside the valid
/// range would either change no weight or leave no weight finite, so such a rate is a typing error, for example
/// `3e-44`.
///
/// # Errors
/// If the rate is out of range; the message contains the range.
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

/// Returns a total number of epochs if it is valid for a trainer in epoch `current` (from 1; 0 before the first).
///
/// # Errors
/// If a later epoch has already started; the message contains it.
pub fn check_epochs(epochs: u32, current: u32) -> Result<u32, String> {
    let current = current.max(1);
    if epochs >= current {
        return Ok(epochs);
    }
    Err(format!("epoch {current} has already started"))
}

/// A command to a running trainer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Pause after the current step.
    Pause,
    /// Resume after a pause.
    Resume,
    /// Evaluate the current weights on a split now: validation or test. A test-set evaluation is counted, and includes a
    /// validation, which fits its temperature.
    #[serde(rename = "evaluate_split")]
    Evaluate {
        /// The split.
        split: Split,
    },
    /// Evaluate the current weights on validation and test, as `evaluate` did without a split: old clients request it
    /// and old journals contain it.
    #[serde(rename = "evaluate")]
    EvaluateBoth,
    /// Write a checkpoint now.
    Checkpoint,
    /// Set the base learning rate of the schedule.
    SetLearningRate {
        /// The new base rate.
        lr: f64,
    },
    /// Set the total number of epochs.
    SetEpochs {
        /// The new total.
        epochs: u32,
    },
    /// End the run after the current epoch, its validation and a checkpoint.
    StopAfterEpoch,
    /// Take back a pending [`Command::StopAfterEpoch`].
    CancelStopAfterEpoch,
    /// End the run after the current step and a checkpoint.
    Stop,
}

impl Command {
    /// The name on screens and in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Evaluate { split: Split::Test } => "evaluate-test",
            Self::Evaluate { .. } | Self::EvaluateBoth => "evaluate",
            Self::Checkpoint => "checkpoint",
            Self::SetLearningRate { .. } => "lr",
            Self::SetEpochs { .. } => "epochs",
            Self::StopAfterEpoch => "stop-after-epoch",
            Self::CancelStopAfterEpoch => "cancel-stop-after-epoch",
            Self::Stop => "stop",
        }
    }

    /// The shell command that replaces this one for a run that has ended; `None` for a command that only a live run can carry out.
    pub fn after_the_end(self, run: impl AsRef<OsStr>) -> Option<String> {
        let run = shell::quote(run, false);
        match self {
            Self::Evaluate { split: Split::Test } | Self::EvaluateBoth => {
                Some(format!("epochtop eval {run}"))
            }
            Self::Evaluate { split } => {
                Some(format!("epochtop eval {run} --split {}", split.name()))
            }
            Self::SetEpochs { epochs } => Some(format!(
                "epochtop train --resume {run} --set train.epochs={epochs}"
            )),
            Self::SetLearningRate { .. }
            | Self::Pause
            | Self::Resume
            | Self::Checkpoint
            | Self::StopAfterEpoch
            | Self::CancelStopAfterEpoch
            | Self::Stop => None,
        }
    }
}

/// A command with an identifier, which its acknowledgements repeat.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the requester. A request that is received twice is executed once.
    pub id: u64,
    /// The command.
    pub command: Command,
}

/// The state of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Answer {
    /// The trainer has received the request and will execute it.
    Accepted,
    /// The request was executed.
    Done {
        /// The result, in a few words.
        note: String,
    },
    /// The request was refused.
    Refused {
        /// Why it was refused.
        reason: String,
    },
}
