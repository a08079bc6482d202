//! The whole vocabulary between trainer, hub and front ends: what goes up ([`Event`]), what goes down ([`Command`]),
//! and how both are stamped ([`Record`], [`Request`]).
//!
//! Everything here is plain data: no tensors, no clocks, no paths outside the run directory. What may be NaN or
//! infinite travels as [`F32`] or [`F64`], which survive the trip through JSON. How a stream of records becomes a
//! state is told in [`crate::run`].

mod asking;
mod evaluation;
mod health;
mod nature;
mod number;
mod system;
mod timing;

use serde::{Deserialize, Serialize};

pub use asking::{Answer, Command, Request, check_epochs, check_lr};
pub use evaluation::{EvalReport, WeightsKind};
pub use health::{Finding, Health, LayerNorms, Remedy};
pub use nature::Nature;
pub use number::{F32, F64, Pixels};
pub use system::{GPUS, GpuProcess, GpuSample, PROCESSES, SystemSample, ThrottleReason, share_of};
pub use timing::StepTime;

/// A part of the data with one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Teaches the network.
    Train,
    /// Chooses: the best epoch, the temperature.
    Valid,
    /// Reports, and never chooses anything.
    Test,
}

impl Split {
    /// The word used on screens and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }
}

/// What the trainer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reading data, building the network.
    #[default]
    Starting,
    /// Stepping through an epoch.
    Training,
    /// Measuring the validation split.
    Validating,
    /// Measuring the test split.
    Testing,
    /// Writing a checkpoint.
    Checkpointing,
    /// Holding at a step boundary until resumed.
    Paused,
    /// Ending on request.
    Stopping,
}

impl Phase {
    /// The word used on screens.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Training => "training",
            Self::Validating => "validating",
            Self::Testing => "testing",
            Self::Checkpointing => "checkpointing",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
        }
    }
}

/// The data set of a run. Sizes and names always come from the files, never from the code.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// Its name in the configuration.
    pub name: String,
    /// Class names, by label.
    pub classes: Vec<String>,
    /// Pixels from top to bottom.
    pub height: u32,
    /// Pixels from left to right.
    pub width: u32,
    /// 1 for grey, 3 for colour.
    pub channels: u32,
    /// Brightness of most pixels along the borders of the training images: what lies behind the things.
    #[serde(default)]
    pub background: u8,
    /// Images that teach.
    pub train: u64,
    /// Images that choose.
    pub valid: u64,
    /// Images that report.
    pub test: u64,
}

/// What is known before the first step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunStarted {
    /// Name of the run.
    pub run: String,
    /// The data it learns.
    pub dataset: DatasetInfo,
    /// The kind of network, as in the configuration.
    pub model: String,
    /// Trainable numbers in it.
    pub parameters: u64,
    /// Where it is computed, `cpu` or `cuda:N`.
    pub device: String,
    /// Numbers between layers while training: `f32` or `bf16`.
    #[serde(default)]
    pub precision: String,
    /// Threads libtorch computes with.
    pub threads: u32,
    /// Everything random follows from it.
    pub seed: u64,
    /// Epochs asked for.
    pub epochs: u32,
    /// Optimizer steps an epoch.
    pub steps_per_epoch: u64,
    /// Images a step.
    pub batch_size: u32,
    /// Threshold of the global gradient norm; 0 means no clipping.
    pub clip_norm: F64,
    /// Base learning rate.
    pub lr: F64,
    /// What to know about this configuration, a sentence each.
    pub warnings: Vec<String>,
}

