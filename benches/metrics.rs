//! Benchmarks of the evaluation metrics for different numbers of rows and classes.
//!
//! Run with `make bench` or `cargo bench --no-default-features --bench metrics`; libtorch is not needed.

use divan::{Bencher, black_box};
use epochtop::event::Split;
use epochtop::metrics::{Outcomes, auc, fit_temperature};
use epochtop::random::Random;
use epochtop::report::{Options, Predictions, measure};

fn main() {
    divan::main();
}

/// Synthetic predictions for `n` rows and `k` classes with an accuracy of about 90 %.
fn predictions(n: usize, k: usize) -> Predictions {
    let mut random = Random::new(&[n as u64, k as u64]);
    let mut logits = Vec::with_capacity(n * k);
    let labels: Vec<u32> = (0..n).map(|_| random.below(k) as u32).collect();
    for label in &labels {
        for class in 0..k as u32 {
            // The sum of four uniform values is close enough to a normal distribution.
            let noise: usize = (0..4).map(|_| random.below(1 << 20)).sum();
            let signal = if class == *label { 3.5 } else { 0.0 };
            logits.push(noise as f32 / (1 << 19) as f32 + signal);
        }
    }
    Predictions {
        split: Split::Test,
        logits,
        labels,
        classes: k,
    }
}

/// Numbers of rows and classes.
const SIZES: [(usize, usize); 6] = [
    (1_000, 10),
    (10_000, 10),
    (100_000, 10),
    (10_000, 2),
    (10_000, 100),
    (10_000, 1_000),
];

/// A complete evaluation report: temperature fitted on half as many rows, all scores, AUC, calibration and 1,000
/// bootstrap resamples.
#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn full_report(bencher: Bencher<'_, '_>, (n, k): (usize, usize)) {
    let (valid, test) = (predictions(n / 2, k), predictions(n, k));
    let options = Options {
        bins: 15,
        resamples: 1000,
    };
    bencher.bench_local(|| {
        let temperature = fit_temperature(&valid.logits, &valid.labels, k);
        black_box(measure(&test, temperature, options))
    });
}

/// Only the bootstrap intervals.
#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn bootstrap_1000(bencher: Bencher<'_, '_>, (n, k): (usize, usize)) {
    let rows = predictions(n, k);
    let outcomes = Outcomes::new(&rows.logits, &rows.labels, k, 0.7, 15);
    bencher.bench_local(|| black_box(outcomes.estimates(1000, 0)));
}

/// Only the AUC of all classes.
#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn auc_all_classes(bencher: Bencher<'_, '_>, (n, k): (usize, usize)) {
    let rows = predictions(n, k);
    bencher.bench_local(|| black_box(auc(&rows.logits, &rows.labels, k)));
}

/// Only fitting the temperature.
#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn temperature(bencher: Bencher<'_, '_>, (n, k): (usize, usize)) {
    let rows = predictions(n, k);
    bencher.bench_local(|| black_box(fit_temperature(&rows.logits, &rows.labels, k)));
}
