//! The sections of the configuration and their defaults. `config.toml` and `personal.toml` document each key for users;
//! `validate` defines the valid values.

use serde::{Deserialize, Serialize};

use super::class_weights::ClassWeights;
use super::optimizer::OptimName;
use super::pixels::{Channels, Normalize};
use super::words::{
    Art, AsciiMode, BestBy, ChartMode, ClassOrder, Head, InMemory, ModelName, NonFinite, Occasion,
    OnCorrupt, OnSignal, Padding, Policy, Precision, Resize, Sampling, ScheduleName, SourceName,
};

/// Name of the data set with built-in class names and checksums.
pub const FASHION: &str = "fashion-mnist";

/// `[data]`: the dataset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Name of the data set; empty: see [`Self::known_name`].
    pub name: String,
    /// Directory of its files; empty: search the standard directories.
    pub dir: String,
    /// Format of the data.
    pub source: SourceName,
    /// Order of the class directories of a folder, and of the files in them.
    pub order: ClassOrder,
    /// Height and width of the images in training, pixels; 0: their own size if they all have the same, of at most
    /// [`crate::limits::KEPT_SIZE`], otherwise [`crate::limits::DEFAULT_SIZE`].
    pub size: u32,
    /// Height and width at which images are packed, so that random crops have pixels to choose from; 0: a seventh more than
    /// in training if [`AugmentConfig::crop`] is on and the images are larger, otherwise the same.
    pub pack_size: u32,
    /// How an image of another aspect ratio becomes square.
    pub resize: Resize,
    /// Number of channels of the images in training.
    pub channels: Channels,
    /// Normalization of the pixels.
    pub normalize: Normalize,
    /// What happens to an image file that cannot be decoded.
    pub on_corrupt: OnCorrupt,
    /// Directory of packed images; empty: the user's cache directory.
    pub cache_dir: String,
    /// Whether the images are kept in memory during training.
    pub in_memory: InMemory,
    /// Threads that read, crop and change the images of the next batches; 0: one per core, at least 2 and at most
    /// 8.
    pub workers: u32,
    /// How often the images of each class are drawn in an epoch.
    pub sampling: Sampling,
    /// Number of training images used, counted after the validation split; 0: all.
    pub train_limit: usize,
    /// Number of training images set aside for validation; 0: a tenth, at most 5000.
    pub valid: usize,
    /// Augmentation of the training images.
    pub augment: AugmentConfig,
}

impl DataConfig {
    /// The name of the data set as far as the configuration says: without name and directory it is Fashion-MNIST, and
    /// without a name the data in a directory are named after the directory.
    pub fn known_name(&self) -> &str {
        if self.name.is_empty() && self.dir.is_empty() {
            FASHION
        } else {
            &self.name
        }
    }

    /// Number of validation images, given the number of images in the training files.
    pub fn valid_size(&self, images: usize) -> usize {
        match self.valid {
            0 => (images / 10).clamp(1, 5000),
            valid => valid,
        }
    }
}

/// `[data.augment]`: augmentation of the training images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentConfig {
    /// Mirror half of the images horizontally.
    pub flip: bool,
    /// Largest shift in each direction, pixels.
    pub shift: u32,
    /// Largest rotation in either direction, degrees.
    pub rotate: f64,
    /// Largest enlargement or reduction, as a fraction.
    pub scale: f64,
    /// Largest shear in either direction, degrees.
    pub shear: f64,
    /// Probability of random erasing: filling a rectangle with one grey level.
    pub erase: f64,
    /// Smallest area of a random resized crop, as a fraction of the image; 0: no crop.
    pub crop: f64,
    /// Largest change of the brightness, as a fraction.
    pub brightness: f64,
    /// Largest change of the contrast, as a fraction.
    pub contrast: f64,
    /// Largest change of the saturation, as a fraction.
    pub saturation: f64,
    /// Largest change of the hue, as a fraction of the colour circle.
    pub hue: f64,
    /// A fixed set of operations from which one is drawn for each image.
    pub policy: Policy,
    /// Parameter of the distribution Beta(α, α) of mixup's shares; 0: no mixup.
    pub mixup: f64,
    /// Parameter of the distribution Beta(α, α) of `CutMix`'s areas; 0: no `CutMix`.
    pub cutmix: f64,
}

impl AugmentConfig {
    /// Whether images are cropped or their colours are changed.
    pub fn has_photo_stage(&self) -> bool {
        let limits = [
            self.crop,
            self.brightness,
            self.contrast,
            self.saturation,
            self.hue,
        ];
        limits.iter().any(|limit| *limit > 0.0) || self.policy != Policy::None
    }

    /// Whether images are combined by mixup or `CutMix`, so that there is no training accuracy.
    pub fn mixes(&self) -> bool {
        self.mixup > 0.0 || self.cutmix > 0.0
    }
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
            crop: 0.0,
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            hue: 0.0,
            policy: Policy::None,
            mixup: 0.0,
            cutmix: 0.0,
        }
    }
}

/// `[model]`: the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// The architecture.
    pub name: ModelName,
    /// Output channels of each block; the length is the number of blocks.
    pub channels: Vec<i64>,
    /// Kernel size of the first block; the others use 3.
    pub first_kernel: i64,
    /// Padding of the convolutions.
    pub padding: Padding,
    /// Whether a residual block follows each block.
    pub residual: bool,
    /// How feature maps become class scores.
    pub head: Head,
    /// Width of the hidden layer of the `flatten` head; 0: none.
    pub hidden: i64,
    /// Dropout probability before the last layer.
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