/// A window of consecutive steps; every list has one entry a step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StepWindow {
    /// Epoch the steps belong to, from 1.
    pub epoch: u32,
    /// Steps done in this epoch after the window.
    pub epoch_step: u64,
    /// Steps done in the run after the window.
    pub global_step: u64,
    /// Learning rate of the last step.
    pub lr: F64,
    /// Images seen in the window.
    pub images: u64,
    /// Time the steps took, without pauses and evaluations, ms.
    pub millis: F64,
    /// Training loss (with label smoothing).
    pub loss: Vec<F32>,
    /// Share of the batch classified rightly, with the weights before the step.
    pub accuracy: Vec<F32>,
    /// Global L2 norm of the gradient before clipping.
    pub grad_norm: Vec<F32>,
    /// 1 where the gradient was scaled down, else 0.
    pub clipped: Vec<u8>,
    /// Steps of which the update was measured, with the L2 norm of the update of all weights over the L2 norm of the weights
    /// before it; NaN where the step was masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub update_ratio: Vec<(u64, F32)>,
}

/// Sums of one epoch, a row of `epochs.csv`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EpochSummary {
    /// From 1.
    pub epoch: u32,
    /// Steps done in the run.
    pub global_step: u64,
    /// Mean over the epoch's images, with label smoothing.
    pub train_loss: F64,
    /// Share of the epoch's images classified rightly while training.
    pub train_accuracy: F64,
    /// Mean negative log-likelihood on validation, without label smoothing, at T = 1.
    pub valid_nll: F64,
    /// Share of validation images classified rightly.
    pub valid_accuracy: F64,
    /// Unweighted mean of the classes' F1 on validation.
    pub valid_macro_f1: F64,
    /// Learning rate of the last step.
    pub lr: F64,
    /// Mean of the finite pre-clip norms.
    pub grad_norm_mean: F64,
    /// Largest finite pre-clip norm.
    pub grad_norm_max: F64,
    /// Clipped steps among the epoch's steps.
    pub clipped_fraction: F64,
    /// Training images a second, validation not counted.
    pub images_per_second: F64,
    /// Wall time of the epoch, validation included, pauses not.
    pub seconds: F64,
    /// Whether this is the best validation accuracy so far.
    pub best: bool,
}

/// The fixed test images of the gallery; sent once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GalleryImages {
    /// Pixels from top to bottom.
    pub height: u32,
    /// Pixels from left to right.
    pub width: u32,
    /// True labels.
    pub labels: Vec<u32>,
    /// Brightness, image after image, row by row (colour is averaged).
    pub pixels: Pixels,
}

/// What the network thinks of the gallery's images.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GalleryPredictions {
    /// Epoch of the weights.
    pub epoch: u32,
    /// Steps the weights have seen.
    pub global_step: u64,
    /// The probabilities below are calibrated with it.
    pub temperature: F64,
    /// For each image its most probable classes, best first: label and probability.
    pub top: Vec<Vec<(u32, F32)>>,
}

/// Why a checkpoint was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointReason {
    /// Every so many epochs.
    Periodic,
    /// Somebody asked.
    Requested,
    /// The run ended.
    Final,
}

/// A checkpoint that is complete on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointSaved {
    /// Steps its weights have seen.
    pub global_step: u64,
    /// Epoch of its weights.
    pub epoch: u32,
    /// Path below the run directory.
    pub path: String,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Why it was written.
    pub reason: CheckpointReason,
    /// Whether it holds the best weights by validation so far.
    pub best: bool,
    /// How long training stood still for it, ms: the time of the copy. The rest was written beside the training.
    #[serde(default)]
    pub pause_ms: F64,
    /// How long writing took, ms.
    #[serde(default)]
    pub write_ms: F64,
}

/// A run that goes on from a checkpoint of its own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Restoration {
    /// The last record before the checkpoint: those after it and before this one tell of what is done again, and count no
    /// more.
    pub after: u64,
    /// The checkpoint's path below the run directory.
    pub checkpoint: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Steps done there.
    pub global_step: u64,
    /// Epoch there, from 1.
    pub epoch: u32,
    /// Steps that had been done after it and are done again.
    pub redone: u64,
    /// What to know about it, a sentence each: settings that changed, checkpoints that were not whole.
    pub notes: Vec<String>,
}

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warn,
    /// Something failed.
    Error,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Outcome {
    /// All epochs done.
    Completed,
    /// Ended on request, with a checkpoint.
    Stopped,
    /// Ended by an error.
    Failed {
        /// What happened and what to do.
        message: String,
    },
}

