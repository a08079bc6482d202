//! Do 95 % intervals hold the truth 95 times in a hundred? Thousands of test sets are drawn from a network whose true
//! numbers are known, and counted. Takes minutes, so it is run by `make bench` and not with every test.

use super::super::*;
use super::ece;
use crate::random::Random;

/// Test sets drawn.
const SETS: usize = 2000;
/// Draws of each interval.
const RESAMPLES: usize = 1000;
/// Rows that tell the truth to a digit more than any test set can.
const TRUTH: usize = 2_000_000;
const CLASSES: usize = 10;

/// A network in one number: how far the true class's logit stands out of normal noise. The temperature at which its
/// confidence is right is 1 over that number.
struct Network {
    signal: f64,
    /// Shares of the classes: all alike, or the first half as large again as the second.
    uneven: bool,
}

struct Split {
    logits: Vec<f32>,
    labels: Vec<u32>,
}

impl Network {
    fn draw(&self, rows: usize, seed: u64) -> Split {
        let mut random = Random::new(&[seed, u64::from_le_bytes(*b"coverage")]);
        let mut split = Split {
            logits: Vec::with_capacity(rows * CLASSES),
            labels: Vec::with_capacity(rows),
        };
        for _ in 0..rows {
            let label = if self.uneven && random.below(3) == 0 {
                random.below(CLASSES / 2)
            } else {
                random.below(CLASSES)
            };
            for class in 0..CLASSES {
                let signal = if class == label { self.signal } else { 0.0 };
                split.logits.push((signal + normal(&mut random)) as f32);
            }
            split.labels.push(label as u32);
        }
        split
    }
}

/// Box & Muller 1958.
fn normal(random: &mut Random) -> f64 {
    let mut unit = || ((random.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    let (radius, angle) = ((-2.0 * unit().ln()).sqrt(), std::f64::consts::TAU * unit());
    radius * angle.cos()
}

/// Names and values of what has an interval.
fn numbers(split: &Split, temperature: f64) -> [(&'static str, f64); 6] {
    let outcomes = Outcomes::new(&split.logits, &split.labels, CLASSES, temperature, 15);
    let all = outcomes.measured();
    let first = |values: &[f64]| values.first().copied().unwrap_or(f64::NAN);
    [
        ("accuracy", first(&all.accuracy)),
        ("macro-F1", first(&all.macro_f1)),
        ("AUC", first(&all.auc)),
        (
            "F1 of a class",
            all.f1.first().map_or(f64::NAN, |f1| first(f1)),
        ),
        (
            "ECE, T = 1",
            all.gaps.first().map_or(f64::NAN, |gaps| ece(gaps)),
        ),
        (
            "ECE, calibrated",
            all.gaps_calibrated
                .first()
                .map_or(f64::NAN, |gaps| ece(gaps)),
        ),
    ]
}

fn intervals(outcomes: &Outcomes, seed: u64) -> [Option<Interval>; 6] {
    let all = outcomes.intervals(RESAMPLES, seed);
    let f1 = all.f1.first().copied().flatten();
    [
        all.accuracy,
        all.macro_f1,
        all.auc,
        f1,
        all.ece,
        all.ece_calibrated,
    ]
}

#[test]
#[ignore = "takes minutes: run by `make bench`"]
#[expect(clippy::print_stdout, reason = "a table for people")]
fn intervals_hold_the_truth_95_times_in_a_hundred() {
    println!(
        "\ncoverage of 95 % intervals, {SETS} simulated test sets, {RESAMPLES} resamples each"
    );
    let mut held = true;
    for (rows, signal, uneven) in [(1000, 3.0, false), (1000, 3.0, true), (10_000, 3.5, false)] {
        let network = Network { signal, uneven };
        // A little off, as a fitted temperature is.
        let temperature = 1.05 / signal;
        let truth = numbers(&network.draw(TRUTH, u64::MAX), temperature);
        let mut inside = [0_usize; 6];
        let mut percentile = [0_usize; 2];
        for set in 0..SETS as u64 {
            let split = network.draw(rows, set);
            let outcomes = Outcomes::new(&split.logits, &split.labels, CLASSES, temperature, 15);
            let found = intervals(&outcomes, set);
            for ((count, interval), (_, value)) in inside.iter_mut().zip(found).zip(truth) {
                *count += usize::from(interval.is_some_and(|interval| interval.contains(value)));
            }
            // What the plain percentile interval would have done for the calibration errors.
            let drawn = outcomes.resample(RESAMPLES, set);
            let errors = [
                (&drawn.gaps, truth[4].1),
                (&drawn.gaps_calibrated, truth[5].1),
            ];
            for (count, (gaps, value)) in percentile.iter_mut().zip(errors) {
                let values: Vec<f64> = gaps.iter().map(|gaps| ece(gaps)).collect();
                let interval = Interval::percentile(&values);
                *count += usize::from(interval.is_some_and(|interval| interval.contains(value)));
            }
        }
        let share = |count: usize| count as f64 / SETS as f64 * 100.0;
        let kind = if uneven {
            "uneven classes"
        } else {
            "even classes"
        };
        println!(
            "\n{rows} rows, {kind}, accuracy {:.1} %",
            truth[0].1 * 100.0
        );
        for ((name, value), count) in truth.iter().zip(inside) {
            println!(
                "  {name:<16} truth {value:.4}   covered {:5.1} %",
                share(count)
            );
        }
        for (name, count) in ["ECE, T = 1", "ECE, calibrated"].iter().zip(percentile) {
            println!(
                "  {name:<16} percentile interval, for comparison: {:5.1} %",
                share(count)
            );
        }
        held &= inside[..3]
            .iter()
            .all(|count| (share(*count) - 95.0).abs() <= 1.5);
    }
    assert!(
        held,
        "an interval of accuracy, macro-F1 or AUC covers less or more than 95 ± 1.5 %"
    );
}
