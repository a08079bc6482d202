//! Windows: the statistics of several steps, collected on the device and copied to the host at once; and the sums over
//! an epoch.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::step::StepStats;
use crate::event::{EpochSummary, F32, F64, StepWindow};
use crate::model::to_vec;
use crate::stopwatch::Moment;

/// A window is closed after 16 steps or 50 ms, whichever comes first: often enough for a live display, and rarely
/// enough that the device synchronisation costs nothing.
const STEPS: usize = 16;
const TIME: Duration = Duration::from_millis(50);

/// The current window.
#[derive(Debug)]
pub(super) struct Window {
    /// The steps with their learning rates.
    steps: Vec<(StepStats, f64)>,
    opened: Moment,
    clip_norm: f64,
}

impl Window {
    pub(super) fn new(clip_norm: f64) -> Self {
        Self {
            steps: Vec::with_capacity(STEPS),
            opened: Moment::now(),
            clip_norm,
        }
    }

    /// Restarts the time measurement, after anything that is not a step.
    pub(super) fn restart_clock(&mut self) {
        self.opened = Moment::now();
    }

    /// Adds a step with its learning rate.
    pub(super) fn push(&mut self, step: StepStats, lr: f64) {
        self.steps.push((step, lr));
    }

    pub(super) fn is_due(&self) -> bool {
        self.steps.len() >= STEPS || self.opened.elapsed() >= TIME
    }

    /// Waits for the device, empties the window and returns its steps, and which of them changed the weights; `None` if
    /// there are none.
    pub(super) fn close(&mut self) -> Option<(StepWindow, Vec<bool>)> {
        let (steps, rates): (Vec<StepStats>, Vec<f64>) = self.steps.drain(..).unzip();
        let lr = *rates.last()?;
        let column = |pick: fn(&StepStats) -> &Tensor| {
            let scalars: Vec<Tensor> = steps
                .iter()
                .map(|step| pick(step).to_kind(Kind::Float))
                .collect();
            Tensor::stack(&scalars, 0)
        };
        let mut columns = vec![
            column(|s| &s.loss),
            column(|s| &s.correct),
            column(|s| &s.grad_norm),
            column(|s| &s.ok),
        ];
        let measured = steps.iter().filter_map(|s| s.update_ratio.as_ref());
        columns.extend(measured.clone().map(|(_, ratio)| ratio.unsqueeze(0)));
        let numbers = to_vec(&Tensor::cat(&columns, 0));
        let count = steps.len();
        let part = |i: usize| numbers.iter().skip(i * count).take(count).copied();
        let accuracy = part(1)
            .zip(&steps)
            .map(|(correct, step)| F32(correct / step.images as f32))
            .collect();
        let clipped = part(2).map(|norm| u8::from(self.clips(norm))).collect();
        let rates = if rates.iter().all(|rate| *rate == lr) {
            vec![F64(lr)]
        } else {
            rates.into_iter().map(F64).collect()
        };
        let window = StepWindow {
            lr: F64(lr),
            rates,
            loss: part(0).map(F32).collect(),
            accuracy,
            grad_norm: part(2).map(F32).collect(),
            clipped,
            update_ratio: measured
                .map(|(step, _)| *step)
                .zip(numbers.iter().skip(4 * count).copied().map(F32))
                .collect(),
            images: steps.iter().map(|step| step.images as u64).sum(),
            millis: F64(self.opened.elapsed().as_secs_f64() * 1000.0),
            ..StepWindow::default()
        };
        let applied = part(3).map(|ok| ok != 0.0).collect();
        self.restart_clock();
        Some((window, applied))
    }

    fn clips(&self, norm: f32) -> bool {
        self.clip_norm > 0.0 && norm.is_finite() && f64::from(norm) + 1e-6 > self.clip_norm
    }
}

/// Sums over an epoch's steps.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct EpochSums {
    images: u64,
    loss: f64,
    correct: f64,
    /// Images that were mixed with another, so that they count neither as correct nor as wrong.
    #[serde(default)]
    mixed: u64,
    finite: u64,
    norm: f64,
    norm_max: f64,
    clipped: u64,
    steps: u64,
    millis: f64,
}

