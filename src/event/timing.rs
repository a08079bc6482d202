//! Where the time of training goes.

use serde::{Deserialize, Serialize};

use super::F64;

/// How the time of steps divides; means over the steps that were measured, ms a step.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct StepTime {
    /// The last step that was measured, counted from 1 over the run.
    pub global_step: u64,
    /// Steps that were measured.
    pub steps: u64,
    /// Gathering and augmenting the batch.
    pub data_ms: F64,
    /// From images to the loss.
    pub forward_ms: F64,
    /// From the loss to the gradient.
    pub backward_ms: F64,
    /// Clipping, the update, the average of the weights.
    pub optimizer_ms: F64,
    /// Until the next step begins: reading results back, copies for checkpoints, the loop itself. Pauses and evaluations
    /// are not in it.
    pub wait_ms: F64,
    /// On a GPU: of one step for which the device was waited for after each part. Steps that nobody measures overlap
    /// their parts and may be faster.
    pub sampled: bool,
}

impl StepTime {
    /// The parts in the order of a step, each with its name and ms.
    pub fn parts(&self) -> [(&'static str, f64); 5] {
        [
            ("data", self.data_ms.0),
            ("forward", self.forward_ms.0),
            ("backward", self.backward_ms.0),
            ("optimizer", self.optimizer_ms.0),
            ("wait", self.wait_ms.0),
        ]
    }

    /// Milliseconds of a whole step.
    pub fn total_ms(&self) -> f64 {
        self.parts().iter().map(|(_, ms)| ms).sum()
    }
}
