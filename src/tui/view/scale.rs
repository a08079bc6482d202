//! Value axes: ranges that change rarely, and ticks at round numbers.

/// The value range of a chart, linear or logarithmic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// Linear scale.
    Linear {
        /// Value at the lower edge.
        low: f64,
        /// Value at the upper edge.
        high: f64,
        /// Distance between ticks.
        step: f64,
        /// Whether values are rates, labelled in percent.
        percent: bool,
    },
    /// Logarithmic scale.
    Log {
        /// Value at the lower edge, above 0.
        low: f64,
        /// Value at the upper edge.
        high: f64,
    },
}

impl Scale {
    /// A linear scale with round ends around the bulk of the values (without the outermost 2 % at each end) and `keep`.
    pub(super) fn linear(values: &mut Vec<f64>, keep: &[f64], rows: u16, percent: bool) -> Self {
        let (mut low, mut high) = bulk(values).unwrap_or((0.0, 1.0));
        for value in keep.iter().copied().filter(|value| value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        let ticks = f64::from((rows / 3).clamp(2, 6));
        let least = if percent {
            0.02
        } else {
            1e-6_f64.max(high.abs() * 1e-3)
        };
        let step = nice((high - low).max(least) / ticks);
        // The ends are multiples of a fraction of the tick distance: coarser ends would waste space.
        let edge = step / 4.0;
        let low = (low / edge).floor() * edge;
        let high = ((high / edge).ceil() * edge).max(low + edge);
        // Rates cannot exceed 1: close to it, the scale ends there and no value above is cut off.
        let whole = percent && 1.0 - high < (high - low) / 3.0;
        Self::Linear {
            low,
            high: if whole { 1.0 } else { high },
            step,
            percent,
        }
    }

    /// A logarithmic scale with ends at 1, 2 or 5 times a power of ten. It contains all values, except outliers that
    /// would compress the rest.
    pub(super) fn log(values: &mut Vec<f64>, keep: &[f64]) -> Self {
        values.retain(|value| *value > 0.0);
        let most = values.iter().copied().fold(0.0, f64::max);
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let (mut low, mut high) = bulk(values).unwrap_or((0.1, 10.0));
        high = most.min(high * 20.0).max(high);
        low = least.max(low / 20.0).min(low);
        for value in keep
            .iter()
            .copied()
            .filter(|value| value.is_finite() && *value > 0.0)
        {
            (low, high) = (low.min(value / 1.5), high.max(value * 1.5));
        }
        let (low, high) = (round_log(low, false), round_log(high, true));
        Self::Log {
            low,
            high: if high > low { high } else { low * 10.0 },
        }
    }

    /// Position of a value: 0 at the lower edge, 1 at the upper edge; values outside the scale are below 0 or above 1.
    pub(super) fn place(&self, value: f64) -> f64 {
        match *self {
            Self::Linear { low, high, .. } => (value - low) / (high - low),
            Self::Log { low, high } if value > 0.0 => (value / low).ln() / (high / low).ln(),
            Self::Log { .. } => -1.0,
        }
    }

    /// Values of the ticks with their labels, at most about one for every two rows.
    pub(super) fn ticks(&self, rows: u16) -> Vec<(f64, String)> {
        match *self {
            Self::Linear {
                low,
                high,
                step,
                percent,
            } => {
                let first = (low / step - 1e-6).ceil();
                let count = ((high / step + 1e-6).floor() - first).clamp(0.0, 64.0) as i64;
                let values = (0..=count).map(|i| (first + i as f64) * step);
                values
                    .map(|value| (value, linear_label(value, step, percent)))
                    .collect()
            }
            Self::Log { low, high } => log_ticks(low, high, usize::from(rows / 2).max(2)),
        }
    }
}

fn linear_label(value: f64, step: f64, percent: bool) -> String {
    // Less than a millionth of the tick distance is rounding error; printed as 0, it must not have a sign.
    let value = if value.abs() < step * 1e-6 {
        0.0
    } else {
        value
    };
    let decimals = |step: f64| {
        let exponent = -(step.log10() + 1e-9).floor();
        let half = (step * 10_f64.powf(exponent) - 2.5).abs() < 1e-6;
        (exponent + f64::from(u8::from(half))).clamp(0.0, 4.0) as usize
    };
    if percent {
        let digits = if value >= 0.9995 {
            0
        } else {
            decimals(step * 100.0).min(1)
        };
        format!("{:.digits$}%", value * 100.0)
    } else if value.abs() >= 100_000.0 {
        format!("{value:.0e}")
    } else if step < 1e-3 {
        small_label(value, step)
    } else {
        format!("{value:.*}", decimals(step))
    }
}

/// A label in [`LABEL`] columns for tick distances below 0.001: an integer multiple of the last digit's unit (`25e-5`),
/// else without the leading zero (`.0512`), else empty.
fn small_label(value: f64, step: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let mut power = -(step.log10() + 1e-9).floor();
    if (step * 10_f64.powf(power) - 2.5).abs() < 1e-6 {
        power += 1.0;
    }
    let whole = format!("{:.0}e-{power}", value * 10_f64.powf(power));
    let plain = format!("{value:.*}", power.clamp(0.0, 9.0) as usize);
    let plain = plain.replacen("0.", ".", 1);
    let choices = [whole, plain];
    let fits = choices.into_iter().find(|label| label.len() <= LABEL);
    fits.unwrap_or_default()
}

/// Maximum width of a label.
const LABEL: usize = 5;

fn log_ticks(low: f64, high: f64, most: usize) -> Vec<(f64, String)> {
    let all = |steps: &[f64]| -> Vec<f64> {
        let (from, to) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        (from..=to)
            .flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)))
            .filter(|value| *value >= low * 0.999 && *value <= high * 1.001)
            .collect()
    };
    let choices = [all(&[1.0, 2.0, 5.0]), all(&[1.0, 5.0]), all(&[1.0])];
    let chosen = choices
        .into_iter()
        .find(|ticks| ticks.len() <= most)
        .unwrap_or_else(|| vec![low, high]);
    let chosen = if chosen.len() < 2 {
        vec![low, high]
    } else {
        chosen
    };
    chosen
        .into_iter()
        .map(|value| (value, log_label(value)))
        .collect()
}

