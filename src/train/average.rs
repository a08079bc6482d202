//! A running average of the weights (EMA; Polyak & Juditsky 1992, with exponential weights): often better than any of them.

use tch::Tensor;

use crate::model::Weights;

/// The average, of weights and of batch norm's statistics, which belong to them.
#[derive(Debug)]
pub(super) struct Average {
    decay: f64,
    weights: Weights,
    updates: u64,
}

impl Average {
    /// An average that begins as these weights; `None` for a decay of 0.
    pub(super) fn new(decay: f64, weights: &Weights) -> Option<Self> {
        (decay > 0.0).then(|| Self {
            decay,
            weights: weights.snapshot(),
            updates: 0,
        })
    }

    /// Takes a step's weights in. The first steps, far from the goal, are forgotten sooner: the decay is at most
    /// (1 + n)/(10 + n), as TensorFlow's `ExponentialMovingAverage` has it.
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

    /// Steps taken in.
    pub(super) fn updates(&self) -> u64 {
        self.updates
    }

    /// Goes on from an average of so many steps.
    pub(super) fn take_up(&mut self, average: &Weights, updates: u64) {
        self.weights = average.snapshot();
        self.updates = updates;
    }

    /// Begins again from these weights.
    pub(super) fn restart(&mut self, weights: &Weights) {
        self.weights = weights.snapshot();
    }

    /// What it is now.
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
    fn early_weights_are_forgotten_sooner_and_statistics_follow() {
        assert!(Average::new(0.0, &weights(0.0)).is_none());
        let Some(mut average) = Average::new(0.5, &weights(0.0)) else {
            panic!("a decay above 0 averages")
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
