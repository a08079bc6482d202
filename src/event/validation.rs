//! Which of two epochs is better: the only rule, for the trainer and for readers of checkpoint manifests.

use serde::{Deserialize, Serialize};

use super::F64;
use crate::config::BestBy;

/// The validation of weights, by which epochs are compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Accuracy, 0 to 1.
    pub accuracy: F64,
    /// NLL; infinite if it is undefined, NaN if it was not recorded.
    #[serde(default = "not_recorded")]
    pub nll: F64,
    /// Macro-F1, 0 to 1; NaN if it was not recorded.
    #[serde(default = "not_recorded")]
    pub macro_f1: F64,
}

fn not_recorded() -> F64 {
    F64(f64::NAN)
}

impl Validation {
    /// A validation of which only the accuracy is known, as in manifests of version 0.1.
    pub fn of_accuracy(accuracy: f64) -> Self {
        Self {
            accuracy: F64(accuracy),
            nll: not_recorded(),
            macro_f1: not_recorded(),
        }
    }

    /// Whether weights with this validation become the best, given the best so far. Equal values of the measure
    /// `train.best` are ordered by NLL, then by accuracy; if these are equal too, the earlier weights stay the best.
    /// Weights without a finite NLL are never the best.
    pub fn replaces(&self, best: Option<&Self>, by: BestBy) -> bool {
        let usable = !self.nll.0.is_infinite();
        usable && best.is_none_or(|best| self.rank(by) > best.rank(by))
    }

    /// The value of the measure `train.best`, negated for NLL, so that higher is better.
    pub fn score(&self, by: BestBy) -> f64 {
        match by {
            BestBy::Accuracy => self.accuracy.0,
            BestBy::Nll => -self.nll.0,
            BestBy::MacroF1 => self.macro_f1.0,
        }
    }

    /// Compared in order; higher is better. What is not known is worse than any value.
    fn rank(&self, by: BestBy) -> [f64; 3] {
        let rank = [self.score(by), -self.nll.0, self.accuracy.0];
        rank.map(|value| value.max(f64::NEG_INFINITY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use BestBy::{Accuracy, MacroF1, Nll};

    fn validation(accuracy: f64, nll: f64, macro_f1: f64) -> Validation {
        let [accuracy, nll, macro_f1] = [accuracy, nll, macro_f1].map(F64);
        Validation {
            accuracy,
            nll,
            macro_f1,
        }
    }

    /// On easy data every epoch from the second on is 100 % right: the one with the lowest NLL is the best.
    #[test]
    fn equal_accuracy_is_decided_by_nll() {
        let (second, eighth) = (validation(1.0, 0.806, 1.0), validation(1.0, 0.134, 1.0));
        for by in [Accuracy, Nll, MacroF1] {
            assert!(eighth.replaces(Some(&second), by), "{by:?}");
            assert!(!second.replaces(Some(&eighth), by), "{by:?}");
            assert!(!second.replaces(Some(&second), by), "the earlier one stays");
            assert!(second.replaces(None, by));
        }
    }

    #[test]
    fn each_criterion_has_its_own_best_epoch() {
        let epochs = [
            validation(0.9, 0.5, 0.6),
            validation(0.8, 0.3, 0.7),
            validation(0.7, 0.4, 0.8),
        ];
        let best = |by| {
            let mut best: Option<usize> = None;
            for (at, epoch) in epochs.iter().enumerate() {
                if epoch.replaces(best.and_then(|best| epochs.get(best)), by) {
                    best = Some(at);
                }
            }
            best
        };
        assert_eq!(
            [Accuracy, Nll, MacroF1].map(best),
            [Some(0), Some(1), Some(2)]
        );
    }

    #[test]
    fn undefined_nll_is_never_best_and_unknown_values_are_worst() {
        let diverged = validation(1.0, f64::INFINITY, 1.0);
        assert!(!diverged.replaces(None, Accuracy));
        let (old, new) = (Validation::of_accuracy(0.9), validation(0.9, 2.0, 0.5));
        for by in [Accuracy, Nll, MacroF1] {
            assert!(new.replaces(Some(&old), by) && !old.replaces(Some(&new), by));
            assert!(Validation::of_accuracy(0.95).replaces(Some(&old), by));
        }
        assert!(Validation::of_accuracy(0.95).replaces(Some(&new), Accuracy));
    }
}
