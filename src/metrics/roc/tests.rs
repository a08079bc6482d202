#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use proptest::prelude::*;

use super::*;

fn close(found: &[Option<f64>], wanted: &[Option<f64>]) {
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(wanted) {
        let same = match (found, wanted) {
            (Some(found), Some(wanted)) => (found - wanted).abs() < 1e-12,
            (found, wanted) => found == wanted,
        };
        assert!(same, "{found:?} is not {wanted:?}");
    }
}

/// Made with scikit-learn 1.9.1 and scipy 1.17.1:
///
/// ```python
/// def odds(z): return np.stack([z[:,k] - logsumexp(np.delete(z, k, 1), axis=1) for k in range(z.shape[1])], 1)
/// [roc_auc_score(y == k, odds(z)[:,k]) for k in range(z.shape[1])]
/// # z = [[2,1,.1],[.5,2.5,0],[.2,.1,3],[1.5,1.4,-1],[0,0,4],[-2,3,1]], y = [0,1,2,1,0,1]   0.625, 1, 0.8
/// # z = [[1,0],[1,0],[0,1],[0,1],[0,0],[1,0],[0,1]],            y = [0,1,0,1,0,0,1]         2/3, 2/3
/// # z = [[2,1,.1],[.5,2.5,0],[.2,.1,3],[1.5,1.4,-1]],           y = [0,1,0,1]               0.5, 1; no class 2
/// # z = [[100,0,0],[90,0,0],[80,1,0],[-100,100,0],[50,60,0]],   y = [0,0,1,1,0]             5/6, 5/6
/// ```
///
/// In the last example three probabilities round to 1.0; if they were the scores, they would tie and give 4/6.
#[test]
fn auc_matches_scikit_learn() {
    let logits = [
        2.0, 1.0, 0.1, 0.5, 2.5, 0.0, 0.2, 0.1, 3.0, 1.5, 1.4, -1.0, 0.0, 0.0, 4.0, -2.0, 3.0, 1.0,
    ];
    let found = auc(&logits, &[0, 1, 2, 1, 0, 1], 3);
    close(&found.classes, &[Some(0.625), Some(1.0), Some(0.8)]);
    let ties = [
        1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0,
    ];
    let found = auc(&ties, &[0, 1, 0, 1, 0, 0, 1], 2);
    close(&found.classes, &[Some(2.0 / 3.0), Some(2.0 / 3.0)]);
    let absent = auc(&logits[..12], &[0, 1, 0, 1], 3);
    close(&absent.classes, &[Some(0.5), Some(1.0), None]);
    assert_eq!((absent.macro_mean(), absent.used()), (Some(0.75), 2));
    let confident = [
        100.0, 0.0, 0.0, 90.0, 0.0, 0.0, 80.0, 1.0, 0.0, -100.0, 100.0, 0.0, 50.0, 60.0, 0.0,
    ];
    close(
        &auc(&confident, &[0, 0, 1, 1, 0], 3).classes,
        &[Some(5.0 / 6.0), Some(5.0 / 6.0), None],
    );
}

#[test]
fn auc_without_comparable_samples_is_undefined() {
    assert_eq!(auc(&[], &[], 0), Auc { classes: vec![] });
    assert_eq!(auc(&[], &[], 2).classes, [None, None]);
    assert_eq!(auc(&[1.0, 2.0], &[0, 0], 1).classes, [None]);
    assert_eq!(auc(&[0.0; 6], &[1, 1, 1], 2).classes, [None, None]);
    assert_eq!(
        auc(&[f32::NAN, 0.0, 1.0, 0.0], &[0, 1], 2).classes,
        [None, None]
    );
    assert_eq!(
        auc(&[f32::INFINITY, 0.0, 1.0, 0.0], &[0, 1], 2).macro_mean(),
        None
    );
    // A probability of exactly 0 ranks lowest.
    let zero = [f32::NEG_INFINITY, 0.0, 1.0, 0.0, 0.0, f32::NEG_INFINITY];
    assert_eq!(auc(&zero, &[1, 0, 0], 2).classes, [Some(1.0), Some(1.0)]);
}

