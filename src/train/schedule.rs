//! Learning-rate schedules.

use std::f64::consts::PI;

use crate::config::{OptimConfig, ScheduleName};

/// A schedule: linear warm-up with the factor `(t+1)/W`, which is above 0 from the first step on, then the named curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Shape after the warm-up.
    pub name: ScheduleName,
    /// Peak learning rate.
    pub lr: f64,
    /// Number of warm-up steps.
    pub warmup: u64,
    /// Total number of steps.
    pub total: u64,
    /// For `step`: number of steps between two decays, and the factor of each decay.
    pub falls: (f64, f64),
}

impl Schedule {
    /// The configured schedule with peak rate `lr`.
    pub fn new(config: &OptimConfig, lr: f64, steps_per_epoch: u64, epochs: u32) -> Self {
        let warmup = (config.warmup_epochs * steps_per_epoch as f64).round() as u64;
        Self {
            name: config.schedule,
            lr,
            warmup,
            total: steps_per_epoch.saturating_mul(epochs.into()),
            falls: (
                (config.step_epochs * steps_per_epoch as f64).max(1.0),
                config.step_factor,
            ),
        }
    }

    /// The learning rate of step `step`, counted from 0. The cosine schedule (Loshchilov & Hutter 2017, without
    /// restarts) and the linear schedule end at a rate of 0.
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.lr * (step + 1) as f64 / self.warmup as f64;
        }
        let span = self.total.saturating_sub(self.warmup).max(1) as f64;
        let progress = ((step - self.warmup) as f64 / span).min(1.0);
        self.lr
            * match self.name {
                ScheduleName::Cosine => 0.5 * (1.0 + (PI * progress).cos()),
                ScheduleName::Linear => 1.0 - progress,
                ScheduleName::Step => {
                    let (every, factor) = self.falls;
                    factor.powf(((step - self.warmup) as f64 / every).floor())
                }
                ScheduleName::Constant => 1.0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(name: ScheduleName) -> Schedule {
        Schedule {
            name,
            lr: 0.1,
            warmup: 10,
            total: 110,
            falls: (30.0, 0.5),
        }
    }

    #[test]
    fn warm_up_rises_linearly_to_the_peak() {
        let s = schedule(ScheduleName::Cosine);
        assert!((s.at(0) - 0.01).abs() < 1e-12);
        assert!((s.at(9) - 0.1).abs() < 1e-12);
        assert!((s.at(10) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn curves_have_the_expected_middle_and_end() {
        assert!((schedule(ScheduleName::Cosine).at(60) - 0.05).abs() < 1e-12);
        assert!((schedule(ScheduleName::Linear).at(85) - 0.025).abs() < 1e-12);
        assert!((schedule(ScheduleName::Constant).at(109) - 0.1).abs() < 1e-12);
        assert!(schedule(ScheduleName::Cosine).at(u64::MAX).abs() < 1e-12);
        let step = schedule(ScheduleName::Step);
        let rates = [10, 39, 40, 70].map(|t| step.at(t));
        assert_eq!(rates, [0.1, 0.1, 0.05, 0.025]);
    }

    #[test]
    fn zero_warm_up_and_zero_steps_are_valid() {
        let s = Schedule {
            name: ScheduleName::Linear,
            lr: 1.0,
            warmup: 0,
            total: 0,
            falls: (1.0, 0.1),
        };
        assert!((s.at(0) - 1.0).abs() < 1e-12);
        assert!(s.at(5).is_finite());
    }
}
