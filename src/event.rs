//! All messages between trainer, hub and front ends: the trainer sends [`Event`]s, front ends send [`Command`]s. The
//! hub adds a number and a time to each event ([`Record`]); a command is sent with an identifier ([`Request`]).
//!
//! Everything here is plain data: no tensors, no clocks, no paths outside the run directory. Numbers that may be NaN or
//! infinite have the types [`F32`] or [`F64`], which JSON can represent. [`crate::run`] builds the state of a run from
//! its records.

mod evaluation;
mod event_traits;
mod gallery;
mod health;
mod number;
mod request;
mod restoration;
mod system;
mod timing;
mod validation;

use crate::config::Resize;
use serde::{Deserialize, Serialize};

pub use evaluation::{EvalReport, WeightsKind};
pub use event_traits::EventTraits;
pub use gallery::{GalleryImages, GalleryPredictions};
pub use health::{Finding, Health, LayerNorms, Remedy, divergence_limit, loss_words};
pub use number::{F32, F64, Pixels};
pub use request::{Answer, Command, Request, check_epochs, check_lr};
pub use restoration::Restoration;
pub use system::{
    GpuProcess, GpuSample, MAX_GPUS, MAX_PROCESSES, SystemSample, ThrottleReason, share_of,
};
pub use timing::StepTime;
pub use validation::Validation;

/// A split of the dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// The images that the network is trained on.
    Train,
    /// The images that select the best epoch and fit the temperature.
    Valid,
    /// The images for the final evaluation; they are never used to select anything.
    Test,
}

impl Split {
    /// The name on screens and in files.
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
    /// Reading the data and building the network.
    #[default]
    Starting,
    /// Running the training steps of an epoch.
    Training,
    /// Evaluating on the validation split.
    Validating,
    /// Evaluating on the test split.
    Testing,
    /// Writing a checkpoint.
    Checkpointing,
    /// Paused between two steps until resumed.
    Paused,
    /// Ending the run on request.
    Stopping,
}

impl Phase {
    /// The name on screens.
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

/// The dataset of a run. Sizes and names are read from its files, never hard-coded.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// Name of the dataset in the configuration.
    pub name: String,
    /// Class names, indexed by label.
    pub classes: Vec<String>,
    /// Image height, pixels.
    pub height: u32,
    /// Image width, pixels.
    pub width: u32,
    /// Height and width of packed images, pixels, if those in training are resized from them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packed: Option<[u32; 2]>,
    /// 1 for grey, 3 for colour.
    pub channels: u32,
    /// Background brightness: the most frequent brightness along the borders of the training images.
    #[serde(default)]
    pub background: u8,
    /// Normalization of the pixels.
    #[serde(default, skip_serializing_if = "Normalization::is_half")]
    pub normalization: Normalization,
    /// How image files were resized; `None` if the images were pixels without files, such as those of IDX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<Resize>,
    /// Number of training images.
    pub train: u64,
    /// Number of validation images.
    pub valid: u64,
    /// Number of test images.
    pub test: u64,
}

/// Normalization of pixels, `(value / 255 - mean) / std` for each channel.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Normalization {
    /// The mean of each channel; empty: 0.5 for all.
    pub mean: Vec<f64>,
    /// The standard deviation of each channel; empty: 0.5 for all.
    pub std: Vec<f64>,
}

impl Normalization {
    /// Whether mean and standard deviation are 0.5 for all channels.
    pub fn is_half(&self) -> bool {
        self.mean.is_empty()
    }

    /// Factor and offset of channel `channel`: the normalized value is `byte * factor + offset`.
    pub fn scale(&self, channel: usize) -> [f32; 2] {
        let value = |values: &[f64]| values.get(channel).copied().unwrap_or(0.5);
        let (mean, std) = (value(&self.mean), value(&self.std));
        [1.0 / (255.0 * std), -mean / std].map(|value| value as f32)
    }
}

/// Properties of the run that are known before the first step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunStarted {
    /// Name of the run.
    pub run: String,
    /// The dataset.
    pub dataset: DatasetInfo,
    /// Name of the network architecture in the configuration.
    pub model: String,
    /// Number of trainable parameters.
    pub parameters: u64,
    /// The device, `cpu` or `cuda:N`.
    pub device: String,
    /// Dtype of the activations in training: `f32` or `bf16`.
    #[serde(default)]
    pub precision: String,
    /// Number of threads that libtorch uses.
    pub threads: u32,
    /// Random seed of the run.
    pub seed: u64,
    /// Number of epochs requested.
    pub epochs: u32,
    /// Optimizer steps per epoch.
    pub steps_per_epoch: u64,
    /// Images per step.
    pub batch_size: u32,
    /// Threshold of the global gradient norm; 0 means no clipping.
    pub clip_norm: F64,
    /// Base learning rate.
    pub lr: F64,
    /// Warnings about this configuration, one sentence each.
    pub warnings: Vec<String>,
}

