//! Batches of a split as tensors: loaded by index, augmented and normalized.

mod augment;
mod loader;
mod prefetch;
mod sampling;
mod targets;

pub use loader::{Batch, Loader};
pub use prefetch::LoaderTimes;
pub use sampling::order;
pub use targets::{Mixed, Targets};

pub use crate::images::augment::Augment;
pub use crate::images::{DataError, Dataset, Images};
