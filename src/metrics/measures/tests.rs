use super::super::Outcomes;
use super::Measure::{self, BalancedAccuracy, Matthews, Top5Accuracy};

/// Logits that are multiples of 1/8, so that some are equal; the label's logit is raised. The last class has no sample.
fn rows(n: usize, k: usize, seed: u64) -> (Vec<f32>, Vec<u32>) {
    let mut state = seed;
    let mut logits: Vec<f32> = (0..n * k)
        .map(|_| {
            state = (state * 1_103_515_245 + 12_345) % (1 << 31);
            (state >> 16) as f32 % 64.0 / 8.0
        })
        .collect();
    let labels: Vec<u32> = (0..n).map(|i| ((i * i + i / 3) % (k - 1)) as u32).collect();
    for (row, label) in logits.chunks_mut(k).zip(&labels) {
        row[*label as usize] += 2.0;
    }
    (logits, labels)
}

/// scikit-learn 1.9:
///
/// ```python
/// def rows(n, k, step):
///     state, out = step, []
///     for _ in range(n * k):
///         state = (state * 1103515245 + 12345) % 2**31
///         out.append((state >> 16) % 64 / 8)
///     return np.array(out, dtype=np.float32).reshape(n, k)
/// for n, k, step in [(60, 7, 1), (200, 10, 2)]:
///     z = rows(n, k, step); y = np.array([(i * i + i // 3) % (k - 1) for i in range(n)])
///     z[np.arange(n), y] += 2.0
///     p = z.argmax(1)
///     print(balanced_accuracy_score(y, p), top_k_accuracy_score(y, z, k=5, labels=range(k)), matthews_corrcoef(y, p))
/// ```
#[test]
fn balanced_accuracy_top_5_and_matthews_match_scikit_learn() {
    for (n, k, seed, expected) in [
        (
            60,
            7,
            1,
            [
                0.341_269_841_269_841_2,
                0.966_666_666_666_666_7,
                0.272_716_036_360_648,
            ],
        ),
        (
            200,
            10,
            2,
            [0.349_635_067_026_371_4, 0.795, 0.274_807_395_294_182_7],
        ),
    ] {
        let (logits, labels) = rows(n, k, seed);
        let outcomes = Outcomes::new(&logits, &labels, k, 1.3, 15);
        let found = outcomes.estimates(100, 0).measures;
        for (measure, expected) in [BalancedAccuracy, Top5Accuracy, Matthews]
            .into_iter()
            .zip(expected)
        {
            let estimate = found[&measure];
            assert!(
                (estimate.value - expected).abs() < 1e-9,
                "{measure:?} {estimate:?}"
            );
            let interval = estimate
                .interval
                .map(|interval| interval.contains(expected));
            assert_eq!(interval, Some(true), "{measure:?} {estimate:?}");
        }
    }
}

#[test]
fn five_classes_have_no_top_5_and_constant_predictions_no_correlation() {
    let logits = [0.0, 1.0, 0.0, 0.0, 0.0].repeat(10);
    let found = Outcomes::new(&logits, &[1, 2].repeat(5), 5, 1.0, 15).estimates(0, 0);
    assert!(!found.measures.contains_key(&Top5Accuracy));
    assert_eq!(found.measures[&Matthews].value, 0.0);
    assert_eq!(found.measures[&BalancedAccuracy].value, 0.5);
}

#[test]
fn keys_and_paths_are_unique_and_partners_share_a_format() {
    for measure in Measure::ALL {
        let info = measure.info();
        assert_eq!(Measure::from_key(info.key), Some(measure));
        let same_path = Measure::ALL
            .into_iter()
            .filter(|other| other.info().path == info.path);
        assert_eq!(same_path.count(), 1, "{measure:?}");
        if let Some(partner) = measure.partner() {
            assert_eq!(partner.info().format, info.format);
        }
    }
}
