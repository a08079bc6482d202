//! Parts of a [`RunState`](super::RunState).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::event::{Answer, Command, EvalReport, F32, F64, Level};
use crate::metrics::{ClassScores, Interval};

/// A step whose gradient was clipped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClipEvent {
    /// Counted from 1 over the run.
    pub step: u64,
    /// Gradient norm before clipping.
    pub norm: F32,
    /// Factor by which the gradient was scaled, 0 to 1.
    pub factor: F32,
}

/// How often gradients were clipped.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Clip {
    /// Clipped steps in the current epoch.
    pub epoch_clipped: u64,
    /// Steps done in the current epoch.
    pub epoch_steps: u64,
    /// Clipped steps in the run.
    pub total: u64,
    /// The latest clipped steps, newest last.
    pub events: VecDeque<ClipEvent>,
}

impl Clip {
    /// Share of clipped steps in the current epoch, 0 to 1.
    pub fn epoch_share(&self) -> f64 {
        share(self.epoch_clipped, self.epoch_steps)
    }
}

/// The best epoch, chosen by the trainer with the measure `train.best` on validation.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Best {
    /// Epoch, from 1.
    pub epoch: u32,
    /// Steps done at its end.
    #[serde(default)]
    pub global_step: u64,
    /// Validation accuracy, 0 to 1.
    pub accuracy: F64,
    /// Its 95 % interval, if it was measured.
    #[serde(default)]
    pub interval: Option<Interval>,
    /// Its validation NLL.
    pub nll: F64,
}

impl Best {
    /// Its accuracy with the interval, if that was measured.
    pub fn measured(&self) -> Option<(f64, Interval)> {
        Some((self.accuracy.0, self.interval?))
    }
}

/// The latest evaluation of a split and the one before.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EvalHistory {
    /// The latest evaluation.
    pub latest: Option<EvalReport>,
    /// The evaluation before it, to show changes.
    pub previous: Option<EvalReport>,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// Milliseconds since 1970, UTC.
    pub t_ms: u64,
    /// Working time of the run by then, in milliseconds, without pauses.
    #[serde(default)]
    pub worked_ms: u64,
    /// Severity.
    pub level: Level,
    /// The message.
    pub text: String,
}

/// A request and its status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandLine {
    /// Id of the request.
    pub id: u64,
    /// The requested command.
    pub command: Command,
    /// The requester, unless it was the screen of the trainer's own process.
    #[serde(default)]
    pub by: Option<String>,
    /// The trainer's latest answer.
    pub answer: Answer,
    /// Steps done at the time of the answer.
    pub global_step: u64,
    /// Time of the answer, milliseconds since 1970, UTC.
    pub t_ms: u64,
    /// Working time of the run by then, in milliseconds.
    #[serde(default)]
    pub worked_ms: u64,
}

/// The quotient of `part` and `whole`; 0 if `whole` is 0.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// F1 rounded to four decimals; NaN if undefined.
pub(super) fn f1(scores: &ClassScores) -> F32 {
    let rounded = ((scores.f1 * 1e4).round() / 1e4) as f32;
    F32(if scores.f1_undefined {
        f32::NAN
    } else {
        rounded
    })
}

/// A file that could not be written by the end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwritten {
    /// Name of the file in the run directory.
    pub file: String,
    /// The error.
    pub why: String,
}

impl Unwritten {
    /// A line about it.
    pub fn line(&self) -> String {
        format!("{} was not written: {}", self.file, self.why)
    }
}
