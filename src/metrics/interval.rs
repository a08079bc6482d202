//! Intervals: from resampled values to what is written beside a number.

use serde::{Deserialize, Serialize};

/// The share of resampled values below and above an interval: 95 % lie inside.
const TAIL: f64 = 0.025;

/// A 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 2]", into = "[f64; 2]")]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl From<[f64; 2]> for Interval {
    fn from([low, high]: [f64; 2]) -> Self {
        Self { low, high }
    }
}

impl From<Interval> for [f64; 2] {
    fn from(Interval { low, high }: Interval) -> Self {
        [low, high]
    }
}

impl Interval {
    /// Half its width: what stands after ± where there is no room for both ends.
    pub fn half_width(self) -> f64 {
        (self.high - self.low) / 2.0
    }

    /// Whether it holds a value.
    pub fn contains(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// The percentile interval (Efron 1979): between the 2.5th and the 97.5th percentile of the finite values. None
    /// without any.
    pub(super) fn percentile(values: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        Some(Self {
            low: quantile(&sorted, TAIL)?,
            high: quantile(&sorted, 1.0 - TAIL)?,
        })
    }

    /// The interval of a sum of magnitudes, Σ|x|, such as the calibration error.
    ///
    /// Noise only ever raises such a sum, and resampling adds noise to noise: percentiles lie above the truth, and near 0 they
    /// never hold it. So the sum is asked the other way round (Hansen 1999, "The grid bootstrap"): how small could the
    /// true terms be, as a multiple of those measured, for noise to lift the sum to what was measured; how large, for noise to
    /// leave it there? `noise` is a draw of the terms' noise, with which Σ|c·x + noise| is computed for each multiple c.
    /// What was measured may itself lie above its interval: then most of it is noise.
    pub(super) fn of_magnitudes(terms: &[f64], noise: &[Vec<f64>]) -> Option<Self> {
        let measured: f64 = terms.iter().map(|x| x.abs()).sum();
        if noise.is_empty() || !measured.is_finite() {
            return None;
        }
        let sums_at = |c: f64| {
            let sum = |draw: &Vec<f64>| {
                let terms = terms.iter().zip(draw);
                terms.map(|(x, noise)| (c * x + noise).abs()).sum::<f64>()
            };
            noise.iter().map(sum).collect::<Vec<f64>>()
        };
        // The multiple at which this share of the sums stays below what was measured.
        let multiple = |share: f64| {
            let too_large = |c: f64| {
                let mut sums = sums_at(c);
                sums.sort_unstable_by(f64::total_cmp);
                quantile(&sums, share).is_none_or(|sum| sum >= measured)
            };
            first_above(too_large)
        };
        Some(Self {
            low: multiple(1.0 - TAIL) * measured,
            high: multiple(TAIL) * measured,
        })
    }
}

/// The least number from 0 on for which something holds that holds for all larger ones; no more than 1,000.
fn first_above(holds: impl Fn(f64) -> bool) -> f64 {
    if holds(0.0) {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while !holds(high) && high < 1000.0 {
        (low, high) = (high, high * 2.0);
    }
    for _ in 0..20 {
        let middle = f64::midpoint(low, high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// The quantile of sorted values by linear interpolation between neighbours (type 7 of Hyndman & Fan 1996, numpy's default).
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share * last as f64;
    let below = place.floor();
    let at = |i: usize| sorted.get(i.min(last)).copied();
    let (low, high) = (at(below as usize)?, at(below as usize + 1)?);
    Some(low + (high - low) * (place - below))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    /// `numpy.percentile(range(11), [2.5, 97.5])` is `[0.25, 9.75]`; one value is its own interval.
    #[test]
    fn percentiles_as_numpy_has_them() {
        let values: Vec<f64> = (0..11).rev().map(f64::from).collect();
        assert_eq!(
            Interval::percentile(&values).unwrap(),
            Interval {
                low: 0.25,
                high: 9.75
            }
        );
        assert_eq!(
            Interval::percentile(&[7.0, f64::NAN]).unwrap(),
            Interval {
                low: 7.0,
                high: 7.0
            }
        );
        assert_eq!(Interval::percentile(&[f64::NAN]), None);
    }

    #[test]
    fn magnitudes_without_noise_are_what_they_are_and_noise_alone_may_be_nothing() {
        let certain = vec![vec![0.0, 0.0]; 100];
        let found = Interval::of_magnitudes(&[0.25, -0.5], &certain).unwrap();
        assert!(
            (found.low - 0.75).abs() < 1e-5 && (found.high - 0.75).abs() < 1e-5,
            "{found:?}"
        );
        // What was measured is well within what noise makes of nothing.
        let noise: Vec<Vec<f64>> = (0..100).map(|i| vec![f64::from(i - 50) / 50.0]).collect();
        let found = Interval::of_magnitudes(&[0.4], &noise).unwrap();
        assert!(found.low == 0.0 && found.high > 0.4, "{found:?}");
        // And below what noise would leave even of nothing.
        let loud = vec![vec![1.0]; 100];
        assert_eq!(
            Interval::of_magnitudes(&[0.4], &loud).unwrap(),
            Interval {
                low: 0.0,
                high: 0.0
            }
        );
        assert_eq!(Interval::of_magnitudes(&[f64::NAN], &loud), None);
        assert_eq!(Interval::of_magnitudes(&[0.4], &[]), None);
    }

    #[test]
    fn it_is_written_as_a_pair() {
        let interval = Interval {
            low: 0.25,
            high: 0.5,
        };
        let json = serde_json::to_string(&interval).unwrap();
        assert_eq!(json, "[0.25,0.5]");
        assert_eq!(serde_json::from_str::<Interval>(&json).unwrap(), interval);
    }
}
