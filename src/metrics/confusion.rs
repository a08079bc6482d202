//! What was taken for what, and the scores that follow from it: accuracy, precision, recall, F1.
//!
//! Rows are the true classes, columns the predicted ones, as in scikit-learn's `confusion_matrix`. The classes are fixed
//! beforehand: one that never occurs still counts in the macro mean, as with `labels=range(classes), zero_division=0` there.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

/// Above this the table alone would take hundreds of megabytes; classes beyond it are ignored like any unknown label.
const MOST_CLASSES: usize = 4096;

/// From this many times its fair share on, a class is larger than the others.
const LARGER: f64 = 1.2;
/// From this much above macro-F1 on, accuracy flatters.
const FLATTERED: f64 = 0.05;

/// How often each class was taken for each class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Confusion {
    classes: usize,
    /// Row-major, `[true][predicted]`; as long as `classes` squared.
    counts: Vec<u64>,
}

/// What a file may hold: any numbers.
#[derive(Deserialize)]
#[serde(rename = "Confusion")]
struct Unchecked {
    classes: usize,
    counts: Vec<u64>,
}

impl TryFrom<Unchecked> for Confusion {
    type Error = String;

    fn try_from(Unchecked { classes, counts }: Unchecked) -> Result<Self, String> {
        if classes.checked_mul(classes) == Some(counts.len()) {
            return Ok(Self { classes, counts });
        }
        Err(format!(
            "a confusion matrix of {classes} classes cannot have {} counts",
            counts.len()
        ))
    }
}

/// How well one class is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ClassScores {
    /// Of what was taken for this class, the share that was: tp / (tp + fp).
    pub precision: f64,
    /// Of this class, the share that was found: tp / (tp + fn).
    pub recall: f64,
    /// Their harmonic mean: 2 tp / (2 tp + fp + fn).
    pub f1: f64,
    /// How many samples are of this class.
    pub support: u64,
    /// Nothing was taken for this class; the precision of 0 is a convention.
    pub precision_undefined: bool,
    /// No sample is of this class; the recall of 0 is a convention.
    pub recall_undefined: bool,
    /// Neither; the F1 of 0 is a convention.
    pub f1_undefined: bool,
}

/// One class taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ConfusedPair {
    /// What it was.
    pub label: usize,
    /// What it was taken for.
    pub predicted: usize,
    /// How often.
    pub count: u64,
    /// The same as a share of all samples of the label.
    pub share: f64,
}

/// Classes of unequal size, and an accuracy that tells more about the size than about the network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Imbalance {
    /// The largest class.
    pub majority: usize,
    /// Its share of all samples: the accuracy of naming it always.
    pub share: f64,
}

impl Confusion {
    /// An empty table for this many classes.
    pub fn new(classes: usize) -> Self {
        let classes = classes.min(MOST_CLASSES);
        Self {
            classes,
            counts: vec![0; classes * classes],
        }
    }

    /// Counts all pairs. A class out of range, and what the longer slice has too much, is left out.
    pub fn from_predictions(classes: usize, labels: &[u32], predicted: &[u32]) -> Self {
        let mut confusion = Self::new(classes);
        for (&label, &predicted) in labels.iter().zip(predicted) {
            confusion.add(label, predicted);
        }
        confusion
    }

    /// Counts one sample; nothing happens if either class is out of range.
    pub fn add(&mut self, label: u32, predicted: u32) {
        let (label, predicted) = (label as usize, predicted as usize);
        // The predicted class must be checked by itself, or it would run on into the next row.
        if label < self.classes
            && predicted < self.classes
            && let Some(count) = self.counts.get_mut(label * self.classes + predicted)
        {
            *count = count.saturating_add(1);
        }
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How often `label` was taken for `predicted`; 0 out of range.
    pub fn count(&self, label: usize, predicted: usize) -> u64 {
        self.rows()
            .nth(label)
            .and_then(|row| row.get(predicted))
            .copied()
            .unwrap_or(0)
    }

    /// The rows, one for each true class.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        // Without classes there are no counts either, but a chunk of 0 would still panic.
        self.counts.chunks_exact(self.classes.max(1))
    }

    /// All samples.
    pub fn total(&self) -> u64 {
        sum(self.counts.iter())
    }

    /// The samples that were taken for what they are.
    pub fn correct(&self) -> u64 {
        sum(self.diagonal())
    }

    /// Their share; 0 when there are no samples.
    pub fn accuracy(&self) -> f64 {
        ratio(self.correct() as f64, self.total() as f64).unwrap_or(0.0)
    }

    /// How many samples are of this class; 0 out of range.
    pub fn support(&self, class: usize) -> u64 {
        self.rows().nth(class).map_or(0, |row| sum(row.iter()))
    }

    /// The scores of each class.
    pub fn scores(&self) -> Vec<ClassScores> {
        let mut taken = vec![0_u64; self.classes];
        for row in self.rows() {
            for (taken, count) in taken.iter_mut().zip(row) {
                *taken = taken.saturating_add(*count);
            }
        }
        let rows = self.rows().zip(self.diagonal()).zip(taken);
        rows.map(|((row, &hits), taken)| class_scores(hits, taken, sum(row.iter())))
            .collect()
    }

    /// The plain mean of F1 over all classes, absent ones included; 0 without classes.
    pub fn macro_f1(&self) -> f64 {
        let f1: f64 = self.scores().iter().map(|scores| scores.f1).sum();
        ratio(f1, self.classes as f64).unwrap_or(0.0)
    }

    /// The mean of F1 weighted by support; 0 without samples.
    pub fn weighted_f1(&self) -> f64 {
        let scores = self.scores();
        let weighted: f64 = scores
            .iter()
            .map(|scores| scores.f1 * scores.support as f64)
            .sum();
        let support: f64 = scores.iter().map(|scores| scores.support as f64).sum();
        ratio(weighted, support).unwrap_or(0.0)
    }

    /// Whether the accuracy flatters: one class is larger than the others, and the mean F1, in which each class has the
    /// same say, is lower by five points or more. Classes without samples have no say here.
    pub fn flattered(&self) -> Option<Imbalance> {
        let scores = self.scores();
        let there = scores
            .iter()
            .enumerate()
            .filter(|(_, scores)| scores.support > 0);
        let (majority, largest) = there
            .clone()
            .max_by_key(|(i, scores)| (scores.support, Reverse(*i)))?;
        let share = ratio(largest.support as f64, self.total() as f64)?;
        let classes = there.clone().count() as f64;
        let f1 = there.map(|(_, scores)| scores.f1).sum::<f64>() / classes;
        let flattered = share * classes >= LARGER && self.accuracy() - f1 >= FLATTERED;
        flattered.then_some(Imbalance { majority, share })
    }

    /// The `n` most frequent confusions, the most frequent first; equal ones in the order of the table.
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

fn class_scores(hits: u64, taken: u64, support: u64) -> ClassScores {
    let (hits, taken, samples) = (hits as f64, taken as f64, support as f64);
    let precision = ratio(hits, taken);
    let recall = ratio(hits, samples);
    // tp + fp is what was taken for the class, tp + fn its support: their sum is 2 tp + fp + fn.
    let f1 = ratio(2.0 * hits, taken + samples);
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

/// A file may hold counts that no run can reach; they must not overflow.
fn sum<'a>(counts: impl Iterator<Item = &'a u64>) -> u64 {
    counts.fold(0, |sum, count| sum.saturating_add(*count))
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests;
