//! What a measurement of a split says.

use serde::{Deserialize, Serialize};

use super::{F64, Split};
use crate::metrics::{
    ClassScores, Confusion, Estimates, Interval, Measure, ReliabilityBin, Temperature,
};

/// Which weights were evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightsKind {
    /// Those of this moment of the training.
    Current,
    /// The best by validation.
    Best,
    /// Those of any other checkpoint.
    Checkpoint,
}

impl WeightsKind {
    /// The word used on screens and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Best => "best",
            Self::Checkpoint => "checkpoint",
        }
    }
}

/// One full measurement of a split. Definitions: see [`crate::metrics`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// Which split.
    pub split: Split,
    /// Epoch the weights are of, from 1; 0 before the first.
    pub epoch: u32,
    /// Steps the weights have seen.
    pub global_step: u64,
    /// Which weights.
    pub weights: WeightsKind,
    /// The checkpoint that holds them, as a path below the run directory, if one does.
    #[serde(default)]
    pub checkpoint: Option<String>,
    /// Images measured.
    pub n: u64,
    /// Images with a logit that is no number: numbers that need probabilities are undefined if there are any.
    #[serde(default)]
    pub not_finite: u64,
    /// Every scalar with its interval.
    #[serde(flatten, with = "flat")]
    pub estimates: Estimates,
    /// By label.
    pub classes: Vec<ClassScores>,
    /// Counts, rows true, columns predicted.
    pub confusion: Confusion,
    /// Area under the ROC curve of each class against the rest, by label; none where it is undefined.
    #[serde(default)]
    pub auc: Vec<Option<f64>>,
    /// Fitted on validation.
    pub temperature: Temperature,
    /// Bins behind the calibrated ECE.
    pub reliability: Vec<ReliabilityBin>,
    /// Bins behind the ECE at T = 1.
    #[serde(default)]
    pub reliability_before: Vec<ReliabilityBin>,
    /// Time the measurement took.
    pub seconds: F64,
}

impl EvalReport {
    /// The value of a measure; NaN where it is undefined.
    pub fn value(&self, measure: Measure) -> f64 {
        let found = self.estimates.measures.get(&measure);
        found.map_or(f64::NAN, |estimate| estimate.value)
    }

    /// The 95 % interval of a measure, where it has one.
    pub fn interval(&self, measure: Measure) -> Option<Interval> {
        self.estimates.measures.get(&measure)?.interval
    }
}

/// The scalars as they lie in a report's JSON: each value under its key, and the intervals together under `intervals`.
mod flat {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::F64;
    use crate::metrics::{Estimate, Estimates, Interval, Measure};

    /// The key of the AUC's interval up to version 0.1, where its value was under `auc_macro`.
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
        // What else a newer version may have written is passed over.
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
