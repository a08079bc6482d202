//! The curves of a run: one table of those that epochtop knows, and the named ones that events bring.
//!
//! A curve is a number over steps. [`CURVES`] declares everything about a known one; fold, journal queries, TensorBoard,
//! export, cursor and charts iterate over it. A trainer may log any other under a name ([`Event::Scalars`](
//! crate::event::Event::Scalars)); those are bounded in number and length of their names.

use std::collections::BTreeMap;
use std::ops::Index;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use super::series::Series;
use super::steps::Steps;
use crate::event::{EpochSummary, F32, F64, StepWindow};
use crate::metrics::Better;

/// Named curves of a run at most.
pub const MOST_NAMED: usize = 256;
/// Bytes of a name at most.
pub(super) const MOST_NAME_BYTES: usize = 128;
/// Buckets of a named curve at most. There may be many of them, and their charts are small.
const NAMED_BUCKETS: usize = 512;

/// How the values of a curve are laid along a vertical axis, unless the user switches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scaling {
    /// Equal differences.
    Linear,
    /// Equal ratios.
    Log,
    /// Shares from 0 to 1, written in percent; always of equal differences.
    Percent,
}

/// Where the values of a curve come from.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// One value for each step of a window; no values where the trainer does not report them.
    Steps(fn(&StepWindow) -> &[F32]),
    /// One value for a window, at its last step.
    Window(fn(&StepWindow) -> F64),
    /// Values of some steps of a window.
    Sampled(fn(&StepWindow) -> &[(u64, F32)]),
    /// One value for an epoch, at its last step.
    Epoch(fn(&EpochSummary) -> F64),
}

/// Everything about a known curve.
#[derive(Debug)]
pub struct CurveInfo {
    /// The name in files and on the wire.
    pub key: &'static str,
    /// The name on screens.
    pub title: &'static str,
    /// How its values are laid along an axis.
    pub scaling: Scaling,
    /// Which direction is better; none where neither is.
    pub better: Option<Better>,
    /// Where its values come from.
    pub source: Source,
    /// The tag in TensorBoard.
    pub tag: &'static str,
    /// The column in the CSV export of steps.
    pub column: Option<&'static str>,
}

/// Declares the known curves: the enum, its names and the table.
macro_rules! curves {
    ($($(#[$doc:meta])* $curve:ident = $key:literal { $($field:ident: $value:expr),* $(,)? })*) => {
        /// A curve that epochtop knows. Those with a value for each step come first.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Curve {
            $($(#[$doc])* #[serde(rename = $key)] $curve,)*
        }

        impl Curve {
            /// All of them, in the order of the table.
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
    /// Share of the batch classified correctly, with the weights before the step.
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
        source: Source::Window(|window| window.lr),
        tag: "train/lr",
        column: Some("lr"),
    }
    /// L2 norm of the update of all weights over that of the weights, at some steps: around 1e-3 is usual.
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
    /// Share of validation images classified correctly.
    ValidAccuracy = "valid_accuracy" {
        title: "validation accuracy",
        scaling: Scaling::Percent,
        better: Some(Better::Higher),
        source: Source::Epoch(|row| row.valid_accuracy),
        tag: "valid/accuracy",
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
    /// Its entry of the table.
    pub fn info(self) -> &'static CurveInfo {
        &CURVES[self as usize]
    }
}

/// A curve of a run: a known one, or one that its trainer named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurveId {
    /// One that [`Event::Scalars`](crate::event::Event::Scalars) named.
    Named(String),
    /// One of the table.
    #[serde(untagged)]
    Known(Curve),
}

impl From<Curve> for CurveId {
    fn from(curve: Curve) -> Self {
        Self::Known(curve)
    }
}

impl CurveId {
    /// The name on screens; a named curve's is foreign text.
    pub fn title(&self) -> &str {
        match self {
            Self::Known(curve) => curve.info().title,
            Self::Named(name) => name,
        }
    }

    /// How its values are laid along an axis.
    pub fn scaling(&self) -> Scaling {
        match self {
            Self::Known(curve) => curve.info().scaling,
            Self::Named(_) => Scaling::Linear,
        }
    }
}

/// Whether a trainer may give a curve this name.
pub fn is_curve_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MOST_NAME_BYTES && !name.chars().any(char::is_control)
}

/// What a named curve is shown with: those with the same last part of the name, as `train/loss` and `val/loss`.
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

/// [`Curves`] as they are written: the known ones by their keys, so that a version with others reads them too.
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
    /// A curve; without points where the run has no such curve.
    pub fn of(&self, id: &CurveId) -> &Series {
        static NONE: Series = Series::new();
        match id {
            CurveId::Known(curve) => &self[*curve],
            CurveId::Named(name) => self.named.get(name).unwrap_or(&NONE),
        }
    }

    /// The named curves in the order of their names.
    pub fn named(&self) -> impl Iterator<Item = (&str, &Series)> {
        self.named
            .iter()
            .map(|(name, series)| (name.as_str(), series))
    }

    /// All curves, those without points too.
    pub fn all(&self) -> impl Iterator<Item = &Series> {
        self.known.iter().chain(self.named.values())
    }

    /// Removes the points of a known curve.
    pub fn clear(&mut self, curve: Curve) {
        self.known[curve as usize] = Series::default();
    }

    /// Adds the points of a window.
    pub(super) fn window(&mut self, window: &StepWindow) {
        let first = Steps::of(window).first();
        for (info, series) in CURVES.iter().zip(&mut self.known) {
            match info.source {
                Source::Steps(values) => series.extend(first, values(window)),
                Source::Window(value) => series.push(window.global_step, value(window).0 as f32),
                Source::Sampled(values) => {
                    let values = values(window).iter();
                    values.for_each(|(step, value)| series.push(*step, value.0));
                }
                Source::Epoch(_) => {}
            }
        }
    }

    /// Adds the points of an epoch.
    pub(super) fn epoch(&mut self, row: &EpochSummary) {
        for (info, series) in CURVES.iter().zip(&mut self.known) {
            match info.source {
                Source::Epoch(value) => series.push(row.global_step, value(row).0 as f32),
                Source::Steps(_) | Source::Window(_) | Source::Sampled(_) => {}
            }
        }
    }

    /// Adds a point to a named curve. False where that is the first one that is left out, because the name cannot be used or
    /// there are too many.
    pub(super) fn push_named(&mut self, name: &str, step: u64, value: f32) -> bool {
        if let Some(series) = self.named.get_mut(name) {
            series.push_within(NAMED_BUCKETS, step, value);
        } else if is_curve_name(name) && self.named.len() < MOST_NAMED {
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
                "{curve:?}: first those by step"
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
    fn an_id_is_a_key_or_a_name_and_neither_is_taken_for_the_other() {
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
    fn named_curves_are_bounded_and_the_first_that_is_left_out_is_reported() {
        let mut curves = Curves::default();
        assert!(curves.push_named("val/loss", 3, 0.5));
        assert!(!curves.push_named("bad\u{1b}[2J", 3, 0.5));
        assert!(
            curves.push_named(&"x".repeat(MOST_NAME_BYTES + 1), 3, 0.5),
            "one warning is enough"
        );
        for i in 0..2 * MOST_NAMED {
            curves.push_named(&format!("m/{i}"), u64::MAX, 1.0);
        }
        assert_eq!(curves.named().count(), MOST_NAMED);
        assert!(
            curves.push_named("val/loss", 9, 0.25),
            "those that are there go on"
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
