//! Which images an epoch visits, and in which order.

use super::Dataset;
use crate::config::{Config, Sampling};
use crate::random::{balanced_order, epoch_order};

/// The indices of the training images that an epoch visits. They depend only on the configuration, the labels and the epoch.
pub fn order(config: &Config, dataset: &Dataset, epoch: u32) -> Vec<i64> {
    let (seed, labels) = (config.train.seed, &dataset.train.labels);
    match config.data.sampling {
        Sampling::Natural => epoch_order(seed, epoch, labels.len()),
        Sampling::Balanced => balanced_order(seed, epoch, labels),
    }
}