impl Outcome {
    /// The word used on screens and in files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Stopped => "stopped",
            Self::Failed { .. } => "failed",
        }
    }
}

/// Everything the trainer says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// Once, before the first step.
    RunStarted(Box<RunStarted>),
    /// On every change.
    Phase {
        /// The new phase.
        phase: Phase,
    },
    /// Before an epoch's first step.
    EpochStarted {
        /// From 1.
        epoch: u32,
        /// Epochs in all, as of now.
        epochs: u32,
        /// Steps this epoch will have.
        steps: u64,
    },
    /// At most 16 steps or 50 ms, whichever is first.
    Steps(StepWindow),
    /// How the time of steps divides: after about a second of training, then every five; on a GPU every ten.
    StepTime(StepTime),
    /// Values of curves by name, for trainers that measure what no other event has. Names with the same last part, as
    /// `train/loss` and `val/loss`, are shown together.
    Scalars {
        /// The step, counted from 1 over the run.
        global_step: u64,
        /// Names and values.
        values: Vec<(String, F64)>,
    },
    /// After an epoch's validation.
    EpochFinished(EpochSummary),
    /// After each measurement of a split.
    EvalFinished(Box<EvalReport>),
    /// Images done while a split is measured.
    EvalProgress {
        /// Which split.
        split: Split,
        /// Images done.
        done: u64,
        /// Images in all.
        total: u64,
    },
    /// Once, when the data is read.
    GalleryImages(GalleryImages),
    /// After each validation.
    GalleryPredictions(GalleryPredictions),
    /// The state of this moment was copied, to be written as a checkpoint; whoever resumes from that goes on after this
    /// record.
    Marked {
        /// The number of the save, the same as in the checkpoint's `state.json`.
        mark: u64,
    },
    /// The run goes on, in a new process, from a checkpoint.
    #[serde(rename = "resumed")]
    Restored(Box<Restoration>),
    /// When a checkpoint is complete on disk.
    CheckpointSaved(CheckpointSaved),
    /// A step whose loss or gradient was not finite; it changed nothing.
    StepSkipped {
        /// The step, counted from 1 over the run.
        global_step: u64,
        /// Its loss.
        loss: F32,
        /// Its gradient norm.
        grad_norm: F32,
    },
    /// Something is wrong, and this was done about it.
    Health(Health),
    /// How strongly each parameter is moved: at the end of an epoch, and at the step after an evaluation on request.
    Layers {
        /// The step, counted from 1 over the run.
        global_step: u64,
        /// In the order of the network.
        layers: Vec<LayerNorms>,
    },
    /// How the machine is doing, every few seconds; not the trainer's word but that of a thread beside it.
    System(Box<SystemSample>),
    /// A line for people.
    Log {
        /// How much it matters.
        level: Level,
        /// The line.
        text: String,
    },
    /// Somebody outside the trainer's process asked for something, or a signal did.
    Asked {
        /// The request's number.
        id: u64,
        /// What is asked.
        command: Command,
        /// Who asks, in words.
        by: String,
    },
    /// The state of somebody's request.
    Acknowledged {
        /// The request's number.
        id: u64,
        /// What was asked.
        command: Command,
        /// How far it has come.
        answer: Answer,
        /// Steps done when this was said.
        global_step: u64,
    },
    /// Last of all.
    RunFinished {
        /// How it ended.
        outcome: Outcome,
        /// Steps done.
        global_step: u64,
    },
    /// Something that a newer version tells and this one does not know.
    #[serde(other)]
    Unknown,
}

/// An [`Event`] as the hub passes it on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// 1, 2, 3, …; what the disk took no more, and what was done again after a resume, leaves a hole.
    pub seq: u64,
    /// Milliseconds since 1970, UTC.
    pub t_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}
