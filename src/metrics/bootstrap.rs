//! How far the numbers of a split could have come out otherwise: the bootstrap (Efron 1979).
//!
//! Rows are drawn with replacement, as many as there are, and each number is computed anew; all numbers of a row together,
//! so that what hangs together moves together. [`Outcomes`] is what a row tells once its logits are read;
//! [`Outcomes::resample`] draws; [`Replicates`] holds what came out. The same seed and the same number of rows give the
//! same draws, which is what makes a comparison of two networks a paired one.
//!
//! A draw is a weight for each row; how many of them are computed together is told in `lanes`.

mod lanes;

use serde::{Deserialize, Serialize};

use super::calibration::argmax;
use super::interval::Interval;
use super::parallel;
use super::roc::{Auc, Rankings, has_probabilities, usable};
use lanes::{Certainty, Counts, LANES, Lanes, add, at, certainty, pairs_won, sum, to_f64, weights};

/// What each row of a measured split says, as far as resampled numbers depend on it.
#[derive(Debug, Clone)]
pub struct Outcomes {
    classes: usize,
    labels: Vec<u32>,
    predicted: Vec<u32>,
    /// At temperature 1, and at the fitted one; none where a row has no probabilities.
    before: Option<Certainty>,
    after: Option<Certainty>,
    rankings: Option<Rankings>,
}

/// A number as it comes out of each draw; NaN where it is undefined there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Replicates {
    /// Share classified rightly.
    pub accuracy: Vec<f64>,
    /// Unweighted mean of F1; a class that was not drawn counts 0, as an absent class does.
    pub macro_f1: Vec<f64>,
    /// Mean AUC of the classes that were drawn.
    pub auc: Vec<f64>,
    /// At temperature 1; for each draw the gap between accuracy and confidence of each bin, with the bin's weight.
    pub gaps: Vec<Vec<f64>>,
    /// The same at the fitted temperature.
    pub gaps_calibrated: Vec<Vec<f64>>,
    /// At the fitted temperature.
    pub nll_calibrated: Vec<f64>,
    /// By class, then by draw.
    pub f1: Vec<Vec<f64>>,
}

/// The calibration error that gaps add up to; NaN without any.
pub(super) fn ece(gaps: &[f64]) -> f64 {
    if gaps.is_empty() {
        return f64::NAN;
    }
    gaps.iter().map(|gap| gap.abs()).sum()
}

/// 95 % intervals of an evaluation. Empty where nothing was drawn, or a number is undefined.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Intervals {
    /// How often rows were drawn.
    pub resamples: usize,
    /// Where the draws come from.
    pub seed: u64,
    /// Share classified rightly.
    pub accuracy: Option<Interval>,
    /// Unweighted mean of F1.
    pub macro_f1: Option<Interval>,
    /// Mean AUC.
    pub auc: Option<Interval>,
    /// Calibration error at temperature 1.
    pub ece: Option<Interval>,
    /// Calibration error at the fitted temperature.
    pub ece_calibrated: Option<Interval>,
    /// F1 by class.
    pub f1: Vec<Option<Interval>>,
}

impl Outcomes {
    /// Reads logits, `k` to a row, with a label each. A row whose label is no class is left out.
    pub fn new(logits: &[f32], labels: &[u32], k: usize, temperature: f64, bins: usize) -> Self {
        let (logits, labels) = usable(logits, labels, k);
        let rows = || logits.chunks_exact(k.max(1));
        let whole = rows().all(has_probabilities);
        let certainty = |t: f64| whole.then(|| Certainty::new(rows(), &labels, t, bins));
        Self {
            classes: k,
            predicted: rows().map(|row| argmax(row) as u32).collect(),
            before: certainty(1.0),
            after: certainty(temperature),
            rankings: Rankings::new(&logits, &labels, k),
            labels,
        }
    }

    /// The area under the curve of each class.
    pub fn auc(&self) -> Auc {
        match &self.rankings {
            Some(rankings) => rankings.auc(),
            None => Auc {
                classes: vec![None; self.classes],
            },
        }
    }

    /// Whether two networks were measured on the same rows, as far as labels tell.
    pub(super) fn same_rows(&self, other: &Self) -> bool {
        self.classes == other.classes && self.labels == other.labels
    }

