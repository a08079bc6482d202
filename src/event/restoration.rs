//! The restart of a run.

use serde::{Deserialize, Serialize};

use super::Answer;

/// The restart of a run from one of its own checkpoints.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Restoration {
    /// Number of the last record before the checkpoint. The records between it and this one are obsolete: they describe
    /// steps that are repeated.
    pub after: u64,
    /// Path of the checkpoint relative to the run directory.
    pub checkpoint: String,
    /// Total size of its files, bytes.
    pub bytes: u64,
    /// Steps completed at the checkpoint.
    pub global_step: u64,
    /// Epoch of the checkpoint, from 1.
    pub epoch: u32,
    /// Number of steps that were done after the checkpoint and are repeated.
    pub redone: u64,
    /// Notes about the restart, one sentence each: changed settings, invalid checkpoints that were skipped.
    pub notes: Vec<String>,
    /// Answers to requests from before the checkpoint that were given after it, by id. The records of these answers are
    /// obsolete, but what was done stays done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<(u64, Answer)>,
}

impl Restoration {
    /// Whether the run starts over, because there was no checkpoint.
    pub fn starts_over(&self) -> bool {
        self.checkpoint.is_empty() && self.global_step == 0
    }

    /// The line for the log.
    pub fn line(&self) -> String {
        let what = if self.starts_over() {
            "started over at step 0, because no checkpoint had been saved".to_owned()
        } else {
            format!("restored from {}", self.checkpoint)
        };
        match self.redone {
            0 => what,
            1 => format!("{what} (1 step is repeated)"),
            steps => format!("{what} ({steps} steps are repeated)"),
        }
    }
}
