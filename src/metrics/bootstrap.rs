//! The uncertainty of the measures of a split, by the bootstrap (Efron 1979).
//!
//! A resample draws as many rows as the split has, with replacement, and all measures are computed again from the drawn
//! rows. All measures use the same resamples, so their correlations are preserved. [`Outcomes`] contains what is needed
//! of each row, [`Outcomes::resample`] draws the resamples, and a [`Tally`] contains the counts of one resample. The
//! same seed and the same number of rows give the same resamples, so two networks can be compared in pairs. Scores near 0
//! and 1 hardly vary between resamples; `boundary` corrects their intervals.
//!
//! A resample is represented by the weight of each row. `lanes` computes several resamples together.

mod lanes;

use std::collections::BTreeMap;

use super::boundary::Boundary;
use super::calibration::argmax;
use super::estimate::Estimate;
use super::interval::Interval;
use super::measures::{Compute, Measure};
use super::parallel;
use super::roc::{Auc, Rankings, has_probabilities, usable};
use crate::limits::DETAILED_CLASSES;
use lanes::{
    Counts, LANES, Lanes, RowCalibration, add, at, gaps_and_nll, mean, pairs_won, weights,
};

/// The outcome of each row of an evaluated split, as needed to compute measures of resamples.
#[derive(Debug, Clone)]
pub struct Outcomes {
    classes: usize,
    labels: Vec<u32>,
    predicted: Vec<u32>,
    /// At temperature 1; `None` if any row has no probabilities.
    before: Option<RowCalibration>,
    /// At the fitted temperature; `None` if any row has no probabilities.
    after: Option<RowCalibration>,
    rankings: Option<Rankings>,
    /// The per-row values of each measure that is a mean over rows.
    row_values: Vec<(Measure, Vec<f64>)>,
}

/// Counts of one class in a resample.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ClassCount {
    /// True positives: samples of the class that are predicted as the class.
    pub hits: f64,
    /// Samples of the class.
    pub support: f64,
    /// Samples that are predicted as the class.
    pub predicted: f64,
}

impl ClassCount {
    /// 2 tp / (2 tp + fp + fn); 0 if it is undefined.
    pub fn f1(&self) -> f64 {
        let sum = self.support + self.predicted;
        if sum > 0.0 {
            2.0 * self.hits / sum
        } else {
            0.0
        }
    }
}

/// The counts and means of one resample. For the measured values, each row is drawn once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tally {
    /// Number of rows drawn.
    pub rows: f64,
    /// Counts of each class, indexed by label.
    pub classes: Vec<ClassCount>,
    /// Mean AUC of the classes that occur in the resample; NaN without probabilities.
    pub auc: f64,
    /// At temperature 1: accuracy minus confidence of each bin, times the bin's share of the rows; empty without
    /// probabilities.
    pub gaps: Vec<f64>,
    /// The same at the fitted temperature.
    pub gaps_calibrated: Vec<f64>,
    /// Mean negative log-likelihood at the fitted temperature.
    pub nll_calibrated: f64,
    /// The measures that are means over rows, with their means.
    means: Vec<(Measure, f64)>,
}

impl Tally {
    /// The value of a measure in this resample; NaN if the measure is computed only from the full split.
    pub fn value(&self, measure: Measure) -> f64 {
        match measure.compute() {
            Compute::Draw(of) => of(self),
            Compute::RowMean(_) => {
                let found = self.means.iter().find(|(known, _)| *known == measure);
                found.map_or(f64::NAN, |(_, mean)| *mean)
            }
            Compute::FullSplit(_) => f64::NAN,
        }
    }
}

/// The scalar measures of an evaluation with their 95 % intervals.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Estimates {
    /// Number of bootstrap resamples.
    pub resamples: usize,
    /// Random seed of the resamples.
    pub seed: u64,
    /// The estimate of each measure; measures that are meaningless for this number of classes are left out.
    pub measures: BTreeMap<Measure, Estimate>,
    /// Interval of the F1 of each class, indexed by label; empty above [`DETAILED_CLASSES`].
    pub f1: Vec<Option<Interval>>,
}

