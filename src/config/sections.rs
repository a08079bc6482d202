//! The sections of the configuration and their defaults. What each key means to a user is told in `config.toml`;
//! which values are accepted is the business of `validate`.

use serde::{Deserialize, Serialize};

use super::optimizer::OptimName;
use super::words::{
    Art, AsciiMode, ChartMode, Head, ModelName, NonFinite, Occasion, OnSignal, Padding, Precision,
    ScheduleName,
};

/// `[data]`: which images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// The dataset's name.
    pub name: String,
    /// The directory of its files; empty: the usual places.
    pub dir: String,
    /// How many training images are used, after the split; 0: all.
    pub train_limit: usize,
    /// How many training images are set aside for validation.
    pub valid: usize,
    /// How training images are varied.
    pub augment: AugmentConfig,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            name: "fashion-mnist".to_owned(),
            dir: String::new(),
            train_limit: 0,
            valid: 5000,
            augment: AugmentConfig::default(),
        }
    }
}

/// `[data.augment]`: how training images are varied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentConfig {
    /// Mirror half of the images left to right.
    pub flip: bool,
    /// Shift by up to this many pixels each way.
    pub shift: u32,
    /// Turn by up to this many degrees each way.
    pub rotate: f64,
    /// Make larger or smaller by up to this share.
    pub scale: f64,
    /// Slant by up to this many degrees each way.
    pub shear: f64,
    /// Probability of filling a rectangle with grey.
    pub erase: f64,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            flip: true,
            shift: 1,
            rotate: 0.0,
            scale: 0.0,
            shear: 0.0,
            erase: 0.5,
        }
    }
}

/// `[model]`: the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Which network.
    pub name: ModelName,
    /// Output channels of each block; as many blocks as numbers.
    pub channels: Vec<i64>,
    /// Kernel size of the first block; the others use 3.
    pub first_kernel: i64,
    /// What convolutions do at the border.
    pub padding: Padding,
    /// A residual block after each block.
    pub residual: bool,
    /// What turns feature maps into class scores.
    pub head: Head,
    /// Width of the hidden layer of the `flatten` head.
    pub hidden: i64,
    /// Probability of dropping a feature before the last layer.
    pub dropout: f64,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            name: ModelName::Cnn,
            channels: vec![32, 64, 128],
            first_kernel: 5,
            padding: Padding::Same,
            residual: true,
            head: Head::Gap,
            hidden: 128,
            dropout: 0.0,
        }
    }
}

/// `[train]`: how long, on what, from which seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Passes over the training images.
    pub epochs: u32,
    /// Images in one step.
    pub batch_size: i64,
    /// Parts a batch is computed in, one after the other; their gradients add up.
    pub accumulate: i64,
    /// Decay of the average of weights that is evaluated; 0: the weights themselves are.
    pub ema: f64,
    /// Epochs without a better validation accuracy after which the run ends; 0: never.
    pub patience: u32,
    /// By how much the validation accuracy must be better to count for that.
    pub min_delta: f64,
    /// Minutes after which the run comes to its end; 0: never.
    pub max_minutes: f64,
    /// Where order, augmentation, dropout and the first weights come from; at most 2^63-1, which TOML can hold.
    pub seed: u64,
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// The numbers the training step computes with.
    pub precision: Precision,
    /// Threads for computing on the CPU; 0: one for each core.
    pub threads: i32,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 46,
            batch_size: 256,
            accumulate: 1,
            ema: 0.999,
            patience: 0,
            min_delta: 0.0,
            max_minutes: 0.0,
            seed: 1,
            device: "auto".to_owned(),
            precision: Precision::Auto,
            threads: 0,
        }
    }
}

/// `[optim]`: the optimizer, its schedule and the loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimConfig {
    /// Which optimizer.
    pub name: OptimName,
    /// The learning rate at its highest, after the warm-up.
    pub lr: f64,
    /// How strongly weights are drawn towards zero.
    pub weight_decay: f64,
    /// Weight decay and learning rate of biases and norm parameters, relative to the others'.
    pub norm_lr_factor: f64,
    /// SGD and Muon: share of the momentum that is kept from step to step.
    pub momentum: f64,
    /// SGD and Muon: Nesterov's momentum.
    pub nesterov: bool,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// What is added to the denominator.
    pub eps: f64,
    /// Epochs over which the learning rate rises to `lr`.
    pub warmup_epochs: f64,
    /// How the learning rate goes on from there.
    pub schedule: ScheduleName,
    /// `step`: epochs between the steps.
    pub step_epochs: f64,
    /// `step`: what the rate is multiplied with.
    pub step_factor: f64,
    /// The share of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// The global gradient norm is clipped to this; 0: never.
    pub clip_norm: f64,
}

