//! Numbers about predictions: slices in, plain structs out, all arithmetic in `f64`.
//!
//! The conventions are those of scikit-learn, and each test names the call that made its reference. What is counted from
//! labels is in `confusion`; what needs probabilities, and the temperature that mends them, in `calibration`; what needs only
//! their order in `roc`; how far all of it could have come out otherwise in `bootstrap`, for two networks on the same rows in
//! `paired`. Nothing here knows a tensor, a file or a screen, and no input makes it panic.

mod bootstrap;
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
pub(crate) use measures::Whole;
pub use measures::{Measure, MeasureInfo};
pub use paired::{Comparison, Difference, Reference, compare};
pub use roc::{Auc, auc};
