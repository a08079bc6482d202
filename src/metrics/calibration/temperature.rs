//! Temperature scaling: finds the temperature T that minimizes the NLL of softmax(z / T).
//!
//! The NLL is convex in β = 1/T: its first derivative is the mean of `E[z] − z_y` and its second derivative the mean of
//! `Var[z]`, both under softmax(βz). So Newton's method on the first derivative, safeguarded by a bracket, finds the
//! only minimum.

use serde::{Deserialize, Serialize};

use super::{nll, rows};

/// Search range of β.
const BOUNDS: (f64, f64) = (1e-3, 1e3);
/// The search has converged if the magnitude of the slope is below this.
const FLAT: f64 = 1e-9;
/// Maximum number of iterations; bisection alone needs about 45.
const MAX_STEPS: u32 = 200;

/// A fitted temperature and its effect on the NLL.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Temperature {
    /// The temperature; 1 unless a minimum was found. Below 1 it raises the confidence of predictions, above 1 it lowers
    /// it.
    pub value: f64,
    /// Whether a minimum was found. This is false without usable rows, if every prediction is correct (then a higher
    /// confidence is always better, so there is no minimum), and if the minimum is below 0.001 or above 1000.
    pub converged: bool,
    /// NLL at temperature 1 of the rows that were used.
    pub nll_before: f64,
    /// NLL at this temperature of the same rows; never above `nll_before`.
    pub nll_after: f64,
    /// Iterations of the search; 0 if no search was needed.
    #[serde(default)]
    pub iterations: u32,
    /// Derivative of the NLL with respect to β at the end of the search; its magnitude is below 10⁻⁹ if it converged.
    #[serde(default)]
    pub slope: f64,
}

/// Fits the temperature to labelled logits. Rows with a non-finite logit or a label that is not below `k` are skipped.
/// If there is no minimum, or it is not better than 1, the result is 1.
pub fn fit_temperature(logits: &[f32], labels: &[u32], k: usize) -> Temperature {
    let usable = rows(logits, labels, k).filter(|(row, _)| row.iter().all(|z| z.is_finite()));
    let (mut logits, mut labels) = (Vec::new(), Vec::new());
    for (row, label) in usable {
        logits.extend_from_slice(row);
        labels.push(label as u32);
    }
    let found = minimum(&logits, &labels, k);
    let at = |temperature| nll(&logits, &labels, k, temperature);
    let (nll_before, nll_after) = (at(1.0), at(1.0 / found.beta));
    let (value, nll_after) = if found.converged && nll_after < nll_before {
        (1.0 / found.beta, nll_after)
    } else {
        (1.0, nll_before)
    };
    Temperature {
        value,
        converged: found.converged,
        nll_before,
        nll_after,
        iterations: found.iterations,
        slope: found.slope,
    }
}

/// The result of the search for the minimum.
#[derive(Debug, Clone, Copy)]
struct Minimum {
    beta: f64,
    converged: bool,
    iterations: u32,
    slope: f64,
}

/// The minimum of the NLL, or the bound of the search range if the minimum is outside.
fn minimum(logits: &[f32], labels: &[u32], k: usize) -> Minimum {
    let (low, high) = BOUNDS;
    let slope = |beta| slope_and_curvature(logits, labels, k, beta);
    let not_found = |beta, slope| Minimum {
        beta,
        converged: false,
        iterations: 0,
        slope,
    };
    if never_wrong(logits, labels, k) {
        return not_found(1.0, slope(1.0).0);
    }
    let (at_low, at_high) = (slope(low).0, slope(high).0);
    if at_low >= 0.0 {
        return not_found(low, at_low);
    }
    if at_high <= 0.0 {
        return not_found(high, at_high);
    }
    root(slope, low, high)
}

/// The root of an increasing function that is negative at `low` and positive at `high`. `f` returns value and
/// derivative.
fn root(f: impl Fn(f64) -> (f64, f64), mut low: f64, mut high: f64) -> Minimum {
    let (mut x, mut last, mut iterations) = (1.0, f64::INFINITY, 0);
    loop {
        iterations += 1;
        let (value, slope) = f(x);
        if value < 0.0 {
            low = x;
        } else {
            high = x;
        }
        let converged = value.abs() < FLAT || high - low <= 1e-14 * high;
        if converged || iterations >= MAX_STEPS {
            return Minimum {
                beta: x,
                converged,
                iterations,
                slope: value,
            };
        }
        let newton = x - value / slope;
        // Far from the root the derivative decays exponentially and Newton's method is slow, so bisection is used
        // there. The bracket spans decades, so it is divided at the geometric mean. A NaN step is never inside the
        // bracket.
        let inside = newton > low && newton < high;
        x = if inside && value.abs() < 0.5 * last {
            newton
        } else {
            (low * high).sqrt()
        };
        last = value.abs();
    }
}

/// First and second derivative of the mean NLL with respect to β.
fn slope_and_curvature(logits: &[f32], labels: &[u32], k: usize, beta: f64) -> (f64, f64) {
    let (mut slope, mut curvature, mut count) = (0.0, 0.0, 0_u64);
    for (row, label) in rows(logits, labels, k) {
        // Subtracting the largest logit changes neither derivative and keeps the exponentials in range.
        let largest = largest(row);
        let (mut mass, mut first, mut second, mut own) = (0.0, 0.0, 0.0, 0.0);
        for (class, &z) in row.iter().enumerate() {
            let z = f64::from(z) - largest;
            let weight = (beta * z).exp();
            mass += weight;
            first += weight * z;
            second += weight * z * z;
            if class == label {
                own = z;
            }
        }
        let expected = first / mass;
        slope += expected - own;
        curvature += second / mass - expected * expected;
        count += 1;
    }
    let count = count.max(1) as f64;
    (slope / count, curvature / count)
}

/// Whether no class has a larger logit than the true one in any row; then the NLL never rises as β grows. Also true
/// without rows.
fn never_wrong(logits: &[f32], labels: &[u32], k: usize) -> bool {
    rows(logits, labels, k).all(|(row, label)| {
        row.get(label)
            .is_some_and(|&z| f64::from(z) >= largest(row))
    })
}

fn largest(row: &[f32]) -> f64 {
    f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max))
}
