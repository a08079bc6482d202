use proptest::prelude::*;

use super::*;

const LOGITS: [f32; 18] = [
    2.0, 1.0, 0.1, 0.5, 2.5, 0.0, 0.2, 0.1, 3.0, 1.5, 1.4, -1.0, 0.0, 0.0, 4.0, -2.0, 3.0, 1.0,
];
const LABELS: [u32; 6] = [0, 1, 2, 1, 0, 1];

fn close(value: f64, reference: f64, tolerance: f64) {
    assert!(
        (value - reference).abs() <= tolerance,
        "{value} is not {reference}"
    );
}

/// Made with scipy 1.17.1 and scikit-learn 1.9.1:
///
/// ```python
/// z = np.array([[2,1,.1],[.5,2.5,0],[.2,.1,3],[1.5,1.4,-1],[0,0,4],[-2,3,1]], np.float32).astype(float)
/// y = np.array([0,1,2,1,0,1])
/// for T in (1, 2.5):
///     p = scipy.special.softmax(z / T, axis=1)
///     sklearn.metrics.log_loss(y, p, labels=[0,1,2])  # 0.9464623403172672, 0.8560944587008827
///     ((p - np.eye(3)[y]) ** 2).sum(1).mean()         # 0.4544603275007543, 0.5002651414150511
/// scipy.special.softmax(z[0] / 2)                     # 0.50168776, 0.30428901, 0.19402324
/// ```
#[test]
fn nll_brier_and_softmax_match_scipy_and_scikit_learn() {
    for (temperature, loss, score) in [
        (1.0, 0.946_462_340_317_267_2, 0.454_460_327_500_754_3),
        (2.5, 0.856_094_458_700_882_7, 0.500_265_141_415_051_1),
    ] {
        close(nll(&LOGITS, &LABELS, 3, temperature), loss, 1e-14);
        close(brier(&LOGITS, &LABELS, 3, temperature), score, 1e-14);
    }
    for (p, reference) in
        softmax(&LOGITS[..3], 2.0)
            .into_iter()
            .zip([0.501_687_76, 0.304_289_01, 0.194_023_24])
    {
        close(p, reference, 5e-9);
    }
}

#[test]
fn overconfidence_is_a_mean_over_predictions_and_nan_without_any() {
    let found = reliability(&[0.9, 0.8, 0.3], &[true, false, false], 10);
    close(overconfidence(&found.bins), 2.0 / 3.0 - 1.0 / 3.0, 1e-12);
    assert_eq!(largest_gap_count(&found.bins), 1);
    assert!(
        overconfidence(&[]).is_nan() && overconfidence(&reliability(&[], &[], 5).bins).is_nan()
    );
    assert_eq!(largest_gap_count(&[]), 0);
}

#[test]
fn extreme_logits_do_not_overflow() {
    assert_eq!(
        log_softmax(&[1000.0, 0.0, -1000.0], 1.0),
        [0.0, -1000.0, -2000.0]
    );
    assert_eq!(softmax(&[f32::MAX, f32::MIN], 1.0), [1.0, 0.0]);
    assert_eq!(softmax(&[f32::NEG_INFINITY, 0.0], 1.0), [0.0, 1.0]);
    assert_eq!(confidences(&[1000.0, 0.0], 2, 1.0), [(0, 1.0)]);
    assert_eq!(nll(&[1000.0, 0.0], &[1], 2, 1.0), 1000.0);
    assert_eq!(brier(&[1000.0, 0.0], &[1], 2, 1.0), 2.0);
}

#[test]
fn argmax_returns_the_first_of_equals_and_ignores_nan() {
    assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
    assert_eq!(argmax(&[f32::NAN, -5.0, f32::NAN]), 1);
    assert_eq!(argmax(&[f32::NAN, f32::NEG_INFINITY]), 1);
    assert_eq!(argmax(&[f32::NAN]), 0);
    assert_eq!(argmax(&[]), 0);
    assert!(confidences(&[f32::NAN, 1.0], 2, 1.0)[0].1.is_nan());
}

