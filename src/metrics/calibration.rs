//! Probabilities from logits, how good they are, and the one number that makes them better: the temperature.
//!
//! Logits are row-major `f32`, `k` to a row, one label a row. What the longer of the two has too much, and a row whose label
//! is no class, is left out. A temperature must be greater than 0; any other gives numbers without meaning, and no panic.

use serde::{Deserialize, Serialize};

mod temperature;

pub use temperature::{Temperature, fit_temperature};

/// More bins than this tell nothing; a count that came out of a mistake must not eat the memory.
const MOST_BINS: usize = 10_000;

/// Confidence against accuracy, bin by bin.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Reliability {
    /// Expected calibration error: the mean gap between confidence and accuracy, weighted by the count of each bin.
    pub ece: f64,
    /// Maximum calibration error: the largest gap.
    pub mce: f64,
    /// The bins, from low to high confidence, empty ones included.
    pub bins: Vec<ReliabilityBin>,
}

/// The predictions whose confidence lies in (lower, upper].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Just below the lowest confidence; the first bin takes 0 as well.
    pub lower: f64,
    /// The highest confidence.
    pub upper: f64,
    /// How many predictions.
    pub count: u64,
    /// Their mean confidence; 0 when there are none.
    pub confidence: f64,
    /// The share that is correct; 0 when there are none.
    pub accuracy: f64,
}

impl ReliabilityBin {
    /// How many bins there are when this many are asked for.
    pub(super) fn held(bins: usize) -> usize {
        bins.clamp(1, MOST_BINS)
    }
}

/// Logarithms of the class probabilities of one row at a temperature.
///
/// The largest logit is taken off first, so that nothing overflows, whatever the scale.
pub fn log_softmax(row: &[f32], temperature: f64) -> Vec<f64> {
    let largest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let mut logs: Vec<f64> = row
        .iter()
        .map(|&z| (f64::from(z) - largest) / temperature)
        .collect();
    let log_sum = logs.iter().map(|x| x.exp()).sum::<f64>().ln();
    for log in &mut logs {
        *log -= log_sum;
    }
    logs
}

/// The class probabilities of one row at a temperature.
pub fn softmax(row: &[f32], temperature: f64) -> Vec<f64> {
    log_softmax(row, temperature)
        .into_iter()
        .map(f64::exp)
        .collect()
}

/// Mean of −log of the probability given to the true class; natural logarithm, no label smoothing. 0 without rows.
pub fn nll(logits: &[f32], labels: &[u32], k: usize, temperature: f64) -> f64 {
    mean(rows(logits, labels, k).map(|(row, label)| {
        -log_softmax(row, temperature)
            .get(label)
            .copied()
            .unwrap_or(f64::NAN)
    }))
}

/// Brier's score in its original form for many classes: mean of Σ (p − 1[true class])², from 0 to 2. 0 without rows.
///
/// scikit-learn halves it for two classes unless told `scale_by_half=False`.
pub fn brier(logits: &[f32], labels: &[u32], k: usize, temperature: f64) -> f64 {
    mean(rows(logits, labels, k).map(|(row, label)| {
        let gap = |(class, p): (usize, f64)| if class == label { p - 1.0 } else { p };
        softmax(row, temperature)
            .into_iter()
            .enumerate()
            .map(gap)
            .map(|gap| gap * gap)
            .sum()
    }))
}

/// The class with the largest logit: the first of equals, never a NaN, and 0 when there is nothing else.
pub fn argmax(row: &[f32]) -> usize {
    let mut best: Option<(usize, f32)> = None;
    for (class, &z) in row.iter().enumerate() {
        if !z.is_nan() && best.is_none_or(|(_, largest)| z > largest) {
            best = Some((class, z));
        }
    }
    best.map_or(0, |(class, _)| class)
}

