//! Questions a run's state cannot answer: exact stretches of a curve, any image of the test split.

use crossbeam_channel::{Receiver, Sender};
use serde::{Deserialize, Serialize};

use crate::event::{F32, F64, Pixels, Split};
use crate::run::CurveId;

/// Which images of the test split, and in what order. Without another word: in the order of the split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Every one.
    #[default]
    All,
    /// Those taken for another class than their own.
    Mistakes,
    /// The mistakes, the most confident first.
    ConfidentMistakes,
    /// Those of a true class.
    Class(u32),
    /// Those of a class that were taken for another, or for itself where both are the same.
    Confused {
        /// True class.
        truth: u32,
        /// The class it was taken for.
        said: u32,
    },
    /// Every one, the smallest margin between the first and the second calibrated probability first; one without
    /// probabilities is last.
    LeastCertain,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// The values of a curve at the steps of a stretch, both ends included.
    Series {
        /// Which curve.
        curve: CurveId,
        /// First step.
        from: u64,
        /// Last step.
        to: u64,
        /// At most so many values; where there are more, the lowest and the highest of each stretch are told.
        points: u32,
    },
    /// The numbers of the step nearest to this one.
    Step {
        /// Counted from 1 over the run.
        step: u64,
    },
    /// Images of the test split, with what the last evaluation made of them.
    Images {
        /// Place of the first among those that match.
        from: u32,
        /// At most so many. Fewer may come, where images are large: go on after the last one that came.
        count: u32,
        /// Which, and in what order.
        #[serde(default)]
        filter: Filter,
    },
}

/// An image of the test split.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ImageRow {
    /// Its place in the split.
    pub index: u32,
    /// Its true class.
    pub label: u32,
    /// Its most probable classes with their calibrated probability, best first: the first one is what it was taken for. Only
    /// that one, with NaN, where the logits were no numbers.
    pub top: Vec<(u32, F32)>,
    /// Rows and columns of the image, 0 where the images are not there to be read.
    pub size: (u32, u32),
    /// Its brightness, row by row; colour is averaged.
    pub pixels: Pixels,
    /// What was said of it at earlier evaluations, by step, oldest first; the last 32 at most. Of an image outside the gallery
    /// only the evaluations of the whole test split tell.
    #[serde(default)]
    pub earlier: Vec<Earlier>,
}

/// What an earlier evaluation said of an image.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Earlier {
    /// Epoch of the weights, from 1; 0 before the first.
    pub epoch: u32,
    /// Steps the weights had seen.
    pub global_step: u64,
    /// Class it was taken for.
    pub label: u32,
    /// Calibrated probability of that class, with the temperature of then.
    pub probability: F32,
}

/// A stretch of the images that match a [`Filter`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImagePage {
    /// How many images match.
    pub total: u32,
    /// Place of the first row among them.
    pub from: u32,
    /// Steps the weights of the evaluation had seen that the predictions are of; not known for rows without `eval.json`.
    pub global_step: Option<u64>,
    /// The split it measured.
    pub split: Split,
    /// The images.
    pub rows: Vec<ImageRow>,
}

/// The numbers of one step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StepValues {
    /// The step, counted from 1 over the run.
    pub step: u64,
    /// Its epoch, from 1; 0 where only named curves have the step.
    pub epoch: u32,
    /// Whether the gradient was scaled down.
    pub clipped: bool,
    /// When it was reported, milliseconds since 1970, UTC.
    pub t_ms: u64,
    /// The curves that have a value at this step. The learning rate is that of the end of the step's window.
    pub values: Vec<(CurveId, F64)>,
}

impl StepValues {
    /// The value of a curve.
    pub fn value(&self, curve: &CurveId) -> Option<f64> {
        let found = self.values.iter().find(|(known, _)| known == curve);
        found.map(|(_, value)| value.0)
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Steps and values, in order.
    Series(Vec<(u64, F32)>),
    /// The step's numbers; none before the first step.
    Step(Option<StepValues>),
    /// The images that are there.
    Images(ImagePage),
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
