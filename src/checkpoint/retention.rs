//! Retention: which checkpoints can be removed.

/// A checkpoint on disk that could be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Training steps of its weights.
    pub global_step: u64,
    /// A user requested it, so it is retained.
    pub pinned: bool,
    /// It can be read and is complete. One that is not does not count among the newest.
    pub whole: bool,
}

/// The steps of the checkpoints to remove, oldest first: all that are older than the newest `keep` (at least 1) whole
/// ones, except the best and those a user requested.
pub fn removable(all: &[Candidate], keep: usize, best: Option<u64>) -> Vec<u64> {
    // Pinned checkpoints and the best one count among the newest, or a run would never shrink to `keep`.
    let mut whole: Vec<u64> = all
        .iter()
        .filter(|c| c.whole)
        .map(|c| c.global_step)
        .collect();
    whole.sort_unstable();
    let Some(&oldest_kept) = whole.get(whole.len().saturating_sub(keep.max(1))) else {
        return Vec::new();
    };
    let mut removable: Vec<u64> = all
        .iter()
        .filter(|c| !c.pinned && Some(c.global_step) != best && c.global_step < oldest_kept)
        .map(|c| c.global_step)
        .collect();
    removable.sort_unstable();
    removable
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidates(steps: &[u64], pinned: &[u64]) -> Vec<Candidate> {
        steps
            .iter()
            .map(|&s| Candidate {
                global_step: s,
                pinned: pinned.contains(&s),
                whole: true,
            })
            .collect()
    }

    #[test]
    fn newest_best_and_requested_are_retained() {
        assert_eq!(
            removable(&candidates(&[1, 2, 3, 4, 5, 6], &[2]), 2, Some(3)),
            [1, 4]
        );
        assert_eq!(removable(&candidates(&[1], &[]), 0, None), [0_u64; 0]);
    }

    #[test]
    fn newest_one_that_cannot_be_read_does_not_count() {
        let mut all = candidates(&[1, 2, 3, 4], &[]);
        for unreadable in all.iter_mut().skip(2) {
            unreadable.whole = false;
        }
        assert_eq!(removable(&all, 1, None), [1]);
        all.iter_mut().for_each(|c| c.whole = false);
        assert_eq!(removable(&all, 1, None), [0_u64; 0]);
    }

    proptest! {
        #[test]
        fn newest_is_never_removed(steps in prop::collection::btree_set(0_u64..100, 1..20), keep in 0_usize..5) {
            let steps: Vec<u64> = steps.into_iter().collect();
            let removed = removable(&candidates(&steps, &[]), keep, None);
            prop_assert!(!removed.contains(steps.last().unwrap_or(&0)));
            prop_assert_eq!(steps.len() - removed.len(), keep.max(1).min(steps.len()));
        }
    }
}