impl EpochSums {
    /// Adds a window. `batch` is the batch size of all steps; only the last one may be smaller.
    pub(super) fn add(&mut self, window: &StepWindow, batch: u64) {
        let steps = window.loss.len() as u64;
        let last = window
            .images
            .saturating_sub(batch.saturating_mul(steps.saturating_sub(1)));
        for (i, (loss, accuracy)) in window.loss.iter().zip(&window.accuracy).enumerate() {
            let images = if i as u64 + 1 == steps { last } else { batch };
            if loss.0.is_finite() {
                self.images += images;
                self.loss += f64::from(loss.0) * images as f64;
                if accuracy.0.is_finite() {
                    self.correct += f64::from(accuracy.0) * images as f64;
                } else {
                    self.mixed += images;
                }
            }
        }
        for norm in window
            .grad_norm
            .iter()
            .map(|norm| f64::from(norm.0))
            .filter(|norm| norm.is_finite())
        {
            self.finite += 1;
            self.norm += norm;
            self.norm_max = self.norm_max.max(norm);
        }
        self.clipped += window
            .clipped
            .iter()
            .map(|&flag| u64::from(flag))
            .sum::<u64>();
        self.steps += steps;
        self.millis += window.millis.0;
    }

    /// Duration of the steps in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.millis / 1000.0
    }

    /// The epoch summary with its training values; the validation values are left at their defaults.
    pub(super) fn summary(&self) -> EpochSummary {
        let mean = |sum: f64, n: u64| F64(if n == 0 { f64::NAN } else { sum / n as f64 });
        EpochSummary {
            train_loss: mean(self.loss, self.images),
            train_accuracy: if self.mixed == 0 {
                mean(self.correct, self.images)
            } else {
                F64(f64::NAN)
            },
            grad_norm_mean: mean(self.norm, self.finite),
            grad_norm_max: F64(if self.finite == 0 {
                f64::NAN
            } else {
                self.norm_max
            }),
            clipped_fraction: mean(self.clipped as f64, self.steps),
            images_per_second: F64(if self.millis > 0.0 {
                self.images as f64 * 1000.0 / self.millis
            } else {
                0.0
            }),
            ..EpochSummary::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_weighted_by_batch_size_and_skip_non_finite_steps() {
        let mut sums = EpochSums::default();
        let window = StepWindow {
            loss: vec![F32(1.0), F32(f32::NAN), F32(3.0)],
            accuracy: vec![F32(0.5), F32(0.0), F32(1.0)],
            grad_norm: vec![F32(2.0), F32(f32::INFINITY), F32(4.0)],
            clipped: vec![1, 0, 1],
            images: 10 + 10 + 5,
            millis: F64(500.0),
            ..StepWindow::default()
        };
        sums.add(&window, 10);
        let row = sums.summary();
        assert!((row.train_loss.0 - (10.0 + 15.0) / 15.0).abs() < 1e-12);
        assert!((row.train_accuracy.0 - (5.0 + 5.0) / 15.0).abs() < 1e-12);
        assert!((row.grad_norm_mean.0 - 3.0).abs() < 1e-12);
        assert_eq!(row.grad_norm_max, F64(4.0));
        assert!((row.clipped_fraction.0 - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn closed_window_has_every_step() {
        let mut window = Window::new(1.0);
        assert!(window.close().is_none());
        for i in 0..3 {
            let scalar = |v: f64| Tensor::from(v as f32);
            let stats = StepStats {
                loss: scalar(i as f64),
                correct: scalar(2.0),
                grad_norm: scalar(0.5 * i as f64),
                images: 4,
                ok: Tensor::from(i != 1),
                update_ratio: (i == 1).then(|| (17, scalar(1e-3))),
            };
            window.push(stats, [0.1, 0.2, 0.25][i]);
        }
        let (closed, applied) = window.close().unwrap_or_default();
        assert_eq!((closed.lr, applied), (F64(0.25), vec![true, false, true]));
        assert_eq!(closed.rates, [0.1, 0.2, 0.25].map(F64));
        assert_eq!(closed.loss, [F32(0.0), F32(1.0), F32(2.0)]);
        assert_eq!(closed.accuracy, [F32(0.5); 3]);
        assert_eq!(closed.clipped, [0, 0, 1]);
        assert_eq!(closed.images, 12);
        assert_eq!(closed.update_ratio, [(17, F32(1e-3))]);
    }
}