impl Default for OptimConfig {
    fn default() -> Self {
        Self {
            name: OptimName::Muon,
            lr: 0.008,
            weight_decay: 0.05,
            norm_lr_factor: 1.0,
            momentum: 0.95,
            nesterov: true,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            warmup_epochs: 2.0,
            schedule: ScheduleName::Cosine,
            step_epochs: 10.0,
            step_factor: 0.1,
            label_smoothing: 0.1,
            clip_norm: 1.0,
        }
    }
}

/// `[eval]`: how the network is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvalConfig {
    /// Images evaluated at a time; no number depends on it.
    pub batch_size: i64,
    /// Equal bins of confidence for the calibration error.
    pub ece_bins: usize,
    /// Bootstrap resamples behind the 95 % intervals; 0: no intervals.
    pub bootstrap: usize,
    /// Test images kept for the gallery.
    pub gallery: usize,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            batch_size: 1000,
            ece_bins: 15,
            bootstrap: 1000,
            gallery: 64,
        }
    }
}

/// `[checkpoint]`: when the state is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointConfig {
    /// Epochs between checkpoints; 0: only when validation got better, on request and at the end.
    pub every_epochs: u32,
    /// Steps between checkpoints; 0: steps do not count.
    pub every_steps: u64,
    /// Minutes between checkpoints; 0: time does not count.
    pub every_minutes: f64,
    /// How many of the newest checkpoints are kept, beside the best.
    pub keep: usize,
    /// The signal that asks for a checkpoint.
    pub on_signal: OnSignal,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self {
            every_epochs: 1,
            every_steps: 0,
            every_minutes: 10.0,
            keep: 3,
            on_signal: OnSignal::default(),
        }
    }
}

/// `[health]`: what is watched, and what is done about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// What is done about steps that are not finite.
    pub non_finite: NonFinite,
    /// So many of them in a row are too many.
    pub in_a_row: u32,
    /// A loss so many deviations above its running mean is a spike; 0: none is.
    pub spike: f64,
    /// A layer whose gradient's norm is below this share of the whole is dead; 0: none is.
    pub dead: f64,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            non_finite: NonFinite::Skip,
            in_a_row: 5,
            spike: 6.0,
            dead: 1e-7,
        }
    }
}

/// `[system]`: how the machine is looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SystemConfig {
    /// Seconds between two looks; 0: never.
    pub every_seconds: f64,
}

impl Default for SystemConfig {
    fn default() -> Self {
        Self { every_seconds: 5.0 }
    }
}

/// `[runs]`: where runs are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunsConfig {
    /// The directory that holds a directory for each run.
    pub dir: String,
}

impl Default for RunsConfig {
    fn default() -> Self {
        Self {
            dir: "runs".to_owned(),
        }
    }
}

/// `[ui]`: how the screen looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UiConfig {
    /// The theme's name.
    pub theme: String,
    /// Whether the screen keeps to ASCII.
    pub ascii: AsciiMode,
    /// How images are drawn.
    pub art: Art,
    /// What curves are drawn with.
    pub chart: ChartMode,
    /// Whether the screen takes the mouse.
    pub mouse: bool,
    /// At most this many frames a second.
    pub fps: u32,
}

impl Default for UiConfig {
    fn default() -> Self {
        Self {
            theme: "dark".to_owned(),
            ascii: AsciiMode::Auto,
            art: Art::Ascii,
            chart: ChartMode::Auto,
            mouse: false,
            fps: 10,
        }
    }
}

/// `[notify]`: who is told when a run ends or is not well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotifyConfig {
    /// A screen rings the terminal's bell.
    pub bell: bool,
    /// A screen asks the terminal for a notification of the desktop.
    pub osc9: bool,
    /// The trainer's process runs this with `sh -c`; empty: nothing.
    pub command: String,
    /// On which occasions.
    pub on: Vec<Occasion>,
}

impl Default for NotifyConfig {
    fn default() -> Self {
        Self {
            bell: false,
            osc9: false,
            command: String::new(),
            on: vec![Occasion::Finish, Occasion::Failure, Occasion::Alert],
        }
    }
}
