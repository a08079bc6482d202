//! How far the numbers of a split could have come out otherwise: the bootstrap (Efron 1979).
//!
//! Rows are drawn with replacement, as many as there are, and each number is computed anew; all numbers of a row together,
//! so that what hangs together moves together. [`Outcomes`] is what a row tells once its logits are read;
//! [`Outcomes::resample`] draws; a [`Tally`] is what one draw counts. The same seed and the same number of rows give the
//! same draws, which is what makes a comparison of two networks a paired one.
//!
//! A draw is a weight for each row; how many of them are computed together is told in `lanes`.

mod lanes;

use std::collections::BTreeMap;

use super::calibration::argmax;
use super::estimate::Estimate;
use super::interval::Interval;
use super::measures::{Compute, Measure};
use super::parallel;
use super::roc::{Auc, Rankings, has_probabilities, usable};
use lanes::{Certainty, Counts, LANES, Lanes, add, at, certainty, mean, pairs_won, weights};

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
    /// A number of each row, for the measures that are means of such.
    row_values: Vec<(Measure, Vec<f64>)>,
}

/// One class, counted in a draw.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ClassCount {
    /// Samples of the class that are predicted as such.
    pub hits: f64,
    /// Samples of the class.
    pub support: f64,
    /// Samples that are predicted as the class.
    pub predicted: f64,
}

impl ClassCount {
    /// 2 tp / (2 tp + fp + fn), and 0 where that is undefined.
    pub fn f1(&self) -> f64 {
        let whole = self.support + self.predicted;
        if whole > 0.0 {
            2.0 * self.hits / whole
        } else {
            0.0
        }
    }
}

/// What is counted in one draw of rows; as measured, each row is drawn once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tally {
    /// Rows drawn.
    pub rows: f64,
    /// By class.
    pub classes: Vec<ClassCount>,
    /// Mean AUC of the classes that were drawn; NaN without probabilities.
    pub auc: f64,
    /// At temperature 1: accuracy minus confidence of each bin, with the bin's weight; empty without probabilities.
    pub gaps: Vec<f64>,
    /// The same at the fitted temperature.
    pub gaps_calibrated: Vec<f64>,
    /// Mean negative log-likelihood at the fitted temperature.
    pub nll_calibrated: f64,
    /// Means of the measures that are means over rows.
    means: Vec<(Measure, f64)>,
}

impl Tally {
    /// A measure of this draw; NaN for one that is computed from the whole split only.
    pub fn value(&self, measure: Measure) -> f64 {
        match measure.compute() {
            Compute::Draw(of) => of(self),
            Compute::RowMean(_) => {
                let found = self.means.iter().find(|(known, _)| *known == measure);
                found.map_or(f64::NAN, |(_, mean)| *mean)
            }
            Compute::Whole(_) => f64::NAN,
        }
    }
}

/// An evaluation's scalars, with their 95 % intervals.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Estimates {
    /// How often rows were drawn.
    pub resamples: usize,
    /// Where the draws come from.
    pub seed: u64,
    /// By measure; those that mean nothing for so few classes are left out.
    pub measures: BTreeMap<Measure, Estimate>,
    /// Intervals of F1 by class.
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
            row_values: row_values(&logits, &labels, k),
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
    pub fn resample(&self, resamples: usize, seed: u64) -> Vec<Tally> {
        let rows = self.labels.len();
        let resamples = if rows == 0 { 0 } else { resamples };
        let blocks = parallel::map(resamples.div_ceil(LANES), |block| {
            self.block(&weights(rows, block, seed))
        });
        blocks.into_iter().flatten().take(resamples).collect()
    }

    /// The one draw in which each row comes once: what was measured.
    pub fn measured(&self) -> Tally {
        let once = vec![[1; LANES]; self.labels.len()];
        self.block(&once).into_iter().next().unwrap_or_default()
    }

    /// What 16 draws count; a weight for each row and draw.
    fn block(&self, weights: &[Lanes<i32>]) -> Vec<Tally> {
        let counts = self.counts(weights);
        let (gaps, _) = certainty(self.before.as_ref(), weights);
        let (gaps_calibrated, nll_calibrated) = certainty(self.after.as_ref(), weights);
        let auc = self.auc_block(weights);
        let means = self.row_values.iter();
        let means: Vec<(Measure, Lanes<f64>)> = means
            .map(|(measure, values)| (*measure, mean(values, weights)))
            .collect();
        let tally = |lane: usize| Tally {
            rows: self.labels.len() as f64,
            classes: counts.iter().map(|count| count.of(lane)).collect(),
            auc: auc[lane],
            gaps: at(&gaps, lane),
            gaps_calibrated: at(&gaps_calibrated, lane),
            nll_calibrated: nll_calibrated[lane],
            means: means
                .iter()
                .map(|(measure, lanes)| (*measure, lanes[lane]))
                .collect(),
        };
        (0..LANES).map(tally).collect()
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
                add(&mut count.predicted, weight);
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

impl Outcomes {
    /// Every measure that is computed from the rows drawn, as measured, with its 95 % interval where it has one.
    pub fn estimates(&self, resamples: usize, seed: u64) -> Estimates {
        let (measured, drawn) = (self.measured(), self.resample(resamples, seed));
        let estimate = |measure: Measure| {
            let value = match measure.compute() {
                Compute::Draw(_) | Compute::RowMean(_) => measured.value(measure),
                Compute::Whole(_) => return None,
            };
            let values: Vec<f64> = drawn.iter().map(|draw| draw.value(measure)).collect();
            let interval = measure.interval_of(&measured, &drawn, &values);
            Some((measure, Estimate { value, interval }))
        };
        let f1 = |class: usize| {
            let counts = drawn.iter().filter_map(|draw| draw.classes.get(class));
            Interval::percentile(&counts.map(ClassCount::f1).collect::<Vec<f64>>())
        };
        Estimates {
            resamples: drawn.len(),
            seed,
            measures: Measure::of_classes(self.classes)
                .filter_map(estimate)
                .collect(),
            f1: (0..self.classes).map(f1).collect(),
        }
    }
}

/// A number of each row, for each measure that is a mean of such and means something for so many classes.
fn row_values(logits: &[f32], labels: &[u32], k: usize) -> Vec<(Measure, Vec<f64>)> {
    let of = |measure: Measure| match measure.compute() {
        Compute::RowMean(value) => {
            let rows = logits.chunks_exact(k.max(1)).zip(labels);
            Some((
                measure,
                rows.map(|(row, label)| value(row, *label as usize))
                    .collect(),
            ))
        }
        Compute::Draw(_) | Compute::Whole(_) => None,
    };
    Measure::of_classes(k).filter_map(of).collect()
}

#[cfg(test)]
mod coverage;
#[cfg(test)]
mod tests;
