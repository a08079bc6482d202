//! The curves of a run: a table of the known ones, and named ones that are defined by events.
//!
//! A curve is a value over steps. [`CURVES`] declares the properties of each known curve; fold, journal queries,
//! TensorBoard, export, cursor and charts iterate over it. A trainer can log any other curve under a name
//! ([`Event::Scalars`](crate::event::Event::Scalars)); the number of named curves and the length of their names are
//! bounded.

use std::collections::BTreeMap;
use std::ops::Index;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use super::series::Series;
use super::steps::Steps;
use crate::event::{EpochSummary, EvalReport, F32, F64, Split, StepWindow, WeightsKind};
use crate::metrics::{Better, Measure};

/// Greatest number of named curves of a run.
pub const MAX_NAMED: usize = 256;
/// Greatest length of a curve name in bytes.
pub(super) const MAX_NAME_BYTES: usize = 128;
/// Greatest number of buckets of a named curve. There can be many named curves, and their charts are small.
const NAMED_BUCKETS: usize = 512;

/// Default scale of the y-axis for a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scaling {
    /// Linear.
    Linear,
    /// Logarithmic.
    Log,
    /// Linear, for shares from 0 to 1 that are shown in percent; the user cannot switch it to logarithmic.
    Percent,
}

/// Source of the values of a curve.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// One value for each step of a window; empty if the trainer does not report them.
    Steps(fn(&StepWindow) -> &[F32]),
    /// One value for each step of a window that changes rarely: the values, or only one if all are equal, and that of the
    /// last step, which is the only one in records of older versions.
    Shared(fn(&StepWindow) -> (&[F64], F64)),
    /// Values at some steps of a window, with their steps.
    Sampled(fn(&StepWindow) -> &[(u64, F32)]),
    /// One value for an epoch, at its last step.
    Epoch(fn(&EpochSummary) -> F64),
    /// One value for an evaluation of the current weights on the validation split, at their step. Evaluations on the
    /// test split are on no curve, as nothing may be chosen by them.
    Evaluation(fn(&EvalReport) -> f64),
}

impl Source {
    /// The step and the value of an evaluation; `None` if it is not on this curve.
    pub fn evaluation(self, report: &EvalReport) -> Option<(u64, f64)> {
        let current = report.split == Split::Valid && report.weights == WeightsKind::Current;
        match self {
            Self::Evaluation(value) if current => Some((report.global_step, value(report))),
            Self::Evaluation(_)
            | Self::Steps(_)
            | Self::Shared(_)
            | Self::Sampled(_)
            | Self::Epoch(_) => None,
        }
    }
}

/// Properties of a known curve.
#[derive(Debug)]
pub struct CurveInfo {
    /// Name in files and in the protocol.
    pub key: &'static str,
    /// Name on screens.
    pub title: &'static str,
    /// Default scale of the y-axis.
    pub scaling: Scaling,
    /// Which direction is better; `None` if neither is.
    pub better: Option<Better>,
    /// Source of its values.
    pub source: Source,
    /// Tag in TensorBoard.
    pub tag: &'static str,
    /// Column in the CSV export of steps.
    pub column: Option<&'static str>,
}

