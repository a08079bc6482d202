//! Two networks on the same rows: is one better, or was it luck?

use serde::{Deserialize, Serialize};

use super::bootstrap::{Outcomes, Replicates, ece};
use super::interval::Interval;

/// How much a number differs between two networks: the second minus the first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// As measured.
    pub value: f64,
    /// Its 95 % interval.
    pub ci95: Interval,
}

impl Difference {
    /// Whether the sign can be told: the interval leaves 0 out.
    pub fn distinguishable(&self) -> bool {
        !self.ci95.contains(0.0)
    }
}

/// Two networks compared by a paired bootstrap: rows are drawn for both together, so what both find hard cancels out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Rows.
    pub n: u64,
    /// How often rows were drawn.
    pub resamples: usize,
    /// Where the draws come from.
    pub seed: u64,
    /// Rows both tell rightly.
    pub both_right: u64,
    /// Rows the first alone tells rightly.
    pub only_first: u64,
    /// Rows the second alone tells rightly.
    pub only_second: u64,
    /// Rows neither tells rightly.
    pub both_wrong: u64,
    /// Share classified rightly.
    pub accuracy: Option<Difference>,
    /// Unweighted mean of F1.
    pub macro_f1: Option<Difference>,
    /// Mean AUC.
    pub auc: Option<Difference>,
    /// At each network's own temperature.
    pub nll_calibrated: Option<Difference>,
    /// At each network's own temperature. Noise raises both, so most of it cancels out.
    pub ece_calibrated: Option<Difference>,
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
    measured: Replicates,
    drawn: Replicates,
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
        let difference = |pick: fn(&Replicates) -> Vec<f64>| {
            let value = pick(&measured).first()? - pick(&self.measured).first()?;
            let draws = pick(&others).into_iter().zip(pick(&self.drawn));
            let draws: Vec<f64> = draws.map(|(b, a)| b - a).collect();
            let ci95 = Interval::percentile(&draws)?;
            value.is_finite().then_some(Difference { value, ci95 })
        };
        Some(Comparison {
            n: both_right + only_first + only_second + both_wrong,
            resamples: others.accuracy.len(),
            seed: self.seed,
            both_right,
            only_first,
            only_second,
            both_wrong,
            accuracy: difference(|all| all.accuracy.clone()),
            macro_f1: difference(|all| all.macro_f1.clone()),
            auc: difference(|all| all.auc.clone()),
            nll_calibrated: difference(|all| all.nll_calibrated.clone()),
            ece_calibrated: difference(|all| {
                all.gaps_calibrated.iter().map(|gaps| ece(gaps)).collect()
            }),
        })
    }
}
