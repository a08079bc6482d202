//! The interval of a proportion: accuracy, precision, recall.

use super::Interval;

/// The 97.5th percentile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;
/// The most hits or misses for which an end of Wilson's interval can be inside the exact limit.
pub(in crate::metrics) const EDGE: u64 = 10;

impl Interval {
    /// The 95 % interval of a proportion of which `hits` among `n` were observed: Wilson's score interval (1927).
    ///
    /// Near 0 and 1, and for few trials, that interval contains the true value in only 83 % of cases. So an end is moved
    /// out to the exact one-sided 95 % limit (Clopper & Pearson 1934) where that is farther out, which can only be if
    /// there are at most ten hits (lower end) or misses (upper end). Brown, Cai & DasGupta (2001) do the same with a
    /// Poisson limit for up to three. The result contains the true value in at least 91 % of cases, whatever the number
    /// of trials and the true value.
    ///
    /// `None` without trials.
    pub fn proportion(hits: u64, n: u64) -> Option<Self> {
        let hits = hits.min(n);
        (n > 0).then(|| Self {
            low: lower(hits, n),
            high: 1.0 - lower(n - hits, n),
        })
    }
}

/// The lower end of the interval of a proportion.
fn lower(hits: u64, n: u64) -> f64 {
    if hits == 0 {
        return 0.0;
    }
    let (x, trials) = (hits as f64, n as f64);
    let spread = (x * (trials - x) / trials + Z * Z / 4.0).sqrt();
    let wilson = (x + Z * Z / 2.0 - Z * spread) / (trials + Z * Z);
    if hits > EDGE {
        return wilson;
    }
    wilson.min(exact_lower(hits, n, 0.05))
}

/// The exact lower limit of a proportion: with it, `hits` or more among `n` have the probability `tail`. For at most
/// [`EDGE`] hits, because that many terms are summed.
pub(in crate::metrics) fn exact_lower(hits: u64, n: u64, tail: f64) -> f64 {
    let (mut low, mut high) = (0.0, hits as f64 / n.max(1) as f64);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if at_least(hits, n, middle) < tail {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The probability of `hits` or more among `n` trials, each with probability `p` < 1.
fn at_least(hits: u64, n: u64, p: f64) -> f64 {
    let trials = n as f64;
    let mut exactly = (trials * (-p).ln_1p()).exp();
    let mut fewer = 0.0;
    for i in 0..hits {
        fewer += exactly;
        exactly *= (trials - i as f64) / (i + 1) as f64 * p / (1.0 - p);
    }
    1.0 - fewer
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    fn close(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-12, "{found} {wanted}");
    }

    /// ```python
    /// from statsmodels.stats.proportion import proportion_confint
    /// from scipy.stats import beta
    /// def reference(x, n):
    ///     low, high = proportion_confint(x, n, 0.05, "wilson")
    ///     low = min(low, beta.ppf(0.05, x, n - x + 1)) if x else 0.0
    ///     high = max(high, beta.ppf(0.95, x + 1, n - x)) if x < n else 1.0
    ///     return low, high
    /// for x, n in cases: print(x, n, *map(repr, map(float, reference(x, n))))
    /// ```
    #[test]
    fn proportions_match_statsmodels_and_scipy() {
        let cases: [(u64, u64, f64, f64); 14] = [
            (0, 12, 0.0, 0.242_494_006_655_240_96),
            (11, 12, 0.646_120_088_858_883, 0.995_734_681_222_439_4),
            (12, 12, 0.757_505_993_344_758_9, 1.0),
            (1, 1, 0.05, 1.0),
            (2, 4, 0.097_611_462_886_414_34, 0.902_388_537_113_585_6),
            (7, 13, 0.287_049_002_794_388_94, 0.776_044_605_788_680_7),
            (97, 100, 0.915_480_635_709_472_4, 0.991_774_170_892_347_3),
            (600, 600, 0.993_638_298_986_299_4, 1.0),
            (599, 600, 0.990_620_439_523_861_3, 0.999_914_514_830_086_1),
            (590, 600, 0.969_594_752_817_074_3, 0.990_930_546_737_428_6),
            (589, 600, 0.967_472_200_856_073_2, 0.989_732_693_834_061_8),
            (9422, 10_000, 0.937_454_055_392_286_8, 0.946_606_336_448_687),
            (
                9997,
                10_000,
                0.999_118_264_227_763_6,
                0.999_918_226_020_897_1,
            ),
            (
                3,
                1_000_000,
                8.176_919_305_463_174e-7,
                8.821_149_774_312_438e-6,
            ),
        ];
        for (x, n, low, high) in cases {
            let found = Interval::proportion(x, n).unwrap();
            close(found.low, low);
            close(found.high, high);
        }
        assert_eq!(Interval::proportion(0, 0), None);
    }

    #[test]
    fn none_and_all_right_reach_the_edge_and_have_width() {
        for n in [1, 12, 600, 1_000_000_000] {
            let (none, all) = (Interval::proportion(0, n), Interval::proportion(n, n));
            let (none, all) = (none.unwrap(), all.unwrap());
            assert!(none.low == 0.0 && none.high > 0.0, "{n}: {none:?}");
            assert!(all.high == 1.0 && all.low < 1.0, "{n}: {all:?}");
        }
    }

    /// The exact lower limit of Clopper & Pearson: `scipy.stats.beta.ppf(0.025, 6, 1)` is 0.025^(1/6).
    #[test]
    fn exact_limits_are_those_of_clopper_and_pearson() {
        close(exact_lower(6, 6, 0.025), 0.025_f64.powf(1.0 / 6.0));
        close(exact_lower(0, 6, 0.025), 0.0);
    }
}
