//! 95 % intervals: of proportions, and of resampled values.

#[cfg(test)]
mod coverage;
mod proportion;

use serde::{Deserialize, Serialize};

pub(super) use proportion::{EDGE, exact_lower};

/// The share of resampled values below the interval, and above it, so that 95 % are inside.
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
    /// The distance of the farther end from a value, which is shown after ± if there is no space for both ends. Near 0
    /// and 1 the two ends have different distances.
    pub fn reach(self, value: f64) -> f64 {
        (value - self.low).max(self.high - value)
    }

    /// The ends times `scale`, for display with this number of decimals: rounded outward if they would look equal.
    #[must_use]
    pub fn displayed(self, scale: f64, decimals: usize) -> Self {
        let (low, high) = (self.low * scale, self.high * scale);
        let text = |end: f64| format!("{end:.decimals$}");
        if low >= high || text(low) != text(high) {
            return Self { low, high };
        }
        let units = 10_f64.powi(decimals as i32);
        Self {
            low: (low * units).floor() / units,
            high: (high * units).ceil() / units,
        }
    }

    /// Whether the interval contains a value.
    pub fn contains(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// The percentile interval (Efron 1979): from the 2.5th to the 97.5th percentile of the finite values. `None` if
    /// there are no finite values.
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
    /// Such a sum is biased upward by noise, and resampling adds more noise. So percentiles are too high, and if the
    /// true sum is near 0 they never contain it. Instead the test is inverted (Hansen 1999, "The grid bootstrap"): the
    /// true terms are assumed to be a multiple c of the measured terms x. The lower end is the smallest c with which
    /// noise could plausibly raise the sum to the measured one; the upper end is the largest c with which noise could
    /// plausibly leave it there. `noise` contains the noise of the terms in each resample; Σ|c·x + noise| is computed
    /// for each c. The measured sum may exceed its own interval if most of it is noise.
    ///
    /// `None` without resamples or if the measured sum is not finite.
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
        // The multiple at which this share of the sums is below the measured sum.
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

/// The smallest number ≥ 0 for which `holds` is true, given that it is then true for all larger numbers; limited to
/// about 1,000.
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

/// The quantile of sorted values by linear interpolation between neighbours (type 7 of Hyndman & Fan 1996, numpy's
/// default).
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

    /// `numpy.percentile(range(11), [2.5, 97.5])` is `[0.25, 9.75]`; the interval of a single value is that value.
    #[test]
    fn percentiles_match_numpy() {
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
    fn magnitude_intervals_with_no_noise_and_with_much_noise() {
        let noiseless = vec![vec![0.0, 0.0]; 100];
        let found = Interval::of_magnitudes(&[0.25, -0.5], &noiseless).unwrap();
        assert!(
            (found.low - 0.75).abs() < 1e-5 && (found.high - 0.75).abs() < 1e-5,
            "{found:?}"
        );
        // Noise alone would explain the measured sum, so the true sum may be 0.
        let noise: Vec<Vec<f64>> = (0..100).map(|i| vec![f64::from(i - 50) / 50.0]).collect();
        let found = Interval::of_magnitudes(&[0.4], &noise).unwrap();
        assert!(found.low == 0.0 && found.high > 0.4, "{found:?}");
        // The measured sum is smaller than noise alone would give.
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
    fn ends_never_look_equal_unless_they_are() {
        let shown = |low, high| {
            let ends = Interval { low, high }.displayed(100.0, 2);
            format!("[{:.2}, {:.2}]", ends.low, ends.high)
        };
        assert_eq!(shown(0.999_996, 1.0), "[99.99, 100.00]");
        assert_eq!(shown(0.0, 0.000_004), "[0.00, 0.01]");
        assert_eq!(shown(0.5, 0.5), "[50.00, 50.00]");
        assert_eq!(shown(0.123_456, 0.2), "[12.35, 20.00]");
    }

    #[test]
    fn json_is_a_pair() {
        let interval = Interval {
            low: 0.25,
            high: 0.5,
        };
        let json = serde_json::to_string(&interval).unwrap();
        assert_eq!(json, "[0.25,0.5]");
        assert_eq!(serde_json::from_str::<Interval>(&json).unwrap(), interval);
    }
}
