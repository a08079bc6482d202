//! Gradient norms and update-to-weight ratios of each parameter, over the run.

use serde::{Deserialize, Serialize};

use super::history::History;
use crate::event::{F32, LayerNorms};

/// Greatest number of parameters that are retained; of a larger network, the first ones.
const LAYERS: usize = 128;
/// Greatest number of retained samples.
const MOMENTS: usize = 256;

/// A sample of all parameters at one step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LayerMoment {
    /// The step it was measured at.
    pub step: u64,
    /// L2 norm of each parameter's gradient before clipping, in the order of the names.
    pub grad_norm: Vec<F32>,
    /// L2 norm of each parameter's update divided by that of its weights; around 1e-3 is usual (Karpathy 2015, CS231n).
    pub ratio: Vec<F32>,
}

/// The samples of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LayerTrack {
    /// Names of the parameters, from the first layer to the last.
    pub names: Vec<String>,
    /// Number of parameters that are not retained.
    pub left_out: u64,
    /// The samples, with one value per name.
    #[serde(flatten)]
    pub history: History<LayerMoment>,
}

impl LayerTrack {
    pub(super) fn push(&mut self, step: u64, layers: &[LayerNorms]) {
        let names = || layers.iter().take(LAYERS).map(|layer| &layer.name);
        if !names().eq(&self.names) {
            *self = Self {
                names: names().cloned().collect(),
                ..Self::default()
            };
        }
        self.left_out = layers.len().saturating_sub(LAYERS) as u64;
        let retained = layers.iter().take(LAYERS);
        let moment = LayerMoment {
            step,
            grad_norm: retained.clone().map(|layer| layer.grad_norm).collect(),
            ratio: retained
                .map(|layer| F32(layer.update_norm.0 / layer.weight_norm.0))
                .collect(),
        };
        self.history.push(MOMENTS, moment, |moment| moment.step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str) -> LayerNorms {
        LayerNorms {
            name: name.to_owned(),
            grad_norm: F32(1.0),
            weight_norm: F32(2.0),
            update_norm: F32(0.002),
        }
    }

    #[test]
    fn long_run_retains_samples_of_all_periods() {
        let mut track = LayerTrack::default();
        for step in 1..=10_000 {
            track.push(step, &[layer("a"), layer("b")]);
            assert!(track.history.moments.len() <= MOMENTS);
            assert_eq!(
                track.history.moments.last().map(|moment| moment.step),
                Some(step)
            );
        }
        assert!(track.history.moments.is_sorted_by_key(|moment| moment.step));
        let early = track
            .history
            .moments
            .iter()
            .filter(|moment| moment.step <= 5_000);
        assert!(early.count() > MOMENTS / 8);
        assert_eq!(track.history.moments[0].ratio, [F32(0.001), F32(0.001)]);
    }

    #[test]
    fn another_network_resets_the_track_and_a_huge_one_is_truncated() {
        let mut track = LayerTrack::default();
        track.push(1, &[layer("a")]);
        let many: Vec<LayerNorms> = (0..1000).map(|i| layer(&i.to_string())).collect();
        track.push(2, &many);
        assert_eq!(track.history.moments.len(), 1);
        assert_eq!((track.names.len(), track.left_out), (LAYERS, 872));
    }
}
