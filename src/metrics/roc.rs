//! Area under the ROC curve of each class against the rest: the probability that a sample of the class has a higher
//! score than a sample of another class.
//!
//! It is computed from ranks (Mann & Whitney 1947) in O(n log n), and ties count half, as in scikit-learn's
//! `roc_auc_score` of one class against the rest. The score is the log-odds of the class, z_k − ln Σ_{j≠k} exp z_j. It
//! orders samples like the probability, but does not round to 1.0 if the network is very confident. The temperature can
//! change the order of samples, because it affects the classes of a row differently; temperature 1 is used.

use super::parallel;

/// The area under the ROC curve of each class.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Auc {
    /// The areas, indexed by label; `None` if there is no sample of the class or of any other class, or if logits are
    /// not finite.
    pub classes: Vec<Option<f64>>,
}

impl Auc {
    /// The unweighted mean over the classes for which the area is defined; `None` if there are none.
    pub fn macro_mean(&self) -> Option<f64> {
        let known = self.classes.iter().flatten();
        let (sum, count) = known.fold((0.0, 0_u64), |(sum, count), auc| (sum + auc, count + 1));
        (count > 0).then(|| sum / count as f64)
    }

    /// Number of classes for which the area is defined.
    pub fn used(&self) -> usize {
        self.classes.iter().flatten().count()
    }
}

/// The areas of all classes. Logits are row-major with `k` per row and one label per row. Surplus rows or labels are
/// ignored, and rows whose label is not below `k` are skipped.
pub fn auc(logits: &[f32], labels: &[u32], k: usize) -> Auc {
    let (logits, labels) = usable(logits, labels, k);
    match Rankings::new(&logits, &labels, k) {
        Some(rankings) => rankings.auc(),
        None => Auc {
            classes: vec![None; k],
        },
    }
}

/// Copies of the rows whose label is below `k`, and of those labels.
pub(super) fn usable(logits: &[f32], labels: &[u32], k: usize) -> (Vec<f32>, Vec<u32>) {
    let (mut used_logits, mut used_labels) = (
        Vec::with_capacity(logits.len()),
        Vec::with_capacity(labels.len()),
    );
    for (row, label) in super::calibration::rows(logits, labels, k) {
        used_logits.extend_from_slice(row);
        used_labels.push(label as u32);
    }
    (used_logits, used_labels)
}

/// Whether the softmax of a row is defined: no NaN, no +∞, and at least one finite logit.
pub(super) fn has_probabilities(row: &[f32]) -> bool {
    let finite = |z: &f32| z.is_finite() || *z == f32::NEG_INFINITY;
    row.iter().all(finite) && row.iter().any(|z| z.is_finite())
}

/// For each class, the samples sorted by the score of that class.
#[derive(Debug, Clone)]
pub(super) struct Rankings(Vec<Ranking>);

/// The samples sorted by the score of one class.
#[derive(Debug, Clone)]
pub(super) struct Ranking {
    /// All rows from low to high score; of rows with equal scores, those of the class come first.
    pub(super) order: Vec<u32>,
    /// The groups of equal score that contain rows of the class, ascending. All rows outside are of other classes.
    pub(super) groups: Vec<Group>,
}

/// Rows of equal score, as a range of indices into [`Ranking::order`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) start: usize,
    /// End of the rows of the class and start of the rows of other classes.
    pub(super) split: usize,
    pub(super) end: usize,
}

impl Rankings {
    /// Sorts the rows by the score of each of `k` classes. `None` if a row has no probabilities or there are no rows.
    pub(super) fn new(logits: &[f32], labels: &[u32], k: usize) -> Option<Self> {
        if labels.is_empty() || !logits.chunks_exact(k.max(1)).all(has_probabilities) {
            return None;
        }
        let rows: Vec<Row> = logits.chunks_exact(k.max(1)).map(Row::of).collect();
        Some(Self(parallel::map(k, |class| {
            let scores = logits.iter().skip(class).step_by(k.max(1)).zip(&rows);
            // Adding 0 turns −0 into +0; `total_cmp` would order them differently.
            let scores = scores
                .map(|(z, row)| row.log_odds(class, *z) + 0.0)
                .zip(0..);
            Ranking::new(scores.collect(), labels, class)
        })))
    }

    pub(super) fn classes(&self) -> &[Ranking] {
        &self.0
    }

    pub(super) fn auc(&self) -> Auc {
        Auc {
            classes: self.0.iter().map(Ranking::auc).collect(),
        }
    }
}

impl Ranking {
    fn new(mut scores: Vec<(f64, u32)>, labels: &[u32], class: usize) -> Self {
        let is_other = |row: u32| {
            labels
                .get(row as usize)
                .is_none_or(|&l| l as usize != class)
        };
        scores.sort_unstable_by(|a, b| {
            let rows = is_other(a.1).cmp(&is_other(b.1));
            a.0.total_cmp(&b.0).then(rows)
        });
        let mut groups = Vec::new();
        let mut start = 0;
        for tied in scores.chunk_by(|a, b| a.0 == b.0) {
            let split = start + tied.partition_point(|&(_, row)| !is_other(row));
            let end = start + tied.len();
            if split > start {
                groups.push(Group { start, split, end });
            }
            start = end;
        }
        Self {
            order: scores.into_iter().map(|(_, row)| row).collect(),
            groups,
        }
    }

    /// The area under the curve; `None` if there are no samples of the class or no others.
    fn auc(&self) -> Option<f64> {
        // Twice the number of pairs in which the class sample scores higher, so that ties, which count half, are
        // integers.
        let (mut won, mut own) = (0_u64, 0);
        for group in &self.groups {
            let (here, tied) = (group.split - group.start, group.end - group.split);
            won += here as u64 * (2 * (group.start - own) + tied) as u64;
            own += here;
        }
        let pairs = own as u64 * (self.order.len() - own) as u64;
        (pairs > 0).then(|| won as f64 / (2.0 * pairs as f64))
    }
}

/// Precomputed values for the log-odds of all classes of a row.
struct Row {
    largest: f64,
    /// Σ exp(z − largest).
    mass: f64,
    /// The class with the largest logit.
    first: usize,
    /// The log-odds of `first`, computed separately because subtracting its own part from `mass` would lose all digits.
    first_log_odds: f64,
}

impl Row {
    fn of(row: &[f32]) -> Self {
        let first = super::calibration::argmax(row);
        let largest = f64::from(row.get(first).copied().unwrap_or(f32::NEG_INFINITY));
        let others = || {
            let others = row.iter().enumerate().filter(|(class, _)| *class != first);
            others.map(|(_, z)| f64::from(*z))
        };
        let second = others().fold(f64::NEG_INFINITY, f64::max);
        let first_log_odds = if second == f64::NEG_INFINITY {
            f64::INFINITY
        } else {
            largest - second - others().map(|z| (z - second).exp()).sum::<f64>().ln()
        };
        Self {
            largest,
            mass: 1.0 + others().map(|z| (z - largest).exp()).sum::<f64>(),
            first,
            first_log_odds,
        }
    }

    fn log_odds(&self, class: usize, z: f32) -> f64 {
        if class == self.first {
            return self.first_log_odds;
        }
        let below = f64::from(z) - self.largest;
        below - (self.mass - below.exp()).ln()
    }
}

#[cfg(test)]
mod tests;
