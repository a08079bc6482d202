//! `state.json`: the state of a training run except its tensors.

use serde::{Deserialize, Serialize};

use crate::event::DatasetInfo;

/// The content of `state.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of this layout.
    pub format: u32,
    /// Name of the run.
    pub run: String,
    /// Current epoch, from 1.
    pub epoch: u32,
    /// Steps done in the current epoch.
    pub epoch_step: u64,
    /// Whether the current epoch is complete, including its validation.
    pub epoch_done: bool,
    /// Steps done in the run.
    pub global_step: u64,
    /// Random seed. All random numbers are derived from it and the step.
    pub seed: u64,
    /// Base learning rate, including changes made during the run.
    pub lr: f64,
    /// Total number of epochs, including changes made during the run.
    pub epochs: u32,
    /// The best validation so far.
    pub best: Option<BestSoFar>,
    /// The temperature fitted on the latest validation, if there is one, and the step of that validation.
    #[serde(default)]
    pub temperature: Option<(f64, u64)>,
    /// Sequence number of this save; the journal has a record with the same number at this point.
    pub mark: u64,
    /// How the run is computed. Another device, precision or number of threads rounds differently.
    pub computed: ComputeSetup,
    /// State that only the trainer reads.
    #[serde(default)]
    pub trainer: serde_json::Value,
    /// Fingerprint of the data set.
    pub data: String,
    /// Sizes and class names of the data set, which cannot be derived from the weights.
    #[serde(default)]
    pub dataset: DatasetInfo,
    /// The configuration of the run, as TOML.
    pub config: String,
}

/// The best epoch so far, and the checkpoint with its weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BestSoFar {
    /// Validation accuracy, 0 to 1.
    pub accuracy: f64,
    /// Epoch, from 1.
    pub epoch: u32,
    /// Step of the checkpoint that contains its weights.
    pub global_step: u64,
}

/// Everything that affects the rounding of sums.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ComputeSetup {
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// `f32` or `bf16`.
    pub precision: String,
    /// Number of CPU threads.
    pub threads: u32,
    /// Version of libtorch.
    pub libtorch: String,
}
