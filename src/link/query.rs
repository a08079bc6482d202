//! Questions a run's picture cannot answer: exact stretches of a curve, any image of the test split.

use crossbeam_channel::{Receiver, Sender};
use serde::{Deserialize, Serialize};

use crate::event::{F32, Pixels};

/// A number over the steps of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Curve {
    /// Training loss, with label smoothing.
    TrainLoss,
    /// Share of the batch classified rightly.
    TrainAccuracy,
    /// Global L2 norm of the gradient before clipping.
    GradNorm,
    /// Mean negative log-likelihood on validation.
    ValidNll,
    /// Share of validation images classified rightly.
    ValidAccuracy,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// The values of a curve at the steps of a stretch, both ends included.
    Series {
        /// Which curve.
        curve: Curve,
        /// First step.
        from: u64,
        /// Last step.
        to: u64,
        /// At most so many values; where there are more, the lowest and the highest of each stretch are told.
        points: u32,
    },
    /// Images of the test split, with what the last evaluation made of them.
    Images {
        /// Index of the first.
        from: u32,
        /// At most so many.
        count: u32,
    },
}

/// An image of the test split.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ImageRow {
    /// Its place in the split.
    pub index: u32,
    /// Its true class.
    pub label: u32,
    /// Its most probable classes with their calibrated probability, best first.
    pub top: Vec<(u32, F32)>,
    /// Rows and columns of the picture, 0 where the images are not there to be read.
    pub size: (u32, u32),
    /// Its brightness, row by row; colour is averaged.
    pub pixels: Pixels,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Steps and values, in order.
    Series(Vec<(u64, F32)>),
    /// The images that are there.
    Images(Vec<ImageRow>),
    /// There is no answer.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// Where questions go and replies come from; the number of a question comes back with its reply.
#[derive(Debug, Clone)]
pub struct Queries {
    /// Down.
    pub ask: Sender<(u64, Query)>,
    /// Up.
    pub replies: Receiver<(u64, Reply)>,
}
