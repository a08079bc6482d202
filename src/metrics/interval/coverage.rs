//! Coverage of the intervals near 0 and 1, by exact sums of binomial probabilities: how often they contain the true value.
//! `make bench-metrics` prints the figures.

use super::Interval;
use crate::metrics::boundary::corrected;

/// Number of values of p at which averages over 0.9 to 1 are computed.
const GRID: u32 = 2000;

/// Number of trials, and the least coverage for p from 0.9 by scipy; see the test.
const REFERENCE: [(u64, f64); 4] = [
    (12, 0.950_000_000),
    (100, 0.926_831_587),
    (600, 0.931_761_547),
    (10_000, 0.931_355_736),
];

/// Binomial probabilities for n trials.
struct Binomial {
    n: u64,
    ln_factorial: Vec<f64>,
}

impl Binomial {
    fn new(n: u64) -> Self {
        let mut ln_factorial = vec![0.0];
        let mut sum = 0.0;
        for i in 1..=n {
            sum += (i as f64).ln();
            ln_factorial.push(sum);
        }
        Self { n, ln_factorial }
    }

    fn probability(&self, x: u64, p: f64) -> f64 {
        let ways = |x: u64| self.ln_factorial[x as usize];
        let other = self.n - x;
        let power = |count: u64, ln: f64| if count == 0 { 0.0 } else { count as f64 * ln };
        let ln =
            ways(self.n) - ways(x) - ways(other) + power(x, p.ln()) + power(other, (-p).ln_1p());
        ln.exp()
    }

    /// The sum of `value` over the results that have a noticeable probability.
    fn mean(&self, p: f64, value: impl Fn(u64) -> f64) -> f64 {
        let spread = 8.0 * (self.n as f64 * p * (1.0 - p)).sqrt() + 8.0;
        let middle = self.n as f64 * p;
        let range = (middle - spread).max(0.0) as u64..=((middle + spread) as u64).min(self.n);
        range.map(|x| self.probability(x, p) * value(x)).sum()
    }

    /// The probability that the interval of the observed result contains p.
    fn coverage(&self, intervals: &[Interval], p: f64) -> f64 {
        self.mean(p, |x| {
            f64::from(u8::from(intervals[x as usize].contains(p)))
        })
    }

