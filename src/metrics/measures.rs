//! The scalar measures of an evaluation. Each is declared once with its names, its number format, which direction is
//! better, how it is computed and whether it has an interval. Report, `eval.json`, comparison, TensorBoard, headless
//! lines and screens all iterate over [`Measure::ALL`]; to add a measure, add an entry here.

use super::bootstrap::{ClassCount, Tally};
use super::boundary::{Boundary, Outward};
use super::calibration::{Reliability, brier, nll};
use super::confusion::Confusion;
use super::estimate::{Better, Estimate, Format};
use super::interval::Interval;

/// The inputs of a measure that is computed from the full split.
pub(crate) struct FullSplit<'a> {
    pub(crate) logits: &'a [f32],
    pub(crate) labels: &'a [u32],
    pub(crate) classes: usize,
    pub(crate) temperature: f64,
    pub(crate) confusion: &'a Confusion,
    /// At temperature 1.
    pub(crate) before: &'a Reliability,
    /// At the fitted temperature.
    pub(crate) after: &'a Reliability,
}

/// How a measure is computed.
pub(super) enum Compute {
    /// From the counts of a resample; for the measured value, each row is drawn once. Such a measure can be resampled
    /// and compared.
    Draw(fn(&Tally) -> f64),
    /// The mean over the rows of a function of logits and label. Such a measure can also be resampled and compared.
    RowMean(fn(&[f32], usize) -> f64),
    /// Once, from the full split.
    FullSplit(fn(&FullSplit<'_>) -> f64),
}

/// How the 95 % interval is computed.
#[derive(Clone, Copy)]
pub(super) enum Interval95 {
    /// No interval.
    None,
    /// That of a proportion of the rows; see [`Interval::proportion`].
    Proportion,
    /// Percentiles of the resamples (Efron 1979), with this boundary correction. Also the lowest possible value.
    Percentile(fn(&Boundary) -> Outward, f64),
    /// Hansen's grid bootstrap, for a sum of magnitudes; the function returns the terms of the sum. The boundary
    /// correction is that of the accuracy.
    Magnitudes(fn(&Tally) -> &[f64]),
}

/// The declaration of a measure.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent properties, each a column of the table"
)]
pub struct MeasureInfo {
    /// Key in the journal and in TensorBoard.
    pub key: &'static str,
    /// Path in `eval.json`.
    pub path: &'static [&'static str],
    /// Name; measures with the same name differ in the temperature.
    pub name: &'static str,
    /// Short name for narrow columns.
    pub short: &'static str,
    /// Whether it is computed at the fitted temperature while another measure of the same name uses temperature 1.
    pub calibrated: bool,
    /// Number format.
    pub format: Format,
    /// Which direction is better.
    pub better: Better,
    /// Whether run comparisons include it, with a paired interval.
    pub compared: bool,
    /// Whether summaries on the screen show it.
    pub headline: bool,
    /// Whether the stable line of `--headless` contains it.
    pub in_line: bool,
    /// Smallest number of classes for which it is meaningful.
    pub least_classes: usize,
    /// Note after the value in the report.
    pub note: &'static str,
    compute: Compute,
    interval: Interval95,
}

/// Default values of a declaration.
const DEFAULTS: MeasureInfo = MeasureInfo {
    key: "",
    path: &[],
    name: "",
    short: "",
    calibrated: false,
    format: Format::Percent,
    better: Better::Higher,
    compared: false,
    headline: false,
    in_line: false,
    least_classes: 0,
    note: "",
    compute: Compute::Draw(|_| f64::NAN),
    interval: Interval95::None,
};

