//! Watching steps for what goes wrong. Numbers in, findings out; what is done about them is the trainer's business.

use crate::config::HealthConfig;
use crate::event::{F32, F64, Finding, LayerNorms};

/// Steps before a loss can be a spike, and after one before the next.
const CALM: u64 = 50;
/// Share of the past in the running mean and variance: about the last 50 steps.
const PAST: f64 = 0.98;

/// What is known of the steps so far.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    spike: f64,
    dead: f64,
    bad_in_a_row: u64,
    mean: f64,
    variance: f64,
    /// Finite steps since the start or the last spike.
    calm: u64,
}

impl Watch {
    pub(super) fn new(config: &HealthConfig) -> Self {
        Self {
            spike: config.spike,
            dead: config.dead,
            bad_in_a_row: 0,
            mean: 0.0,
            variance: 0.0,
            calm: 0,
        }
    }

    /// How many steps up to the last were not finite.
    pub(super) fn bad_in_a_row(&self) -> u64 {
        self.bad_in_a_row
    }

    /// Begins to count anew.
    pub(super) fn forgive(&mut self) {
        self.bad_in_a_row = 0;
    }

    /// Takes a step in; a spike is a finding. Steps that are not finite are only counted.
    pub(super) fn step(&mut self, loss: f32, grad_norm: f32) -> Option<Finding> {
        if !loss.is_finite() || !grad_norm.is_finite() {
            self.bad_in_a_row += 1;
            return None;
        }
        self.bad_in_a_row = 0;
        let value = f64::from(loss);
        let (mean, difference) = (self.mean, value - self.mean);
        // A loss that hardly varies would make a spike of anything: a twentieth of the mean counts as variation.
        let deviation = self.variance.sqrt().max(0.05 * mean.abs());
        let spike = self.spike > 0.0 && self.calm >= CALM && difference > self.spike * deviation;
        if self.calm == 0 && self.mean == 0.0 {
            self.mean = value;
        } else {
            // Exponentially weighted mean and variance (Finch 2009).
            self.mean += (1.0 - PAST) * difference;
            self.variance = PAST * (self.variance + (1.0 - PAST) * difference * difference);
        }
        self.calm = if spike { 0 } else { self.calm + 1 };
        spike.then_some(Finding::Spike {
            loss: F32(loss),
            mean: F64(mean),
        })
    }

    /// Layers whose gradient is a vanishing share of the whole.
    pub(super) fn layers(&self, layers: &[LayerNorms]) -> Option<Finding> {
        let norm = |layer: &LayerNorms| f64::from(layer.grad_norm.0);
        let whole = layers
            .iter()
            .map(|layer| norm(layer).powi(2))
            .sum::<f64>()
            .sqrt();
        if !whole.is_finite() || whole == 0.0 {
            return None;
        }
        let dead: Vec<String> = layers
            .iter()
            .filter(|layer| norm(layer) < self.dead * whole)
            .map(|layer| layer.name.clone())
            .collect();
        (!dead.is_empty()).then_some(Finding::DeadGradient { layers: dead })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        Watch::new(&HealthConfig::default())
    }

    #[test]
    fn bad_steps_in_a_row_are_counted_and_a_good_one_ends_the_row() {
        let mut watch = watch();
        for _ in 0..3 {
            assert_eq!(watch.step(f32::NAN, 1.0), None);
        }
        assert_eq!(watch.step(1.0, f32::INFINITY), None);
        assert_eq!(watch.bad_in_a_row(), 4);
        watch.step(1.0, 1.0);
        assert_eq!(watch.bad_in_a_row(), 0);
    }

    #[test]
    fn a_spike_is_told_once_and_noise_is_none() {
        let mut watch = watch();
        let noisy = |i: u32| 0.5 + 0.1 * (i as f32 * 1.7).sin();
        for i in 0..200 {
            assert_eq!(watch.step(noisy(i), 1.0), None, "step {i}");
        }
        assert!(
            matches!(watch.step(3.0, 1.0), Some(Finding::Spike { loss: F32(3.0), mean }) if (mean.0 - 0.5).abs() < 0.1)
        );
        assert_eq!(watch.step(3.0, 1.0), None, "the next is part of the same");
    }

    #[test]
    fn the_first_losses_fall_without_alarm() {
        let mut watch = watch();
        for i in 0..100 {
            assert_eq!(watch.step(2.5 / (1.0 + i as f32 * 0.1), 5.0), None);
        }
    }

    #[test]
    fn a_layer_without_gradient_is_named() {
        let layer = |name: &str, grad_norm| LayerNorms {
            name: name.to_owned(),
            grad_norm: F32(grad_norm),
            weight_norm: F32(1.0),
            update_norm: F32(0.0),
        };
        let layers = [layer("a", 1.0), layer("b", 0.0), layer("c", 1e-3)];
        assert_eq!(
            watch().layers(&layers),
            Some(Finding::DeadGradient {
                layers: vec!["b".to_owned()]
            })
        );
        assert_eq!(watch().layers(&layers[..1]), None);
        assert_eq!(watch().layers(&[layer("a", f32::NAN)]), None);
    }
}