/// A window of consecutive steps. Every list but `rates` and `update_ratio` has one entry per step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct StepWindow {
    /// Epoch of the steps, from 1.
    pub epoch: u32,
    /// Steps completed in this epoch, including this window.
    pub epoch_step: u64,
    /// Steps completed in the run, including this window.
    pub global_step: u64,
    /// Learning rate of the last step.
    pub lr: F64,
    /// Learning rate of each step, or one value if all are equal. Older versions did not report it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<F64>,
    /// Number of images processed in the window.
    pub images: u64,
    /// Duration of the steps without pauses and evaluations, ms.
    pub millis: F64,
    /// Training loss (with label smoothing).
    pub loss: Vec<F32>,
    /// Training accuracy on the batch, 0 to 1, with the weights before the step.
    pub accuracy: Vec<F32>,
    /// Global L2 norm of the gradient before clipping.
    pub grad_norm: Vec<F32>,
    /// 1 if the gradient was clipped, otherwise 0.
    pub clipped: Vec<u8>,
    /// The steps whose update was measured, each with its update-to-weight ratio: the L2 norm of the update of all
    /// weights divided by the L2 norm of the weights before it. NaN if the step was masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub update_ratio: Vec<(u64, F32)>,
}

/// Summary of one epoch; a row of `epochs.csv`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EpochSummary {
    /// The epoch, from 1.
    pub epoch: u32,
    /// Steps completed in the run.
    pub global_step: u64,
    /// Mean training loss over the images of the epoch, with label smoothing.
    pub train_loss: F64,
    /// Accuracy on the images of the epoch as measured during training, 0 to 1.
    pub train_accuracy: F64,
    /// Mean negative log-likelihood on the validation split, without label smoothing, at T = 1.
    pub valid_nll: F64,
    /// Accuracy on the validation split, 0 to 1.
    pub valid_accuracy: F64,
    /// Unweighted mean of the per-class F1 on the validation split.
    pub valid_macro_f1: F64,
    /// Learning rate of the last step.
    pub lr: F64,
    /// Mean of the finite gradient norms before clipping.
    pub grad_norm_mean: F64,
    /// Largest finite gradient norm before clipping.
    pub grad_norm_max: F64,
    /// Fraction of the epoch's steps that were clipped.
    pub clipped_fraction: F64,
    /// Training images per second, without validation.
    pub images_per_second: F64,
    /// Wall time of the epoch with validation but without pauses.
    pub seconds: F64,
    /// Whether it is the best epoch so far, by the measure `train.best` on validation.
    pub best: bool,
}

/// Why a checkpoint was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointReason {
    /// Saved at the configured interval.
    Periodic,
    /// Requested by a command or a signal.
    Requested,
    /// The run ended.
    Final,
}

/// A checkpoint that was completely written to disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointSaved {
    /// Training step of its weights.
    pub global_step: u64,
    /// Epoch of its weights.
    pub epoch: u32,
    /// Path relative to the run directory, or absolute if it is in `checkpoint.fallback_dir`.
    pub path: String,
    /// Total size of its files, bytes.
    pub bytes: u64,
    /// Why it was written.
    pub reason: CheckpointReason,
    /// Whether it contains the best weights so far.
    pub best: bool,
    /// How long the training was interrupted to copy the state, ms. The files are written in parallel to the training.
    #[serde(default)]
    pub pause_ms: F64,
    /// Duration of writing the files, ms.
    #[serde(default)]
    pub write_ms: F64,
}

impl CheckpointSaved {
    /// Whether it is in the run directory, where `train --resume` finds it.
    pub fn is_in_run(&self) -> bool {
        !self.path.starts_with('/')
    }
}

/// Severity of a log message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Information.
    Info,
    /// A warning.
    Warn,
    /// An error: something failed.
    Error,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Outcome {
    /// The training completed.
    Completed,
    /// The run was stopped on request and saved a checkpoint.
    Stopped,
    /// The run was ended by an error.
    Failed {
        /// The error, and what to do about it.
        message: String,
    },
}

impl Outcome {
    /// The name on screens and in files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Stopped => "stopped",
            Self::Failed { .. } => "failed",
        }
    }
}

