//! The value of `train.class_weights`: a word or a list of numbers.

use std::fmt;

use serde::de::{self, SeqAccess};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The weight of each class in the training loss.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum ClassWeights {
    /// `"none"`: all images have the same weight.
    #[default]
    None,
    /// `"balanced"`: inversely proportional to the number of training images of the class.
    Balanced,
    /// Given weights, in the order of the classes.
    Values(Vec<f64>),
}

impl ClassWeights {
    /// The weights for these numbers of training images; `None` if all are the same. `"balanced"` is n / (k·n_c) for n
    /// images, k classes with images and n_c images of the class, as `compute_class_weight` of scikit-learn computes it;
    /// a class without images has the weight 1.
    ///
    /// # Errors
    /// If their number differs from that of the classes.
    pub fn for_counts(&self, counts: &[u64]) -> Result<Option<Vec<f64>>, String> {
        match self {
            Self::None => Ok(None),
            Self::Balanced => {
                let total: u64 = counts.iter().sum();
                let present = counts.iter().filter(|count| **count > 0).count();
                let weight = |count: &u64| match count {
                    0 => 1.0,
                    count => total as f64 / (present as f64 * *count as f64),
                };
                Ok(Some(counts.iter().map(weight).collect()))
            }
            Self::Values(values) if values.len() == counts.len() => Ok(Some(values.clone())),
            Self::Values(values) => Err(format!(
                "train.class_weights has {} values, but the data have {} classes; expected one for each class, in the order \
                 of `epochtop data check`",
                values.len(),
                counts.len()
            )),
        }
    }
}

impl Serialize for ClassWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Balanced => serializer.serialize_str("balanced"),
            Self::Values(values) => values.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ClassWeights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = ClassWeights;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"none\", \"balanced\" or [weight, …]")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ClassWeights, E> {
        match text {
            "none" => Ok(ClassWeights::None),
            "balanced" => Ok(ClassWeights::Balanced),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ClassWeights, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(ClassWeights::Values(values))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Section {
        weights: ClassWeights,
    }

    #[test]
    fn words_and_lists_are_read_and_written() {
        for text in ["\"none\"", "\"balanced\"", "[1.0, 2.5]"] {
            let text = format!("weights = {text}\n");
            let section: Section = toml::from_str(&text).unwrap();
            assert_eq!(toml::to_string(&section).unwrap(), text);
            let json = serde_json::to_string(&section).unwrap();
            assert_eq!(serde_json::from_str::<Section>(&json).unwrap(), section);
        }
        let error = toml::from_str::<Section>("weights = \"even\"").unwrap_err();
        let expected = "expected \"none\", \"balanced\" or [weight, …]";
        assert!(error.to_string().contains(expected), "{error}");
    }

    /// Reference: `sklearn.utils.class_weight.compute_class_weight("balanced", classes=[0, 1, 2], y=[0]*6 + [1]*3 + [2])`
    /// of scikit-learn is [0.5555555555555556, 1.1111111111111112, 3.3333333333333335].
    #[test]
    fn balanced_weights_equal_those_of_scikit_learn() {
        let weights = ClassWeights::Balanced.for_counts(&[6, 3, 1]).unwrap();
        let expected = vec![
            0.555_555_555_555_555_6,
            1.111_111_111_111_111_2,
            3.333_333_333_333_333_5,
        ];
        assert_eq!(weights, Some(expected));
        let lacking = ClassWeights::Balanced.for_counts(&[2, 0, 2]).unwrap();
        assert_eq!(lacking, Some(vec![1.0; 3]));
    }

    #[test]
    fn the_number_of_weights_must_be_that_of_the_classes() {
        let weights = ClassWeights::Values(vec![1.0, 2.0]);
        assert_eq!(weights.for_counts(&[1, 1]), Ok(Some(vec![1.0, 2.0])));
        let error = weights.for_counts(&[1, 1, 1]).unwrap_err();
        assert!(
            error.contains("has 2 values, but the data have 3 classes"),
            "{error}"
        );
    }
}
