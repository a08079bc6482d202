//! Coverage of the 95 % intervals: do they contain the true value in 95 % of cases? Thousands of test sets are
//! simulated for a network whose true measures are known. This takes minutes, so it is run by `make bench` and not with
//! every test.

use super::super::*;
use crate::random::Random;
use Measure::{Accuracy, BalancedAccuracy, MacroF1, Matthews};

/// Number of simulated test sets.
const SETS: usize = 2000;
/// Resamples per interval.
const RESAMPLES: usize = 1000;
/// Rows from which the true values are computed; enough for one digit more than a test set gives.
const TRUTH: usize = 2_000_000;
const CLASSES: usize = 10;

/// A simulated network: its logits are standard normal noise, plus `signal` for the true class. Its correct temperature
/// is 1 / `signal`.
struct Network {
    signal: f64,
    /// Whether the classes of the first half are more frequent than those of the second; otherwise all are equally
    /// frequent.
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

/// Names and values of the measures that have an interval, and last the F1 of one class.
fn numbers(split: &Split, temperature: f64) -> Vec<(String, f64)> {
    let outcomes = Outcomes::new(&split.logits, &split.labels, CLASSES, temperature, 15);
    let all = outcomes.measured();
    let f1 = all.classes.first().map_or(f64::NAN, ClassCount::f1);
    let measures = with_interval().map(|measure| (measure.title(), all.value(measure)));
    measures.chain([("F1 of a class".to_owned(), f1)]).collect()
}

fn with_interval() -> impl Iterator<Item = Measure> {
    Measure::of_classes(CLASSES).filter(|measure| measure.has_interval())
}

fn intervals(outcomes: &Outcomes, seed: u64) -> Vec<Option<Interval>> {
    let all = outcomes.estimates(RESAMPLES, seed);
    let f1 = all.f1.first().copied().flatten();
    let measures = with_interval().map(|measure| all.measures.get(&measure)?.interval);
    measures.chain([f1]).collect()
}

/// The measures whose interval is corrected near the boundary and does not come from a mean of ranks or of errors.
const CORRECTED: [Measure; 4] = [Accuracy, MacroF1, BalancedAccuracy, Matthews];

/// The calibration errors, for which percentile intervals are not suitable.
const ERRORS: [Measure; 2] = [Measure::Ece, Measure::EceCalibrated];

#[test]
#[ignore = "takes minutes: run by `make bench`"]
#[expect(clippy::print_stdout, reason = "a table for users")]
fn intervals_contain_the_true_value_in_95_percent_of_cases() {
    println!(
        "\ncoverage of 95 % intervals, {SETS} simulated test sets, {RESAMPLES} resamples each"
    );
    let mut accurate = true;
    let networks = [
        (1000, 3.0, false),
        (1000, 3.0, true),
        (10_000, 3.5, false),
        (600, 5.0, false),
    ];
    for (rows, signal, uneven) in networks {
        let network = Network { signal, uneven };
        // Slightly wrong, as a fitted temperature is.
        let temperature = 1.05 / signal;
        let truth = numbers(&network.draw(TRUTH, u64::MAX), temperature);
        let mut inside = vec![0_usize; truth.len()];
        let mut percentile = [0_usize; 2];
        for set in 0..SETS as u64 {
            let split = network.draw(rows, set);
            let outcomes = Outcomes::new(&split.logits, &split.labels, CLASSES, temperature, 15);
            let found = intervals(&outcomes, set);
            for ((count, interval), (_, value)) in inside.iter_mut().zip(found).zip(&truth) {
                *count += usize::from(interval.is_some_and(|interval| interval.contains(*value)));
            }
            // For comparison: plain percentile intervals of the calibration errors.
            let drawn = outcomes.resample(RESAMPLES, set);
            for (count, measure) in percentile.iter_mut().zip(ERRORS) {
                let values: Vec<f64> = drawn.iter().map(|draw| draw.value(measure)).collect();
                let value = truth.iter().find(|(name, _)| *name == measure.title());
                let value = value.map_or(f64::NAN, |(_, value)| *value);
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
        for ((name, value), count) in truth.iter().zip(&inside) {
            println!(
                "  {name:<16} true value {value:.4}   coverage {:5.1} %",
                share(*count)
            );
        }
        for (name, count) in ERRORS.map(Measure::title).iter().zip(percentile) {
            println!(
                "  {name:<16} percentile interval, for comparison: {:5.1} %",
                share(count)
            );
        }
        for (measure, count) in with_interval().zip(&inside) {
            // With one or two errors in a test set, coverage is a matter of single images.
            accurate &= if rows == 600 {
                !CORRECTED.contains(&measure) || share(*count) >= 91.0
            } else {
                ERRORS.contains(&measure) || (share(*count) - 95.0).abs() <= 1.5
            };
        }
    }
    assert!(
        accurate,
        "the coverage of an interval is not 95 ± 1.5 %, or below 91 % near the boundary"
    );
}
