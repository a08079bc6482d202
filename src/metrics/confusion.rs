//! The confusion matrix, and the scores computed from it: accuracy, precision, recall, F1.
//!
//! Rows are the true classes and columns the predicted ones, as in scikit-learn's `confusion_matrix`. The set of
//! classes is fixed: a class that never occurs still counts in the macro mean, as in scikit-learn with
//! `labels=range(classes), zero_division=0`.

use std::cmp::Reverse;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use super::interval::Interval;
use crate::limits::{DETAILED_CLASSES, MOST_CLASSES, check_classes};

/// A class that has at least this many times its share in a balanced split counts as larger than the others.
const IMBALANCE_FACTOR: f64 = 1.2;
/// If the accuracy exceeds macro-F1 by at least this much, it is misleading.
const MISLEADING_GAP: f64 = 0.05;

/// The confusion matrix: how often each class was predicted as each class.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Confusion {
    classes: usize,
    /// Row-major, `[true][predicted]`; as long as `classes` squared.
    counts: Vec<u64>,
}

/// A confusion matrix as read from a file, before its size is checked.
#[derive(Deserialize)]
#[serde(rename = "Confusion")]
struct Unchecked {
    classes: usize,
    #[serde(default)]
    counts: Vec<u64>,
    /// Instead of `counts`, the counts that are not 0: (label, predicted, count).
    #[serde(default)]
    cells: Option<Vec<(usize, usize, u64)>>,
}

impl Serialize for Confusion {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut out = to.serialize_struct("Confusion", 2)?;
        out.serialize_field("classes", &self.classes)?;
        let counts = self.counts.iter().filter(|count| **count > 0).count();
        // A cell takes several times the bytes of a 0.
        if self.classes <= DETAILED_CLASSES || counts > self.counts.len() / 8 {
            out.serialize_field("counts", &self.counts)?;
            return out.end();
        }
        let rows = self.rows().enumerate();
        let cells = rows.flat_map(|(label, row)| {
            let row = row.iter().enumerate().filter(|(_, count)| **count > 0);
            row.map(move |(predicted, count)| (label, predicted, *count))
        });
        out.serialize_field("cells", &cells.collect::<Vec<_>>())?;
        out.end()
    }
}

impl TryFrom<Unchecked> for Confusion {
    type Error = String;

    fn try_from(unchecked: Unchecked) -> Result<Self, String> {
        let Unchecked {
            classes,
            counts,
            cells,
        } = unchecked;
        if let Some(cells) = cells {
            check_classes(classes)?;
            let mut confusion = Self::new(classes);
            for (label, predicted, count) in cells {
                let place = confusion.place(label, predicted);
                *place.ok_or_else(|| {
                    format!(
                        "a confusion matrix of {classes} classes has no cell ({label}, {predicted})"
                    )
                })? = count;
            }
            return Ok(confusion);
        }
        if classes.checked_mul(classes) == Some(counts.len()) {
            return Ok(Self { classes, counts });
        }
        Err(format!(
            "a confusion matrix of {classes} classes cannot have {} counts",
            counts.len()
        ))
    }
}

/// The scores of one class.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ClassScores {
    /// Share of the samples predicted as this class that are of this class: tp / (tp + fp).
    pub precision: f64,
    /// Share of the samples of this class that are predicted as this class: tp / (tp + fn).
    pub recall: f64,
    /// Harmonic mean of precision and recall: 2 tp / (2 tp + fp + fn).
    pub f1: f64,
    /// Number of samples of this class.
    pub support: u64,
    /// Whether no sample was predicted as this class; the precision is then 0 by convention.
    pub precision_undefined: bool,
    /// Whether there is no sample of this class; the recall is then 0 by convention.
    pub recall_undefined: bool,
    /// Whether both are true; the F1 is then 0 by convention.
    pub f1_undefined: bool,
}

/// A label and a different class that it was predicted as.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ConfusedPair {
    /// The true class.
    pub label: usize,
    /// The predicted class.
    pub predicted: usize,
    /// Number of samples with this label and prediction.
    pub count: u64,
    /// `count` as a share of all samples of the label.
    pub share: f64,
}

/// A class imbalance that makes the accuracy misleading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Imbalance {
    /// The largest class.
    pub majority: usize,
    /// Its share of all samples, which is the accuracy of the majority baseline.
    pub share: f64,
}

impl Confusion {
    /// An empty matrix for this number of classes, at most 4096.
    pub fn new(classes: usize) -> Self {
        let classes = classes.min(MOST_CLASSES);
        Self {
            classes,
            counts: vec![0; classes * classes],
        }
    }

    /// Counts all pairs of label and prediction. Pairs with a class out of range are skipped, as are surplus elements
    /// of the longer slice.
    pub fn from_predictions(classes: usize, labels: &[u32], predicted: &[u32]) -> Self {
        let mut confusion = Self::new(classes);
        for (&label, &predicted) in labels.iter().zip(predicted) {
            confusion.add(label, predicted);
        }
        confusion
    }

    /// Counts one sample; ignored if either class is out of range.
    pub fn add(&mut self, label: u32, predicted: u32) {
        if let Some(count) = self.place(label as usize, predicted as usize) {
            *count = count.saturating_add(1);
        }
    }

    fn place(&mut self, label: usize, predicted: usize) -> Option<&mut u64> {
        // The predicted class must be checked separately: if it is too large, the index would be in the next row.
        let inside = label < self.classes && predicted < self.classes;
        let at = label.checked_mul(self.classes)?.checked_add(predicted)?;
        self.counts.get_mut(at).filter(|_| inside)
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of samples of `label` that were predicted as `predicted`; 0 if out of range.
    pub fn count(&self, label: usize, predicted: usize) -> u64 {
        self.rows()
            .nth(label)
            .and_then(|row| row.get(predicted))
            .copied()
            .unwrap_or(0)
    }

    /// The rows, one per true class.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        // Without classes there are no counts, but a chunk size of 0 would panic.
        self.counts.chunks_exact(self.classes.max(1))
    }

