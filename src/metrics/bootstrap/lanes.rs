//! Sixteen draws at once: weights of neighbouring draws lie beside each other, so that one pass over the rows, in whatever
//! order a class's ranking has them, serves all of them with additions of neighbouring numbers.

use super::super::calibration::{ReliabilityBin, argmax, bin_of, log_softmax};
use super::super::roc::Ranking;
use super::ClassCount;
use crate::random::Random;

/// Draws that are computed together.
pub(super) const LANES: usize = 16;
/// Seeds differ from those of other streams by this word.
const STREAM: u64 = u64::from_le_bytes(*b"resample");

/// A number for each of 16 draws.
pub(super) type Lanes<T> = [T; LANES];

/// How often each row is drawn, in each of the draws of a block.
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

/// One class, counted in each draw.
#[derive(Clone, Default)]
pub(super) struct Counts {
    pub(super) hits: Lanes<i32>,
    pub(super) support: Lanes<i32>,
    pub(super) predicted: Lanes<i32>,
}

impl Counts {
    /// Of one draw.
    pub(super) fn of(&self, lane: usize) -> ClassCount {
        ClassCount {
            hits: f64::from(self.hits[lane]),
            support: f64::from(self.support[lane]),
            predicted: f64::from(self.predicted[lane]),
        }
    }
}

/// Pairs in which the class's sample scores higher, counted twice, and the class's samples.
///
/// Rows come out of the ranking, which holds each row of the split once.
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

/// What a row's confidence was worth, at one temperature.
#[derive(Debug, Clone)]
pub(super) struct Certainty {
    bins: usize,
    /// The bin of reliability of each row.
    bin: Vec<u32>,
    /// 1 for right and 0 for wrong, minus the confidence.
    gap: Vec<f64>,
    /// −ln of the probability of the true class.
    nll: Vec<f64>,
}

impl Certainty {
    pub(super) fn new<'a>(
        rows: impl Iterator<Item = &'a [f32]>,
        labels: &[u32],
        temperature: f64,
        bins: usize,
    ) -> Self {
        let count = ReliabilityBin::held(bins);
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
            let right = f64::from(u8::from(first == label as usize));
            all.bin.push(bin_of(confidence, count) as u32);
            all.gap.push(right - confidence);
            all.nll
                .push(-logs.get(label as usize).copied().unwrap_or(f64::NAN));
        }
        all
    }
}

/// The gap of each bin, and the NLL, of each draw.
pub(super) fn certainty(
    certainty: Option<&Certainty>,
    weights: &[Lanes<i32>],
) -> (Vec<Lanes<f64>>, Lanes<f64>) {
    let Some(Certainty {
        bins,
        bin,
        gap,
        nll,
    }) = certainty
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
        // A probability of 0 has an infinite loss, and 0 times infinity is no number.
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

/// One draw's numbers.
pub(super) fn at(all: &[Lanes<f64>], lane: usize) -> Vec<f64> {
    all.iter().map(|lanes| lanes[lane]).collect()
}

pub(super) fn add(sum: &mut Lanes<i32>, weight: &Lanes<i32>) {
    for (sum, weight) in sum.iter_mut().zip(weight) {
        *sum += weight;
    }
}

/// The mean of a number of each row, in each draw.
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
