//! The network: a plan of layers worked out from the configuration and the data, and the weights that fill it.
//!
//! [`Plan`] is plain data: it knows every layer's output shape and parameters before a tensor exists, so `summary` can
//! say what another head or padding would give. [`Weights`] holds all trainable numbers in one flat buffer, and
//! [`Network`] computes with both: logits for an evaluation, a gradient for a step.

mod drawing;
mod forward;
mod fused;
mod plan;
mod summary;
mod weights;

pub use forward::{Computation, Gradient, Network};
pub use plan::{Block, HeadPlan, Layer, Op, Parameter, Plan, Shape};
pub use summary::summary;
pub(crate) use weights::to_vec;
pub use weights::{Weights, WeightsError};
