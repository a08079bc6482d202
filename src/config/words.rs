//! Enumerations of the configuration: keys whose value is one of a few words.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The network architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelName {
    /// Blocks of convolution, batch norm, `ReLU` and pooling.
    #[default]
    Cnn,
}

impl ModelName {
    /// The value in the configuration file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cnn => "cnn",
        }
    }
}

/// The padding of a convolution.
///
/// Written as the string `"same"` or the integer `0`, as in `PyTorch`'s `padding=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Padding {
    /// `"same"`: zero padding that keeps the image size.
    #[default]
    Same,
    /// `0`: no padding; each convolution shrinks the image by kernel − 1.
    Valid,
}

/// How the last feature maps become class scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// Global average pooling, then one linear layer.
    #[default]
    Gap,
    /// All positions of all feature maps, a hidden layer, then the linear layer.
    Flatten,
}

/// A fixed set of operations, of which augmentation applies a random one to each image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// No operation.
    #[default]
    None,
    /// `TrivialAugment` (Müller & Hutter 2021), the wide space.
    Trivial,
}

/// The precision of a training step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// bf16 if the hardware supports it natively, otherwise f32.
    #[default]
    Auto,
    /// 32-bit floating point throughout.
    F32,
    /// Activations and convolutions in bfloat16; weights, sums and statistics in f32.
    Bf16,
}

/// The learning rate schedule after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleName {
    /// Decays to zero along half a cosine wave.
    #[default]
    Cosine,
    /// Decays linearly to zero.
    Linear,
    /// Multiplied by `step_factor` every `step_epochs`.
    Step,
    /// No decay.
    Constant,
}

/// The reaction to a step whose loss or gradient is not finite. Such a step never changes the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NonFinite {
    /// Continue; after `health.in_a_row` consecutive non-finite steps, pause, or end a headless run as failed.
    #[default]
    Skip,
    /// Pause immediately.
    Pause,
    /// After `health.in_a_row` consecutive non-finite steps, restore the last good state and halve the learning rate.
    Rollback,
    /// End the run immediately as failed, and write a checkpoint.
    Stop,
}

/// Whether the user interface uses only ASCII characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AsciiMode {
    /// Depends on the locale.
    #[default]
    Auto,
    /// ASCII only.
    Always,
    /// UTF-8, regardless of the locale.
    Never,
}

/// How curves are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChartMode {
    /// The finest resolution that the terminal supports.
    #[default]
    Auto,
    /// Braille, 2 × 4 dots per cell.
    Braille,
    /// Half blocks, 1 × 2 dots per cell.
    Halfblock,
    /// One ASCII character per cell.
    Ascii,
}

/// The format of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceName {
    /// Recognised from the files in the directory.
    #[default]
    Auto,
    /// IDX files, as MNIST has them.
    Idx,
    /// A directory of images per class.
    Folder,
    /// CIFAR-10 or CIFAR-100.
    Cifar,
    /// NumPy arrays.
    Numpy,
    /// Parquet files, as Hugging Face publishes them.
    Parquet,
    /// A CSV list of paths and labels.
    Csv,
}

/// The order of the class directories and of the files in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassOrder {
    /// By bytes, as torchvision sorts them: `10` before `9`.
    #[default]
    Bytes,
    /// By numbers in the names, as timm sorts them: `9` before `10`.
    Natural,
}

/// How an image of another aspect ratio becomes square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// Both sides are resized to `data.size`; the aspect ratio changes.
    #[default]
    Squash,
    /// The shorter side is resized, and the ends of the longer one are cut off.
    Crop,
    /// The longer side is resized, and the shorter one is padded.
    Pad,
}

/// Whether the images are kept in memory during training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InMemory {
    /// If they take at most half of the available memory.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never: each batch is read from the packed images.
    Never,
}

/// What happens to an image file that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnCorrupt {
    /// It is left out, with a warning that names it.
    #[default]
    Skip,
    /// The run does not start.
    Fail,
}

/// How often the images of each class are drawn in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// Each image once.
    #[default]
    Natural,
    /// Each class equally often.
    Balanced,
}

/// The validation measure by which the best epoch is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BestBy {
    /// The highest accuracy; of equal ones the lowest NLL.
    #[default]
    Accuracy,
    /// The lowest NLL.
    Nll,
    /// The highest macro-F1; of equal ones the lowest NLL.
    MacroF1,
}

impl BestBy {
    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Nll => "NLL",
            Self::MacroF1 => "macro-F1",
        }
    }
}

/// The signal that requests a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnSignal {
    /// SIGUSR1.
    #[default]
    #[serde(rename = "USR1")]
    Usr1,
    /// SIGUSR2.
    #[serde(rename = "USR2")]
    Usr2,
    /// No signal.
    #[serde(rename = "none")]
    None,
}

/// An event that sends a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Occasion {
    /// A run has completed, or was stopped on request.
    Finish,
    /// A run has failed.
    Failure,
    /// An alert was raised.
    Alert,
}

impl Occasion {
    /// The value in the configuration file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Finish => "finish",
            Self::Failure => "failure",
            Self::Alert => "alert",
        }
    }
}

/// How images are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Art {
    /// Half blocks for images in colour, characters for grey ones.
    #[default]
    Auto,
    /// Characters from light to dark.
    Ascii,
    /// Half blocks, two pixels per cell.
    Halfblock,
}

impl Serialize for Padding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Same => serializer.serialize_str("same"),
            Self::Valid => serializer.serialize_i64(0),
        }
    }
}

impl<'de> Deserialize<'de> for Padding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PaddingVisitor)
    }
}

struct PaddingVisitor;

impl de::Visitor<'_> for PaddingVisitor {
    type Value = Padding;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"same\" or 0")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Padding, E> {
        match text {
            "same" => Ok(Padding::Same),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Padding, E> {
        match number {
            0 => Ok(Padding::Valid),
            _ => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }

    // serde_json passes a non-negative integer as u64.
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Padding, E> {
        match number {
            0 => Ok(Padding::Valid),
            _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
        }
    }
}