fn log_label(value: f64) -> String {
    if (0.01..10_000.0).contains(&value) {
        let digits = if value < 0.099 {
            2
        } else {
            usize::from(value < 0.99)
        };
        format!("{value:.digits$}")
    } else {
        format!("{value:.0e}")
    }
}

/// The values of compared runs that the scale includes: the chart's own values keep at least a third of its height.
pub(super) fn near(own: &[f64], others: &[f64]) -> Vec<f64> {
    let mut own = own.to_vec();
    let Some((low, high)) = bulk(&mut own) else {
        return others.to_vec();
    };
    let span = (high - low).max(high.abs() * 0.05);
    let room = low - span..=high + span;
    let found = others.iter().copied().filter(|value| room.contains(value));
    found.collect()
}

/// The range without the outermost 2 % at each end.
fn bulk(values: &mut Vec<f64>) -> Option<(f64, f64)> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = |share: f64| values.get((share * last as f64).round() as usize).copied();
    Some((at(0.02)?, at(0.98)?))
}

/// The smallest of 1, 2, 2.5 and 5 times a power of ten that is at least `value`.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= value * 0.999)
        .unwrap_or(value)
}

fn round_log(value: f64, up: bool) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    let found = if up {
        steps.into_iter().find(|step| *step >= value * 0.999)
    } else {
        steps.into_iter().rev().find(|step| *step <= value * 1.001)
    };
    found.unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_outlier_does_not_compress_the_rest() {
        let mut values: Vec<f64> = (0..200).map(|i| 0.5 + f64::from(i) * 1e-3).collect();
        values.push(1e6);
        let scale = Scale::linear(&mut values, &[], 12, false);
        assert!(
            matches!(scale, Scale::Linear { high, .. } if high < 1.0),
            "{scale:?}"
        );
        assert!(scale.place(1e6) > 1.0);
    }

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        let scale = Scale::linear(&mut vec![0.31, 0.52, 0.97], &[], 12, false);
        let labels: Vec<String> = scale
            .ticks(12)
            .into_iter()
            .map(|(_, label)| label)
            .collect();
        assert_eq!(labels, ["0.4", "0.6", "0.8", "1.0"]);
        let scale = Scale::linear(&mut vec![0.81, 0.93], &[0.99], 10, true);
        assert_eq!(
            scale.ticks(10).last().map(|(_, label)| label.clone()),
            Some("100%".to_owned())
        );
    }

    #[test]
    fn labels_have_enough_digits_for_the_tick_distance() {
        let labels = |low, high, step, percent| -> Vec<String> {
            Scale::Linear {
                low,
                high,
                step,
                percent,
            }
            .ticks(20)
            .into_iter()
            .map(|(_, label)| label)
            .collect()
        };
        assert_eq!(labels(0.5, 1.0, 0.25, false), ["0.50", "0.75", "1.00"]);
        assert_eq!(labels(0.0, 5.0, 2.5, false), ["0.0", "2.5", "5.0"]);
        assert_eq!(labels(0.0, 50.0, 25.0, false), ["0", "25", "50"]);
        assert_eq!(labels(0.1, 0.3, 0.1, false), ["0.1", "0.2", "0.3"]);
        assert_eq!(labels(0.95, 1.0, 0.025, true), ["95.0%", "97.5%", "100%"]);
        assert_eq!(labels(0.0, 5e-4, 2.5e-4, false), ["0", "25e-5", "50e-5"]);
        assert_eq!(
            labels(0.0512, 0.0516, 2e-4, false),
            [".0512", ".0514", ".0516"]
        );
        assert_eq!(labels(0.0, 4e-9, 2e-9, false), ["0", "2e-9", "4e-9"]);
        let tight = labels(0.123_456, 0.123_458, 1e-6, false);
        assert!(tight.iter().all(String::is_empty), "{tight:?}");
    }

    #[test]
    fn the_log_axis_has_round_ticks_and_shows_the_threshold() {
        let scale = Scale::log(&mut vec![0.8, 1.2, 3.0, 4.5], &[1.0]);
        let labels: Vec<String> = scale
            .ticks(10)
            .into_iter()
            .map(|(_, label)| label)
            .collect();
        assert_eq!(labels, ["0.5", "1", "2", "5"]);
        assert!((0.0..=1.0).contains(&scale.place(1.0)));
    }

    #[test]
    fn extreme_values_give_a_valid_scale() {
        for values in [
            vec![],
            vec![f64::NAN],
            vec![0.0],
            vec![5.0; 3],
            vec![1e-300, 1e300],
            vec![-1.0, -2.0],
        ] {
            for scale in [
                Scale::linear(&mut values.clone(), &[], 0, false),
                Scale::log(&mut values.clone(), &[]),
            ] {
                assert!(scale.ticks(10).len() <= 70);
                assert!(scale.place(f64::NAN).is_nan() || scale.place(f64::NAN) < 0.0);
            }
        }
    }
}