    /// Number of samples.
    pub fn total(&self) -> u64 {
        sum(self.counts.iter())
    }

    /// Number of samples whose prediction is correct.
    pub fn correct(&self) -> u64 {
        sum(self.diagonal())
    }

    /// Share of the samples whose prediction is correct; 0 without samples.
    pub fn accuracy(&self) -> f64 {
        ratio(self.correct() as f64, self.total() as f64).unwrap_or(0.0)
    }

    /// Number of samples of this class; 0 if out of range.
    pub fn support(&self, class: usize) -> u64 {
        self.rows().nth(class).map_or(0, |row| sum(row.iter()))
    }

    /// Number of samples that were predicted as this class.
    pub fn predicted(&self, class: usize) -> u64 {
        sum(self.rows().filter_map(|row| row.get(class)))
    }

    /// The 95 % interval of the precision of a class; `None` if no sample was predicted as it.
    pub fn precision_interval(&self, class: usize) -> Option<Interval> {
        Interval::proportion(self.count(class, class), self.predicted(class))
    }

    /// The 95 % interval of the recall of a class; `None` without samples.
    pub fn recall_interval(&self, class: usize) -> Option<Interval> {
        Interval::proportion(self.count(class, class), self.support(class))
    }

    /// The scores of each class.
    pub fn scores(&self) -> Vec<ClassScores> {
        let mut predicted = vec![0_u64; self.classes];
        for row in self.rows() {
            for (predicted, count) in predicted.iter_mut().zip(row) {
                *predicted = predicted.saturating_add(*count);
            }
        }
        let rows = self.rows().zip(self.diagonal()).zip(predicted);
        rows.map(|((row, &hits), predicted)| class_scores(hits, predicted, sum(row.iter())))
            .collect()
    }

    /// Unweighted mean of F1 over all classes, including absent ones; 0 without classes.
    pub fn macro_f1(&self) -> f64 {
        let f1: f64 = self.scores().iter().map(|scores| scores.f1).sum();
        ratio(f1, self.classes as f64).unwrap_or(0.0)
    }

    /// Mean of F1 weighted by support; 0 without samples.
    pub fn weighted_f1(&self) -> f64 {
        let scores = self.scores();
        let weighted: f64 = scores
            .iter()
            .map(|scores| scores.f1 * scores.support as f64)
            .sum();
        let support: f64 = scores.iter().map(|scores| scores.support as f64).sum();
        ratio(weighted, support).unwrap_or(0.0)
    }

    /// The class imbalance, if it makes the accuracy misleading: one class is larger than the others, and the mean F1,
    /// in which all classes have the same weight, is at least five points lower than the accuracy. Classes without
    /// samples are ignored.
    pub fn misleading_imbalance(&self) -> Option<Imbalance> {
        let scores = self.scores();
        let present = scores
            .iter()
            .enumerate()
            .filter(|(_, scores)| scores.support > 0);
        let (majority, largest) = present
            .clone()
            .max_by_key(|(i, scores)| (scores.support, Reverse(*i)))?;
        let share = ratio(largest.support as f64, self.total() as f64)?;
        let classes = present.clone().count() as f64;
        let f1 = present.map(|(_, scores)| scores.f1).sum::<f64>() / classes;
        let misleading =
            share * classes >= IMBALANCE_FACTOR && self.accuracy() - f1 >= MISLEADING_GAP;
        misleading.then_some(Imbalance { majority, share })
    }

    /// The `n` most frequent confusions, most frequent first; equally frequent ones in the order of the matrix.
    pub fn worst_pairs(&self, n: usize) -> Vec<ConfusedPair> {
        let mut pairs: Vec<_> = self
            .rows()
            .enumerate()
            .flat_map(|(label, row)| confused(label, row))
            .collect();
        pairs.sort_by_key(|pair| Reverse(pair.count));
        pairs.truncate(n);
        pairs
    }

    fn diagonal(&self) -> impl Iterator<Item = &u64> {
        self.counts.iter().step_by(self.classes + 1)
    }
}

fn class_scores(hits: u64, predicted: u64, support: u64) -> ClassScores {
    let (hits, predicted, samples) = (hits as f64, predicted as f64, support as f64);
    let precision = ratio(hits, predicted);
    let recall = ratio(hits, samples);
    // tp + fp is the number of predictions of the class, tp + fn its support: their sum is 2 tp + fp + fn.
    let f1 = ratio(2.0 * hits, predicted + samples);
    ClassScores {
        precision: precision.unwrap_or(0.0),
        recall: recall.unwrap_or(0.0),
        f1: f1.unwrap_or(0.0),
        support,
        precision_undefined: precision.is_none(),
        recall_undefined: recall.is_none(),
        f1_undefined: f1.is_none(),
    }
}

fn confused(label: usize, row: &[u64]) -> impl Iterator<Item = ConfusedPair> {
    let support = sum(row.iter()) as f64;
    row.iter()
        .enumerate()
        .filter(move |&(predicted, &count)| predicted != label && count > 0)
        .map(move |(predicted, &count)| ConfusedPair {
            label,
            predicted,
            count,
            share: count as f64 / support,
        })
}

/// Saturating sum: a file may contain counts that no run can reach, and they must not overflow.
fn sum<'a>(counts: impl Iterator<Item = &'a u64>) -> u64 {
    counts.fold(0, |sum, count| sum.saturating_add(*count))
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests;
