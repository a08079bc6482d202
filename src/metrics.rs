//! Evaluation measures of predictions. Inputs are slices, results are plain structs, all arithmetic is in `f64`.
//!
//! The conventions are those of scikit-learn; the tests name the calls that computed their reference values.
//! `confusion` has the measures of labels and predictions, `calibration` those of probabilities and the fit of the
//! temperature, and `roc` those of the order of scores. `interval` and `bootstrap` compute the uncertainty of all measures,
//! `boundary` corrects it for scores near 0 and 1, and `paired` computes that of the difference between two networks on
//! the same rows. These modules do not depend on tensors, files
//! or screens, and they do not panic for any input.

mod bootstrap;
mod boundary;
mod calibration;
mod confusion;
mod estimate;
mod interval;
mod measures;
mod paired;
mod parallel;
mod roc;

pub use bootstrap::{ClassCount, Estimates, Outcomes, Tally};
pub use calibration::{
    Reliability, ReliabilityBin, Temperature, argmax, brier, confidences, fit_temperature,
    largest_gap_count, log_softmax, nll, overconfidence, reliability, softmax,
};
pub use confusion::{ClassScores, ConfusedPair, Confusion, Imbalance};
pub use estimate::{Better, Estimate, Format};
pub use interval::Interval;
pub(crate) use measures::FullSplit;
pub use measures::{Measure, MeasureInfo};
pub use paired::{Comparison, Difference, Reference, compare};
pub use roc::{Auc, auc};
