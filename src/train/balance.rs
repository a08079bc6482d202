//! Uneven classes: the weights of the classes in the training loss, and what balancing does to the probabilities.

use crate::config::{ClassWeights, Config, Sampling};
use crate::data::Dataset;

/// The weight of each class in the training loss; `None` if all are the same.
///
/// # Errors
/// If the number of weights in the configuration is not that of the classes.
pub fn class_weights(config: &Config, dataset: &Dataset) -> Result<Option<Vec<f64>>, String> {
    let counts = dataset.train.class_counts(dataset.info.classes.len());
    config.train.class_weights.for_counts(&counts)
}

/// A note for the log if classes are balanced in training.
pub(super) fn note(config: &Config) -> Option<String> {
    let what = match (config.data.sampling, &config.train.class_weights) {
        (Sampling::Natural, ClassWeights::None) => return None,
        (Sampling::Natural, _) => "train.class_weights: the training loss is weighted by class",
        (Sampling::Balanced, _) => {
            "data.sampling = \"balanced\": training loss and accuracy are those of equally frequent classes"
        }
    };
    Some(format!(
        "{what}, so it cannot be compared with validation; the predicted probabilities favour rare classes: calibration scales \
         the confidence, but does not restore the class frequencies"
    ))
}
