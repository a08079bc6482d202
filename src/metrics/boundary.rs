//! The boundary correction of bootstrap intervals.
//!
//! A score of 0 or 1 is the same in every resample, and one close to them varies too little, so percentiles alone would
//! claim a certainty that the rows do not support. The correction moves the ends out:
//!
//! - **F1 and recall of a class** with at most ten hits or ten errors: to the ends of [`Interval::proportion`], if they
//!   are farther out. F1 is 2J / (1 + J), where J = tp / (tp + fp + fn) is a proportion.
//! - **Means over classes**: by what the classes were moved, added in squares (Zou & Donner 2008). A class whose AUC is 0
//!   or 1 counts as a proportion of as many rows as it has, or as the other classes have if these are fewer.
//! - **Matthews and ECE**: by what the accuracy would be moved, the ECE in both directions; Matthews times K / (K − 1) for K classes, because that is
//!   how fast it falls with the accuracy.

use super::bootstrap::{ClassCount, Tally};
use super::interval::{EDGE, Interval};

/// How far the ends of a bootstrap interval are moved out. The distance of an end from the value grows to the root of
/// the sum of its square and this one, so independent corrections can be added.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Outward {
    low: f64,
    high: f64,
}

impl Outward {
    /// The correction that moves the ends of `inner` out to those of `outer`, where they are farther from the value.
    pub(super) fn between(value: f64, inner: Interval, outer: Interval) -> Self {
        let squares = |outer: f64, inner: f64| {
            let (outer, inner) = (outer.max(0.0), inner.max(0.0));
            (outer * outer - inner * inner).max(0.0)
        };
        Self {
            low: squares(value - outer.low, value - inner.low),
            high: squares(outer.high - value, inner.high - value),
        }
    }

    /// The correction of a value that is this one times `factor`.
    pub(super) fn times(self, factor: f64) -> Self {
        Self {
            low: self.low * factor * factor,
            high: self.high * factor * factor,
        }
    }

    /// The correction of the mean of independent values.
    fn mean(all: impl Iterator<Item = Self>) -> Self {
        let (mut sum, mut count) = (Self::default(), 0.0_f64);
        for one in all {
            (sum.low, sum.high) = (sum.low + one.low, sum.high + one.high);
            count += 1.0;
        }
        sum.times(1.0 / count.max(1.0))
    }

    /// The corrected interval of a value between `least` and 1.
    pub(super) fn apply(self, value: f64, interval: Interval, least: f64) -> Interval {
        let Interval { mut low, mut high } = interval;
        let moved = |distance: f64, square: f64| distance.max(0.0).hypot(square.sqrt());
        // Without a correction, an end keeps its exact value.
        if self.low > 0.0 {
            low = low.min((value - moved(value - low, self.low)).max(least));
        }
        if self.high > 0.0 {
            high = high.max((value + moved(high - value, self.high)).min(1.0));
        }
        Interval { low, high }
    }

    /// The larger correction for both ends, for an error measure: a lower accuracy can raise or lower it.
    pub(super) fn either_way(self) -> Self {
        let larger = self.low.max(self.high);
        Self {
            low: larger,
            high: larger,
        }
    }
}

/// The corrections of the measures of a split.
#[derive(Debug, Clone, Default)]
pub(super) struct Boundary {
    pub(super) accuracy: Outward,
    pub(super) matthews: Outward,
    pub(super) macro_f1: Outward,
    pub(super) balanced_accuracy: Outward,
    pub(super) auc: Outward,
    /// Interval of the F1 of each class.
    pub(super) f1: Vec<Option<Interval>>,
}

