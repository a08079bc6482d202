//! Which checkpoints may go.

/// A checkpoint on disk that could be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Steps its weights have seen.
    pub global_step: u64,
    /// Somebody asked for it: it stays.
    pub pinned: bool,
}

/// The steps of the checkpoints that may go: all but the newest `keep`, the best, and those somebody asked for.
pub fn superfluous(all: &[Candidate], keep: usize, best: Option<u64>) -> Vec<u64> {
    let mut loose: Vec<u64> = all
        .iter()
        .filter(|c| !c.pinned && Some(c.global_step) != best)
        .map(|c| c.global_step)
        .collect();
    loose.sort_unstable();
    // Pinned and best ones count among the newest, or a run would never shrink to `keep`.
    let mut steps: Vec<u64> = all.iter().map(|c| c.global_step).collect();
    steps.sort_unstable();
    let newest = steps
        .get(steps.len().saturating_sub(keep.max(1))..)
        .unwrap_or_default()
        .to_vec();
    loose.retain(|step| !newest.contains(step));
    loose
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept(steps: &[u64], pinned: &[u64]) -> Vec<Candidate> {
        steps
            .iter()
            .map(|&s| Candidate {
                global_step: s,
                pinned: pinned.contains(&s),
            })
            .collect()
    }

    #[test]
    fn newest_best_and_requested_stay() {
        assert_eq!(
            superfluous(&kept(&[1, 2, 3, 4, 5, 6], &[2]), 2, Some(3)),
            [1, 4]
        );
        assert_eq!(superfluous(&kept(&[1], &[]), 0, None), [0_u64; 0]);
    }

    proptest! {
        #[test]
        fn the_newest_is_never_dropped(steps in prop::collection::btree_set(0_u64..100, 1..20), keep in 0_usize..5) {
            let steps: Vec<u64> = steps.into_iter().collect();
            let gone = superfluous(&kept(&steps, &[]), keep, None);
            prop_assert!(!gone.contains(steps.last().unwrap_or(&0)));
            prop_assert_eq!(steps.len() - gone.len(), keep.max(1).min(steps.len()));
        }
    }
}
