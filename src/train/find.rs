//! The learning-rate range test (Smith 2017): trains with a rate that grows from very small to far too large, and
//! records the loss at each step.

use super::bare::BareTrainer;
use super::step::Hyper;
use crate::config::Config;
use crate::images::Dataset;

/// Decay of the smoothed loss, a bias-corrected EMA.
const SMOOTHING: f64 = 0.95;
/// The test ends when the smoothed loss exceeds its minimum by this factor.
const DIVERGED: f64 = 3.0;
/// Fraction of the steps at the start that is ignored, because their smoothed loss averages too few steps.
const SETTLING: f64 = 0.1;

/// One step of the range test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LrFindStep {
    /// The learning rate.
    pub lr: f64,
    /// The loss of the batch before the update.
    pub loss: f64,
    /// The bias-corrected EMA of the losses up to this step.
    pub smooth: f64,
}

/// The learning rates that the test suggests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Suggestion {
    /// The rate at which the loss falls fastest.
    pub steepest: f64,
    /// The rate with the lowest loss; higher rates are too large.
    pub lowest: f64,
}

/// Trains `steps` steps with rates from `from` to `to` that grow by a constant factor, and ends early if the loss
/// diverges. `progress` is called after each step with all steps so far; it ends the test by returning false.
///
/// # Errors
/// If the network cannot be built or the device does not exist.
pub fn run_lr_find(
    config: &Config,
    dataset: &Dataset,
    (from, to, steps): (f64, f64, u64),
    mut progress: impl FnMut(&[LrFindStep]) -> bool,
) -> Result<Vec<LrFindStep>, String> {
    let mut bare = BareTrainer::new(config, dataset)?;
    let mut tried = Vec::new();
    let (mut sum, mut weight, mut lowest) = (0.0, 0.0, f64::INFINITY);
    for step in 0..steps {
        let lr = from * (to / from).powf(step as f64 / (steps.saturating_sub(1)).max(1) as f64);
        let hyper = Hyper { lr, ..bare.hyper() };
        let loss = bare.step_with(hyper)?.loss.double_value(&[]);
        if !loss.is_finite() {
            break;
        }
        sum = SMOOTHING * sum + (1.0 - SMOOTHING) * loss;
        weight = SMOOTHING * weight + (1.0 - SMOOTHING);
        let smooth = sum / weight;
        lowest = f64::min(lowest, smooth);
        tried.push(LrFindStep { lr, loss, smooth });
        if !progress(&tried) || (step > steps / 10 && smooth > DIVERGED * lowest) {
            break;
        }
    }
    Ok(tried)
}

/// The rate at which the smoothed loss falls fastest per step (so per factor of the rate), and the rate at which it is
/// lowest; `None` if the loss never falls. The slope is a least-squares fit over a window of a tenth of the steps,
/// taken before the lowest loss.
pub fn suggest(tried: &[LrFindStep]) -> Option<Suggestion> {
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

/// Least-squares slope of the smoothed loss per step.
fn slope(part: &[LrFindStep]) -> f64 {
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

    fn curve(loss: impl Fn(f64) -> f64) -> Vec<LrFindStep> {
        let rate = |i: u32| 10_f64.powf(-6.0 + 7.0 * f64::from(i) / 99.0);
        let tried = |lr: f64| LrFindStep {
            lr,
            loss: loss(lr),
            smooth: loss(lr),
        };
        (0..100).map(|i| tried(rate(i))).collect()
    }

    #[test]
    fn suggests_the_steepest_fall_and_the_lowest_loss() {
        // A fall around 1e-3, then a rise from 0.1 on.
        let loss = |lr: f64| 2.3 - 1.5 / (1.0 + (1e-3 / lr).powi(2)) + lr * lr * 10.0;
        let Some(found) = suggest(&curve(loss)) else {
            panic!("no suggestion for a loss that falls")
        };
        assert!((5e-4..2e-3).contains(&found.steepest), "{found:?}");
        assert!((5e-3..1e-1).contains(&found.lowest), "{found:?}");
    }

    #[test]
    fn no_suggestion_if_the_loss_never_falls() {
        assert_eq!(suggest(&curve(|lr| 2.0 + lr)), None);
        assert_eq!(suggest(&[]), None);
    }
}
