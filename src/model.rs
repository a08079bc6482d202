//! The network: a plan of layers worked out from the configuration and the data, and the weights that fill it.
//!
//! [`Plan`] is plain data: it knows every layer's output shape and parameters before a tensor exists, so `summary` can
//! say what another head or padding would give. [`Weights`] holds all trainable numbers in one flat buffer, and
//! [`Network::forward`] reads both.

mod drawing;
mod forward;
mod plan;
mod summary;
mod weights;

pub use forward::Network;
pub use plan::{Block, HeadPlan, Layer, Op, Parameter, Plan, Shape};
pub use summary::summary;
pub(crate) use weights::to_vec;
pub use weights::{Weights, WeightsError};
