//! The network: a plan of its layers, derived from the configuration and the dataset, and its weights.
//!
//! [`Plan`] is plain data: it has the output shape and the parameters of every layer without any tensor, so `summary`
//! can also show the size of alternative networks. [`Weights`] has all trainable parameters in one flat buffer.
//! [`Network`] computes with both: logits for an evaluation, the gradient for a training step.

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