#[test]
fn surplus_rows_and_invalid_labels_are_skipped() {
    assert_eq!((nll(&[], &[], 0, 1.0), brier(&[], &[], 3, 1.0)), (0.0, 0.0));
    assert_eq!(confidences(&[1.0], 0, 1.0), []);
    assert_eq!(confidences(&[1.0, 2.0, 3.0], 2, 1.0).len(), 1);
    // One label out of range, one row without a label.
    assert_eq!(nll(&[0.0; 6], &[7, 0], 2, 1.0), std::f64::consts::LN_2);
}

/// Computed by hand. First case: .95 and 1 are in the same bin (14/15, 1], so the error is |2/3 − 2.95/3| = .95/3. The
/// second case adds .6 (wrong) and .533333 (correct), each alone in a bin: (.95 + .6 + .466667) / 5.
#[test]
fn calibration_error_by_hand() {
    close(
        reliability(&[1.0, 1.0, 0.95], &[true, false, true], 15).ece,
        0.316_667,
        5e-7,
    );
    let correct = [true, false, true, false, true];
    let found = reliability(&[1.0, 1.0, 0.95, 0.6, 0.533_333], &correct, 15);
    close(found.ece, 0.403_333, 1e-6);
    close(found.mce, 0.6, 1e-12);
    assert_eq!(found.bins[14].count, 3);
    close(found.bins[14].confidence, 2.95 / 3.0, 1e-12);
    close(found.bins[14].accuracy, 2.0 / 3.0, 1e-12);
}

/// Computed with numpy by comparisons with the edges of the bins:
///
/// ```python
/// rng = np.random.RandomState(0)
/// conf = np.round(rng.rand(40), 2); right = rng.rand(40) < conf
/// e = mx = 0
/// for i in range(10):
///     s = (conf > i / 10) & (conf <= (i + 1) / 10)
///     d = abs(conf[s].mean() - right[s].mean()); e += s.mean() * d; mx = max(mx, d)
/// # e = 0.14025, mx = 0.62, counts 4 2 1 1 5 7 6 6 3 5
/// ```
#[test]
fn calibration_error_matches_numpy() {
    let conf = [
        0.55, 0.72, 0.6, 0.54, 0.42, 0.65, 0.44, 0.89, 0.96, 0.38, 0.79, 0.53, 0.57, 0.93, 0.07,
        0.09, 0.02, 0.83, 0.78, 0.87, 0.98, 0.8, 0.46, 0.78, 0.12, 0.64, 0.14, 0.94, 0.52, 0.41,
        0.26, 0.77, 0.46, 0.57, 0.02, 0.62, 0.61, 0.62, 0.94, 0.68,
    ];
    let correct = "1101001111110100011111010101010100011111"
        .bytes()
        .map(|b| b == b'1')
        .collect::<Vec<_>>();
    let found = reliability(&conf, &correct, 10);
    close(found.ece, 0.14025, 1e-12);
    close(found.mce, 0.62, 1e-12);
    assert_eq!(
        found.bins.iter().map(|bin| bin.count).collect::<Vec<_>>(),
        [4, 2, 1, 1, 5, 7, 6, 6, 3, 5]
    );
}

#[test]
fn an_edge_belongs_to_the_bin_below() {
    for bins in [1, 3, 10, 15, 1000] {
        for i in 1..=bins {
            assert_eq!(bin_of(edge(i, bins), bins), i - 1);
            let above = f64::from_bits(edge(i, bins).to_bits() + 1);
            assert_eq!(bin_of(above, bins), i.min(bins - 1));
        }
    }
    let counts = |conf: &[f64]| {
        reliability(conf, &[true; 9], 2)
            .bins
            .iter()
            .map(|bin| bin.count)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        counts(&[0.0, -1.0, 0.5, 0.51, 2.0, f64::NAN, f64::INFINITY]),
        [3, 3]
    );
}

#[test]
fn no_predictions_and_extreme_bin_counts_do_not_panic() {
    let empty = reliability(&[], &[], 15);
    assert_eq!((empty.ece, empty.mce, empty.bins.len()), (0.0, 0.0, 15));
    assert_eq!(reliability(&[0.5], &[true], 0).bins.len(), 1);
    assert_eq!(
        reliability(&[0.5], &[true], usize::MAX).bins.len(),
        MAX_BINS
    );
}