/// Declares the measures: the enum, in display order, and the [`MeasureInfo`] of each variant.
macro_rules! measures {
    ($($(#[$doc:meta])* $measure:ident { $($field:ident: $value:expr,)* })*) => {
        /// A scalar measure of an evaluation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Measure {
            $($(#[$doc])* $measure,)*
        }

        impl Measure {
            /// All measures, in display order.
            pub const ALL: [Self; [$(stringify!($measure),)*].len()] = [$(Self::$measure,)*];

            /// The declaration of this measure.
            pub fn info(self) -> &'static MeasureInfo {
                match self {
                    $(Self::$measure => {
                        const INFO: MeasureInfo = MeasureInfo { $($field: $value,)* ..DEFAULTS };
                        &INFO
                    })*
                }
            }
        }
    };
}

measures! {
    /// Share of the samples whose prediction equals their label.
    Accuracy {
        key: "accuracy",
        path: &["accuracy"],
        name: "accuracy",
        short: "acc",
        compared: true,
        headline: true,
        in_line: true,
        compute: Compute::Draw(|tally| over(tally.classes.iter().map(|class| class.hits), tally.rows)),
        interval: Interval95::Proportion,
    }
    /// Unweighted mean of the per-class F1; an absent class counts as 0.
    MacroF1 {
        key: "macro_f1",
        path: &["macro_f1"],
        name: "macro-F1",
        short: "F1",
        format: Format::Score,
        compared: true,
        headline: true,
        in_line: true,
        compute: Compute::Draw(|tally| over(tally.classes.iter().map(ClassCount::f1), tally.classes.len() as f64)),
        interval: Interval95::Percentile(|boundary| boundary.macro_f1, 0.0),
    }
    /// Mean of the per-class F1, weighted by support.
    WeightedF1 {
        key: "weighted_f1",
        path: &["weighted_f1"],
        name: "weighted F1",
        short: "wF1",
        format: Format::Score,
        compute: Compute::FullSplit(|split| split.confusion.weighted_f1()),
    }
    /// Mean area under the ROC curve of each class against the rest, over the classes for which it is defined.
    Auc {
        key: "auc_macro",
        path: &["auc_ovr_macro"],
        name: "AUC",
        short: "AUC",
        format: Format::Ratio,
        compared: true,
        headline: true,
        compute: Compute::Draw(|tally| tally.auc),
        interval: Interval95::Percentile(|boundary| boundary.auc, 0.0),
    }
    /// Mean recall of the classes that occur (scikit-learn's `balanced_accuracy_score`).
    BalancedAccuracy {
        key: "balanced_accuracy",
        path: &["balanced_accuracy"],
        name: "balanced accuracy",
        short: "bal",
        compared: true,
        headline: true,
        note: "mean recall of the classes that occur",
        compute: Compute::Draw(balanced_accuracy),
        interval: Interval95::Percentile(|boundary| boundary.balanced_accuracy, 0.0),
    }
    /// Share of the samples whose label is among the five highest logits.
    Top5Accuracy {
        key: "top5_accuracy",
        path: &["top5_accuracy"],
        name: "top-5 accuracy",
        short: "top-5",
        compared: true,
        headline: true,
        // With five classes or fewer it is always 1.
        least_classes: 6,
        compute: Compute::RowMean(|row, label| f64::from(u8::from(rank(row, label) < 5))),
        interval: Interval95::Proportion,
    }
    /// Matthews correlation coefficient of labels and predictions, −1 to 1; 0 if it is undefined.
    Matthews {
        key: "matthews",
        path: &["matthews"],
        name: "Matthews",
        short: "MCC",
        format: Format::Ratio,
        compared: true,
        headline: true,
        note: "correlation of labels and predictions, from -1 to 1",
        compute: Compute::Draw(matthews),
        interval: Interval95::Percentile(|boundary| boundary.matthews, -1.0),
    }
    /// Mean negative log-likelihood at temperature 1, in nats.
    Nll {
        key: "nll",
        path: &["nll", "uncalibrated"],
        name: "NLL",
        short: "NLL",
        format: Format::Ratio,
        better: Better::Lower,
        in_line: true,
        compute: Compute::FullSplit(|split| nll(split.logits, split.labels, split.classes, 1.0)),
    }
    /// Mean negative log-likelihood at the fitted temperature, in nats.
    NllCalibrated {
        key: "nll_calibrated",
        path: &["nll", "calibrated"],
        name: "NLL",
        short: "NLL",
        calibrated: true,
        format: Format::Ratio,
        better: Better::Lower,
        compared: true,
        in_line: true,
        compute: Compute::Draw(|tally| tally.nll_calibrated),
    }
    /// Expected calibration error at temperature 1.
    Ece {
        key: "ece",
        path: &["ece", "uncalibrated"],
        name: "ECE",
        short: "ECE",
        better: Better::Lower,
        in_line: true,
        compute: Compute::Draw(|tally| magnitude(&tally.gaps)),
        interval: Interval95::Magnitudes(|tally| &tally.gaps),
    }
    /// Expected calibration error at the fitted temperature.
    EceCalibrated {
        key: "ece_calibrated",
        path: &["ece", "calibrated"],
        name: "ECE",
        short: "ECE",
        calibrated: true,
        better: Better::Lower,
        compared: true,
        in_line: true,
        compute: Compute::Draw(|tally| magnitude(&tally.gaps_calibrated)),
        interval: Interval95::Magnitudes(|tally| &tally.gaps_calibrated),
    }
    /// Maximum calibration error, the largest gap between confidence and accuracy of a bin, at temperature 1.
    Mce {
        key: "mce",
        path: &["mce", "uncalibrated"],
        name: "MCE",
        short: "MCE",
        better: Better::Lower,
        compute: Compute::FullSplit(|split| split.before.mce),
    }
    /// Maximum calibration error at the fitted temperature.
    MceCalibrated {
        key: "mce_calibrated",
        path: &["mce", "calibrated"],
        name: "MCE",
        short: "MCE",
        calibrated: true,
        better: Better::Lower,
        compute: Compute::FullSplit(|split| split.after.mce),
    }
    /// Brier score at the fitted temperature, summed over the classes, 0 to 2.
    Brier {
        key: "brier",
        path: &["brier"],
        name: "Brier",
        short: "Brier",
        format: Format::Ratio,
        better: Better::Lower,
        note: "calibrated, from 0 to 2",
        compute: Compute::FullSplit(|split| brier(split.logits, split.labels, split.classes, split.temperature)),
    }
}

impl FullSplit<'_> {
    /// The measures that are computed from the full split; they have no interval.
    pub(crate) fn measures(&self) -> impl Iterator<Item = (Measure, Estimate)> {
        Measure::of_classes(self.classes).filter_map(|measure| match measure.compute() {
            Compute::FullSplit(of) => Some((
                measure,
                Estimate {
                    value: of(self),
                    interval: None,
                },
            )),
            Compute::Draw(_) | Compute::RowMean(_) => None,
        })
    }
}

impl Measure {
    /// The measures that are meaningful for this number of classes.
    pub fn of_classes(classes: usize) -> impl Iterator<Item = Self> {
        let all = Self::ALL.into_iter();
        all.filter(move |measure| measure.info().least_classes <= classes)
    }

    /// The measure with this key.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|measure| measure.info().key == key)
    }

    /// Its name, followed by "calibrated" if it is the calibrated one of two measures with that name.
    pub fn title(self) -> String {
        let info = self.info();
        let temperature = if info.calibrated { ", calibrated" } else { "" };
        format!("{}{temperature}", info.name)
    }

    /// For a measure at temperature 1: the measure of the same name at the fitted temperature, if there is one.
    pub fn partner(self) -> Option<Self> {
        let info = self.info();
        let mut all = Self::ALL.into_iter();
        all.find(|other| {
            !info.calibrated && other.info().calibrated && other.info().name == info.name
        })
    }

    /// Whether its interval is that of a proportion of the rows.
    pub fn is_proportion(self) -> bool {
        matches!(self.info().interval, Interval95::Proportion)
    }

    /// Whether it has an interval.
    pub fn has_interval(self) -> bool {
        match self.info().interval {
            Interval95::None => false,
            Interval95::Proportion | Interval95::Percentile(..) | Interval95::Magnitudes(_) => true,
        }
    }

    /// A value in its format, without the unit; `NaN` if it is undefined. For lines that programs read.
    pub fn in_line(self, value: f64) -> String {
        let (scale, decimals) = self.info().format.scale();
        format!("{:.decimals$}", value * scale)
    }

    /// A value in its format, without the unit; "undefined" if it is NaN.
    pub fn number(self, value: f64) -> String {
        if value.is_nan() {
            return "undefined".to_owned();
        }
        self.in_line(value)
    }

    /// A value in its format with its unit.
    pub fn written(self, value: f64) -> String {
        let (unit, _) = self.info().format.units();
        let unit = if value.is_finite() { unit } else { "" };
        format!("{}{unit}", self.number(value))
    }

    /// The ends of an interval in its format, without the unit, such as `[0.91, 0.94]`; empty without an interval.
    pub fn ends(self, interval: Option<Interval>) -> String {
        interval.map_or_else(String::new, |interval| {
            let (scale, decimals) = self.info().format.scale();
            let Interval { low, high } = interval.displayed(scale, decimals);
            format!("[{low:.decimals$}, {high:.decimals$}]")
        })
    }

    pub(super) fn compute(self) -> &'static Compute {
        &self.info().compute
    }

    /// Its interval, from the measured tally, the tallies of the resamples, the values of the measure in them and the
    /// boundary corrections.
    pub(super) fn interval_of(
        self,
        measured: &Tally,
        draws: &[Tally],
        values: &[f64],
        boundary: &Boundary,
    ) -> Option<Interval> {
        let value = measured.value(self);
        match self.info().interval {
            Interval95::None => None,
            Interval95::Proportion => {
                let hits = (value * measured.rows).round();
                Interval::proportion(hits as u64, measured.rows as u64)
            }
            Interval95::Percentile(correction, least) => {
                let ends = Interval::percentile(values)?;
                let found = correction(boundary).apply(value, ends, least);
                // The same value in every resample, for example an undefined Matthews, says nothing.
                (found.low < found.high).then_some(found)
            }
            Interval95::Magnitudes(terms) => {
                let own = Some(terms(measured)).filter(|terms| !terms.is_empty())?;
                // The noise of a resample is its difference from the measured terms.
                let noise = draws.iter().map(|draw| {
                    terms(draw)
                        .iter()
                        .zip(own)
                        .map(|(drawn, own)| drawn - own)
                        .collect()
                });
                let ends = Interval::of_magnitudes(own, &noise.collect::<Vec<Vec<f64>>>())?;
                Some(boundary.accuracy.either_way().apply(value, ends, 0.0))
            }
        }
    }
}

