#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use proptest::prelude::*;

use super::super::*;
use super::{LANES, weights};
use crate::random::Random;
use Measure::{Accuracy, Ece, EceCalibrated, MacroF1, NllCalibrated};

fn interval(found: &Estimates, measure: Measure) -> Option<Interval> {
    found.measures.get(&measure)?.interval
}

/// Logits and labels of a network that is correct more often than not.
fn split(rows: usize, k: usize, seed: u64) -> (Vec<f32>, Vec<u32>) {
    let mut random = Random::new(&[seed]);
    let labels: Vec<u32> = (0..rows).map(|_| random.below(k) as u32).collect();
    let mut logits = Vec::new();
    for label in &labels {
        for class in 0..k as u32 {
            let noise = random.below(1000) as f32 / 250.0;
            logits.push(noise + if class == *label { 2.5 } else { 0.0 });
        }
    }
    (logits, labels)
}

/// The rows of a resample, each repeated as often as it was drawn: the reference for the weighted computation.
fn repeated_rows(logits: &[f32], labels: &[u32], k: usize, counts: &[i32]) -> (Vec<f32>, Vec<u32>) {
    let (mut rows, mut drawn) = (Vec::new(), Vec::new());
    for ((row, label), count) in logits.chunks(k).zip(labels).zip(counts) {
        for _ in 0..*count {
            rows.extend_from_slice(row);
            drawn.push(*label);
        }
    }
    (rows, drawn)
}

#[test]
fn a_tally_equals_the_measures_of_the_rows_drawn() {
    for (rows, k, t) in [(40, 3, 0.7), (300, 2, 1.0), (25, 9, 1.8)] {
        let (logits, labels) = split(rows, k, 5);
        let outcomes = Outcomes::new(&logits, &labels, k, t, 15);
        let found = outcomes.resample(LANES + 3, 9);
        assert_eq!(found.len(), LANES + 3);
        for draw in 0..LANES + 3 {
            let all = weights(rows, draw / LANES, 9);
            let counts: Vec<i32> = all.iter().map(|lanes| lanes[draw % LANES]).collect();
            assert_eq!(counts.iter().sum::<i32>() as usize, rows);
            let (logits, labels) = repeated_rows(&logits, &labels, k, &counts);
            let (predicted, conf): (Vec<u32>, Vec<f64>) =
                confidences(&logits, k, t).into_iter().unzip();
            let correct: Vec<bool> = predicted.iter().zip(&labels).map(|(p, l)| p == l).collect();
            let confusion = Confusion::from_predictions(k, &labels, &predicted);
            let close =
                |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "draw {draw}: {a} is not {b}");
            close(found[draw].value(Accuracy), confusion.accuracy());
            close(found[draw].value(MacroF1), confusion.macro_f1());
            close(found[draw].classes[1].f1(), confusion.scores()[1].f1);
            close(
                found[draw].auc,
                auc(&logits, &labels, k).macro_mean().unwrap(),
            );
            close(
                found[draw].value(NllCalibrated),
                nll(&logits, &labels, k, t),
            );
            close(
                found[draw].value(EceCalibrated),
                reliability(&conf, &correct, 15).ece,
            );
        }
    }
}

/// The Wilson interval (Wilson 1927) by scipy for 9,279 correct of 10,000:
///
/// ```python
/// scipy.stats.binomtest(9279, 10000).proportion_ci(method="wilson")   # 0.9226645, 0.9328069
/// ```
#[test]
fn the_interval_of_the_accuracy_matches_wilson() {
    let labels = vec![0; 10_000];
    let logits: Vec<f32> = (0..10_000)
        .flat_map(|i| if i < 9279 { [1.0, 0.0] } else { [0.0, 1.0] })
        .collect();
    let outcomes = Outcomes::new(&logits, &labels, 2, 1.0, 15);
    let found = interval(&outcomes.estimates(0, 1), Accuracy).unwrap();
    assert!((found.low - 0.922_664_5).abs() < 1e-7, "{found:?}");
    assert!((found.high - 0.932_806_9).abs() < 1e-7, "{found:?}");
    let macro_f1 = interval(&outcomes.estimates(0, 1), MacroF1);
    assert_eq!(
        macro_f1, None,
        "without resamples only proportions have intervals"
    );
}