/// Computed with scipy 1.17.1, for z and y as above and for a second, under-confident network:
///
/// ```python
/// def slope(b):
///     q = softmax(z * b, axis=1); return ((q * z).sum(1) - z[np.arange(6), y]).mean()
/// b = brentq(slope, 1e-3, 1e3, xtol=1e-15)
/// # 1/b = 1.8330225960591877, NLL 0.9464623403172672 before, 0.8406692634226536 after
/// z = np.array([[.2,.1,0],[0,.3,.1],[.1,.2,.4],[.3,.1,.2],[.1,.3,0],[0,0,.5]], np.float32).astype(float)
/// y = np.array([0,1,2,0,0,2])
/// # 1/b = 0.10062600783944169, NLL 0.9696259392537668 before, 0.5563452470372913 after
/// ```
#[test]
fn temperature_matches_scipy() {
    let underconfident: [f32; 18] = [
        0.2, 0.1, 0.0, 0.0, 0.3, 0.1, 0.1, 0.2, 0.4, 0.3, 0.1, 0.2, 0.1, 0.3, 0.0, 0.0, 0.0, 0.5,
    ];
    let cases = [
        (
            LOGITS,
            LABELS,
            1.833_022_596_059_187_7,
            0.946_462_340_317_267_2,
            0.840_669_263_422_653_6,
        ),
        (
            underconfident,
            [0, 1, 2, 0, 0, 2],
            0.100_626_007_839_441_69,
            0.969_625_939_253_766_8,
            0.556_345_247_037_291_3,
        ),
    ];
    for (logits, labels, value, before, after) in cases {
        let found = fit_temperature(&logits, &labels, 3);
        assert!(found.converged);
        close(found.value, value, 1e-7);
        close(found.nll_before, before, 1e-14);
        close(found.nll_after, after, 1e-14);
    }
}

#[test]
fn a_fit_without_a_minimum_gives_temperature_1() {
    let fitted = |logits: &[f32], labels: &[u32], k| {
        let found = fit_temperature(logits, labels, k);
        (found.value, found.converged)
    };
    assert_eq!(fitted(&[], &[], 3), (1.0, false));
    assert_eq!(fitted(&[], &[], 0), (1.0, false));
    assert_eq!(fitted(&[f32::NAN, 1.0], &[0], 2), (1.0, false));
    // Every prediction is correct, also if the label ties with another class.
    assert_eq!(fitted(&[2.0, 1.0, 1.0, 2.0], &[0, 1], 2), (1.0, false));
    assert_eq!(fitted(&[0.0; 4], &[0, 1], 2), (1.0, false));
}

#[test]
fn a_temperature_that_did_not_converge_is_not_used() {
    // Always wrong: a lower confidence is always better.
    let found = fit_temperature(&[2.0, 1.0, 1.0, 2.0], &[1, 0], 2);
    assert!(!found.converged);
    assert_eq!((found.value, found.nll_after), (1.0, found.nll_before));
    // Mostly correct, but with such small margins that the best β is above the bound.
    let found = fit_temperature(&[1e-6, 0.0, 1e-6, 0.0, 1e-6, 0.0], &[0, 0, 1], 2);
    assert!(!found.converged);
    assert_eq!((found.value, found.nll_after), (1.0, found.nll_before));
}

#[test]
fn the_fit_skips_non_finite_rows() {
    let mut logits = LOGITS.to_vec();
    logits.extend([f32::NAN, 0.0, 0.0, f32::INFINITY, 0.0, 0.0, 1.0, 2.0, 3.0]);
    let mut labels = LABELS.to_vec();
    labels.extend([0, 1, 9]);
    assert_eq!(
        fit_temperature(&logits, &labels, 3),
        fit_temperature(&LOGITS, &LABELS, 3)
    );
}

