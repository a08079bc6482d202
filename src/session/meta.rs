//! `run.json`: the metadata and the outcome of a run, available without reading its journal.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::event::Outcome;
use crate::files::any_path;

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
    /// The seed of all random numbers.
    pub seed: u64,
    /// The compute device. Empty until the run has started.
    pub device: String,
    /// The numeric precision of the training step.
    pub precision: String,
    /// The number of libtorch's compute threads.
    pub threads: u32,
    /// BLAKE3 hash of the data set.
    pub data_fingerprint: String,
    /// The hash that versions before 0.2 recorded instead, of four IDX files; `None` for other data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idx_fingerprint: Option<String>,
    /// The number of trainable parameters.
    pub parameters: u64,
    /// The PID of the trainer.
    pub pid: u32,
    /// The host of the trainer.
    pub host: String,
    /// The boot, the PID namespace and the start time of the trainer, which distinguish it from a later process with the
    /// same PID.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub process: String,
    /// The socket for `attach` and `ctl`, while the process is running.
    #[serde(with = "any_path::optional", skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// The directory of the images.
    #[serde(with = "any_path::optional", skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// The file of packed images, if there is one.
    #[serde(with = "any_path::optional", skip_serializing_if = "Option::is_none")]
    pub packed_images: Option<PathBuf>,
    /// The start time, milliseconds since 1970-01-01 UTC.
    pub started_ms: u64,
    /// The end time, milliseconds since 1970-01-01 UTC. `None` while the run is live or if it crashed.
    pub ended_ms: Option<u64>,
    /// The outcome of the run.
    pub outcome: RunOutcome,
    /// The error that ended the run, if it failed.
    pub error: Option<String>,
}

impl Meta {
    /// Whether two runs were trained on different data; `false` if that is not known.
    pub fn has_other_data(&self, other: &Self) -> bool {
        let prints = |meta: &Self| {
            let old = meta.idx_fingerprint.clone();
            [Some(meta.data_fingerprint.clone()), old]
                .map(|print| print.filter(|print| !print.is_empty()))
        };
        let (ours, theirs) = (prints(self), prints(other));
        let same = ours
            .iter()
            .flatten()
            .any(|print| theirs.iter().flatten().any(|other| other == print));
        !same && !self.data_fingerprint.is_empty() && !other.data_fingerprint.is_empty()
    }
}

/// The outcome of a run, one word in `run.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum RunOutcome {
    /// The run has not ended, or its process was killed before it could record the outcome.
    #[default]
    Running,
    /// All epochs were completed.
    Completed,
    /// The run was stopped on request.
    Stopped,
    /// The run was ended by an error.
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
            // The file is written with an empty outcome before the run starts.
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
    fn outcomes_round_trip_including_unknown_words() {
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