#[test]
fn all_ties_give_one_half() {
    for k in 2..6 {
        let labels: Vec<u32> = (0..40).map(|i| i % k).collect();
        let found = auc(&vec![0.25; 40 * k as usize], &labels, k as usize);
        assert!(
            found.classes.iter().all(|auc| *auc == Some(0.5)),
            "{found:?}"
        );
    }
}

/// The AUC by enumeration of all pairs.
fn by_pairs(logits: &[f32], labels: &[u32], k: usize, class: usize) -> Option<f64> {
    let score = |row: &[f32]| {
        let own = f64::from(row[class]);
        let others = row.iter().enumerate().filter(|(i, _)| *i != class);
        own - others.map(|(_, z)| f64::from(*z).exp()).sum::<f64>().ln()
    };
    let scores: Vec<f64> = logits.chunks(k).map(score).collect();
    let (mut won, mut pairs) = (0.0, 0);
    for (a, _) in labels
        .iter()
        .enumerate()
        .filter(|(_, l)| **l == class as u32)
    {
        for (b, _) in labels
            .iter()
            .enumerate()
            .filter(|(_, l)| **l != class as u32)
        {
            pairs += 1;
            won += match (scores[a] - scores[b]).abs() {
                gap if gap < 1e-9 => 0.5,
                _ => f64::from(u8::from(scores[a] > scores[b])),
            };
        }
    }
    (pairs > 0).then(|| won / f64::from(pairs))
}

/// Two classes with many ties, or more classes without ties: with more classes, rounding depends on the order of a sum,
/// so ties are not exact.
fn split() -> impl Strategy<Value = (Vec<f32>, Vec<u32>, usize)> {
    (2_usize..5, 1_usize..40).prop_flat_map(|(k, n)| {
        let steps = if k == 2 { 5 } else { 1_000_000 };
        let logit = (0..steps).prop_map(move |i| i as f32 * 4.0 / steps as f32);
        (
            prop::collection::vec(logit, k * n),
            prop::collection::vec(0..k as u32, n),
            Just(k),
        )
    })
}

proptest! {
    #[test]
    fn auc_by_ranks_equals_auc_by_pairs((logits, labels, k) in split()) {
        let found = auc(&logits, &labels, k);
        for class in 0..k {
            match (found.classes[class], by_pairs(&logits, &labels, k, class)) {
                (Some(a), Some(b)) => prop_assert!((a - b).abs() < 1e-12, "{} is not {}", a, b),
                (a, b) => prop_assert_eq!(a, b),
            }
        }
    }

    #[test]
    fn the_order_of_rows_does_not_matter((logits, labels, k) in split(), seed: u64) {
        let mut order: Vec<usize> = (0..labels.len()).collect();
        crate::random::Random::new(&[seed]).shuffle(&mut order);
        let shuffled: Vec<f32> = order.iter().flat_map(|&i| logits[i * k..(i + 1) * k].to_vec()).collect();
        let relabelled: Vec<u32> = order.iter().map(|&i| labels[i]).collect();
        prop_assert_eq!(auc(&logits, &labels, k), auc(&shuffled, &relabelled, k));
    }

    /// With two classes the score is the difference of the logits, and any increasing function of it gives the same
    /// area.
    #[test]
    fn an_increasing_function_of_the_score_does_not_change_auc(z in prop::collection::vec(-8_i8..8, 2..40), bits: u64) {
        let labels: Vec<u32> = (0..z.len()).map(|i| (bits >> i & 1) as u32).collect();
        let with = |f: fn(f32) -> f32| {
            let logits: Vec<f32> = z.iter().flat_map(|&z| [f(f32::from(z)), 0.0]).collect();
            auc(&logits, &labels, 2)
        };
        let plain = with(|z| z);
        prop_assert_eq!(&plain, &with(|z| z * z * z));
        prop_assert_eq!(&plain, &with(|z| 0.125 * z + 3.0));
        prop_assert_eq!(&plain, &with(f32::atan));
    }
}

#[test]
fn macro_mean_ignores_undefined_classes() {
    let auc = Auc {
        classes: vec![Some(0.5), None, Some(1.0)],
    };
    assert_eq!(auc.macro_mean().unwrap(), 0.75);
}