/// Declares the known curves: the enum, its names and the table.
macro_rules! curves {
    ($($(#[$doc:meta])* $curve:ident = $key:literal { $($field:ident: $value:expr),* $(,)? })*) => {
        /// A known curve. Those with a value for each step come first.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Curve {
            $($(#[$doc])* #[serde(rename = $key)] $curve,)*
        }

        impl Curve {
            /// All known curves, in the order of the table.
            pub const ALL: [Self; CURVES.len()] = [$(Self::$curve),*];
        }

        /// The known curves, in the order of [`Curve`].
        pub const CURVES: &[CurveInfo] = &[$(CurveInfo { key: $key, $($field: $value),* }),*];
    };
}

curves! {
    /// Training loss, with label smoothing.
    TrainLoss = "train_loss" {
        title: "training loss",
        scaling: Scaling::Linear,
        better: Some(Better::Lower),
        source: Source::Steps(|window| &window.loss),
        tag: "train/loss",
        column: Some("loss"),
    }
    /// Accuracy on the batch, with the weights before the step.
    TrainAccuracy = "train_accuracy" {
        title: "training accuracy",
        scaling: Scaling::Percent,
        better: Some(Better::Higher),
        source: Source::Steps(|window| &window.accuracy),
        tag: "train/accuracy",
        column: Some("accuracy"),
    }
    /// Global L2 norm of the gradient before clipping.
    GradNorm = "grad_norm" {
        title: "gradient norm",
        scaling: Scaling::Log,
        better: None,
        source: Source::Steps(|window| &window.grad_norm),
        tag: "train/grad_norm",
        column: Some("grad_norm"),
    }
    /// Learning rate.
    LearningRate = "lr" {
        title: "learning rate",
        scaling: Scaling::Linear,
        better: None,
        source: Source::Shared(|window| (&window.rates, window.lr)),
        tag: "train/lr",
        column: Some("lr"),
    }
    /// L2 norm of the update of all weights divided by that of the weights, at some steps; around 1e-3 is usual.
    UpdateRatio = "update_ratio" {
        title: "update-to-weight ratio",
        scaling: Scaling::Log,
        better: None,
        source: Source::Sampled(|window| &window.update_ratio),
        tag: "train/update_ratio",
        column: Some("update_ratio"),
    }
    /// Mean negative log-likelihood on validation.
    ValidNll = "valid_nll" {
        title: "validation NLL",
        scaling: Scaling::Linear,
        better: Some(Better::Lower),
        source: Source::Epoch(|row| row.valid_nll),
        tag: "valid/nll",
        column: None,
    }
    /// Accuracy on validation.
    ValidAccuracy = "valid_accuracy" {
        title: "validation accuracy",
        scaling: Scaling::Percent,
        better: Some(Better::Higher),
        source: Source::Epoch(|row| row.valid_accuracy),
        tag: "valid/accuracy",
        column: None,
    }
    /// Calibration error on validation at temperature 1.
    ValidEce = "valid_ece" {
        title: "validation ECE",
        scaling: Scaling::Percent,
        better: Some(Better::Lower),
        source: Source::Evaluation(|report| report.value(Measure::Ece)),
        tag: "valid/ece",
        column: None,
    }
}

/// Curves with a value for each step: the first ones of the table.
pub(super) const STEP_CURVES: usize = {
    let mut count = 0;
    while count < CURVES.len() && matches!(CURVES[count].source, Source::Steps(_)) {
        count += 1;
    }
    count
};

impl Curve {
    /// Its entry in the table.
    pub fn info(self) -> &'static CurveInfo {
        &CURVES[self as usize]
    }
}

/// Identifier of a curve: a known one, or one named by the trainer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurveId {
    /// A curve from [`Event::Scalars`](crate::event::Event::Scalars).
    Named(String),
    /// A curve of the table.
    #[serde(untagged)]
    Known(Curve),
}

impl From<Curve> for CurveId {
    fn from(curve: Curve) -> Self {
        Self::Known(curve)
    }
}

impl CurveId {
    /// Name on screens. That of a named curve is untrusted text.
    pub fn title(&self) -> &str {
        match self {
            Self::Known(curve) => curve.info().title,
            Self::Named(name) => name,
        }
    }

    /// Default scale of the y-axis.
    pub fn scaling(&self) -> Scaling {
        match self {
            Self::Known(curve) => curve.info().scaling,
            Self::Named(_) => Scaling::Linear,
        }
    }
}

/// Whether a name is valid for a named curve.
pub fn is_curve_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control)
}

/// The group of a named curve, which is the last part of its name: `train/loss` and `val/loss` are shown in one chart.
pub fn group_of(name: &str) -> &str {
    name.rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or(name)
}

/// The curves of a run.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(from = "Stored")]
pub struct Curves {
    known: [Series; CURVES.len()],
    named: BTreeMap<String, Series>,
    ignored: u64,
}

/// Serialized form of [`Curves`]: known curves are stored by key, so that versions with other curves can read them.
#[derive(Deserialize)]
struct Stored {
    known: BTreeMap<String, Series>,
    named: BTreeMap<String, Series>,
    ignored: u64,
}

impl Serialize for Curves {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let known = Curve::ALL
            .iter()
            .map(|curve| (curve.info().key, &self[*curve]));
        let known: BTreeMap<_, _> = known.filter(|(_, series)| !series.is_empty()).collect();
        let mut stored = serializer.serialize_struct("Curves", 3)?;
        stored.serialize_field("known", &known)?;
        stored.serialize_field("named", &self.named)?;
        stored.serialize_field("ignored", &self.ignored)?;
        stored.end()
    }
}

impl From<Stored> for Curves {
    fn from(mut stored: Stored) -> Self {
        let known = Curve::ALL.map(|curve| stored.known.remove(curve.info().key));
        Self {
            known: known.map(Option::unwrap_or_default),
            named: stored.named,
            ignored: stored.ignored,
        }
    }
}

impl Index<Curve> for Curves {
    type Output = Series;

    fn index(&self, curve: Curve) -> &Series {
        &self.known[curve as usize]
    }
}

impl Curves {
    /// A curve; empty if the run has no such curve.
    pub fn of(&self, id: &CurveId) -> &Series {
        static NONE: Series = Series::new();
        match id {
            CurveId::Known(curve) => &self[*curve],
            CurveId::Named(name) => self.named.get(name).unwrap_or(&NONE),
        }
    }

    /// The named curves, ordered by name.
    pub fn named(&self) -> impl Iterator<Item = (&str, &Series)> {
        self.named
            .iter()
            .map(|(name, series)| (name.as_str(), series))
    }

    /// All curves, including empty ones.
    pub fn all(&self) -> impl Iterator<Item = &Series> {
        self.known.iter().chain(self.named.values())
    }

