//! The EMA weights: an exponential moving average of the trained weights (after Polyak & Juditsky 1992), which often
//! generalises better than the trained weights themselves.

use tch::Tensor;

use crate::model::Weights;

/// The EMA of the weights and of the running statistics that belong to them.
#[derive(Debug)]
pub(super) struct Average {
    decay: f64,
    weights: Weights,
    updates: u64,
}

impl Average {
    /// An EMA that starts with these weights; `None` for a decay of 0.
    pub(super) fn new(decay: f64, weights: &Weights) -> Option<Self> {
        (decay > 0.0).then(|| Self {
            decay,
            weights: weights.snapshot(),
            updates: 0,
        })
    }

    /// Updates the EMA with the weights of a step. After n updates the decay is at most (1 + n)/(10 + n), as in
    /// TensorFlow's `ExponentialMovingAverage`, so that the first, poor weights have little influence.
    pub(super) fn update(&mut self, weights: &Weights) {
        let _guard = tch::no_grad_guard();
        let n = self.updates as f64;
        let share = 1.0 - self.decay.min((1.0 + n) / (10.0 + n));
        let lerp = |average: &Tensor, now: &Tensor| {
            let _ = average.detach().lerp_(now, share);
        };
        lerp(&self.weights.flat, &weights.flat);
        lerp(&self.weights.stats, &weights.stats);
        self.updates += 1;
    }

    /// Number of updates so far.
    pub(super) fn updates(&self) -> u64 {
        self.updates
    }

    /// Restores an EMA and its number of updates.
    pub(super) fn restore(&mut self, average: &Weights, updates: u64) {
        self.weights = average.snapshot();
        self.updates = updates;
    }

    /// Sets the EMA to these weights.
    pub(super) fn restart(&mut self, weights: &Weights) {
        self.weights = weights.snapshot();
    }

    /// The current EMA weights.
    pub(super) fn weights(&self) -> &Weights {
        &self.weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn weights(value: f64) -> Weights {
        Weights {
            flat: Tensor::full([2], value, (Kind::Float, Device::Cpu)),
            stats: Tensor::full([1], value * 10.0, (Kind::Float, Device::Cpu)),
        }
    }

    #[test]
    fn decay_is_smaller_for_early_updates_and_applies_to_statistics() {
        assert!(Average::new(0.0, &weights(0.0)).is_none());
        let Some(mut average) = Average::new(0.5, &weights(0.0)) else {
            panic!("no EMA for a decay above 0")
        };
        // n = 0: decay min(0.5, 1/10) = 0.1; n = 1: min(0.5, 2/11)
        average.update(&weights(1.0));
        assert!((average.weights().flat.double_value(&[0]) - 0.9).abs() < 1e-6);
        average.update(&weights(1.0));
        let expected = 0.9 + 0.1 * (1.0 - 2.0 / 11.0);
        assert!((average.weights().flat.double_value(&[1]) - expected).abs() < 1e-6);
        assert!((average.weights().stats.double_value(&[0]) - 10.0 * expected).abs() < 1e-5);
    }
}
