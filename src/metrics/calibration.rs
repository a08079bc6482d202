//! Probabilities from logits, measures of their calibration, and the fit of the temperature that calibrates them.
//!
//! Logits are row-major `f32` with `k` per row and one label per row. Surplus rows or labels are ignored, and rows
//! whose label is not below `k` are skipped. A temperature must be greater than 0; other values give meaningless
//! results but do not panic.

use serde::{Deserialize, Serialize};

mod temperature;

pub use temperature::{Temperature, fit_temperature};

/// Maximum number of bins. More are not meaningful, and a mistaken count must not exhaust the memory.
const MAX_BINS: usize = 10_000;

/// Reliability diagram: confidence and accuracy per bin, and the calibration errors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Reliability {
    /// Expected calibration error: the mean gap between confidence and accuracy, weighted by the count of each bin.
    pub ece: f64,
    /// Maximum calibration error: the largest gap.
    pub mce: f64,
    /// The bins from low to high confidence, including empty ones.
    pub bins: Vec<ReliabilityBin>,
}

/// The predictions whose confidence is in (lower, upper].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Lower edge, exclusive; the first bin also includes 0.
    pub lower: f64,
    /// Upper edge, inclusive.
    pub upper: f64,
    /// Number of predictions.
    pub count: u64,
    /// Their mean confidence; 0 if there are none.
    pub confidence: f64,
    /// Their accuracy; 0 if there are none.
    pub accuracy: f64,
}

impl ReliabilityBin {
    /// The number of bins used if `bins` are requested: 1 to 10,000.
    pub(super) fn clamp_count(bins: usize) -> usize {
        bins.clamp(1, MAX_BINS)
    }
}

/// Logarithms of the class probabilities of one row at a temperature.
///
/// The largest logit is subtracted first, so that the exponentials cannot overflow.
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

/// Mean negative log-likelihood: −ln of the probability of the true class, without label smoothing. 0 without rows.
pub fn nll(logits: &[f32], labels: &[u32], k: usize, temperature: f64) -> f64 {
    mean(rows(logits, labels, k).map(|(row, label)| {
        -log_softmax(row, temperature)
            .get(label)
            .copied()
            .unwrap_or(f64::NAN)
    }))
}

/// Brier score in its original form for multiple classes: mean of Σ (p − 1[true class])², from 0 to 2. 0 without rows.
///
/// scikit-learn halves it for two classes unless `scale_by_half=False` is set.
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

/// The class with the largest logit: the first one of equal logits. NaN is ignored; 0 if all logits are NaN.
pub fn argmax(row: &[f32]) -> usize {
    let mut best: Option<(usize, f32)> = None;
    for (class, &z) in row.iter().enumerate() {
        if !z.is_nan() && best.is_none_or(|(_, largest)| z > largest) {
            best = Some((class, z));
        }
    }
    best.map_or(0, |(class, _)| class)
}

/// The predicted class of each row and its probability, which is NaN if the logits are not finite.
///
/// The class is determined from the logits, so the temperature cannot change it.
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

/// Sorts predictions into equal-width bins (lower, upper] of confidence and compares the mean confidence of each bin
/// with its accuracy (Guo et al. 2017, "On Calibration of Modern Neural Networks", for the predicted label).
///
/// A NaN confidence is skipped; a confidence outside 0 to 1 is counted in the first or last bin. `bins` is limited to 1
/// to 10,000.
pub fn reliability(conf: &[f64], correct: &[bool], bins: usize) -> Reliability {
    let count = ReliabilityBin::clamp_count(bins);
    let mut bins: Vec<ReliabilityBin> = (0..count)
        .map(|i| ReliabilityBin {
            lower: edge(i, count),
            upper: edge(i + 1, count),
            ..ReliabilityBin::default()
        })
        .collect();
    for (&conf, &correct) in conf.iter().zip(correct).filter(|(conf, _)| !conf.is_nan()) {
        if let Some(bin) = bins.get_mut(bin_of(conf, count)) {
            // Sums for now; divided by the count below.
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

/// Number of predictions in the bin with the largest gap. If it is small, the maximum calibration error is mostly
/// noise.
pub fn largest_gap_count(bins: &[ReliabilityBin]) -> u64 {
    let filled = bins.iter().filter(|bin| bin.count > 0);
    let gap = |bin: &ReliabilityBin| (bin.accuracy - bin.confidence).abs();
    let largest = filled.max_by(|a, b| gap(a).total_cmp(&gap(b)));
    largest.map_or(0, |bin| bin.count)
}

/// Mean confidence minus accuracy: above 0 if the network is over-confident, below 0 if it is under-confident. NaN
/// without predictions.
pub fn overconfidence(bins: &[ReliabilityBin]) -> f64 {
    let gaps = bins
        .iter()
        .map(|bin| (bin.confidence - bin.accuracy) * bin.count as f64);
    // Without predictions this is 0/0 and thus NaN.
    gaps.sum::<f64>() / bins.iter().map(|bin| bin.count as f64).sum::<f64>()
}

fn edge(i: usize, bins: usize) -> f64 {
    i as f64 / bins as f64
}

/// Index of the bin whose (lower, upper] contains the confidence, computed with the same edges that are displayed.
pub(super) fn bin_of(conf: f64, bins: usize) -> usize {
    // Rounding of the product may shift the result by one bin at most.
    let near = ((conf * bins as f64).ceil() as usize).clamp(1, bins) - 1;
    if near > 0 && conf <= edge(near, bins) {
        near - 1
    } else if near + 1 < bins && conf > edge(near + 1, bins) {
        near + 1
    } else {
        near
    }
}

/// The rows with their labels, without rows whose label is not below `k`.
pub(super) fn rows<'a>(
    logits: &'a [f32],
    labels: &'a [u32],
    k: usize,
) -> impl Iterator<Item = (&'a [f32], usize)> {
    let labels = labels.iter().map(|&label| label as usize);
    // If `k` is 0 no label passes the filter, but a chunk size of 0 would panic.
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
