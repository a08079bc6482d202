//! Two networks on the same rows: is one better, or was it luck?

use super::bootstrap::{Outcomes, Tally};
use super::interval::Interval;
use super::measures::Measure;

/// How much a number differs between two networks: the second minus the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// As measured.
    pub value: f64,
    /// Its 95 % interval.
    pub ci95: Interval,
}

impl Difference {
    /// Whether the sign can be told: the interval leaves 0 out.
    pub fn distinguishable(&self) -> bool {
        // An end that is no number leaves nothing out.
        self.ci95.low > 0.0 || self.ci95.high < 0.0
    }
}

/// Two networks compared by a paired bootstrap: rows are drawn for both together, so what both find hard cancels out.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Rows.
    pub n: u64,
    /// How often rows were drawn.
    pub resamples: usize,
    /// Where the draws come from.
    pub seed: u64,
    /// Rows that both predict correctly.
    pub both_right: u64,
    /// Rows that only the first predicts correctly.
    pub only_first: u64,
    /// Rows that only the second predicts correctly.
    pub only_second: u64,
    /// Rows that neither predicts correctly.
    pub both_wrong: u64,
    /// By measure, in the order they are shown: the second minus the first, each at its own temperature; none where it is
    /// undefined. A measure that means nothing for so few classes is left out.
    pub differences: Vec<(Measure, Option<Difference>)>,
}

impl Comparison {
    /// The difference in a measure, where it is compared and defined.
    pub fn difference(&self, measure: Measure) -> Option<Difference> {
        let found = self
            .differences
            .iter()
            .find(|(known, _)| *known == measure)?;
        found.1
    }
}

/// Compares two networks. None where their rows differ.
///
/// What was measured is the draw in which each row comes once; so a difference is that of the measured numbers themselves.
pub fn compare(
    first: &Outcomes,
    second: &Outcomes,
    resamples: usize,
    seed: u64,
) -> Option<Comparison> {
    let alike = first.same_rows(second);
    alike.then(|| Reference::new(first, resamples, seed).compare(second))?
}

/// A network that several are compared with: its draws are made once.
#[derive(Debug, Clone)]
pub struct Reference<'a> {
    outcomes: &'a Outcomes,
    measured: Tally,
    drawn: Vec<Tally>,
    resamples: usize,
    seed: u64,
}

impl<'a> Reference<'a> {
    /// Draws rows so many times.
    pub fn new(outcomes: &'a Outcomes, resamples: usize, seed: u64) -> Self {
        Self {
            measured: outcomes.measured(),
            drawn: outcomes.resample(resamples, seed),
            outcomes,
            resamples,
            seed,
        }
    }

    /// The second minus this one, on the same draws; see [`compare`].
    pub fn compare(&self, second: &Outcomes) -> Option<Comparison> {
        if !self.outcomes.same_rows(second) {
            return None;
        }
        let mut table = [[0_u64; 2]; 2];
        for (a, b) in self.outcomes.right().zip(second.right()) {
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
