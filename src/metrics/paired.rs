//! Paired comparison of two networks on the same rows: is the difference statistically significant?

use super::bootstrap::{Outcomes, Tally};
use super::interval::Interval;
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
        let difference = |measure: Measure| {
            let value = measured.value(measure) - self.measured.value(measure);
            let draws = others.iter().zip(&self.drawn);
            let draws: Vec<f64> = draws
                .map(|(b, a)| b.value(measure) - a.value(measure))
                .collect();
            let ci95 = Interval::percentile(&draws)?;
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
