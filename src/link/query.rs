//! Queries for data that the state of a run does not contain: exact ranges of a curve, any image of the test split.

use crossbeam_channel::{Receiver, Sender};
use serde::{Deserialize, Serialize};

use crate::event::{F32, F64, Pixels, Split};
use crate::run::CurveId;

/// Selection and order of images of the test split. Unless noted otherwise, images are in the order of the split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// All images.
    #[default]
    All,
    /// Images whose prediction differs from the label.
    Mistakes,
    /// The mistakes, ordered by descending confidence.
    ConfidentMistakes,
    /// Images with this label.
    Class(u32),
    /// One cell of the confusion matrix: images with a given label and prediction; the correct ones if both are equal.
    Confused {
        /// The label.
        truth: u32,
        /// The predicted class.
        #[serde(rename = "said")]
        predicted: u32,
    },
    /// All images, ordered by the ascending margin between the highest and the second-highest calibrated probability;
    /// images without probabilities are last.
    LeastCertain,
}

/// A query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// The values of a curve in a range of steps, both ends included.
    Series {
        /// The curve.
        curve: CurveId,
        /// First step.
        from: u64,
        /// Last step.
        to: u64,
        /// Greatest number of values. If the range has more, it is divided into intervals, and the lowest and the
        /// highest value of each are returned.
        points: u32,
    },
    /// The values of the recorded step nearest to a step.
    Step {
        /// Counted from 1 over the run.
        step: u64,
    },
    /// Images of the test split, with the predictions of the latest evaluation.
    Images {
        /// Position of the first image among those that match.
        from: u32,
        /// Greatest number of images. A reply has fewer if they are large: query again after the last one.
        count: u32,
        /// Selection and order.
        #[serde(default)]
        filter: Filter,
    },
}

/// An image of the test split.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ImageRow {
    /// Index in the split.
    pub index: u32,
    /// True label.
    pub label: u32,
    /// The most probable classes with their calibrated probabilities, in descending order; the first one is the
    /// prediction. If the logits were not finite, only the prediction, with NaN.
    pub top: Vec<(u32, F32)>,
    /// Height and width in pixels; 0 if the image file cannot be read.
    pub size: (u32, u32),
    /// Brightness of each pixel, row by row: of one channel, or of three, red, green and blue, one after another.
    pub pixels: Pixels,
    /// Predictions of earlier evaluations, by step, oldest first; at most the latest 32. Images outside the gallery
    /// have predictions only from evaluations of the entire test split.
    #[serde(default)]
    pub earlier: Vec<EarlierPrediction>,
}

/// The prediction of an earlier evaluation for an image.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct EarlierPrediction {
    /// Epoch of the weights, from 1; 0 before the first.
    pub epoch: u32,
    /// Training steps of the weights.
    pub global_step: u64,
    /// Predicted class.
    pub label: u32,
    /// Probability of that class, calibrated with the temperature of that evaluation.
    pub probability: F32,
}

/// A page of the images that match a [`Filter`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImagePage {
    /// Number of images that match.
    pub total: u32,
    /// Position of the first row among them.
    pub from: u32,
    /// Training steps of the weights that made the predictions; `None` if there is no `eval.json` for the rows.
    pub global_step: Option<u64>,
    /// The evaluated split.
    pub split: Split,
    /// The images.
    pub rows: Vec<ImageRow>,
}

/// The values of one step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StepValues {
    /// The step, counted from 1 over the run.
    pub step: u64,
    /// Its epoch, from 1; 0 if only named curves have a value at the step.
    pub epoch: u32,
    /// Whether the gradient was clipped.
    pub clipped: bool,
    /// When it was reported, milliseconds since 1970, UTC.
    pub t_ms: u64,
    /// The curves that have a value at this step.
    pub values: Vec<(CurveId, F64)>,
}

impl StepValues {
    /// The value of a curve; `None` if it has none at this step.
    pub fn value(&self, curve: &CurveId) -> Option<f64> {
        let found = self.values.iter().find(|(known, _)| known == curve);
        found.map(|(_, value)| value.0)
    }
}

/// The reply to a query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Steps and values, in the order of the steps.
    Series(Vec<(u64, F32)>),
    /// The values of the step; `None` before the first step.
    Step(Option<StepValues>),
    /// A page of images.
    Images(ImagePage),
    /// The query could not be answered.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// Channels for queries and replies. A reply has the number of its query.
#[derive(Debug, Clone)]
pub struct Queries {
    /// Sends a query with its number.
    pub ask: Sender<(u64, Query)>,
    /// Receives replies with the number of their query.
    pub replies: Receiver<(u64, Reply)>,
}
