//! AUC-ROC of each class against the rest: the chance that a sample of the class gets a higher score than one of another.
//!
//! By ranks (Mann & Whitney 1947), in O(n log n), ties counted half, as scikit-learn's `roc_auc_score` of one class against
//! the rest. The score is the log-odds of the class, z_k − ln Σ_{j≠k} exp z_j: it orders samples as the probability does,
//! but does not collapse to 1.0 where the network is very sure. A temperature would change it between classes of a row, and
//! so the order; it is taken at temperature 1.

use super::parallel;

/// The area under the curve of each class.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Auc {
    /// By label; none where there is no sample of the class, or none of any other, or where logits are not finite.
    pub classes: Vec<Option<f64>>,
}

impl Auc {
    /// The plain mean over the classes that have one.
    pub fn macro_mean(&self) -> Option<f64> {
        let known = self.classes.iter().flatten();
        let (sum, count) = known.fold((0.0, 0_u64), |(sum, count), auc| (sum + auc, count + 1));
        (count > 0).then(|| sum / count as f64)
    }

    /// How many classes have one.
    pub fn used(&self) -> usize {
        self.classes.iter().flatten().count()
    }
}

/// The areas of all classes. Logits are row-major, `k` to a row, one label a row; as in the rest of this module, what does not
/// fit together is left out.
pub fn auc(logits: &[f32], labels: &[u32], k: usize) -> Auc {
    let (kept, labels) = usable(logits, labels, k);
    match Rankings::new(&kept, &labels, k) {
        Some(rankings) => rankings.auc(),
        None => Auc {
            classes: vec![None; k],
        },
    }
}

/// The rows that have a label among the classes, and those labels.
pub(super) fn usable(logits: &[f32], labels: &[u32], k: usize) -> (Vec<f32>, Vec<u32>) {
    let (mut kept, mut known) = (
        Vec::with_capacity(logits.len()),
        Vec::with_capacity(labels.len()),
    );
    for (row, label) in super::calibration::rows(logits, labels, k) {
        kept.extend_from_slice(row);
        known.push(label as u32);
    }
    (kept, known)
}

/// Whether a row has class probabilities: no NaN, no +∞, and something above −∞.
pub(super) fn has_probabilities(row: &[f32]) -> bool {
    let finite = |z: &f32| z.is_finite() || *z == f32::NEG_INFINITY;
    row.iter().all(finite) && row.iter().any(|z| z.is_finite())
}

/// Samples in the order of each class's score.
#[derive(Debug, Clone)]
pub(super) struct Rankings(Vec<Ranking>);

/// Samples in the order of one class's score.
#[derive(Debug, Clone)]
pub(super) struct Ranking {
    /// All rows, from low to high score; of equal ones, those of the class first.
    pub(super) order: Vec<u32>,
    /// The stretches of `order` that hold rows of the class, ascending. All rows between them are of other classes.
    pub(super) groups: Vec<Group>,
}

/// Rows of equal score, as places in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) start: usize,
    /// Up to here rows of the class, from here on others.
    pub(super) split: usize,
    pub(super) end: usize,
}

impl Rankings {
    /// Sorts by each of `k` classes. None where a row has no probabilities, or there are no rows.
    pub(super) fn new(logits: &[f32], labels: &[u32], k: usize) -> Option<Self> {
        if labels.is_empty() || !logits.chunks_exact(k.max(1)).all(has_probabilities) {
            return None;
        }
        let rows: Vec<Row> = logits.chunks_exact(k.max(1)).map(Row::of).collect();
        Some(Self(parallel::map(k, |class| {
            let scores = logits.iter().skip(class).step_by(k.max(1)).zip(&rows);
            // Adding nothing makes −0 a 0, which the sorting would tell apart.
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

    /// The area; none where the class or the rest is empty.
    fn auc(&self) -> Option<f64> {
        // Pairs in which the sample of the class scores higher, counted twice, so that half pairs are whole numbers.
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

/// What the log-odds of all classes of a row share.
struct Row {
    largest: f64,
    /// Σ exp(z − largest).
    mass: f64,
    /// The class with the largest logit, and its log-odds: there `mass` minus its own part would lose all digits.
    first: usize,
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