    /// Adds the points of a window.
    pub(super) fn window(&mut self, window: &StepWindow) {
        let steps = Steps::of(window);
        let first = steps.first();
        for (info, series) in CURVES.iter().zip(&mut self.known) {
            match info.source {
                Source::Steps(values) => series.extend(first, values(window)),
                Source::Shared(values) => {
                    for (step, value) in steps.numbered(steps.shared(values)) {
                        if let Some(value) = value {
                            series.push(step, value.0 as f32);
                        }
                    }
                }
                Source::Sampled(values) => {
                    let values = values(window).iter();
                    values.for_each(|(step, value)| series.push(*step, value.0));
                }
                Source::Epoch(_) | Source::Evaluation(_) => {}
            }
        }
    }

    /// Adds the points of an epoch.
    pub(super) fn epoch(&mut self, row: &EpochSummary) {
        for (info, series) in CURVES.iter().zip(&mut self.known) {
            match info.source {
                Source::Epoch(value) => series.push(row.global_step, value(row).0 as f32),
                Source::Steps(_)
                | Source::Shared(_)
                | Source::Sampled(_)
                | Source::Evaluation(_) => {}
            }
        }
    }

    /// Adds the points of an evaluation.
    pub(super) fn evaluation(&mut self, report: &EvalReport) {
        for (info, series) in CURVES.iter().zip(&mut self.known) {
            if let Some((step, value)) = info.source.evaluation(report) {
                series.push(step, value as f32);
            }
        }
    }

    /// Adds a point to a named curve. A point is ignored if the name is invalid or there are too many curves; returns
    /// false for the first ignored point only.
    pub(super) fn push_named(&mut self, name: &str, step: u64, value: f32) -> bool {
        if let Some(series) = self.named.get_mut(name) {
            series.push_within(NAMED_BUCKETS, step, value);
        } else if is_curve_name(name) && self.named.len() < MAX_NAMED {
            let series = self.named.entry(name.to_owned()).or_default();
            series.push_within(NAMED_BUCKETS, step, value);
        } else {
            self.ignored = self.ignored.saturating_add(1);
            return self.ignored > 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn the_table_is_consistent() {
        for (curve, info) in Curve::ALL.into_iter().zip(CURVES) {
            assert_eq!(curve.info().key, info.key);
            let by_step = matches!(info.source, Source::Steps(_));
            assert_eq!(
                by_step,
                (curve as usize) < STEP_CURVES,
                "{curve:?}: curves by step must come first"
            );
            assert_eq!(serde_json::to_value(curve).unwrap(), info.key);
        }
        let distinct = |pick: fn(&CurveInfo) -> &str| {
            let names: std::collections::BTreeSet<_> = CURVES.iter().map(pick).collect();
            names.len() == CURVES.len()
        };
        assert!(
            distinct(|info| info.key) && distinct(|info| info.tag) && distinct(|info| info.title)
        );
    }

    #[test]
    fn known_and_named_ids_are_distinct_in_json() {
        let known = CurveId::from(Curve::TrainLoss);
        let named = CurveId::Named("train_loss".to_owned());
        let text = |id: &CurveId| serde_json::to_string(id).unwrap();
        assert_eq!(
            (text(&known), text(&named)),
            (
                "\"train_loss\"".to_owned(),
                "{\"named\":\"train_loss\"}".to_owned()
            )
        );
        for id in [known, named] {
            assert_eq!(serde_json::from_str::<CurveId>(&text(&id)).unwrap(), id);
        }
        assert!(serde_json::from_str::<CurveId>("\"a_newer_one\"").is_err());
    }

    #[test]
    fn named_curves_are_bounded_and_the_first_ignored_one_is_reported() {
        let mut curves = Curves::default();
        assert!(curves.push_named("val/loss", 3, 0.5));
        assert!(!curves.push_named("bad\u{1b}[2J", 3, 0.5));
        assert!(
            curves.push_named(&"x".repeat(MAX_NAME_BYTES + 1), 3, 0.5),
            "one warning is enough"
        );
        for i in 0..2 * MAX_NAMED {
            curves.push_named(&format!("m/{i}"), u64::MAX, 1.0);
        }
        assert_eq!(curves.named().count(), MAX_NAMED);
        assert!(
            curves.push_named("val/loss", 9, 0.25),
            "existing curves still accept points"
        );
        assert_eq!(
            curves.of(&CurveId::Named("val/loss".to_owned())).last(),
            Some(0.25)
        );
        let text = serde_json::to_string(&curves).unwrap();
        assert_eq!(serde_json::from_str::<Curves>(&text).unwrap(), curves);
    }

    #[test]
    fn names_are_grouped_by_their_last_part() {
        for (name, group) in [
            ("val/loss", "loss"),
            ("loss", "loss"),
            ("a/b/", "b"),
            ("//", "//"),
        ] {
            assert_eq!(group_of(name), group);
        }
    }
}