/// The predicted class of each row and the probability it is given. NaN where the logits are not finite.
///
/// The class is read off the logits, so no temperature can change it.
pub fn confidences(logits: &[f32], k: usize, temperature: f64) -> Vec<(u32, f64)> {
    let confidence = |row: &[f32]| {
        let predicted = argmax(row);
        (
            predicted as u32,
            softmax(row, temperature)
                .get(predicted)
                .copied()
                .unwrap_or(f64::NAN),
        )
    };
    logits
        .chunks_exact(k.max(1))
        .filter(|_| k > 0)
        .map(confidence)
        .collect()
}

/// Sorts predictions into equal bins (lower, upper] of confidence and compares each bin's confidence with its accuracy
/// (Guo et al. 2017, "On Calibration of Modern Neural Networks", for the label that was predicted).
///
/// A confidence that is NaN is left out, one beyond 0 or 1 counts in the outermost bin; `bins` is held to 1 and 10,000.
pub fn reliability(conf: &[f64], correct: &[bool], bins: usize) -> Reliability {
    let count = ReliabilityBin::held(bins);
    let mut bins: Vec<ReliabilityBin> = (0..count)
        .map(|i| ReliabilityBin {
            lower: edge(i, count),
            upper: edge(i + 1, count),
            ..ReliabilityBin::default()
        })
        .collect();
    for (&conf, &correct) in conf.iter().zip(correct).filter(|(conf, _)| !conf.is_nan()) {
        if let Some(bin) = bins.get_mut(bin_of(conf, count)) {
            // Sums until all are in.
            bin.count += 1;
            bin.confidence += conf;
            bin.accuracy += f64::from(u8::from(correct));
        }
    }
    let total: u64 = bins.iter().map(|bin| bin.count).sum();
    let (mut ece, mut mce) = (0.0, 0.0_f64);
    for bin in bins.iter_mut().filter(|bin| bin.count > 0) {
        bin.confidence /= bin.count as f64;
        bin.accuracy /= bin.count as f64;
        let gap = (bin.accuracy - bin.confidence).abs();
        ece += gap * bin.count as f64 / total as f64;
        mce = mce.max(gap);
    }
    Reliability { ece, mce, bins }
}

/// How many predictions the bin with the largest gap holds: of a few, the maximum calibration error is noise.
pub fn largest_gap_count(bins: &[ReliabilityBin]) -> u64 {
    let there = bins.iter().filter(|bin| bin.count > 0);
    let gap = |bin: &ReliabilityBin| (bin.accuracy - bin.confidence).abs();
    let largest = there.max_by(|a, b| gap(a).total_cmp(&gap(b)));
    largest.map_or(0, |bin| bin.count)
}

/// How much surer predictions are than they are right: mean confidence minus accuracy, below 0 where they are less sure.
/// NaN without predictions.
pub fn overconfidence(bins: &[ReliabilityBin]) -> f64 {
    let gaps = bins
        .iter()
        .map(|bin| (bin.confidence - bin.accuracy) * bin.count as f64);
    // Without predictions this is 0/0, and so no number.
    gaps.sum::<f64>() / bins.iter().map(|bin| bin.count as f64).sum::<f64>()
}

fn edge(i: usize, bins: usize) -> f64 {
    i as f64 / bins as f64
}

/// The bin whose (lower, upper] holds the confidence, by the same edges that are shown.
pub(super) fn bin_of(conf: f64, bins: usize) -> usize {
    // The product may round across an edge, by one bin at most.
    let near = ((conf * bins as f64).ceil() as usize).clamp(1, bins) - 1;
    if near > 0 && conf <= edge(near, bins) {
        near - 1
    } else if near + 1 < bins && conf > edge(near + 1, bins) {
        near + 1
    } else {
        near
    }
}

/// Each row with its label, where the label is a class.
pub(super) fn rows<'a>(
    logits: &'a [f32],
    labels: &'a [u32],
    k: usize,
) -> impl Iterator<Item = (&'a [f32], usize)> {
    let labels = labels.iter().map(|&label| label as usize);
    // `k` of 0 passes no label, and a chunk of 0 would panic.
    logits
        .chunks_exact(k.max(1))
        .zip(labels)
        .filter(move |&(_, label)| label < k)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests;