impl Boundary {
    /// The corrections for measured counts, the resamples and the AUC of each class.
    pub(super) fn of(measured: &Tally, drawn: &[Tally], auc: &[Option<f64>]) -> Self {
        let hits = measured.classes.iter().map(|class| class.hits).sum();
        let right =
            |tally: &Tally| tally.classes.iter().map(|class| class.hits).sum::<f64>() / tally.rows;
        let (_, accuracy) = corrected(hits, measured.rows, |j| j, drawn.iter().map(right));
        let classes = || measured.classes.iter().enumerate();
        let of_class = move |at: usize, of: fn(&ClassCount) -> f64| {
            drawn
                .iter()
                .filter_map(move |draw| draw.classes.get(at))
                .map(of)
        };
        let f1 = |(at, class): (usize, &ClassCount)| {
            let sum = class.support + class.predicted - class.hits;
            corrected(class.hits, sum, f1_of_overlap, of_class(at, ClassCount::f1))
        };
        let recall = |(at, class): (usize, &ClassCount)| {
            let recall = |class: &ClassCount| class.hits / class.support;
            corrected(class.hits, class.support, |j| j, of_class(at, recall)).1
        };
        let (f1, of_f1): (Vec<_>, Vec<_>) = classes().map(f1).unzip();
        let occurring = || classes().filter(|(_, class)| class.support > 0.0);
        let aucs = classes().filter_map(|(at, class)| {
            let others = measured.rows - class.support;
            Some(of_auc(
                auc.get(at).copied().flatten()?,
                class.support.min(others),
            ))
        });
        Self {
            accuracy,
            matthews: accuracy.times(matthews_factor(measured)),
            macro_f1: Outward::mean(of_f1.into_iter()),
            balanced_accuracy: Outward::mean(occurring().map(recall)),
            auc: Outward::mean(aucs),
            f1,
        }
    }
}

/// How fast Matthews falls with the accuracy: K / (K − 1) for the K classes that occur.
pub(super) fn matthews_factor(measured: &Tally) -> f64 {
    let occurring = measured.classes.iter().filter(|class| class.support > 0.0);
    let classes = occurring.count().max(2) as f64;
    classes / (classes - 1.0)
}

/// The F1 of a class whose share of hits among tp + fp + fn is `overlap`.
fn f1_of_overlap(overlap: f64) -> f64 {
    2.0 * overlap / (1.0 + overlap)
}

/// The corrected interval of `score`, an increasing function of the share of hits, and its correction.
pub(super) fn corrected(
    hits: f64,
    n: f64,
    score: fn(f64) -> f64,
    drawn: impl Iterator<Item = f64>,
) -> (Option<Interval>, Outward) {
    let drawn: Vec<f64> = drawn.collect();
    let ends = Interval::percentile(&drawn).zip(Interval::proportion(hits as u64, n as u64));
    let Some((inner, outer)) = ends else {
        return (None, Outward::default());
    };
    if hits.min(n - hits) > EDGE as f64 {
        return (Some(inner), Outward::default());
    }
    let outer = Interval {
        low: score(outer.low),
        high: score(outer.high),
    };
    let value = score(hits / n);
    let outward = Outward::between(value, inner, outer);
    (Some(outward.apply(value, inner, 0.0)), outward)
}

/// The correction of the AUC of a class, which has `fewer` rows or leaves that many to the other classes.
fn of_auc(auc: f64, fewer: f64) -> Outward {
    let right = if auc >= 1.0 {
        fewer
    } else if auc <= 0.0 {
        0.0
    } else {
        return Outward::default();
    };
    let inner = Interval {
        low: auc,
        high: auc,
    };
    let outer = Interval::proportion(right as u64, fewer as u64);
    outer.map_or_else(Outward::default, |outer| {
        Outward::between(auc, inner, outer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn independent_corrections_add_in_squares_and_none_changes_nothing() {
        let interval = Interval {
            low: 0.1,
            high: 0.7,
        };
        assert_eq!(Outward::default().apply(0.3, interval, 0.0), interval);
        let three = Outward::between(
            0.5,
            Interval {
                low: 0.5,
                high: 0.5,
            },
            Interval {
                low: 0.2,
                high: 0.5,
            },
        );
        let found = three.apply(
            0.5,
            Interval {
                low: 0.1,
                high: 0.6,
            },
            0.0,
        );
        assert!(
            found.low.abs() < 1e-12 && found.high == 0.6,
            "0.3² + 0.4² = 0.5²: {found:?}"
        );
        let half = Outward::mean([three, Outward::default()].into_iter());
        let found = half.apply(
            0.5,
            Interval {
                low: 0.5,
                high: 0.5,
            },
            0.0,
        );
        assert!((found.low - 0.35).abs() < 1e-12, "half of 0.3: {found:?}");
        let limited = three.apply(
            0.1,
            Interval {
                low: 0.1,
                high: 0.1,
            },
            0.0,
        );
        assert_eq!(limited.low, 0.0);
    }

    #[test]
    fn the_f1_of_a_class_is_a_function_of_one_proportion() {
        let class = ClassCount {
            hits: 6.0,
            support: 9.0,
            predicted: 8.0,
        };
        assert!((f1_of_overlap(6.0 / 11.0) - class.f1()).abs() < 1e-15);
    }
}
