//! Detection of non-finite steps, loss spikes and dead gradients. It only returns findings; the trainer reacts to them.

use serde::{Deserialize, Serialize};

use crate::config::HealthConfig;
use crate::event::{F32, F64, Finding, LayerNorms};

/// Number of finite steps needed before a spike is reported, at the start and after each spike.
const CALM: u64 = 50;
/// Decay of the running mean and variance of the loss; they cover about the last 50 steps.
const PAST: f64 = 0.98;

/// Consecutive non-finite steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Streak {
    /// Number of the last of these steps, from 1 over the run.
    pub(super) last: u64,
    /// Number of steps.
    pub(super) length: u64,
    /// Whether the streak started after the previous call of [`Watch::take_streak`].
    pub(super) is_new: bool,
    /// Loss of the last step.
    pub(super) loss: f32,
    /// Gradient norm of the last step.
    pub(super) grad_norm: f32,
    /// Whether only the batch statistics of these steps were not finite.
    pub(super) statistics: bool,
}

/// Statistics of the steps so far, and the thresholds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Watch {
    spike: f64,
    dead: f64,
    bad_in_a_row: u64,
    /// Whether only the batch statistics of those steps were not finite.
    #[serde(default)]
    statistics: bool,
    /// The longest streak since the last call of `take_streak`.
    #[serde(skip)]
    streak: Option<Streak>,
    /// Length of the streak that was in progress at that call.
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
            statistics: false,
            streak: None,
            old: 0,
            mean: 0.0,
            variance: 0.0,
            calm: 0,
        }
    }

    /// The same statistics with the thresholds of `config`.
    pub(super) fn with(self, config: &HealthConfig) -> Self {
        Self {
            spike: config.spike,
            dead: config.dead,
            ..self
        }
    }

    /// The longest streak of non-finite steps since the last call. A window has several steps, so a streak may already
    /// have ended.
    pub(super) fn take_streak(&mut self) -> Option<Streak> {
        self.old = self.bad_in_a_row;
        self.streak.take()
    }

    /// Number of consecutive steps up to the last one that were not applied.
    pub(super) fn bad_in_a_row(&self) -> u64 {
        self.bad_in_a_row
    }

    /// Restarts the count of consecutive non-finite steps.
    pub(super) fn reset_streak(&mut self) {
        (self.bad_in_a_row, self.old) = (0, 0);
    }

    /// Adds a step; returns a finding if its loss is a spike. A step that was not applied, because it was not finite, is
    /// only counted.
    pub(super) fn step(
        &mut self,
        global_step: u64,
        (loss, grad_norm): (f32, f32),
        applied: bool,
    ) -> Option<Finding> {
        if !applied {
            self.bad_in_a_row += 1;
            let length = self.bad_in_a_row;
            let only_statistics = loss.is_finite() && grad_norm.is_finite();
            self.statistics = only_statistics && (length == 1 || self.statistics);
            if self.streak.is_none_or(|streak| length >= streak.length) {
                self.streak = Some(Streak {
                    last: global_step,
                    length,
                    is_new: self.old == 0,
                    loss,
                    grad_norm,
                    statistics: self.statistics,
                });
            }
            return None;
        }
        (self.bad_in_a_row, self.old) = (0, 0);
        let value = f64::from(loss);
        let (mean, difference) = (self.mean, value - self.mean);
        // With a nearly constant loss any change would be a spike, so the deviation is at least 5 % of the mean.
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

    /// A finding that names the parameters whose gradient norm is less than `health.dead` times the global norm. The loss
    /// must not be that of a diverged training, in which a zero gradient is only a consequence.
    pub(super) fn layers(&self, layers: &[LayerNorms]) -> Option<Finding> {
        let norm = |layer: &LayerNorms| f64::from(layer.grad_norm.0);
        let global = layers
            .iter()
            .map(|layer| norm(layer).powi(2))
            .sum::<f64>()
            .sqrt();
        if !global.is_finite() || global == 0.0 {
            return None;
        }
        let dead: Vec<String> = layers
            .iter()
            .filter(|layer| norm(layer) < self.dead * global)
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
    fn longest_streak_is_returned_with_its_last_step() {
        let mut watch = watch();
        let streak = |watch: &mut Watch| {
            watch
                .take_streak()
                .map(|streak| (streak.last, streak.length, streak.is_new))
        };
        // One window: a streak of three, then a finite step, then another non-finite one.
        for (step, loss) in [
            (1, 1.0),
            (2, f32::NAN),
            (3, f32::NAN),
            (4, f32::NAN),
            (5, 1.0),
            (6, f32::NAN),
        ] {
            assert_eq!(watch.step(step, (loss, 1.0), loss.is_finite()), None);
        }
        assert_eq!(streak(&mut watch), Some((4, 3, true)));
        // The next window continues the streak that step 6 started, so it is not new.
        assert_eq!(watch.step(7, (1.0, f32::INFINITY), false), None);
        assert_eq!(streak(&mut watch), Some((7, 2, false)));
        watch.step(8, (1.0, 1.0), true);
        assert_eq!(streak(&mut watch), None);
        watch.step(9, (f32::NAN, 1.0), false);
        watch.reset_streak();
        watch.take_streak();
        watch.step(10, (f32::NAN, 1.0), false);
        assert_eq!(streak(&mut watch), Some((10, 1, true)));
    }

    #[test]
    fn spike_is_reported_once_and_noise_is_not() {
        let mut watch = watch();
        let noisy = |i: u32| 0.5 + 0.1 * (i as f32 * 1.7).sin();
        for i in 0..200 {
            assert_eq!(
                watch.step(i.into(), (noisy(i), 1.0), true),
                None,
                "step {i}"
            );
        }
        assert!(
            matches!(watch.step(201, (3.0, 1.0), true), Some(Finding::Spike { loss: F32(3.0), mean }) if (mean.0 - 0.5).abs() < 0.1)
        );
        assert_eq!(
            watch.step(201, (3.0, 1.0), true),
            None,
            "the next step belongs to the same spike"
        );
    }

    #[test]
    fn steps_without_batch_statistics_are_a_streak_of_their_own() {
        let mut watch = watch();
        let mut streak = |losses: &[f32]| {
            watch.reset_streak();
            (1..).zip(losses).for_each(|(step, loss)| {
                watch.step(step, (*loss, 1.0), false);
            });
            let streak = watch.take_streak();
            streak.map(|streak| (streak.length, streak.statistics))
        };
        assert_eq!(streak(&[1.0, 1.0]), Some((2, true)));
        assert_eq!(streak(&[1.0, f32::NAN, 1.0]), Some((3, false)));
    }

    #[test]
    fn falling_loss_at_the_start_is_not_a_spike() {
        let mut watch = watch();
        for i in 0..100 {
            let loss = 2.5 / (1.0 + i as f32 * 0.1);
            assert_eq!(watch.step(i, (loss, 5.0), true), None);
        }
    }

    #[test]
    fn layer_without_gradient_is_reported() {
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
