//! Values of `data.channels` and `data.normalize`, which are words or numbers.

use std::fmt;

use serde::de::{self, SeqAccess};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The number of channels of the images: `"auto"`, 1 or 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Channels {
    /// Grey if all images are grey, else colour.
    #[default]
    Auto,
    /// One channel.
    Grey,
    /// Three channels.
    Colour,
}

impl Channels {
    /// The number of channels, unless it follows from the images.
    pub fn count(self) -> Option<u32> {
        match self {
            Self::Auto => None,
            Self::Grey => Some(1),
            Self::Colour => Some(3),
        }
    }
}

impl Serialize for Channels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.count() {
            None => serializer.serialize_str("auto"),
            Some(count) => serializer.serialize_u32(count),
        }
    }
}

impl<'de> Deserialize<'de> for Channels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ChannelsVisitor)
    }
}

struct ChannelsVisitor;

impl de::Visitor<'_> for ChannelsVisitor {
    type Value = Channels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"auto\", 1 or 3")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Channels, E> {
        match text {
            "auto" => Ok(Channels::Auto),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Channels, E> {
        match number {
            1 => Ok(Channels::Grey),
            3 => Ok(Channels::Colour),
            _ => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }

    // serde_json passes a non-negative integer as u64.
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Channels, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// The normalization of pixels: `(value / 255 - mean) / std` for each channel.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Normalize {
    /// `"half"`: mean 0.5 and standard deviation 0.5 for each channel.
    #[default]
    Half,
    /// `"dataset"`: mean and standard deviation of the training split.
    Dataset,
    /// `"imagenet"`: mean and standard deviation of ImageNet, as torchvision's pretrained networks expect them.
    ImageNet,
    /// Given values: the means, then the standard deviations of each channel.
    Values(Vec<f64>, Vec<f64>),
}

impl Serialize for Normalize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Half => serializer.serialize_str("half"),
            Self::Dataset => serializer.serialize_str("dataset"),
            Self::ImageNet => serializer.serialize_str("imagenet"),
            Self::Values(mean, std) => [mean, std].serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Normalize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NormalizeVisitor)
    }
}

struct NormalizeVisitor;

impl<'de> de::Visitor<'de> for NormalizeVisitor {
    type Value = Normalize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"half\", \"dataset\", \"imagenet\" or [[mean, …], [std, …]]")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Normalize, E> {
        match text {
            "half" => Ok(Normalize::Half),
            "dataset" => Ok(Normalize::Dataset),
            "imagenet" => Ok(Normalize::ImageNet),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Normalize, A::Error> {
        let mut next = |at: usize| {
            list.next_element::<Vec<f64>>()?
                .ok_or_else(|| de::Error::invalid_length(at, &self))
        };
        let (mean, std) = (next(0)?, next(1)?);
        if list.next_element::<de::IgnoredAny>()?.is_some() {
            return Err(de::Error::invalid_length(3, &self));
        }
        Ok(Normalize::Values(mean, std))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Both {
        channels: Channels,
        normalize: Normalize,
    }

    #[test]
    fn words_and_numbers_are_read_and_written() {
        for text in [
            "channels = \"auto\"\nnormalize = \"half\"\n",
            "channels = 1\nnormalize = \"dataset\"\n",
            "channels = 3\nnormalize = \"imagenet\"\n",
            "channels = 3\nnormalize = [[0.5, 0.25, 0.5], [0.5, 1.0, 0.5]]\n",
        ] {
            let both: Both = toml::from_str(text).unwrap();
            assert_eq!(
                toml::from_str::<Both>(&toml::to_string(&both).unwrap()).unwrap(),
                both
            );
            let json = serde_json::to_string(&both).unwrap();
            assert_eq!(serde_json::from_str::<Both>(&json).unwrap(), both);
        }
    }

    #[test]
    fn other_values_are_refused_with_what_is_expected() {
        let error = |text: &str| toml::from_str::<Both>(text).unwrap_err().to_string();
        assert!(error("channels = 4\nnormalize = \"half\"").contains("\"auto\", 1 or 3"));
        let expected = "\"half\", \"dataset\", \"imagenet\" or [[mean, …], [std, …]]";
        for normalize in ["\"mean\"", "[[0.5]]", "[[0.5], [0.5], [1.0]]", "3"] {
            let found = error(&format!("channels = 1\nnormalize = {normalize}"));
            assert!(found.contains(expected), "{found}");
        }
    }
}
