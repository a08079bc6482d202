//! The temperature that makes confidences fit: the argument of the smallest NLL of softmax(z / T).
//!
//! In β = 1/T the NLL is convex: its slope is the mean of `E[z] − z_y` and its curvature the mean of `Var[z]`, both under
//! softmax(βz). So Newton's method on the slope, kept inside a bracket, finds the one minimum there is.

use serde::{Deserialize, Serialize};

use super::{nll, rows};

/// β is looked for between these.
const BOUNDS: (f64, f64) = (1e-3, 1e3);
/// A slope below this is flat.
const FLAT: f64 = 1e-9;
/// Steps before giving up; halving the bracket alone needs about 45.
const MOST_STEPS: u32 = 200;

/// A fitted temperature and what it was good for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Temperature {
    /// The temperature; below 1 makes predictions more sure, above 1 less.
    pub value: f64,
    /// Whether a minimum was found. Not so without usable rows, when every prediction is right (ever more sure is ever
    /// better, so there is no minimum, and 1 is kept), and when the minimum lies beyond 0.001 or 1000.
    pub converged: bool,
    /// NLL at temperature 1, of the rows that were used.
    pub nll_before: f64,
    /// NLL at this temperature, of the same rows; never above `nll_before`.
    pub nll_after: f64,
    /// Steps of the search; 0 where there was nothing to search.
    #[serde(default)]
    pub iterations: u32,
    /// Slope of the NLL by β where the search ended; flat, below 10⁻⁹, where it converged.
    #[serde(default)]
    pub slope: f64,
}

/// Fits the temperature to labelled logits. Rows that hold a value that is not finite, or a label that is no class, are left
/// out; a temperature that is no better than 1 is given up for 1.
pub fn fit_temperature(logits: &[f32], labels: &[u32], k: usize) -> Temperature {
    let usable = rows(logits, labels, k).filter(|(row, _)| row.iter().all(|z| z.is_finite()));
    let (mut kept, mut classes) = (Vec::new(), Vec::new());
    for (row, label) in usable {
        kept.extend_from_slice(row);
        classes.push(label as u32);
    }
    let found = minimum(&kept, &classes, k);
    let at = |temperature| nll(&kept, &classes, k, temperature);
    let (nll_before, nll_after) = (at(1.0), at(1.0 / found.beta));
    let (value, nll_after) = if nll_after < nll_before {
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

/// Where a search for the minimum ended.
#[derive(Debug, Clone, Copy)]
struct Found {
    beta: f64,
    converged: bool,
    iterations: u32,
    slope: f64,
}

/// The minimum, or the bound beyond which it lies.
fn minimum(logits: &[f32], labels: &[u32], k: usize) -> Found {
    let (low, high) = BOUNDS;
    let slope = |beta| slope_and_curvature(logits, labels, k, beta);
    let given_up = |beta, slope| Found {
        beta,
        converged: false,
        iterations: 0,
        slope,
    };
    if never_wrong(logits, labels, k) {
        return given_up(1.0, slope(1.0).0);
    }
    let (at_low, at_high) = (slope(low).0, slope(high).0);
    if at_low >= 0.0 {
        return given_up(low, at_low);
    }
    if at_high <= 0.0 {
        return given_up(high, at_high);
    }
    root(slope, low, high)
}

/// The zero of a rising function between two points where it is below and above zero; the function gives its slope too.
fn root(f: impl Fn(f64) -> (f64, f64), mut low: f64, mut high: f64) -> Found {
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
        if converged || iterations >= MOST_STEPS {
            return Found {
                beta: x,
                converged,
                iterations,
                slope: value,
            };
        }
        let newton = x - value / slope;
        // Far out the slope fades exponentially and Newton's steps creep; the bracket spans decades, so it is halved in
        // proportion. A step that is NaN is inside of nothing.
        let inside = newton > low && newton < high;
        x = if inside && value.abs() < 0.5 * last {
            newton
        } else {
            (low * high).sqrt()
        };
        last = value.abs();
    }
}

/// First and second derivative of the mean NLL by β.
fn slope_and_curvature(logits: &[f32], labels: &[u32], k: usize, beta: f64) -> (f64, f64) {
    let (mut slope, mut curvature, mut count) = (0.0, 0.0, 0_u64);
    for (row, label) in rows(logits, labels, k) {
        // Taking the largest off changes neither derivative and keeps the exponentials in range.
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

/// No class ever beats the true one; then the NLL falls, or stays, for ever as β grows. Also so without any rows.
fn never_wrong(logits: &[f32], labels: &[u32], k: usize) -> bool {
    rows(logits, labels, k).all(|(row, label)| {
        row.get(label)
            .is_some_and(|&z| f64::from(z) >= largest(row))
    })
}

fn largest(row: &[f32]) -> f64 {
    f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max))
}
