//! Whether validation gets worse while training gets better.
//!
//! A single epoch says little: without averaged weights and at a high rate neighbouring epochs differ by more than ten of
//! overfitting. So means of three neighbouring epochs are compared with the lowest such mean, and the rise with how far
//! neighbours usually are apart. Training accuracy is taken with augmentation and smoothed labels, so it may lie below
//! that of validation: only whether the gap grows is looked at, never which sign it has.

use std::collections::VecDeque;

use crate::event::EpochSummary;

/// Epochs in a mean, and how far two means must be apart: no epoch counts in both.
const EPOCHS: usize = 3;
/// By how much validation NLL must be above its lowest: 2 %, about the standard error of the NLL of 5,000 images.
const RISE: f64 = 1.02;
/// And by so many times the median difference between neighbouring epochs. Means of three differ by 0.6 of it (one
/// standard error) for no reason at all, and the lowest of a dozen lies two to three of those below the others.
const NOISE: f64 = 2.5;
/// Differences the median is taken of.
const NEIGHBOURS: usize = 8;

/// Validation NLL now and at its lowest, each the mean of three epochs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rise {
    /// The last epoch of the lowest.
    pub(super) epoch: u32,
    /// The step at its end.
    pub(super) since_step: u64,
    pub(super) low: f64,
    pub(super) now: f64,
    /// Training accuracy minus validation accuracy, then and now.
    pub(super) gap_then: f64,
    pub(super) gap: f64,
    /// Median difference between neighbouring epochs.
    noise: f64,
    /// Epochs since.
    epochs: usize,
}

impl Rise {
    /// Whether it is overfitting.
    pub(super) fn begins(&self) -> bool {
        self.lasts()
            && self.epochs >= EPOCHS
            && self.now - self.low > NOISE * self.noise
            && self.gap > self.gap_then
    }

    /// Whether it still is.
    pub(super) fn lasts(&self) -> bool {
        self.now > self.low * RISE
    }
}

/// The trend of these epochs; `None` as long as there are too few.
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

/// The median difference of the newest neighbours.
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
