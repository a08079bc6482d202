//! Detection of overfitting: validation gets worse while training gets better.
//!
//! A single epoch is not enough: without EMA weights and at a high learning rate, neighbouring epochs differ by more
//! than ten epochs of overfitting change. So the mean of the last three epochs is compared with the lowest such mean,
//! and the rise with the usual difference between neighbouring epochs. Training accuracy is measured with augmentation
//! and label smoothing and can be below validation accuracy: only the growth of the gap is used, never its sign.

use std::collections::VecDeque;

use crate::event::EpochSummary;

/// Epochs in a mean, and the least distance between two compared means, so that no epoch is part of both.
const EPOCHS: usize = 3;
/// Ratio of the validation NLL to its lowest value that counts as a rise: 2 %, about the standard error for 5,000
/// images.
const RISE: f64 = 1.02;
/// Least rise in units of the median difference between neighbouring epochs. Means of three epochs differ by 0.6 of it
/// (one standard error) by chance, and the lowest of a dozen such means is two to three standard errors below the
/// others.
const NOISE: f64 = 2.5;
/// Number of differences in the median.
const NEIGHBOURS: usize = 8;

/// Current and lowest validation NLL, each the mean over three epochs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rise {
    /// Last epoch of the lowest mean.
    pub(super) epoch: u32,
    /// The step at its end.
    pub(super) since_step: u64,
    pub(super) low: f64,
    pub(super) now: f64,
    /// Training accuracy minus validation accuracy, at the lowest NLL and now.
    pub(super) gap_then: f64,
    pub(super) gap: f64,
    /// Median difference between neighbouring epochs.
    noise: f64,
    /// Epochs since the lowest mean.
    epochs: usize,
}

impl Rise {
    /// Whether the rise is large enough to start the alert.
    pub(super) fn starts(&self) -> bool {
        self.continues()
            && self.epochs >= EPOCHS
            && self.now - self.low > NOISE * self.noise
            && self.gap > self.gap_then
    }

    /// Whether an active alert continues.
    pub(super) fn continues(&self) -> bool {
        self.now > self.low * RISE
    }
}

/// The rise of the validation NLL over these epochs; `None` if there are fewer than [`EPOCHS`] finite ones.
pub(super) fn rise(history: &VecDeque<EpochSummary>) -> Option<Rise> {
    let rows: Vec<&EpochSummary> = history
        .iter()
        .filter(|row| {
            row.valid_nll.0.is_finite() && (row.train_accuracy.0 - row.valid_accuracy.0).is_finite()
        })
        .collect();
    let mean = |rows: &[&EpochSummary], of: fn(&EpochSummary) -> f64| {
        rows.iter().map(|row| of(row)).sum::<f64>() / EPOCHS as f64
    };
    let nll = |row: &EpochSummary| row.valid_nll.0;
    let gap = |row: &EpochSummary| row.train_accuracy.0 - row.valid_accuracy.0;
    let lowest = rows
        .windows(EPOCHS)
        .enumerate()
        .min_by(|a, b| mean(a.1, nll).total_cmp(&mean(b.1, nll)));
    let (at, then) = lowest?;
    let now = rows.windows(EPOCHS).next_back()?;
    let last = then.last()?;
    Some(Rise {
        epoch: last.epoch,
        since_step: last.global_step,
        low: mean(then, nll),
        now: mean(now, nll),
        gap_then: mean(then, gap),
        gap: mean(now, gap),
        noise: noise(&rows),
        epochs: rows.len() - EPOCHS - at,
    })
}

/// Median absolute difference between neighbouring epochs, over the latest [`NEIGHBOURS`].
fn noise(rows: &[&EpochSummary]) -> f64 {
    let mut differences: Vec<f64> = rows
        .iter()
        .zip(rows.iter().skip(1))
        .map(|(a, b)| (b.valid_nll.0 - a.valid_nll.0).abs())
        .rev()
        .take(NEIGHBOURS)
        .collect();
    differences.sort_by(f64::total_cmp);
    differences
        .get(differences.len() / 2)
        .copied()
        .unwrap_or_default()
}
