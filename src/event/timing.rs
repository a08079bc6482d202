//! Breakdown of the step time.

use serde::{Deserialize, Serialize};

use super::F64;

/// Breakdown of the step time: means over the measured steps, ms per step.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct StepTime {
    /// The last measured step, counted from 1 over the run.
    pub global_step: u64,
    /// Number of measured steps.
    pub steps: u64,
    /// Waiting for images that the loader's threads have not finished yet.
    #[serde(default)]
    pub loader_ms: F64,
    /// The share of the time of these threads that was spent on reading, 0 to 1; the rest is cropping and changing. 0 without
    /// such threads.
    #[serde(default)]
    pub reading: F64,
    /// Gathering and augmenting the batch.
    pub data_ms: F64,
    /// The forward pass, including the loss.
    pub forward_ms: F64,
    /// The backward pass.
    pub backward_ms: F64,
    /// Gradient clipping, the update, and the EMA of the weights.
    pub optimizer_ms: F64,
    /// The time until the next step starts: reading results back, copies for checkpoints, loop overhead. Pauses and
    /// evaluations are excluded.
    pub wait_ms: F64,
    /// Whether this is a single step on a GPU in which the device was synchronized after each part. In other steps the
    /// parts overlap, so those steps may be faster.
    pub sampled: bool,
}

impl StepTime {
    /// The parts of a step in their order, each with its name and duration in ms.
    pub fn parts(&self) -> [(&'static str, f64); 6] {
        [
            ("loader", self.loader_ms.0),
            ("data", self.data_ms.0),
            ("forward", self.forward_ms.0),
            ("backward", self.backward_ms.0),
            ("optimizer", self.optimizer_ms.0),
            ("wait", self.wait_ms.0),
        ]
    }

    /// The share of a step that is spent waiting for the loader, 0 to 1.
    pub fn loader_share(&self) -> f64 {
        let total = self.total_ms();
        if total > 0.0 {
            self.loader_ms.0 / total
        } else {
            0.0
        }
    }

    /// Duration of a complete step, ms.
    pub fn total_ms(&self) -> f64 {
        self.parts().iter().map(|(_, ms)| ms).sum()
    }
}
