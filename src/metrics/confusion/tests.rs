#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

const LABELS: [u32; 10] = [0, 0, 0, 1, 1, 2, 2, 2, 2, 0];
const PREDICTED: [u32; 10] = [0, 1, 0, 1, 1, 2, 0, 2, 1, 4];

fn close(value: f64, reference: f64) {
    assert!(
        (value - reference).abs() < 1e-12,
        "{value} is not {reference}"
    );
}

/// Made with scikit-learn 1.9.1:
///
/// ```python
/// from sklearn.metrics import *
/// y, p, L = [0,0,0,1,1,2,2,2,2,0], [0,1,0,1,1,2,0,2,1,4], [0,1,2,3,4]
/// precision_recall_fscore_support(y, p, labels=L, zero_division=0)
/// f1_score(y, p, labels=L, average="macro", zero_division=0)     # 0.38095238095238093
/// f1_score(y, p, labels=L, average="weighted", zero_division=0)  # 0.6285714285714284
/// accuracy_score(y, p)                                           # 0.6
/// confusion_matrix(y, p, labels=L)
/// ```
#[test]
fn scores_match_scikit_learn() {
    let confusion = Confusion::from_predictions(5, &LABELS, &PREDICTED);
    let rows: Vec<_> = confusion.rows().map(<[u64]>::to_vec).collect();
    assert_eq!(
        rows,
        [
            [2, 1, 0, 0, 1],
            [0, 2, 0, 0, 0],
            [1, 1, 2, 0, 0],
            [0; 5],
            [0; 5]
        ]
    );
    let reference = [
        (2.0 / 3.0, 0.5, 4.0 / 7.0, 4),
        (0.5, 1.0, 2.0 / 3.0, 2),
        (1.0, 0.5, 2.0 / 3.0, 4),
        (0.0, 0.0, 0.0, 0),
        (0.0, 0.0, 0.0, 0),
    ];
    for (scores, (precision, recall, f1, support)) in confusion.scores().iter().zip(reference) {
        close(scores.precision, precision);
        close(scores.recall, recall);
        close(scores.f1, f1);
        assert_eq!(scores.support, support);
    }
    close(confusion.macro_f1(), 0.380_952_380_952_380_93);
    close(confusion.weighted_f1(), 0.628_571_428_571_428_4);
    close(confusion.accuracy(), 0.6);
    assert_eq!(
        (confusion.total(), confusion.correct(), confusion.support(2)),
        (10, 6, 4)
    );
}

#[test]
fn undefined_scores_are_marked() {
    let scores = Confusion::from_predictions(5, &LABELS, &PREDICTED).scores();
    let undefined = |s: &ClassScores| [s.precision_undefined, s.recall_undefined, s.f1_undefined];
    assert_eq!(undefined(&scores[2]), [false; 3]);
    // Class 3 neither occurs nor is predicted; class 4 is predicted once.
    assert_eq!(undefined(&scores[3]), [true; 3]);
    assert_eq!(undefined(&scores[4]), [false, true, false]);
    // A class that occurs but is never predicted correctly has a defined recall of 0.
    let missed = Confusion::from_predictions(2, &[0, 1], &[0, 0]).scores()[1];
    assert_eq!(undefined(&missed), [true, false, false]);
}

/// `f1_score([0]*90 + [1]*10, [0]*100, average="macro", zero_division=0)` is 0.4736842105263158.
#[test]
fn a_majority_predictor_has_a_misleading_accuracy() {
    let labels: Vec<u32> = (0..100).map(|i| u32::from(i >= 90)).collect();
    let confusion = Confusion::from_predictions(2, &labels, &[0; 100]);
    assert_eq!(confusion.accuracy(), 0.9);
    assert!((confusion.macro_f1() - 0.473_684_210_526_315_8).abs() < 1e-12);
    assert_eq!(
        confusion.misleading_imbalance(),
        Some(Imbalance {
            majority: 0,
            share: 0.9
        })
    );
}

#[test]
fn other_accuracies_are_not_misleading() {
    // Balanced classes with poor predictions; an absent class; unbalanced classes with good predictions; no samples.
    let even: Vec<u32> = (0..100).map(|i| i % 2).collect();
    assert_eq!(
        Confusion::from_predictions(2, &even, &[0; 100]).misleading_imbalance(),
        None
    );
    assert_eq!(
        Confusion::from_predictions(3, &even, &even).misleading_imbalance(),
        None
    );
    let uneven: Vec<u32> = (0..100).map(|i| u32::from(i >= 90)).collect();
    assert_eq!(
        Confusion::from_predictions(2, &uneven, &uneven).misleading_imbalance(),
        None
    );
    assert_eq!(Confusion::new(3).misleading_imbalance(), None);
}

#[test]
fn empty_matrices_do_not_panic() {
    for empty in [Confusion::new(0), Confusion::new(3)] {
        assert_eq!(
            (
                empty.total(),
                empty.correct(),
                empty.count(9, 9),
                empty.support(9)
            ),
            (0, 0, 0, 0)
        );
        assert_eq!(
            (empty.accuracy(), empty.macro_f1(), empty.weighted_f1()),
            (0.0, 0.0, 0.0)
        );
        assert_eq!(empty.scores().len(), empty.classes());
        assert_eq!(empty.worst_pairs(5), []);
    }
    assert!(Confusion::new(usize::MAX).classes() > 0);
}

