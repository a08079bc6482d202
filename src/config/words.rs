//! The choices of the configuration that are one word out of a few.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A network by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelName {
    /// Blocks of convolution, batch norm, `ReLU` and pooling.
    #[default]
    Cnn,
}

impl ModelName {
    /// The word of the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cnn => "cnn",
        }
    }
}

/// What a convolution does at the border of an image.
///
/// Written as the string `"same"` or the integer `0`, as in `PyTorch`'s `padding=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Padding {
    /// `"same"`: zeros around the image, so that its size stays.
    #[default]
    Same,
    /// `0`: no padding; the image shrinks by kernel − 1.
    Valid,
}

/// What turns the last feature maps into class scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// The mean of each feature map, then one linear layer.
    #[default]
    Gap,
    /// Every position of every feature map, a hidden layer, then the linear layer.
    Flatten,
}

/// The numbers the training step computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// bf16 where the hardware is made for it, else f32.
    #[default]
    Auto,
    /// 32-bit floating point throughout.
    F32,
    /// Activations and convolutions in bfloat16; weights, sums and statistics in f32.
    Bf16,
}

/// How the learning rate goes on after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleName {
    /// Down half a cosine wave to zero.
    #[default]
    Cosine,
    /// Down a straight line to zero.
    Linear,
    /// Times `step_factor` every `step_epochs`.
    Step,
    /// As it is.
    Constant,
}

/// What is done about a step whose loss or gradient is not finite. It never changes the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NonFinite {
    /// Go on; after so many in a row, pause.
    #[default]
    Skip,
    /// Pause at once.
    Pause,
    /// Go back to the last good state with half the learning rate; after so many in a row.
    Rollback,
    /// End the run as failed, with a checkpoint.
    Stop,
}

/// Whether the screen keeps to ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AsciiMode {
    /// As the locale says.
    #[default]
    Auto,
    /// ASCII only.
    Always,
    /// UTF-8 whatever the locale says.
    Never,
}

/// What curves are drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChartMode {
    /// The finest this terminal has.
    #[default]
    Auto,
    /// Braille, 2 × 4 dots in a cell.
    Braille,
    /// Half blocks, 1 × 2 dots in a cell.
    Halfblock,
    /// A character a cell.
    Ascii,
}

/// The signal that asks for a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnSignal {
    /// SIGUSR1.
    #[default]
    #[serde(rename = "USR1")]
    Usr1,
    /// SIGUSR2.
    #[serde(rename = "USR2")]
    Usr2,
    /// None does.
    #[serde(rename = "none")]
    None,
}

/// When somebody is notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Occasion {
    /// A run has come to its end, or was stopped on request.
    Finish,
    /// A run has failed.
    Failure,
    /// Something is not well with it.
    Alert,
}

impl Occasion {
    /// The word of the configuration.
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
    /// Characters from light to dark.
    #[default]
    Ascii,
    /// Half blocks, two pixels in a cell.
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

    // serde_json hands over a non-negative integer as u64.
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Padding, E> {
        match number {
            0 => Ok(Padding::Valid),
            _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
        }
    }
}
