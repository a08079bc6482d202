//! Checkpoints as files: bytes, names, and which to keep. No tensor is known here.
//!
//! A checkpoint is a directory `checkpoints/step-000001234/`. It is made under a temporary name, flushed to disk, and
//! renamed: a directory with the final name is whole. `LATEST` and `BEST` beside it name one each.

mod keep;
mod store;
mod tensors;

pub use keep::{Kept, superfluous};
pub use store::{Saved, Store, read_state, step_name};
pub use tensors::{NamedTensor, decode, encode};

use serde::{Deserialize, Serialize};

use crate::event::DatasetInfo;

/// What `state.json` says besides the tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of this layout.
    pub format: u32,
    /// Name of the run.
    pub run: String,
    /// Epoch under way, from 1.
    pub epoch: u32,
    /// Steps done in it.
    pub epoch_step: u64,
    /// Steps done in the run.
    pub global_step: u64,
    /// Everything random follows from it and the step.
    pub seed: u64,
    /// Base learning rate, as changed while running.
    pub lr: f64,
    /// Epochs in all, as changed while running.
    pub epochs: u32,
    /// Best validation accuracy so far and its epoch.
    pub best: Option<(f64, u32)>,
    /// The temperature of the latest validation, if one was found, and the step it was made at.
    #[serde(default)]
    pub temperature: Option<(f64, u64)>,
    /// Fingerprint of the data.
    pub data: String,
    /// The data: sizes and names that the weights alone do not tell.
    #[serde(default)]
    pub dataset: DatasetInfo,
    /// The configuration of the run, as TOML.
    pub config: String,
}
