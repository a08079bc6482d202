//! Numbers about predictions: slices in, plain structs out, all arithmetic in `f64`.
//!
//! The conventions are those of scikit-learn, and each test names the call that made its reference. What is counted from
//! labels is in `confusion`; what needs probabilities, and the temperature that mends them, is in `calibration`. Nothing
//! here knows a tensor, a file or a screen, and no input makes it panic.

mod calibration;
mod confusion;

pub use calibration::{
    Reliability, ReliabilityBin, Temperature, argmax, brier, confidences, fit_temperature,
    log_softmax, nll, reliability, softmax,
};
pub use confusion::{ClassScores, ConfusedPair, Confusion};
