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
    if !first.same_rows(second) {
        return None;
    }
    let mut table = [[0_u64; 2]; 2];
    for (a, b) in first.right().zip(second.right()) {
        table[usize::from(a)][usize::from(b)] += 1;
    }
    let [[both_wrong, only_second], [only_first, both_right]] = table;
    let (measured_a, measured_b) = (first.measured(), second.measured());
    let (drawn_a, drawn_b) = (
        first.resample(resamples, seed),
        second.resample(resamples, seed),
    );
    let difference = |pick: fn(&Replicates) -> Vec<f64>| {
        let value = pick(&measured_b).first()? - pick(&measured_a).first()?;
        let draws = pick(&drawn_b).into_iter().zip(pick(&drawn_a));
        let draws: Vec<f64> = draws.map(|(b, a)| b - a).collect();
        let ci95 = Interval::percentile(&draws)?;
        value.is_finite().then_some(Difference { value, ci95 })
    };
    Some(Comparison {
        n: both_right + only_first + only_second + both_wrong,
        resamples: drawn_a.accuracy.len(),
        seed,
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