    /// The smallest coverage for p from `least` to 1, and its place. Between two ends of intervals the coverage is a
    /// smooth function without a minimum, so only the two sides of each end are needed.
    fn worst(&self, intervals: &[Interval], least: f64) -> (f64, f64) {
        let ends = intervals.iter().flat_map(|found| [found.low, found.high]);
        let sides = ends.flat_map(|end| [end * (1.0 - 1e-12), end, end * (1.0 + 1e-12)]);
        let inside = sides
            .chain([least, 1.0])
            .filter(|p| (least..=1.0).contains(p));
        let all = inside.map(|p| (self.coverage(intervals, p), p));
        all.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0.0))
    }

    /// The mean over p from 0.9 to 1.
    fn average(&self, of: impl Fn(&Self, f64) -> f64) -> f64 {
        let p = |i: u32| 1.0 - 0.1 * (f64::from(i) + 0.5) / f64::from(GRID);
        (0..GRID).map(|i| of(self, p(i))).sum::<f64>() / f64::from(GRID)
    }

    /// The lower limit of Clopper & Pearson, with which `x` or more have a probability of 2.5 %.
    fn clopper_pearson(&self, x: u64) -> f64 {
        let at_least = |p: f64| {
            let (mut exactly, mut sum) = (self.probability(x, p), 0.0);
            for i in x..=self.n {
                sum += exactly;
                exactly *= (self.n - i) as f64 / (i + 1) as f64 * p / (1.0 - p);
                if exactly < sum * 1e-17 {
                    break;
                }
            }
            sum
        };
        let (mut low, mut high) = (0.0, x as f64 / self.n as f64);
        for _ in 0..50 {
            let middle = f64::midpoint(low, high);
            if at_least(middle) < 0.025 {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Wilson's interval alone.
fn wilson(x: u64, n: u64) -> Interval {
    let (z, x, n) = (1.959_963_984_540_054_f64, x as f64, n as f64);
    let (middle, spread) = (x + z * z / 2.0, z * (x * (n - x) / n + z * z / 4.0).sqrt());
    let end = |sign: f64| (middle + sign * spread) / (n + z * z);
    Interval {
        low: if x == 0.0 { 0.0 } else { end(-1.0) },
        high: if x == n { 1.0 } else { end(1.0) },
    }
}

/// scipy gives the same worst coverage:
///
/// ```python
/// import numpy as np
/// from scipy.stats import beta, binom
/// from statsmodels.stats.proportion import proportion_confint
/// for n in 12, 100, 600, 10000:
///     x = np.arange(n + 1)
///     low, high = proportion_confint(x, n, 0.05, "wilson")
///     low = np.where(x > 0, np.minimum(low, beta.ppf(0.05, x, n - x + 1)), 0)
///     high = np.where(x < n, np.maximum(high, beta.ppf(0.95, x + 1, n - x)), 1)
///     ends = np.concatenate([low, high]); ends = ends[ends >= 0.9]
///     p = np.clip(np.concatenate([ends * (1 - 1e-12), ends * (1 + 1e-12)]), 0.9, 1)
///     first, last = np.searchsorted(high, p, "left"), np.searchsorted(low, p, "right") - 1
///     print(n, (binom.cdf(last, n, p) - binom.cdf(first - 1, n, p)).min())
/// ```
#[test]
#[expect(clippy::print_stdout, reason = "a table for users")]
fn proportions_have_a_coverage_of_91_percent_everywhere_and_94_on_average() {
    println!("\ncoverage of 95 % intervals of a proportion p, by exact binomial sums");
    println!(
        "      n  least, any p  least, p >= 0.9  mean, p >= 0.9  mean width  Clopper-Pearson's  Wilson alone: least"
    );
    for (n, reference) in REFERENCE {
        let binomial = Binomial::new(n);
        let all = (0..=n).filter_map(|x| Interval::proportion(x, n));
        let intervals: Vec<Interval> = all.collect();
        let plain: Vec<Interval> = (0..=n).map(|x| wilson(x, n)).collect();
        let (anywhere, _) = binomial.worst(&intervals, 0.5);
        let (least, at) = binomial.worst(&intervals, 0.9);
        let mean = binomial.average(|binomial, p| binomial.coverage(&intervals, p));
        let width = |found: &Interval| found.high - found.low;
        let own =
            binomial.average(|binomial, p| binomial.mean(p, |x| width(&intervals[x as usize])));
        // Fewer than 80 % have no noticeable probability, except with few trials.
        let first = if n < 1000 { 0 } else { n * 8 / 10 };
        let exact: Vec<f64> = (first..=n)
            .map(|x| 1.0 - binomial.clopper_pearson(n - x) - binomial.clopper_pearson(x))
            .collect();
        let exact = binomial.average(|binomial, p| {
            binomial.mean(p, |x| {
                exact.get((x - first) as usize).copied().unwrap_or(0.0)
            })
        });
        let alone = binomial.worst(&plain, 0.9).0;
        println!(
            "{n:>7}  {:>11.2} %  {:>13.2} %  {:>12.2} %  {own:>10.5}  {exact:>17.5}  {:>18.2} %",
            anywhere * 100.0,
            least * 100.0,
            mean * 100.0,
            alone * 100.0
        );
        assert!(anywhere >= 0.91 && least >= 0.91, "{n}: {least} at {at}");
        assert!(mean >= 0.94, "{n}: {mean}");
        assert!(own < exact, "{n}: wider than Clopper & Pearson");
        assert!(alone < 0.91, "{n}: {alone}; then no correction is needed");
        assert!((least - reference).abs() < 1e-6, "{n}: {least}");
    }
}

/// F1 is a function of J = tp / (tp + fp + fn); given the sum, the hits are binomial. With as many resamples as one
/// likes, the percentiles are those of the binomial distribution with the measured share.
#[test]
#[expect(clippy::print_stdout, reason = "a table for users")]
fn corrected_percentiles_of_f1_have_a_coverage_of_91_percent() {
    const DRAWS: u32 = 400;
    println!(
        "\ncoverage of 95 % intervals of the F1 of a class with n = tp + fp + fn, by exact binomial sums"
    );
    for n in [12, 100, 600] {
        let binomial = Binomial::new(n);
        let drawn = |x: u64| {
            let (share, mut sum, mut hits) = (x as f64 / n as f64, 0.0, 0);
            (0..DRAWS)
                .map(|i| {
                    while hits < n
                        && sum + binomial.probability(hits, share)
                            <= (f64::from(i) + 0.5) / f64::from(DRAWS)
                    {
                        sum += binomial.probability(hits, share);
                        hits += 1;
                    }
                    hits as f64 / n as f64
                })
                .collect::<Vec<f64>>()
        };
        let all: Vec<Vec<f64>> = (0..=n).map(drawn).collect();
        let interval = |x: u64| {
            let drawn = all[x as usize].iter().copied();
            corrected(x as f64, n as f64, |j| j, drawn).0
        };
        let intervals: Vec<Interval> = (0..=n).filter_map(interval).collect();
        let plain: Vec<Interval> = all
            .iter()
            .filter_map(|drawn| Interval::percentile(drawn))
            .collect();
        let (least, at) = binomial.worst(&intervals, 0.9);
        let mean = binomial.average(|binomial, p| binomial.coverage(&intervals, p));
        let alone = binomial.worst(&plain, 0.9).0;
        println!(
            "{n:>7}  least {:.2} %  mean {:.2} %  percentiles alone: least {:.2} %",
            least * 100.0,
            mean * 100.0,
            alone * 100.0
        );
        assert!(
            least >= 0.91 && mean >= 0.94,
            "{n}: {least} at {at}, {mean}"
        );
        assert!(alone < 0.5, "{n}: {alone}; then no correction is needed");
    }
}