/// Everything that a trainer reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// The run has started. Sent once, before the first step.
    RunStarted(Box<RunStarted>),
    /// The phase has changed.
    Phase {
        /// The new phase.
        phase: Phase,
    },
    /// An epoch has started. Sent before its first step.
    EpochStarted {
        /// The epoch, from 1.
        epoch: u32,
        /// Current total number of epochs.
        epochs: u32,
        /// Number of steps in this epoch.
        steps: u64,
    },
    /// Up to 16 steps or 50 ms of training, whichever ends first.
    Steps(StepWindow),
    /// Breakdown of the step time. Sent after about one second of training, then every five seconds, on a GPU every
    /// ten.
    StepTime(StepTime),
    /// Values of named curves, for trainers with measurements that no other event covers. Curves whose names have the
    /// same last component, such as `train/loss` and `val/loss`, are shown together.
    Scalars {
        /// The step, counted from 1 over the run.
        global_step: u64,
        /// Names and values.
        values: Vec<(String, F64)>,
    },
    /// An epoch and its validation have finished.
    EpochFinished(EpochSummary),
    /// An evaluation on a split has finished.
    EvalFinished(Box<EvalReport>),
    /// Progress of an evaluation.
    EvalProgress {
        /// The split.
        split: Split,
        /// Number of images evaluated.
        done: u64,
        /// Number of images in the split.
        total: u64,
    },
    /// The gallery images. Sent once, after the data is read.
    GalleryImages(GalleryImages),
    /// The predictions for the gallery images. Sent after each validation.
    GalleryPredictions(GalleryPredictions),
    /// The current state was copied and will be written as a checkpoint. A run restored from that checkpoint continues
    /// after this record.
    Marked {
        /// The number of the save, as in `state.json` of the checkpoint.
        mark: u64,
    },
    /// The run was restored from a checkpoint and continues in a new process.
    #[serde(rename = "resumed")]
    Restored(Box<Restoration>),
    /// A checkpoint was completely written to disk.
    CheckpointSaved(CheckpointSaved),
    /// A step whose loss, gradient or batch statistics were not finite. It did not change the weights.
    StepSkipped {
        /// The step, counted from 1 over the run.
        global_step: u64,
        /// Its loss.
        loss: F32,
        /// Its gradient norm.
        grad_norm: F32,
        /// Whether only its batch statistics were not finite.
        #[serde(default)]
        statistics: bool,
    },
    /// A health check failed. Contains the finding and the reaction to it.
    Health(Health),
    /// Norms of gradient, weights and update for each parameter. Sent at the end of an epoch, and for the step after a
    /// requested evaluation.
    Layers {
        /// The step, counted from 1 over the run.
        global_step: u64,
        /// One entry per parameter, in the order of the network.
        layers: Vec<LayerNorms>,
    },
    /// A sample of the machine's load, every few seconds. Sent by a separate thread and not by the trainer itself.
    System(Box<SystemSample>),
    /// A log message.
    Log {
        /// Its severity.
        level: Level,
        /// The message, one line.
        text: String,
    },
    /// A request from outside the trainer's process, or from a signal.
    Asked {
        /// Identifier of the request.
        id: u64,
        /// The requested command.
        command: Command,
        /// Description of the requester.
        by: String,
    },
    /// The state of a request.
    Acknowledged {
        /// Identifier of the request.
        id: u64,
        /// The requested command.
        command: Command,
        /// The state of the request.
        answer: Answer,
        /// Steps completed at this time.
        global_step: u64,
    },
    /// A file of the run could not be written, also not at the end of the run. Sent just before or after
    /// [`Event::RunFinished`].
    NotWritten {
        /// Name of the file in the run directory.
        file: String,
        /// The error.
        why: String,
    },
    /// The run has ended. Only [`Event::NotWritten`] and log messages can follow.
    RunFinished {
        /// How the run ended.
        outcome: Outcome,
        /// Steps completed.
        global_step: u64,
    },
    /// An event of a newer version that this version does not know.
    #[serde(other)]
    Unknown,
}

/// An [`Event`] with its number and time, as the hub distributes and stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Sequence number, from 1. Records that could not be written to disk leave gaps, and so do the records that a
    /// restart makes obsolete ([`Restoration::after`]).
    pub seq: u64,
    /// Unix time, ms. The system clock may be set at any time, so durations must not be computed from it.
    pub t_ms: u64,
    /// Time since the start of the run on a clock that is never set, ms: with pauses, without the time between two
    /// processes of the run. Older versions did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_ms: Option<u64>,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}
