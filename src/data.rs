//! Batches of a split as tensors: loaded by index, augmented and normalized.

mod augment;
mod loader;
mod prefetch;
mod sampling;

pub use augment::Augment;
pub use loader::Loader;
pub use sampling::order;

pub use crate::images::{DataError, Dataset, Images};