/// The sum of `parts` divided by `whole`; 0 if `whole` is 0.
fn over(parts: impl Iterator<Item = f64>, whole: f64) -> f64 {
    if whole > 0.0 {
        parts.sum::<f64>() / whole
    } else {
        0.0
    }
}

fn balanced_accuracy(tally: &Tally) -> f64 {
    let present = tally.classes.iter().filter(|class| class.support > 0.0);
    let count = present.clone().count();
    over(
        present.map(|class| class.hits / class.support),
        count as f64,
    )
}

/// Number of classes that rank above the label. Of equal logits the later class ranks first, as in scikit-learn's
/// `top_k_accuracy_score`. A label whose logit is NaN ranks last.
fn rank(row: &[f32], label: usize) -> usize {
    let Some(own) = row.get(label).filter(|own| !own.is_nan()) else {
        return row.len();
    };
    let above = |(class, logit): &(usize, &f32)| *logit > own || (*logit == own && *class > label);
    row.iter().enumerate().filter(above).count()
}

/// The Matthews correlation coefficient for K classes (Gorodkin 2004, "Comparing two K-category assignments by a
/// K-category correlation coefficient").
fn matthews(tally: &Tally) -> f64 {
    let sum = |of: fn(&ClassCount) -> f64| tally.classes.iter().map(of).sum::<f64>();
    let rows = tally.rows;
    let both = rows * sum(|class| class.hits) - sum(|class| class.predicted * class.support);
    let predicted = rows * rows - sum(|class| class.predicted * class.predicted);
    let labels = rows * rows - sum(|class| class.support * class.support);
    if predicted > 0.0 && labels > 0.0 {
        both / (predicted * labels).sqrt()
    } else {
        0.0
    }
}

/// The expected calibration error: the sum of the magnitudes of the weighted gaps of the bins; NaN without
/// probabilities.
fn magnitude(gaps: &[f64]) -> f64 {
    if gaps.is_empty() {
        return f64::NAN;
    }
    gaps.iter().map(|gap| gap.abs()).sum()
}

#[cfg(test)]
mod tests;