/// `[train]`: length, batch size, device and seed of the training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Number of epochs.
    pub epochs: u32,
    /// Images per step.
    pub batch_size: i64,
    /// Number of parts into which a batch is split; their gradients are accumulated.
    pub accumulate: i64,
    /// Weight of each class in the training loss.
    pub class_weights: ClassWeights,
    /// Decay of the EMA weights, which are evaluated and saved as the model; 0: no EMA.
    pub ema: f64,
    /// The validation measure by which the best epoch is chosen.
    pub best: BestBy,
    /// Consecutive epochs without a better value of the measure `best` after which the run ends; 0: never.
    pub patience: u32,
    /// Smallest improvement of that measure that counts for `patience`.
    pub min_delta: f64,
    /// Minutes after which the run ends; 0: no limit.
    pub max_minutes: f64,
    /// Random seed of image order, augmentation, dropout and initial weights; at most 2^63-1, the largest TOML integer.
    pub seed: u64,
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Precision of a training step.
    pub precision: Precision,
    /// CPU threads for computation; 0: one per core.
    pub threads: i32,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 46,
            batch_size: 256,
            accumulate: 1,
            class_weights: ClassWeights::None,
            ema: 0.999,
            best: BestBy::Accuracy,
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
    /// The optimizer.
    pub name: OptimName,
    /// Peak learning rate, reached at the end of the warm-up.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Learning rate of biases and norm parameters, relative to `lr`.
    pub norm_lr_factor: f64,
    /// SGD and Muon: momentum coefficient.
    pub momentum: f64,
    /// SGD and Muon: whether to use Nesterov momentum.
    pub nesterov: bool,
    /// Decay of the running mean of gradients.
    pub beta1: f64,
    /// Decay of the running mean of squared gradients.
    pub beta2: f64,
    /// Added to the denominator of the update for numerical stability.
    pub eps: f64,
    /// Epochs over which the learning rate rises linearly to `lr`.
    pub warmup_epochs: f64,
    /// Schedule of the learning rate after the warm-up.
    pub schedule: ScheduleName,
    /// `step`: epochs between two decays.
    pub step_epochs: f64,
    /// `step`: factor of each decay.
    pub step_factor: f64,
    /// Share of the target distribution that is spread over all classes.
    pub label_smoothing: f64,
    /// Largest global L2 norm of the gradient; larger gradients are scaled down. 0: no clipping.
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

/// `[eval]`: how the network is evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvalConfig {
    /// Images per evaluation batch; does not affect any result.
    pub batch_size: i64,
    /// Number of equal-width confidence bins of the calibration error.
    pub ece_bins: usize,
    /// Bootstrap resamples for the 95 % intervals; 0: no intervals but those of proportions.
    pub bootstrap: usize,
    /// Number of test images in the gallery.
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

/// `[checkpoint]`: when checkpoints are saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointConfig {
    /// Epochs between checkpoints; 0: only if validation improved, on request and at the end.
    pub every_epochs: u32,
    /// Steps between checkpoints; 0: off.
    pub every_steps: u64,
    /// Minutes between checkpoints; 0: off.
    pub every_minutes: f64,
    /// Number of newest checkpoints to retain, in addition to the best one.
    pub keep: usize,
    /// Longest time in minutes that the end of a run waits for its last checkpoint.
    pub wait_minutes: f64,
    /// Directory for the last checkpoint if it cannot be written to the run; empty: none.
    pub fallback_dir: String,
    /// The signal that requests a checkpoint.
    pub on_signal: OnSignal,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self {
            every_epochs: 1,
            every_steps: 0,
            every_minutes: 10.0,
            keep: 3,
            wait_minutes: 10.0,
            fallback_dir: String::new(),
            on_signal: OnSignal::default(),
        }
    }
}

/// `[health]`: health checks of the training, and the reaction to a failed check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// The reaction to non-finite steps.
    pub non_finite: NonFinite,
    /// Number of consecutive non-finite steps after which `skip` pauses and `rollback` restores.
    pub in_a_row: u32,
    /// A loss this many standard deviations above its running mean is reported as a spike; 0: never.
    pub spike: f64,
    /// A layer whose gradient norm is below this fraction of the global norm is reported as dead; 0: never.
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

/// `[system]`: how the machine is monitored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SystemConfig {
    /// Seconds between two samples; 0: never.
    pub every_seconds: f64,
}

impl Default for SystemConfig {
    fn default() -> Self {
        Self { every_seconds: 5.0 }
    }
}

/// `[runs]`: where runs are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunsConfig {
    /// The directory that contains one directory per run.
    pub dir: String,
}

impl Default for RunsConfig {
    fn default() -> Self {
        Self {
            dir: "runs".to_owned(),
        }
    }
}

/// `[ui]`: appearance of the user interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UiConfig {
    /// Name of the theme.
    pub theme: String,
    /// Whether only ASCII characters are used.
    pub ascii: AsciiMode,
    /// How images are drawn.
    pub art: Art,
    /// How curves are drawn.
    pub chart: ChartMode,
    /// Whether the mouse is enabled.
    pub mouse: bool,
    /// Maximum number of frames per second.
    pub fps: u32,
}

impl Default for UiConfig {
    fn default() -> Self {
        Self {
            theme: "dark".to_owned(),
            ascii: AsciiMode::Auto,
            art: Art::Auto,
            chart: ChartMode::Auto,
            mouse: false,
            fps: 10,
        }
    }
}

/// `[notify]`: notifications when a run ends or needs attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotifyConfig {
    /// Whether screens ring the terminal bell.
    pub bell: bool,
    /// Whether screens send a desktop notification through the terminal (OSC 9).
    pub osc9: bool,
    /// Command that the training process runs with `sh -c`; empty: none.
    pub command: String,
    /// The events that send a notification.
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
