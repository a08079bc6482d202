//! Every number of a measured split.

use crate::event::{EvalReport, F64, Split, WeightsKind};
use crate::metrics::{
    Confusion, Outcomes, Reliability, Temperature, Whole, argmax, confidences, reliability,
};

/// Where the draws of all bootstrap intervals come from. One number for all, so that networks can be compared draw by draw.
pub const SEED: u64 = 0;

/// A split's logits and labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// Which split.
    pub split: Split,
    /// Row-major (n, classes).
    pub logits: Vec<f32>,
    /// A class for each row.
    pub labels: Vec<u32>,
    /// Classes.
    pub classes: usize,
}

impl Predictions {
    /// The rows of logits.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.logits.chunks_exact(self.classes.max(1))
    }

    /// What each row says, for resampling.
    pub fn outcomes(&self, temperature: f64, bins: usize) -> Outcomes {
        Outcomes::new(&self.logits, &self.labels, self.classes, temperature, bins)
    }
}

/// How to measure: `eval` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Equal bins of confidence.
    pub bins: usize,
    /// Bootstrap resamples; 0: no intervals.
    pub resamples: usize,
}

/// Measures predictions with a temperature that was fitted on validation. Every number is computed over the whole split,
/// never averaged over batches. Whose predictions they are, and when, is left for the caller to fill in.
pub fn measure(measured: &Predictions, temperature: Temperature, options: Options) -> EvalReport {
    let Predictions {
        split,
        logits,
        labels,
        classes,
    } = measured;
    let k = *classes;
    let predicted: Vec<u32> = measured.rows().map(|row| argmax(row) as u32).collect();
    let confusion = Confusion::from_predictions(k, labels, &predicted);
    let before = calibration(measured, 1.0, options.bins);
    let after = calibration(measured, temperature.value, options.bins);
    let outcomes = measured.outcomes(temperature.value, options.bins);
    let whole = Whole {
        logits,
        labels,
        classes: k,
        temperature: temperature.value,
        confusion: &confusion,
        before: &before,
        after: &after,
    };
    let mut estimates = outcomes.estimates(options.resamples, SEED);
    estimates.measures.extend(whole.measures());
    EvalReport {
        split: *split,
        epoch: 0,
        global_step: 0,
        weights: WeightsKind::Current,
        checkpoint: None,
        n: confusion.total(),
        not_finite: not_finite(measured),
        estimates,
        classes: confusion.scores(),
        confusion,
        auc: outcomes.auc().classes,
        temperature,
        reliability: after.bins,
        reliability_before: before.bins,
        seconds: F64(0.0),
    }
}

/// Rows with a logit that is no number; the numbers that need probabilities are undefined then.
fn not_finite(measured: &Predictions) -> u64 {
    let odd = |row: &&[f32]| row.iter().any(|z| z.is_nan() || *z == f32::INFINITY);
    measured.rows().filter(odd).count() as u64
}

/// Confidence against accuracy. Without probabilities for every row there is no calibration to speak of.
fn calibration(measured: &Predictions, temperature: f64, bins: usize) -> Reliability {
    let said = confidences(&measured.logits, measured.classes, temperature);
    let (classes, confidence): (Vec<u32>, Vec<f64>) = said.into_iter().unzip();
    let right = classes.iter().zip(&measured.labels).map(|(p, l)| p == l);
    let found = reliability(&confidence, &right.collect::<Vec<_>>(), bins);
    if confidence.iter().all(|c| c.is_finite()) {
        return found;
    }
    Reliability {
        ece: f64::NAN,
        mce: f64::NAN,
        ..found
    }
}