#[test]
fn classes_out_of_range_are_skipped() {
    let confusion = Confusion::from_predictions(2, &[0, 0, 2, 1, u32::MAX, 1], &[0, 2, 0, 1, 0]);
    assert_eq!(
        (
            confusion.total(),
            confusion.count(0, 0),
            confusion.count(1, 1)
        ),
        (2, 1, 1)
    );
}

#[test]
fn worst_pairs_are_sorted_and_ties_keep_their_order() {
    let pairs = Confusion::from_predictions(5, &LABELS, &PREDICTED).worst_pairs(3);
    let seen: Vec<_> = pairs
        .iter()
        .map(|p| (p.label, p.predicted, p.count, p.share))
        .collect();
    assert_eq!(seen, [(0, 1, 1, 0.25), (0, 4, 1, 0.25), (2, 0, 1, 0.25)]);
    let pairs = Confusion::from_predictions(2, &[0, 1, 1], &[1, 0, 0]).worst_pairs(9);
    assert_eq!(
        pairs
            .iter()
            .map(|p| (p.label, p.count, p.share))
            .collect::<Vec<_>>(),
        [(1, 2, 1.0), (0, 1, 1.0)]
    );
}

#[test]
fn a_matrix_with_the_wrong_number_of_counts_is_rejected() {
    let read = |text: &str| serde_json::from_str::<Confusion>(text);
    let confusion = Confusion::from_predictions(2, &[0, 1], &[0, 0]);
    assert_eq!(
        read(&serde_json::to_string(&confusion).unwrap()).unwrap(),
        confusion
    );
    for text in [
        r#"{"classes":2,"counts":[1,2,3]}"#,
        r#"{"classes":18446744073709551615,"counts":[1]}"#,
    ] {
        assert!(
            read(text).unwrap_err().to_string().contains("cannot have"),
            "{text}"
        );
    }
    let huge = read(&format!(
        r#"{{"classes":2,"counts":[{0},{0},{0},{0}]}}"#,
        u64::MAX
    ))
    .unwrap();
    assert_eq!(huge.total(), u64::MAX);
    assert!(
        huge.scores()
            .iter()
            .all(|scores| (0.0..=1.0).contains(&scores.f1))
    );
}

proptest! {
    #[test]
    fn the_order_of_samples_does_not_matter(mut pairs in prop::collection::vec((0..7_u32, 0..7_u32), 0..60)) {
        let count = |pairs: &[(u32, u32)]| {
            let (labels, predicted): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
            Confusion::from_predictions(5, &labels, &predicted)
        };
        let before = count(&pairs);
        pairs.sort_unstable();
        prop_assert_eq!(before, count(&pairs));
    }

    #[test]
    fn scores_are_between_0_and_1(pairs in prop::collection::vec((0..7_u32, 0..7_u32), 0..60)) {
        let (labels, predicted): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
        let confusion = Confusion::from_predictions(5, &labels, &predicted);
        let scores = confusion.scores();
        let each = scores.iter().flat_map(|s| [s.precision, s.recall, s.f1]);
        for value in each.chain([confusion.accuracy(), confusion.macro_f1(), confusion.weighted_f1()]) {
            prop_assert!((0.0..=1.0 + 1e-12).contains(&value));
        }
        // F1 is a mean of precision and recall, so it cannot exceed the larger one.
        for s in scores {
            prop_assert!(s.f1 <= s.precision.max(s.recall) + 1e-12);
        }
        prop_assert_eq!((0..5).map(|class| confusion.support(class)).sum::<u64>(), confusion.total());
    }
}

#[test]
fn a_large_matrix_is_written_as_its_cells_and_read_from_both_forms() {
    let mut large = Confusion::new(300);
    (0..300).for_each(|class| large.add(class, class / 2));
    large.add(299, 299);
    large.add(299, 299);
    let json = serde_json::to_string(&large).unwrap();
    assert!(json.len() < 300 * 16, "{} bytes", json.len());
    assert!(json.ends_with("[299,149,1],[299,299,2]]}"), "{json}");
    assert_eq!(serde_json::from_str::<Confusion>(&json).unwrap(), large);
    // A dense matrix, and a small one, as all versions write it.
    let mut dense = Confusion::new(300);
    (0..300).for_each(|label| (0..300).for_each(|predicted| dense.add(label, predicted)));
    let mut small = Confusion::new(2);
    small.add(0, 1);
    let json = serde_json::to_string(&small).unwrap();
    assert_eq!(json, r#"{"classes":2,"counts":[0,1,0,0]}"#);
    for matrix in [dense, small] {
        let json = serde_json::to_string(&matrix).unwrap();
        assert!(json.contains("counts"), "{json}");
        assert_eq!(serde_json::from_str::<Confusion>(&json).unwrap(), matrix);
    }
    for wrong in [
        r#"{"classes":300,"cells":[[0,300,1]]}"#,
        r#"{"classes":300,"cells":[[18446744073709551615,1,1]]}"#,
        r#"{"classes":5000,"cells":[]}"#,
        r#"{"classes":300}"#,
    ] {
        assert!(serde_json::from_str::<Confusion>(wrong).is_err(), "{wrong}");
    }
}
