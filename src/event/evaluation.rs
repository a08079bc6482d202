//! The report of an evaluation on a split.

use serde::{Deserialize, Serialize};

use super::{F64, Split, Validation};
use crate::metrics::{
    ClassScores, Confusion, Estimates, Interval, Measure, ReliabilityBin, Temperature,
};

/// Which weights were evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightsKind {
    /// The current weights of the training.
    Current,
    /// The best weights, chosen by validation.
    Best,
    /// The weights of another checkpoint.
    Checkpoint,
}

impl WeightsKind {
    /// The name on screens and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Best => "best",
            Self::Checkpoint => "checkpoint",
        }
    }
}

/// The report of one evaluation on a complete split. [`crate::metrics`] defines the measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// The split.
    pub split: Split,
    /// Epoch of the weights, from 1; 0 before the first.
    pub epoch: u32,
    /// Training step of the weights.
    pub global_step: u64,
    /// Which weights were evaluated.
    pub weights: WeightsKind,
    /// The checkpoint that contains the weights, as a path relative to the run directory, if there is one.
    #[serde(default)]
    pub checkpoint: Option<String>,
    /// Number of images evaluated.
    pub n: u64,
    /// Number of images with a non-finite logit. If there are any, measures that need probabilities are undefined.
    #[serde(default)]
    pub not_finite: u64,
    /// All scalar measures with their intervals.
    #[serde(flatten, with = "flat")]
    pub estimates: Estimates,
    /// Scores of each class, indexed by label.
    pub classes: Vec<ClassScores>,
    /// Confusion matrix; rows are true classes, columns are predicted classes.
    pub confusion: Confusion,
    /// Area under the ROC curve of each class against the rest, indexed by label; `None` if it is undefined.
    #[serde(default)]
    pub auc: Vec<Option<f64>>,
    /// The temperature, fitted on the validation split.
    pub temperature: Temperature,
    /// Reliability bins of the calibrated ECE.
    pub reliability: Vec<ReliabilityBin>,
    /// Reliability bins of the ECE at T = 1.
    #[serde(default)]
    pub reliability_before: Vec<ReliabilityBin>,
    /// Duration of the evaluation, seconds.
    pub seconds: F64,
}

impl EvalReport {
    /// The value of a measure; NaN if it is undefined.
    pub fn value(&self, measure: Measure) -> f64 {
        let found = self.estimates.measures.get(&measure);
        found.map_or(f64::NAN, |estimate| estimate.value)
    }

    /// The value of a measure with its 95 % interval, if it has one.
    pub fn measured(&self, measure: Measure) -> Option<(f64, Interval)> {
        Some((self.value(measure), self.interval(measure)?))
    }

    /// The measures by which epochs are compared.
    pub fn validation(&self) -> Validation {
        let nll = self.value(Measure::Nll);
        Validation {
            accuracy: F64(self.value(Measure::Accuracy)),
            nll: F64(if nll.is_nan() { f64::INFINITY } else { nll }),
            macro_f1: F64(self.value(Measure::MacroF1)),
        }
    }

    /// A warning if the probabilities could not be calibrated, or if calibration raised the calibration error.
    pub fn calibration_warning(&self) -> Option<String> {
        if !self.temperature.converged {
            let used = match self.temperature.value {
                1.0 => "is not used: T = 1, the probabilities are not calibrated".to_owned(),
                value => format!("is doubtful: T = {value:.4}"), // of an older version
            };
            return Some(format!(
                "the temperature did not converge on validation and {used}"
            ));
        }
        let (ece, after) = (self.value(Measure::Ece), self.value(Measure::EceCalibrated));
        let numbers = [ece, after].map(|value| Measure::Ece.written(value));
        // Only a difference that is visible counts.
        (after > ece && numbers[0] != numbers[1]).then(|| {
            let [ece, after] = numbers;
            let split = self.split.name();
            format!("calibration made the ECE on the {split} split worse: {ece} became {after}")
        })
    }

    /// The 95 % interval of a measure, if it has one.
    pub fn interval(&self, measure: Measure) -> Option<Interval> {
        self.estimates.measures.get(&measure)?.interval
    }
}

/// The JSON form of the scalar measures: each value under its own key, and all intervals under `intervals`.
mod flat {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::F64;
    use crate::metrics::{Estimate, Estimates, Interval, Measure};

    /// The key of the AUC's interval up to version 0.1; the key of its value was already `auc_macro`.
    const OLD_AUC: &str = "auc";

    #[derive(Serialize, Deserialize)]
    struct Flat<Value> {
        #[serde(default)]
        intervals: Intervals,
        #[serde(flatten)]
        values: BTreeMap<String, Value>,
    }

    #[derive(Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Intervals {
        resamples: usize,
        seed: u64,
        f1: Vec<Option<Interval>>,
        #[serde(flatten)]
        measures: BTreeMap<String, Option<Interval>>,
    }

    pub(super) fn serialize<S: Serializer>(all: &Estimates, to: S) -> Result<S::Ok, S::Error> {
        let key = |measure: &Measure| measure.info().key.to_owned();
        let all_measures = all.measures.iter();
        let intervals = all_measures
            .clone()
            .filter(|(measure, _)| measure.has_interval());
        let flat = Flat {
            intervals: Intervals {
                resamples: all.resamples,
                seed: all.seed,
                f1: all.f1.clone(),
                measures: intervals
                    .map(|(measure, found)| (key(measure), found.interval))
                    .collect(),
            },
            values: all_measures
                .map(|(measure, found)| (key(measure), F64(found.value)))
                .collect(),
        };
        flat.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Estimates, D::Error> {
        // Unknown keys, which a newer version may have written, are ignored.
        let Flat { intervals, values } = Flat::<serde_json::Value>::deserialize(from)?;
        let interval = |measure: Measure| {
            let known = |key: &str| intervals.measures.get(key).copied().flatten();
            let old = || known(OLD_AUC).filter(|_| measure == Measure::Auc);
            known(measure.info().key).or_else(old)
        };
        let measures = values.iter().filter_map(|(key, value)| {
            let measure = Measure::from_key(key)?;
            // An undefined AUC is null.
            let value = Option::<F64>::deserialize(value).ok()?;
            let value = value.map_or(f64::NAN, |value| value.0);
            Some((
                measure,
                Estimate {
                    value,
                    interval: interval(measure),
                },
            ))
        });
        Ok(Estimates {
            resamples: intervals.resamples,
            seed: intervals.seed,
            measures: measures.collect(),
            f1: intervals.f1.clone(),
        })
    }
}
