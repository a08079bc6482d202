//! `run.json`: what a run is and how it ended, for whoever does not want to read its journal.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::event::Outcome;

/// The content of `run.json`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// Name of the run.
    pub run: String,
    /// Version of this program.
    pub epochtop: String,
    /// Version of libtorch.
    pub libtorch: String,
    /// Everything random follows from it.
    pub seed: u64,
    /// Where it is computed; known once the run has begun.
    pub device: String,
    /// Numbers the training step computes with.
    pub precision: String,
    /// Threads libtorch computes with.
    pub threads: u32,
    /// BLAKE3 of the data.
    pub data_fingerprint: String,
    /// Trainable numbers.
    pub parameters: u64,
    /// Process that trains.
    pub pid: u32,
    /// Host it runs on.
    pub host: String,
    /// Where the process listens for `attach` and `ctl`, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// Where the images lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Milliseconds since 1970, UTC.
    pub started_ms: u64,
    /// Milliseconds since 1970, UTC; none while the run is going on.
    pub ended_ms: Option<u64>,
    /// How the run ended, or that it has not.
    pub outcome: RunOutcome,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// How a run ended, as `run.json` records it in one word.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum RunOutcome {
    /// It has not ended, or its process was killed before it could record that.
    #[default]
    Running,
    /// All epochs are done.
    Completed,
    /// It was ended on request.
    Stopped,
    /// It was ended by an error.
    Failed,
    /// A word of another version of this program.
    Other(String),
}

impl From<&Outcome> for RunOutcome {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Completed => Self::Completed,
            Outcome::Stopped => Self::Stopped,
            Outcome::Failed { .. } => Self::Failed,
        }
    }
}

impl From<String> for RunOutcome {
    fn from(word: String) -> Self {
        match word.as_str() {
            // It is written before anything is known of the end.
            "running" | "" => Self::Running,
            "completed" => Self::Completed,
            "stopped" => Self::Stopped,
            "failed" => Self::Failed,
            _ => Self::Other(word),
        }
    }
}

impl From<RunOutcome> for String {
    fn from(outcome: RunOutcome) -> Self {
        match outcome {
            RunOutcome::Running => "running".to_owned(),
            RunOutcome::Completed => "completed".to_owned(),
            RunOutcome::Stopped => "stopped".to_owned(),
            RunOutcome::Failed => "failed".to_owned(),
            RunOutcome::Other(word) => word,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn outcomes_keep_their_words_and_those_of_other_versions_are_kept() {
        for (outcome, word) in [
            (RunOutcome::Running, "running"),
            (RunOutcome::Completed, "completed"),
            (RunOutcome::Stopped, "stopped"),
            (RunOutcome::Failed, "failed"),
            (RunOutcome::Other("suspended".to_owned()), "suspended"),
        ] {
            let json = serde_json::to_string(&outcome).unwrap();
            assert_eq!(json, format!("{word:?}"));
            assert_eq!(serde_json::from_str::<RunOutcome>(&json).unwrap(), outcome);
        }
        let bare: Meta = serde_json::from_str(r#"{"outcome":""}"#).unwrap();
        assert_eq!(bare.outcome, RunOutcome::Running);
    }
}