#[test]
fn resamples_depend_only_on_the_seed() {
    let (logits, labels) = split(200, 4, 1);
    let outcomes = Outcomes::new(&logits, &labels, 4, 1.0, 15);
    assert_eq!(outcomes.resample(50, 3), outcomes.resample(50, 3));
    assert_ne!(outcomes.resample(50, 3), outcomes.resample(50, 4));
    // The number of resamples does not change the first ones.
    assert_eq!(outcomes.resample(50, 3)[..20], outcomes.resample(20, 3)[..]);
}

#[test]
fn undefined_measures_have_no_interval() {
    let estimates = |logits: &[f32], labels: &[u32], k, resamples| {
        Outcomes::new(logits, labels, k, 1.0, 15).estimates(resamples, 1)
    };
    let none = estimates(&[], &[], 3, 100);
    let all = |found: &Estimates, measures: &[Measure]| -> Vec<Option<Interval>> {
        measures
            .iter()
            .map(|measure| interval(found, *measure))
            .collect()
    };
    assert_eq!(none.resamples, 0);
    assert_eq!(all(&none, &[Accuracy, Measure::Auc]), [None, None]);
    assert_eq!(none.f1, [None; 3]);
    let nan = estimates(&[f32::NAN, 0.0, 0.0, 1.0], &[0, 1], 2, 64);
    assert!(interval(&nan, Accuracy).is_some() && interval(&nan, MacroF1).is_some());
    assert_eq!(all(&nan, &[Measure::Auc, Ece, EceCalibrated]), [None; 3]);
    let one = estimates(&[0.5; 10], &[0; 10], 1, 64);
    let right = Interval::proportion(10, 10);
    assert_eq!(all(&one, &[Accuracy, Measure::Auc]), [right, None]);
    let off = estimates(&[0.5; 10], &[0; 10], 1, 0);
    assert_eq!(all(&off, &[Accuracy, Ece]), [right, None]);
}

#[test]
fn a_probability_of_0_for_the_true_class_gives_an_infinite_loss_if_drawn() {
    let logits = [f32::NEG_INFINITY, 0.0, 1.0, 0.0];
    let found = Outcomes::new(&logits, &[0, 0], 2, 1.0, 15).resample(64, 1);
    let found: Vec<f64> = found.iter().map(|draw| draw.nll_calibrated).collect();
    assert!(found.contains(&f64::INFINITY));
    assert!(found.iter().any(|nll| nll.is_finite()));
    assert!(!found.iter().any(|nll| nll.is_nan()));
}

#[test]
fn a_network_is_distinguishable_from_a_better_one_but_not_from_itself() {
    let (logits, labels) = split(2000, 4, 1);
    let one = Outcomes::new(&logits, &labels, 4, 1.0, 15);
    let same = compare(&one, &one.clone(), 500, 1).unwrap();
    let accuracy = same.difference(Accuracy).unwrap();
    // Without discordant rows their share is still uncertain.
    let share = Interval::proportion(0, 2000).unwrap().high;
    let around = Interval {
        low: -share,
        high: share,
    };
    assert_eq!((accuracy.value, accuracy.ci95), (0.0, around));
    assert!(!accuracy.distinguishable());
    assert_eq!((same.only_first, same.only_second), (0, 0));
    // Correct one row in ten.
    let mut better = logits.clone();
    for (row, label) in better.chunks_mut(4).zip(&labels).step_by(10) {
        row[*label as usize] += 20.0;
    }
    let better = Outcomes::new(&better, &labels, 4, 1.0, 15);
    let found = compare(&one, &better, 500, 1).unwrap();
    assert!(
        found
            .difference(Accuracy)
            .is_some_and(|by| by.distinguishable() && by.value > 0.0)
    );
    assert_eq!((found.only_first, found.only_second > 0), (0, true));
    assert_eq!(found.n, 2000);
    let (other, relabelled) = split(2000, 4, 2);
    assert_eq!(
        compare(
            &one,
            &Outcomes::new(&other, &relabelled, 4, 1.0, 15),
            500,
            1
        ),
        None
    );
}

