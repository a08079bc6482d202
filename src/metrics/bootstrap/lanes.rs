//! Computes sixteen resamples at once. The weights of a row in all of them are adjacent in memory, so one pass over the
//! rows, in any order that the ranking of a class requires, serves all of them with vectorizable additions.

use super::super::calibration::{ReliabilityBin, argmax, bin_of, log_softmax};
use super::super::roc::Ranking;
use super::ClassCount;
use crate::random::Random;

/// Number of resamples that are computed together.
pub(super) const LANES: usize = 16;
/// Word in the key of the random generator that separates the resamples from other random numbers.
const STREAM: u64 = u64::from_le_bytes(*b"resample");

/// One value per resample of a block.
pub(super) type Lanes<T> = [T; LANES];

/// How often each row is drawn in each resample of a block.
pub(super) fn weights(rows: usize, block: usize, seed: u64) -> Vec<Lanes<i32>> {
    let mut weights = vec![[0; LANES]; rows];
    for lane in 0..LANES {
        let mut random = Random::new(&[seed, STREAM, (block * LANES + lane) as u64]);
        for _ in 0..rows {
            if let Some(weight) = weights.get_mut(random.below(rows)) {
                weight[lane] += 1;
            }
        }
    }
    weights
}

/// Counts of one class in each resample of a block.
#[derive(Clone, Default)]
pub(super) struct Counts {
    pub(super) hits: Lanes<i32>,
    pub(super) support: Lanes<i32>,
    pub(super) predicted: Lanes<i32>,
}

impl Counts {
    /// The counts of one resample.
    pub(super) fn of(&self, lane: usize) -> ClassCount {
        ClassCount {
            hits: f64::from(self.hits[lane]),
            support: f64::from(self.support[lane]),
            predicted: f64::from(self.predicted[lane]),
        }
    }
}

/// For one class in each resample: twice the number of (class sample, other sample) pairs in which the class sample
/// scores higher, and the number of class samples.
///
/// The rows are those of the ranking, which contains each row of the split once.
pub(super) fn pairs_won(ranking: &Ranking, weights: &[Lanes<i32>]) -> (Lanes<i64>, Lanes<i64>) {
    let drawn = |from: usize, to: usize| {
        let mut sum = [0; LANES];
        for row in ranking.order.get(from..to).unwrap_or_default() {
            if let Some(weight) = weights.get(*row as usize) {
                add(&mut sum, weight);
            }
        }
        sum
    };
    let (mut won, mut own) = ([0_i64; LANES], [0_i64; LANES]);
    let (mut below, mut at) = ([0_i32; LANES], 0);
    for group in &ranking.groups {
        add(&mut below, &drawn(at, group.start));
        let (here, tied) = (
            drawn(group.start, group.split),
            drawn(group.split, group.end),
        );
        for lane in 0..LANES {
            let (here, tied) = (i64::from(here[lane]), i64::from(tied[lane]));
            won[lane] += here * (2 * i64::from(below[lane]) + tied);
            own[lane] += here;
        }
        add(&mut below, &tied);
        at = group.end;
    }
    (won, own)
}

/// The per-row terms of the calibration error and of the NLL at one temperature.
#[derive(Debug, Clone)]
pub(super) struct RowCalibration {
    bins: usize,
    /// The reliability bin of each row.
    bin: Vec<u32>,
    /// 1 if the prediction is correct, otherwise 0, minus the confidence.
    gap: Vec<f64>,
    /// −ln of the probability of the true class.
    nll: Vec<f64>,
}

impl RowCalibration {
    pub(super) fn new<'a>(
        rows: impl Iterator<Item = &'a [f32]>,
        labels: &[u32],
        temperature: f64,
        bins: usize,
    ) -> Self {
        let count = ReliabilityBin::clamp_count(bins);
        let mut all = Self {
            bins: count,
            bin: Vec::with_capacity(labels.len()),
            gap: Vec::with_capacity(labels.len()),
            nll: Vec::with_capacity(labels.len()),
        };
        for (row, &label) in rows.zip(labels) {
            let logs = log_softmax(row, temperature);
            let first = argmax(row);
            let confidence = logs.get(first).map_or(f64::NAN, |log| log.exp());
            let correct = f64::from(u8::from(first == label as usize));
            all.bin.push(bin_of(confidence, count) as u32);
            all.gap.push(correct - confidence);
            all.nll
                .push(-logs.get(label as usize).copied().unwrap_or(f64::NAN));
        }
        all
    }
}

/// The calibration gap of each bin and the mean NLL, in each resample of a block.
pub(super) fn gaps_and_nll(
    calibration: Option<&RowCalibration>,
    weights: &[Lanes<i32>],
) -> (Vec<Lanes<f64>>, Lanes<f64>) {
    let Some(RowCalibration {
        bins,
        bin,
        gap,
        nll,
    }) = calibration
    else {
        return (Vec::new(), [f64::NAN; LANES]);
    };
    let n = weights.len() as f64;
    let mut gaps = vec![[0.0; LANES]; *bins];
    let mut loss = [0.0; LANES];
    for (((bin, gap), nll), weight) in bin.iter().zip(gap).zip(nll).zip(weights) {
        let weight = to_f64(*weight);
        if let Some(sum) = gaps.get_mut(*bin as usize) {
            (0..LANES).for_each(|lane| sum[lane] += weight[lane] * gap);
        }
        // A probability of 0 gives an infinite loss; weight 0 times infinity would be NaN.
        if nll.is_finite() {
            (0..LANES).for_each(|lane| loss[lane] += weight[lane] * nll);
        } else {
            (0..LANES)
                .filter(|&lane| weight[lane] > 0.0)
                .for_each(|lane| loss[lane] = *nll);
        }
    }
    let over = |sums: Lanes<f64>| sums.map(|sum| sum / n);
    (gaps.into_iter().map(over).collect(), over(loss))
}

/// The values of one resample.
pub(super) fn at(all: &[Lanes<f64>], lane: usize) -> Vec<f64> {
    all.iter().map(|lanes| lanes[lane]).collect()
}

pub(super) fn add(sum: &mut Lanes<i32>, weight: &Lanes<i32>) {
    for (sum, weight) in sum.iter_mut().zip(weight) {
        *sum += weight;
    }
}

/// The mean of per-row values in each resample of a block.
pub(super) fn mean(values: &[f64], weights: &[Lanes<i32>]) -> Lanes<f64> {
    let mut sums = [0.0; LANES];
    for (value, weight) in values.iter().zip(weights) {
        let weight = to_f64(*weight);
        (0..LANES).for_each(|lane| sums[lane] += weight[lane] * value);
    }
    let rows = values.len().max(1) as f64;
    sums.map(|sum| sum / rows)
}

fn to_f64(lanes: Lanes<i32>) -> Lanes<f64> {
    lanes.map(f64::from)
}
