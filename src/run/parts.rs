//! What a [`RunState`](super::RunState) is made of.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::event::{Answer, Command, EvalReport, F32, F64, Level};
use crate::metrics::Interval;

/// A step whose gradient was scaled down.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClipEvent {
    /// Counted from 1 over the run.
    pub step: u64,
    /// Norm before clipping.
    pub norm: F32,
    /// What the gradient was multiplied with.
    pub factor: F32,
}

/// How often gradients were clipped.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Clip {
    /// Clipped steps of the running epoch.
    pub epoch_clipped: u64,
    /// Steps of the running epoch.
    pub epoch_steps: u64,
    /// Clipped steps of the run.
    pub total: u64,
    /// The latest clipped steps, newest last.
    pub events: VecDeque<ClipEvent>,
}

impl Clip {
    /// Clipped share of the running epoch, 0 to 1.
    pub fn epoch_share(&self) -> f64 {
        share(self.epoch_clipped, self.epoch_steps)
    }
}

/// The best epoch by validation accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Best {
    /// From 1.
    pub epoch: u32,
    /// Steps done after it.
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

/// The latest measurement of a split and the one before.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EvalHistory {
    /// The newest.
    pub latest: Option<EvalReport>,
    /// The one before it, for changes.
    pub previous: Option<EvalReport>,
}

/// A line for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// Milliseconds since 1970, UTC.
    pub t_ms: u64,
    /// Milliseconds the run had worked by then, as its clock shows them: pauses are no work.
    #[serde(default)]
    pub worked_ms: u64,
    /// How much it matters.
    pub level: Level,
    /// The line.
    pub text: String,
}

/// Somebody's request and how far it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandLine {
    /// The request's number.
    pub id: u64,
    /// What was asked.
    pub command: Command,
    /// Who asked, where it was not this process's own screen.
    #[serde(default)]
    pub by: Option<String>,
    /// How far it has come.
    pub answer: Answer,
    /// Steps done when that was said.
    pub global_step: u64,
    /// When that was said.
    pub t_ms: u64,
    /// Milliseconds the run had worked by then.
    #[serde(default)]
    pub worked_ms: u64,
}

/// A part of a whole; nothing of nothing is 0.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