#[test]
fn paired_intervals_are_narrower() {
    let (logits, labels) = split(1000, 4, 1);
    let mut other = logits.clone();
    other.iter_mut().step_by(37).for_each(|z| *z += 0.4);
    let one = Outcomes::new(&logits, &labels, 4, 1.0, 15);
    let two = Outcomes::new(&other, &labels, 4, 1.0, 15);
    let paired = compare(&one, &two, 500, 1)
        .unwrap()
        .difference(Accuracy)
        .unwrap()
        .ci95;
    let alone = interval(&one.estimates(500, 1), Accuracy).unwrap();
    assert!(
        paired.high - paired.low < 0.6 * (alone.high - alone.low),
        "{paired:?} {alone:?}"
    );
}

proptest! {
    #[test]
    fn f1_accuracy_and_auc_are_between_0_and_1(rows in 1_usize..60, k in 1_usize..6, seed: u64) {
        let (logits, labels) = split(rows, k, seed);
        let drawn = Outcomes::new(&logits, &labels, k, 1.0, 15).resample(20, seed);
        for draw in drawn {
            let f1 = draw.classes.iter().map(ClassCount::f1);
            let auc = Some(draw.auc).filter(|auc| !auc.is_nan());
            for share in f1.chain([draw.value(Accuracy), draw.value(MacroF1)]).chain(auc) {
                prop_assert!((0.0..=1.0).contains(&share), "{}", share);
            }
        }
    }

    #[test]
    fn measured_values_do_not_depend_on_the_order_of_rows(rows in 1_usize..60, seed: u64) {
        let (logits, labels) = split(rows, 3, seed);
        let mut order: Vec<usize> = (0..rows).collect();
        Random::new(&[seed, 1]).shuffle(&mut order);
        let shuffled: Vec<f32> = order.iter().flat_map(|&i| logits[i * 3..(i + 1) * 3].to_vec()).collect();
        let relabelled: Vec<u32> = order.iter().map(|&i| labels[i]).collect();
        let (a, b) = (
            Outcomes::new(&logits, &labels, 3, 0.8, 15).measured(),
            Outcomes::new(&shuffled, &relabelled, 3, 0.8, 15).measured(),
        );
        prop_assert_eq!(&a.classes, &b.classes);
        for measure in Measure::ALL {
            let (a, b) = (a.value(measure), b.value(measure));
            prop_assert!((a - b).abs() < 1e-12 || (a.is_nan() && b.is_nan()), "{measure:?}");
        }
    }
}

/// Logits of a network that predicts these classes with certainty.
fn certain(predicted: &[u32], k: u32) -> Vec<f32> {
    let row = |class: &u32| {
        (0..k)
            .map(|other| if other == *class { 9.0 } else { 0.0 })
            .collect::<Vec<_>>()
    };
    predicted.iter().flat_map(row).collect()
}

fn estimates_of(labels: &[u32], predicted: &[u32], k: u32) -> Estimates {
    Outcomes::new(&certain(predicted, k), labels, k as usize, 1.0, 15).estimates(200, 1)
}

#[test]
fn with_600_of_600_right_no_interval_is_a_point() {
    let labels: Vec<u32> = (0..600).map(|i| i % 10).collect();
    let found = estimates_of(&labels, &labels, 10);
    let one_of_60 = Interval::proportion(60, 60).unwrap();
    for (measure, found) in &found.measures {
        if !measure.has_interval() {
            continue;
        }
        let ends = found.interval.unwrap();
        assert!(ends.high - ends.low > 0.005, "{measure:?} {ends:?}");
        assert!(ends.contains(found.value), "{measure:?} {ends:?}");
        assert!(
            !measure.ends(found.interval).contains("[100.00"),
            "{measure:?}"
        );
        // A mean over ten classes is more certain than one class.
        assert!(
            ends.low > one_of_60.low || found.value < 0.5,
            "{measure:?} {ends:?}"
        );
    }
    for f1 in found.f1 {
        let f1 = f1.unwrap();
        let low = 2.0 * one_of_60.low / (1.0 + one_of_60.low);
        assert!((f1.low - low).abs() < 1e-9 && f1.high == 1.0, "{f1:?}");
    }
}