#[test]
fn a_minimum_far_from_one_is_found() {
    // Two classes, 3 of 4 correct with the same margin m: softmax(βm) = 3/4, so T = m / ln 3.
    for margin in [0.01_f32, 0.1, 1.0, 30.0, 300.0, 900.0] {
        let logits: Vec<f32> = (0..4).flat_map(|_| [margin, 0.0]).collect();
        let found = fit_temperature(&logits, &[0, 0, 0, 1], 2);
        let value = f64::from(margin) / 3_f64.ln();
        assert!(found.converged, "{margin}");
        close(found.value / value, 1.0, 1e-4);
    }
}

fn labelled_logits() -> impl Strategy<Value = (Vec<f32>, Vec<u32>)> {
    let row = (prop::collection::vec(-20.0_f32..20.0, 4), 0..4_u32);
    prop::collection::vec(row, 0..40).prop_map(|rows| {
        let (logits, labels): (Vec<Vec<f32>>, Vec<u32>) = rows.into_iter().unzip();
        (logits.concat(), labels)
    })
}

proptest! {
    #[test]
    fn a_fitted_temperature_never_raises_the_nll((logits, labels) in labelled_logits()) {
        let found = fit_temperature(&logits, &labels, 4);
        prop_assert!(found.nll_after <= found.nll_before);
        prop_assert_eq!(found.nll_after, nll(&logits, &labels, 4, found.value));
        prop_assert!((1e-3..=1000.0 + 1e-9).contains(&found.value));
        // At a minimum, neighbouring temperatures are not better.
        prop_assert!(found.converged || found.value == 1.0);
        if found.converged {
            for near in [0.99, 1.01] {
                prop_assert!(found.nll_after <= nll(&logits, &labels, 4, found.value * near) + 1e-9);
            }
        }
    }

    #[test]
    fn the_order_of_rows_does_not_matter((logits, labels) in labelled_logits()) {
        let reversed: Vec<f32> = logits.chunks(4).rev().flatten().copied().collect();
        let reversed_labels: Vec<u32> = labels.iter().rev().copied().collect();
        for (a, b) in [
            (nll(&logits, &labels, 4, 1.0), nll(&reversed, &reversed_labels, 4, 1.0)),
            (brier(&logits, &labels, 4, 1.0), brier(&reversed, &reversed_labels, 4, 1.0)),
        ] {
            prop_assert!((a - b).abs() <= 1e-12 * a.abs().max(1.0));
        }
    }

    #[test]
    fn temperature_does_not_change_the_prediction((logits, _) in labelled_logits(), temperature in 0.05_f64..50.0) {
        let classes = |temperature| confidences(&logits, 4, temperature).into_iter().map(|(class, _)| class).collect::<Vec<_>>();
        prop_assert_eq!(classes(1.0), classes(temperature));
        for (row, (class, conf)) in logits.chunks(4).zip(confidences(&logits, 4, temperature)) {
            let p = softmax(row, temperature);
            prop_assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            prop_assert!(p.iter().all(|p| *p <= conf) && p[class as usize] == conf && (0.25 - 1e-12..=1.0).contains(&conf));
        }
    }

    #[test]
    fn ece_within_0_and_1(pairs in prop::collection::vec((0.0_f64..=1.0, any::<bool>()), 0..60), bins in 1_usize..40) {
        let (conf, correct): (Vec<f64>, Vec<bool>) = pairs.into_iter().unzip();
        let found = reliability(&conf, &correct, bins);
        prop_assert!(0.0 <= found.ece && found.ece <= found.mce + 1e-12 && found.mce <= 1.0);
        prop_assert_eq!(found.bins.iter().map(|bin| bin.count).sum::<u64>(), conf.len() as u64);
    }

    #[test]
    fn arbitrary_input_does_not_panic(logits: Vec<f32>, labels: Vec<u32>, k in 0_usize..5, temperature: f64) {
        nll(&logits, &labels, k, temperature);
        brier(&logits, &labels, k, temperature);
        confidences(&logits, k, temperature);
        let found = fit_temperature(&logits, &labels, k);
        prop_assert!(found.value.is_finite() && found.nll_after.is_finite());
    }
}
