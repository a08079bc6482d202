//! Computation of all metrics of a split.

use crate::event::{EvalReport, F64, Split, WeightsKind};
use crate::metrics::{
    Confusion, FullSplit, Outcomes, Reliability, Temperature, argmax, confidences, reliability,
};

/// Seed of all bootstrap intervals. It is the same for all, so that networks can be compared resample by resample.
pub const SEED: u64 = 0;

/// A split's logits and labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// The split.
    pub split: Split,
    /// Logits in row-major order, of shape (n, classes).
    pub logits: Vec<f32>,
    /// The label of each row.
    pub labels: Vec<u32>,
    /// Number of classes.
    pub classes: usize,
}

impl Predictions {
    /// The rows of logits.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.logits.chunks_exact(self.classes.max(1))
    }

    /// The rows for whose index `kept` is true.
    #[must_use]
    pub fn only(&self, kept: impl Fn(usize) -> bool) -> Self {
        let rows = self.rows().zip(&self.labels).enumerate();
        let rows = rows.filter(|(row, _)| kept(*row));
        let (logits, labels): (Vec<&[f32]>, Vec<u32>) =
            rows.map(|(_, (logits, label))| (logits, *label)).unzip();
        Self {
            split: self.split,
            logits: logits.concat(),
            labels,
            classes: self.classes,
        }
    }

    /// The outcome of each row at a temperature, for resampling.
    pub fn outcomes(&self, temperature: f64, bins: usize) -> Outcomes {
        Outcomes::new(&self.logits, &self.labels, self.classes, temperature, bins)
    }
}

/// Options of an evaluation: section `eval` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Number of equal-width confidence bins.
    pub bins: usize,
    /// Number of bootstrap resamples; 0 for no intervals but those of proportions.
    pub resamples: usize,
}

/// Computes all metrics of predictions, with a temperature that was fitted on validation. Every metric is computed over
/// the entire split, never averaged over batches. The caller sets the epoch, step, weights and checkpoint of the
/// report.
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
    let whole = FullSplit {
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

/// Number of rows with a logit that is NaN or +infinity. If there is one, the metrics that need probabilities are
/// undefined.
fn not_finite(measured: &Predictions) -> u64 {
    let odd = |row: &&[f32]| row.iter().any(|z| z.is_nan() || *z == f32::INFINITY);
    measured.rows().filter(odd).count() as u64
}

/// The reliability diagram with its errors. ECE and MCE are NaN unless every row has probabilities.
fn calibration(measured: &Predictions, temperature: f64, bins: usize) -> Reliability {
    let predictions = confidences(&measured.logits, measured.classes, temperature);
    let (classes, confidence): (Vec<u32>, Vec<f64>) = predictions.into_iter().unzip();
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