#[test]
fn a_class_with_0_of_12_right_has_an_f1_interval() {
    let labels: Vec<u32> = (0..612).map(|i| u32::from(i < 12)).collect();
    let found = estimates_of(&labels, &[0; 612], 3);
    let f1 = found.f1[1].unwrap();
    let overlap = Interval::proportion(0, 12).unwrap().high;
    assert!(
        f1.low == 0.0 && (f1.high - 2.0 * overlap / (1.0 + overlap)).abs() < 1e-12,
        "{f1:?}"
    );
    assert_eq!(found.f1[2], None, "neither a label nor a prediction");
    let of = |measure| interval(&found, measure);
    assert!(of(MacroF1).unwrap().high > found.measures[&MacroF1].value + 0.05);
    assert!(of(Measure::BalancedAccuracy).unwrap().high > 0.55);
    assert_eq!(
        of(Measure::Matthews),
        None,
        "it is undefined in every resample"
    );
}

#[test]
fn far_from_the_boundary_the_intervals_are_the_percentiles() {
    let (logits, labels) = split(1000, 4, 1);
    let outcomes = Outcomes::new(&logits, &labels, 4, 1.0, 15);
    let found = outcomes.estimates(200, 1);
    let drawn = outcomes.resample(200, 1);
    for measure in [
        MacroF1,
        Measure::Auc,
        Measure::BalancedAccuracy,
        Measure::Matthews,
    ] {
        let values: Vec<f64> = drawn.iter().map(|draw| draw.value(measure)).collect();
        assert_eq!(
            interval(&found, measure),
            Interval::percentile(&values),
            "{measure:?}"
        );
    }
}

/// McNemar's exact test: `scipy.stats.binomtest(5, 5).pvalue` is 0.0625, `binomtest(6, 6).pvalue` is 0.03125. Every
/// resample of five discordant rows has the same sign with a probability of 99 %.
#[test]
fn few_discordant_rows_are_compared_exactly() {
    let labels = vec![0; 600];
    let wrong = |rows: usize| -> Vec<u32> { (0..600).map(|i| u32::from(i < rows)).collect() };
    let difference = |discordant: usize| {
        let outcomes =
            |predicted: &[u32]| Outcomes::new(&certain(predicted, 2), &labels, 2, 1.0, 15);
        let (first, second) = (outcomes(&wrong(20 + discordant)), outcomes(&wrong(20)));
        compare(&first, &second, 500, 1)
            .unwrap()
            .difference(Accuracy)
            .unwrap()
    };
    assert!(!difference(5).distinguishable(), "{:?}", difference(5));
    assert!(difference(6).distinguishable(), "{:?}", difference(6));
    assert!(difference(11).distinguishable(), "{:?}", difference(11));
}

/// With 201 classes the AUC and the F1 of a class have no intervals, but the other measures do; with 200 all have.
#[test]
fn many_classes_have_no_intervals_of_their_own() {
    for (k, some) in [(200, true), (201, false)] {
        let (logits, labels) = split(400, k, 3);
        let found = Outcomes::new(&logits, &labels, k, 1.0, 15).estimates(50, 1);
        let auc = found.measures.get(&Measure::Auc).unwrap();
        assert!(
            auc.value > 0.5 && auc.interval.is_some() == some,
            "{k}: {auc:?}"
        );
        assert_eq!(found.f1.len(), if some { k } else { 0 });
        for measure in [Accuracy, MacroF1, Ece, Measure::BalancedAccuracy] {
            assert!(interval(&found, measure).is_some(), "{k}: {measure:?}");
        }
    }
}
