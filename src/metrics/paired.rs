//! Paired comparison of two networks on the same rows: is the difference statistically significant?
//!
//! If at most ten rows are discordant, that is right for one network and wrong for the other, or at most ten are not, the
//! resamples vary too little: without any, all differences of the accuracy are 0. Then the intervals are extended by what they lack to the
//! exact interval of the accuracy's difference; see [`few_discordant`].

use super::bootstrap::{Outcomes, Tally};
use super::boundary::{Outward, matthews_factor};
use super::interval::{EDGE, Interval, exact_lower};
use super::measures::Measure;

/// The difference in a measure between two networks: the second minus the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The measured difference.
    pub value: f64,
    /// Its 95 % interval.
    pub ci95: Interval,
}

impl Difference {
    /// Whether the difference is significant: the interval excludes 0.
    pub fn distinguishable(&self) -> bool {
        // A NaN end excludes nothing.
        self.ci95.low > 0.0 || self.ci95.high < 0.0
    }
}

/// Two networks compared by a paired bootstrap. Both use the same resamples, so the variation caused by rows that are
/// hard for both cancels out.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Number of rows.
    pub n: u64,
    /// Number of bootstrap resamples.
    pub resamples: usize,
    /// Random seed of the resamples.
    pub seed: u64,
    /// Rows that both predict correctly.
    pub both_right: u64,
    /// Rows that only the first predicts correctly.
    pub only_first: u64,
    /// Rows that only the second predicts correctly.
    pub only_second: u64,
    /// Rows that neither predicts correctly.
    pub both_wrong: u64,
    /// The difference in each compared measure, in display order: the second minus the first, each at its own
    /// temperature; `None` if it is undefined. Measures that are meaningless for this number of classes are left out.
    pub differences: Vec<(Measure, Option<Difference>)>,
}

impl Comparison {
    /// The most discordant rows for which the intervals are extended.
    pub const FEW: u64 = EDGE;

    /// The difference in a measure, if the measure is compared and defined.
    pub fn difference(&self, measure: Measure) -> Option<Difference> {
        let found = self
            .differences
            .iter()
            .find(|(known, _)| *known == measure)?;
        found.1
    }
}

/// Compares two networks. `None` if their rows differ.
///
/// The value of a difference is the difference of the measured values; the resamples only give its interval.
pub fn compare(
    first: &Outcomes,
    second: &Outcomes,
    resamples: usize,
    seed: u64,
) -> Option<Comparison> {
    let alike = first.same_rows(second);
    alike.then(|| Reference::new(first, resamples, seed).compare(second))?
}

/// The reference network of several comparisons; its resamples are computed only once.
#[derive(Debug, Clone)]
pub struct Reference<'a> {
    outcomes: &'a Outcomes,
    measured: Tally,
    drawn: Vec<Tally>,
    resamples: usize,
    seed: u64,
}

impl<'a> Reference<'a> {
    /// Computes the resamples of the reference network.
    pub fn new(outcomes: &'a Outcomes, resamples: usize, seed: u64) -> Self {
        Self {
            measured: outcomes.measured(),
            drawn: outcomes.resample(resamples, seed),
            outcomes,
            resamples,
            seed,
        }
    }

    /// Compares `second` with this network on the same resamples; see [`compare`].
    pub fn compare(&self, second: &Outcomes) -> Option<Comparison> {
        if !self.outcomes.same_rows(second) {
            return None;
        }
        let mut table = [[0_u64; 2]; 2];
        for (a, b) in self.outcomes.correct().zip(second.correct()) {
            table[usize::from(a)][usize::from(b)] += 1;
        }
        let [[both_wrong, only_second], [only_first, both_right]] = table;
        let measured = second.measured();
        let others = second.resample(self.resamples, self.seed);
        let drawn = |measure: Measure| {
            let value = measured.value(measure) - self.measured.value(measure);
            let draws = others.iter().zip(&self.drawn);
            let draws: Vec<f64> = draws
                .map(|(b, a)| b.value(measure) - a.value(measure))
                .collect();
            Some((value, Interval::percentile(&draws)?))
        };
        let outer = few_discordant(only_first, only_second, both_right + both_wrong);
        let outward = outer.zip(drawn(Measure::Accuracy));
        let outward = outward.map_or_else(Outward::default, |(outer, (value, inner))| {
            Outward::between(value, inner, outer)
        });
        let difference = |measure: Measure| {
            let (value, drawn) = drawn(measure)?;
            let outward = match measure {
                Measure::NllCalibrated => Outward::default(), // it is not limited and has no boundary
                Measure::EceCalibrated => outward.either_way(),
                Measure::Matthews => outward.times(matthews_factor(&measured)),
                _ => outward,
            };
            let ci95 = outward.apply(value, drawn, f64::NEG_INFINITY);
            value.is_finite().then_some(Difference { value, ci95 })
        };
        let compared =
            Measure::of_classes(measured.classes.len()).filter(|measure| measure.info().compared);
        Some(Comparison {
            n: both_right + only_first + only_second + both_wrong,
            resamples: others.len(),
            seed: self.seed,
            both_right,
            only_first,
            only_second,
            both_wrong,
            differences: compared
                .map(|measure| (measure, difference(measure)))
                .collect(),
        })
    }
}

/// The interval of the difference in accuracy if at most ten rows are discordant, or at most ten are not; otherwise
/// `None`. The share of discordant rows, within its interval, times the exact interval of how much more often the second
/// network is the right one in them; without discordant rows the latter is −1 to 1. With few discordant rows, it excludes
/// 0 exactly if McNemar's exact test rejects equality at 5 %.
fn few_discordant(only_first: u64, only_second: u64, others: u64) -> Option<Interval> {
    let rows = only_first + only_second;
    let share = Interval::proportion(rows, rows + others)?;
    let second = if rows <= EDGE {
        Interval {
            low: exact_lower(only_second, rows, 0.025),
            high: 1.0 - exact_lower(only_first, rows, 0.025),
        }
    } else {
        Interval::proportion(only_second, rows).filter(|_| others <= EDGE)?
    };
    let (low, high) = (2.0 * second.low - 1.0, 2.0 * second.high - 1.0);
    Some(Interval {
        low: low * if low < 0.0 { share.high } else { share.low },
        high: high * if high > 0.0 { share.high } else { share.low },
    })
}
