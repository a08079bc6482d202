//! `state.json`: where a training stands, besides its tensors.

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
    /// Whether its validation has been made too.
    pub epoch_done: bool,
    /// Steps done in the run.
    pub global_step: u64,
    /// Everything random follows from it and the step.
    pub seed: u64,
    /// Base learning rate, as changed while running.
    pub lr: f64,
    /// Epochs in all, as changed while running.
    pub epochs: u32,
    /// The best validation so far.
    pub best: Option<BestSoFar>,
    /// The temperature of the latest validation, if one was found, and the step it was made at.
    #[serde(default)]
    pub temperature: Option<(f64, u64)>,
    /// Number of this save: the journal has a record of the same number at the same moment.
    pub mark: u64,
    /// How it is computed: another device, precision or number of threads rounds differently.
    pub computed: Computed,
    /// What only the trainer reads.
    #[serde(default)]
    pub trainer: serde_json::Value,
    /// Fingerprint of the data.
    pub data: String,
    /// The data: sizes and names that the weights alone do not tell.
    #[serde(default)]
    pub dataset: DatasetInfo,
    /// The configuration of the run, as TOML.
    pub config: String,
}

/// The best epoch so far, and where its weights are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BestSoFar {
    /// Validation accuracy, 0 to 1.
    pub accuracy: f64,
    /// From 1.
    pub epoch: u32,
    /// The step of the checkpoint that holds its weights.
    pub global_step: u64,
}

/// What decides how sums are rounded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Computed {
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// `f32` or `bf16`.
    pub precision: String,
    /// Threads on the CPU.
    pub threads: u32,
    /// Version of libtorch.
    pub libtorch: String,
}