    /// Which rows are told rightly.
    pub(super) fn right(&self) -> impl Iterator<Item = bool> + '_ {
        self.labels.iter().zip(&self.predicted).map(|(l, p)| l == p)
    }

    /// Draws `resamples` times. Nothing without rows.
    pub fn resample(&self, resamples: usize, seed: u64) -> Replicates {
        let rows = self.labels.len();
        let resamples = if rows == 0 { 0 } else { resamples };
        let blocks = parallel::map(resamples.div_ceil(LANES), |block| {
            self.block(&weights(rows, block, seed))
        });
        self.gathered(&blocks, resamples)
    }

    /// The numbers as measured: the one draw in which each row comes once.
    pub(super) fn measured(&self) -> Replicates {
        let once = vec![[1; LANES]; self.labels.len()];
        self.gathered(&[self.block(&once)], 1)
    }

    fn gathered(&self, blocks: &[Block], resamples: usize) -> Replicates {
        let mut all = Replicates {
            f1: vec![Vec::with_capacity(resamples); self.classes],
            ..Replicates::default()
        };
        for block in blocks {
            all.accuracy.extend(block.accuracy);
            all.macro_f1.extend(block.macro_f1);
            all.auc.extend(block.auc);
            all.gaps
                .extend((0..LANES).map(|lane| at(&block.gaps, lane)));
            all.gaps_calibrated
                .extend((0..LANES).map(|lane| at(&block.gaps_calibrated, lane)));
            all.nll_calibrated.extend(block.nll_calibrated);
            for (class, f1) in all.f1.iter_mut().zip(&block.f1) {
                class.extend(f1);
            }
        }
        all.truncate(resamples);
        all
    }

    /// The numbers of 16 draws; a weight for each row and draw.
    fn block(&self, weights: &[Lanes<i32>]) -> Block {
        let counts = self.counts(weights);
        let n = self.labels.len() as f64;
        let f1: Vec<Lanes<f64>> = counts.iter().map(Counts::f1).collect();
        let over = |values: Lanes<f64>, whole: f64| values.map(|value| value / whole);
        let (gaps, _) = certainty(self.before.as_ref(), weights);
        let (gaps_calibrated, nll_calibrated) = certainty(self.after.as_ref(), weights);
        Block {
            accuracy: over(sum(counts.iter().map(|count| to_f64(count.hits))), n),
            macro_f1: over(sum(f1.iter().copied()), self.classes as f64),
            auc: self.auc_block(weights),
            gaps,
            gaps_calibrated,
            nll_calibrated,
            f1,
        }
    }

    fn counts(&self, weights: &[Lanes<i32>]) -> Vec<Counts> {
        let mut counts = vec![Counts::default(); self.classes];
        for ((label, predicted), weight) in self.labels.iter().zip(&self.predicted).zip(weights) {
            if let Some(count) = counts.get_mut(*label as usize) {
                add(&mut count.support, weight);
                if label == predicted {
                    add(&mut count.hits, weight);
                }
            }
            if let Some(count) = counts.get_mut(*predicted as usize) {
                add(&mut count.taken, weight);
            }
        }
        counts
    }

    fn auc_block(&self, weights: &[Lanes<i32>]) -> Lanes<f64> {
        let (mut total, mut used) = ([0.0; LANES], [0.0; LANES]);
        let Some(rankings) = &self.rankings else {
            return [f64::NAN; LANES];
        };
        let n = self.labels.len() as i64;
        for ranking in rankings.classes() {
            let (won, own) = pairs_won(ranking, weights);
            for lane in 0..LANES {
                let pairs = own[lane] * (n - own[lane]);
                if pairs > 0 {
                    total[lane] += won[lane] as f64 / (2.0 * pairs as f64);
                    used[lane] += 1.0;
                }
            }
        }
        // Where no class was drawn this is 0/0, and so undefined.
        std::array::from_fn(|lane| total[lane] / used[lane])
    }
}

/// What 16 draws give.
struct Block {
    accuracy: Lanes<f64>,
    macro_f1: Lanes<f64>,
    auc: Lanes<f64>,
    gaps: Vec<Lanes<f64>>,
    gaps_calibrated: Vec<Lanes<f64>>,
    nll_calibrated: Lanes<f64>,
    f1: Vec<Lanes<f64>>,
}

impl Replicates {
    fn truncate(&mut self, resamples: usize) {
        let Self {
            accuracy,
            macro_f1,
            auc,
            gaps,
            gaps_calibrated,
            nll_calibrated,
            f1,
        } = self;
        let all = [accuracy, macro_f1, auc, nll_calibrated]
            .into_iter()
            .chain(f1);
        all.for_each(|values| values.truncate(resamples));
        gaps.truncate(resamples);
        gaps_calibrated.truncate(resamples);
    }
}

impl Outcomes {
    /// Draws, and gives the 95 % intervals.
    pub fn intervals(&self, resamples: usize, seed: u64) -> Intervals {
        let (measured, drawn) = (self.measured(), self.resample(resamples, seed));
        let ece = |measured: &[Vec<f64>], drawn: Vec<Vec<f64>>| {
            let measured = measured.first().filter(|gaps| !gaps.is_empty())?;
            Interval::of_magnitudes(measured, &noise(measured, drawn))
        };
        Intervals {
            resamples: drawn.accuracy.len(),
            seed,
            accuracy: Interval::percentile(&drawn.accuracy),
            macro_f1: Interval::percentile(&drawn.macro_f1),
            auc: Interval::percentile(&drawn.auc),
            ece: ece(&measured.gaps, drawn.gaps),
            ece_calibrated: ece(&measured.gaps_calibrated, drawn.gaps_calibrated),
            f1: drawn
                .f1
                .iter()
                .map(|values| Interval::percentile(values))
                .collect(),
        }
    }
}

/// What each draw has more than was measured.
fn noise(measured: &[f64], mut drawn: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    for draw in &mut drawn {
        for (gap, measured) in draw.iter_mut().zip(measured) {
            *gap -= measured;
        }
    }
    drawn
}

#[cfg(test)]
mod coverage;
#[cfg(test)]
mod tests;
