//! Logits of a split, measured.

use crate::event::{EvalReport, F64, Split};
use crate::metrics::{Confusion, Temperature, argmax, brier, confidences, nll, reliability};

/// A split's logits and labels on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Which split.
    pub split: Split,
    /// Row-major (n, classes).
    pub logits: Vec<f32>,
    /// A class for each row.
    pub labels: Vec<u32>,
    /// Classes.
    pub classes: usize,
}

/// Measures logits with a temperature that was fitted on validation. Every number is computed over the whole split,
/// never averaged over batches.
pub fn measure(measured: &Measured, temperature: Temperature, bins: usize) -> EvalReport {
    let Measured {
        split,
        logits,
        labels,
        classes,
    } = measured;
    let k = (*classes).max(1);
    let predicted: Vec<u32> = logits
        .chunks_exact(k)
        .map(|row| argmax(row) as u32)
        .collect();
    let confusion = Confusion::from_predictions(k, labels, &predicted);
    let ece_at = |t: f64| {
        let (classes, confidence): (Vec<u32>, Vec<f64>) =
            confidences(logits, k, t).into_iter().unzip();
        let right: Vec<bool> = classes.iter().zip(labels).map(|(p, l)| p == l).collect();
        let measured = reliability(&confidence, &right, bins);
        // Without probabilities for every row there is no calibration to speak of.
        let defined = confidence.iter().all(|c| c.is_finite());
        let ece = if defined { measured.ece } else { f64::NAN };
        (ece, measured)
    };
    let (raw_ece, _) = ece_at(1.0);
    let (calibrated_ece, calibrated) = ece_at(temperature.value);
    EvalReport {
        split: *split,
        epoch: 0,
        global_step: 0,
        weights: "current".to_owned(),
        n: labels.len() as u64,
        accuracy: F64(confusion.accuracy()),
        macro_f1: F64(confusion.macro_f1()),
        weighted_f1: F64(confusion.weighted_f1()),
        classes: confusion.scores(),
        nll: F64(nll(logits, labels, k, 1.0)),
        nll_calibrated: F64(nll(logits, labels, k, temperature.value)),
        brier: F64(brier(logits, labels, k, temperature.value)),
        ece: F64(raw_ece),
        ece_calibrated: F64(calibrated_ece),
        mce_calibrated: F64(calibrated.mce),
        temperature,
        reliability: calibrated.bins,
        confusion,
        seconds: F64(0.0),
    }
}
