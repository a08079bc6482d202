//! What a measurement of a split says.

use serde::{Deserialize, Serialize};

use super::{F64, Split};
use crate::metrics::{ClassScores, Confusion, Intervals, ReliabilityBin, Temperature};

/// One full measurement of a split. Definitions: see [`crate::metrics`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// Which split.
    pub split: Split,
    /// Epoch the weights are of, from 1; 0 before the first.
    pub epoch: u32,
    /// Steps the weights have seen.
    pub global_step: u64,
    /// Which weights: `current`, `best`, or `checkpoint` for any other that was saved.
    pub weights: String,
    /// The checkpoint that holds them, as a path below the run directory, if one does.
    #[serde(default)]
    pub checkpoint: Option<String>,
    /// Images measured.
    pub n: u64,
    /// Images with a logit that is no number: numbers that need probabilities are undefined if there are any.
    #[serde(default)]
    pub not_finite: u64,
    /// Share classified rightly.
    pub accuracy: F64,
    /// Unweighted mean of the classes' F1.
    pub macro_f1: F64,
    /// Mean of the classes' F1 weighted by support.
    pub weighted_f1: F64,
    /// By label.
    pub classes: Vec<ClassScores>,
    /// Counts, rows true, columns predicted.
    pub confusion: Confusion,
    /// Area under the ROC curve of each class against the rest, by label; none where it is undefined.
    #[serde(default)]
    pub auc: Vec<Option<f64>>,
    /// Mean of those that are defined.
    #[serde(default)]
    pub auc_macro: Option<f64>,
    /// At T = 1.
    pub nll: F64,
    /// At the fitted temperature.
    pub nll_calibrated: F64,
    /// Range 0 to 2, calibrated.
    pub brier: F64,
    /// Expected calibration error at T = 1.
    pub ece: F64,
    /// Expected calibration error at the fitted temperature.
    pub ece_calibrated: F64,
    /// Largest gap of a bin at T = 1.
    #[serde(default)]
    pub mce: F64,
    /// Largest gap of a bin at the fitted temperature.
    pub mce_calibrated: F64,
    /// Fitted on validation.
    pub temperature: Temperature,
    /// How far the numbers could have come out otherwise.
    #[serde(default)]
    pub intervals: Intervals,
    /// Bins behind the calibrated ECE.
    pub reliability: Vec<ReliabilityBin>,
    /// Bins behind the ECE at T = 1.
    #[serde(default)]
    pub reliability_before: Vec<ReliabilityBin>,
    /// Time the measurement took.
    pub seconds: F64,
}
