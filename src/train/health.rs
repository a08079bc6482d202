//! Watching steps for what goes wrong. Numbers in, findings out; what is done about them is the trainer's business.

use serde::{Deserialize, Serialize};

use crate::config::HealthConfig;
use crate::event::{F32, F64, Finding, LayerNorms};

/// Steps before a loss can be a spike, and after one before the next.
const CALM: u64 = 50;
/// Share of the past in the running mean and variance: about the last 50 steps.
const PAST: f64 = 0.98;

/// Steps one after the other that were not finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    /// The last of them, counted from 1 over the run.
    pub(super) last: u64,
    /// How many.
    pub(super) length: u64,
    /// Whether it began since the last time it was asked for.
    pub(super) is_new: bool,
    /// Loss of the last.
    pub(super) loss: f32,
    /// Gradient norm of the last.
    pub(super) grad_norm: f32,
}

/// What is known of the steps so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Watch {
    spike: f64,
    dead: f64,
    bad_in_a_row: u64,
    /// The longest row since it was asked for, and how long the one was that reached into that time.
    #[serde(skip)]
    row: Option<Row>,
    old: u64,
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
            row: None,
            old: 0,
            mean: 0.0,
            variance: 0.0,
            calm: 0,
        }
    }

    /// What was seen, watched from now on as configured.
    pub(super) fn with(self, config: &HealthConfig) -> Self {
        Self {
            spike: config.spike,
            dead: config.dead,
            ..self
        }
    }

    /// The longest row of bad steps since the last call: many steps may be told at once, and the last of them may be well.
    pub(super) fn take_row(&mut self) -> Option<Row> {
        self.old = self.bad_in_a_row;
        self.row.take()
    }

    /// Begins to count anew.
    pub(super) fn forgive(&mut self) {
        (self.bad_in_a_row, self.old) = (0, 0);
    }

    /// Takes a step in; a spike is a finding. Steps that are not finite are only counted.
    pub(super) fn step(&mut self, global_step: u64, loss: f32, grad_norm: f32) -> Option<Finding> {
        if !loss.is_finite() || !grad_norm.is_finite() {
            self.bad_in_a_row += 1;
            let length = self.bad_in_a_row;
            if self.row.is_none_or(|row| length >= row.length) {
                self.row = Some(Row {
                    last: global_step,
                    length,
                    is_new: self.old == 0,
                    loss,
                    grad_norm,
                });
            }
            return None;
        }
        (self.bad_in_a_row, self.old) = (0, 0);
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
    fn the_longest_row_of_bad_steps_is_told_with_its_own_step() {
        let mut watch = watch();
        let row = |watch: &mut Watch| {
            watch
                .take_row()
                .map(|row| (row.last, row.length, row.is_new))
        };
        // One window: a row of three, then a good step, then another bad one.
        for (step, loss) in [
            (1, 1.0),
            (2, f32::NAN),
            (3, f32::NAN),
            (4, f32::NAN),
            (5, 1.0),
            (6, f32::NAN),
        ] {
            assert_eq!(watch.step(step, loss, 1.0), None);
        }
        assert_eq!(row(&mut watch), Some((4, 3, true)));
        // The next window goes on with the row that step 6 began, which is not new.
        assert_eq!(watch.step(7, 1.0, f32::INFINITY), None);
        assert_eq!(row(&mut watch), Some((7, 2, false)));
        watch.step(8, 1.0, 1.0);
        assert_eq!(row(&mut watch), None);
        watch.step(9, f32::NAN, 1.0);
        watch.forgive();
        watch.take_row();
        watch.step(10, f32::NAN, 1.0);
        assert_eq!(row(&mut watch), Some((10, 1, true)));
    }

    #[test]
    fn a_spike_is_told_once_and_noise_is_none() {
        let mut watch = watch();
        let noisy = |i: u32| 0.5 + 0.1 * (i as f32 * 1.7).sin();
        for i in 0..200 {
            assert_eq!(watch.step(i.into(), noisy(i), 1.0), None, "step {i}");
        }
        assert!(
            matches!(watch.step(201, 3.0, 1.0), Some(Finding::Spike { loss: F32(3.0), mean }) if (mean.0 - 0.5).abs() < 0.1)
        );
        assert_eq!(
            watch.step(201, 3.0, 1.0),
            None,
            "the next is part of the same"
        );
    }

    #[test]
    fn the_first_losses_fall_without_alarm() {
        let mut watch = watch();
        for i in 0..100 {
            assert_eq!(watch.step(i, 2.5 / (1.0 + i as f32 * 0.1), 5.0), None);
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