impl Outcomes {
    /// Computes the outcomes of rows of `k` logits with one label per row. Rows whose label is not below `k` are
    /// skipped.
    pub fn new(logits: &[f32], labels: &[u32], k: usize, temperature: f64, bins: usize) -> Self {
        let (logits, labels) = usable(logits, labels, k);
        let rows = || logits.chunks_exact(k.max(1));
        let complete = rows().all(has_probabilities);
        let calibration = |t: f64| complete.then(|| RowCalibration::new(rows(), &labels, t, bins));
        Self {
            classes: k,
            predicted: rows().map(|row| argmax(row) as u32).collect(),
            before: calibration(1.0),
            after: calibration(temperature),
            rankings: Rankings::new(&logits, &labels, k),
            row_values: row_values(&logits, &labels, k),
            labels,
        }
    }

    /// The area under the ROC curve of each class.
    pub fn auc(&self) -> Auc {
        match &self.rankings {
            Some(rankings) => rankings.auc(),
            None => Auc {
                classes: vec![None; self.classes],
            },
        }
    }

    /// Whether two networks were evaluated on the same rows, judged by their labels.
    pub(super) fn same_rows(&self, other: &Self) -> bool {
        self.classes == other.classes && self.labels == other.labels
    }

    /// Whether the prediction of each row is correct.
    pub(super) fn correct(&self) -> impl Iterator<Item = bool> + '_ {
        self.labels.iter().zip(&self.predicted).map(|(l, p)| l == p)
    }

    /// Computes the tallies of `resamples` bootstrap resamples; empty without rows.
    pub fn resample(&self, resamples: usize, seed: u64) -> Vec<Tally> {
        let rows = self.labels.len();
        let resamples = if rows == 0 { 0 } else { resamples };
        let blocks = parallel::map(resamples.div_ceil(LANES), |block| {
            self.block(&weights(rows, block, seed), self.has_details())
        });
        blocks.into_iter().flatten().take(resamples).collect()
    }

    /// The measured values: the tally in which each row is drawn exactly once.
    pub fn measured(&self) -> Tally {
        let once = vec![[1; LANES]; self.labels.len()];
        self.block(&once, true)
            .into_iter()
            .next()
            .unwrap_or_default()
    }

    /// Whether the AUC and each class have intervals; see [`DETAILED_CLASSES`].
    fn has_details(&self) -> bool {
        self.classes <= DETAILED_CLASSES
    }

    /// The tallies of 16 resamples, from the weight of each row in each of them. Without `auc`, that is NaN.
    fn block(&self, weights: &[Lanes<i32>], auc: bool) -> Vec<Tally> {
        let counts = self.counts(weights);
        let (gaps, _) = gaps_and_nll(self.before.as_ref(), weights);
        let (gaps_calibrated, nll_calibrated) = gaps_and_nll(self.after.as_ref(), weights);
        let auc = if auc {
            self.auc_block(weights)
        } else {
            [f64::NAN; LANES]
        };
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
        // If the AUC is defined for no class, this is 0/0 and thus NaN.
        std::array::from_fn(|lane| total[lane] / used[lane])
    }
}

impl Outcomes {
    /// The measured value of every measure except those of the full split, with its 95 % interval if it has one.
    /// Without resamples only proportions have intervals.
    pub fn estimates(&self, resamples: usize, seed: u64) -> Estimates {
        let (measured, drawn) = (self.measured(), self.resample(resamples, seed));
        let boundary = Boundary::of(&measured, &drawn, &self.auc().classes);
        let estimate = |measure: Measure| {
            let value = match measure.compute() {
                Compute::Draw(_) | Compute::RowMean(_) => measured.value(measure),
                Compute::FullSplit(_) => return None,
            };
            let values: Vec<f64> = drawn.iter().map(|draw| draw.value(measure)).collect();
            let interval = measure.interval_of(&measured, &drawn, &values, &boundary);
            Some((measure, Estimate { value, interval }))
        };
        Estimates {
            resamples: drawn.len(),
            seed,
            measures: Measure::of_classes(self.classes)
                .filter_map(estimate)
                .collect(),
            f1: if self.has_details() {
                boundary.f1
            } else {
                Vec::new()
            },
        }
    }
}

/// The per-row values of each measure that is a mean over rows and is meaningful for `k` classes.
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
        Compute::Draw(_) | Compute::FullSplit(_) => None,
    };
    Measure::of_classes(k).filter_map(of).collect()
}

#[cfg(test)]
mod coverage;
#[cfg(test)]
mod tests;
