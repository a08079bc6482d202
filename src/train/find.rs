//! The learning-rate range test (Smith 2017): steps with a rate that grows from tiny to absurd, and the loss of each.

use super::bare::Bare;
use super::step::Hyper;
use crate::config::Config;
use crate::data::Dataset;

/// Share of the past in the smoothed loss, debiased.
const SMOOTHING: f64 = 0.95;
/// The test is over when the smoothed loss is so many times the lowest.
const DIVERGED: f64 = 3.0;
/// Share of the steps at the start whose smoothed loss is too few steps' mean to judge by.
const SETTLING: f64 = 0.1;

/// One step of the test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tried {
    /// The learning rate.
    pub lr: f64,
    /// The loss before the step.
    pub loss: f64,
    /// The mean of this loss and those before, the later the more.
    pub smooth: f64,
}

/// What the test says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Suggestion {
    /// The rate at which the loss falls fastest.
    pub steepest: f64,
    /// The rate with the lowest loss: beyond it steps are too large.
    pub lowest: f64,
}

/// Trains with rates from `from` to `to`, each step's the same factor above the one before it, until the loss has diverged.
/// `say` is told after each step; it ends the test by returning false.
///
/// # Errors
/// When the network or the device is none.
pub fn find_lr(
    config: &Config,
    dataset: &Dataset,
    (from, to, steps): (f64, f64, u64),
    mut say: impl FnMut(&[Tried]) -> bool,
) -> Result<Vec<Tried>, String> {
    let mut bare = Bare::new(config, dataset)?;
    let mut tried = Vec::new();
    let (mut sum, mut weight, mut lowest) = (0.0, 0.0, f64::INFINITY);
    for step in 0..steps {
        let lr = from * (to / from).powf(step as f64 / (steps.saturating_sub(1)).max(1) as f64);
        let hyper = Hyper { lr, ..bare.hyper() };
        let loss = bare.step_with(hyper).loss.double_value(&[]);
        if !loss.is_finite() {
            break;
        }
        sum = SMOOTHING * sum + (1.0 - SMOOTHING) * loss;
        weight = SMOOTHING * weight + (1.0 - SMOOTHING);
        let smooth = sum / weight;
        lowest = f64::min(lowest, smooth);
        tried.push(Tried { lr, loss, smooth });
        if !say(&tried) || (step > steps / 10 && smooth > DIVERGED * lowest) {
            break;
        }
    }
    Ok(tried)
}

/// Where the smoothed loss falls fastest by step, which is by factor of the rate, and where it is lowest; `None` where it
/// never falls. The fall is the slope of a straight line through a tenth of the steps before the lowest.
pub fn suggest(tried: &[Tried]) -> Option<Suggestion> {
    let settled = (tried.len() as f64 * SETTLING) as usize;
    let settled = tried.get(settled..)?;
    let (at, lowest) = settled
        .iter()
        .enumerate()
        .min_by(|(_, a), (_, b)| a.smooth.total_cmp(&b.smooth))?;
    let wide = (tried.len() / 10).max(3);
    let falling = settled.get(..=at)?;
    let (_, steepest) = falling
        .windows(wide)
        .map(|part| (slope(part), part.get(wide / 2)))
        .filter(|(slope, _)| *slope < 0.0)
        .min_by(|(a, _), (b, _)| a.total_cmp(b))?;
    Some(Suggestion {
        steepest: steepest?.lr,
        lowest: lowest.lr,
    })
}

/// Least-squares slope of the smoothed loss by step.
fn slope(part: &[Tried]) -> f64 {
    let middle = (part.len() as f64 - 1.0) / 2.0;
    let mean = part.iter().map(|tried| tried.smooth).sum::<f64>() / part.len() as f64;
    let products = part.iter().enumerate().map(|(i, tried)| {
        let x = i as f64 - middle;
        (x * (tried.smooth - mean), x * x)
    });
    let (above, below) = products.fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
    above / below
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(loss: impl Fn(f64) -> f64) -> Vec<Tried> {
        let rate = |i: u32| 10_f64.powf(-6.0 + 7.0 * f64::from(i) / 99.0);
        let tried = |lr: f64| Tried {
            lr,
            loss: loss(lr),
            smooth: loss(lr),
        };
        (0..100).map(|i| tried(rate(i))).collect()
    }

    #[test]
    fn the_steepest_fall_and_the_lowest_loss_are_found() {
        // A fall around 1e-3, then a rise from 0.1 on.
        let loss = |lr: f64| 2.3 - 1.5 / (1.0 + (1e-3 / lr).powi(2)) + lr * lr * 10.0;
        let Some(found) = suggest(&curve(loss)) else {
            panic!("it falls")
        };
        assert!((5e-4..2e-3).contains(&found.steepest), "{found:?}");
        assert!((5e-3..1e-1).contains(&found.lowest), "{found:?}");
    }

    #[test]
    fn a_loss_that_never_falls_suggests_nothing() {
        assert_eq!(suggest(&curve(|lr| 2.0 + lr)), None);
        assert_eq!(suggest(&[]), None);
    }
}
