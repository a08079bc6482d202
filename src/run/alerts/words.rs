//! Alerts in words: the reason with its numbers, then what to try.

use super::track::MANY;
use super::{ActiveRule, Alert, Rule};
use crate::event::Level;
use crate::run::curves::Curve;
use crate::run::progress::CLIP_WINDOW;
use crate::run::state::RunState;
use crate::run::text::{clock, size};

/// Below this share of the base learning rate a schedule is at its end, and a lower one changes nothing.
const LOW_RATE: f64 = 0.1;

/// The line of the log when a rule begins to hold.
pub(super) fn begins(alert: &Alert) -> String {
    let name = alert.rule.name();
    // Some reasons begin with the name, for the bar shows them alone.
    let told = alert.text.strip_prefix(name);
    let told = told.and_then(|rest| rest.strip_prefix(": "));
    format!("alert {name}: {}", told.unwrap_or(&alert.text))
}

/// The line when it is over.
pub(super) fn over(held: ActiveRule) -> String {
    format!(
        "alert {} is over (since step {})",
        held.rule.name(),
        held.since_step
    )
}

/// What the plain log says of rules that have begun or are over since `before`, a line each.
pub fn alert_lines(before: &[ActiveRule], state: &RunState) -> Vec<String> {
    let now = state.health.active();
    let ended = before
        .iter()
        .filter(|held| !now.contains(held))
        .map(|held| over(*held));
    let begun = now
        .iter()
        .filter(|held| !before.contains(held))
        .map(|held| {
            let alert = state.describe(*held);
            let word = match alert.severity {
                Level::Info => "",
                Level::Warn => "warning: ",
                Level::Error => "error: ",
            };
            format!("{word}{}", begins(&alert))
        });
    ended.chain(begun).collect()
}

impl RunState {
    /// A rule that holds, as an alert.
    pub(super) fn describe(&self, held: ActiveRule) -> Alert {
        let ActiveRule { rule, since_step } = held;
        let (severity, text) = match rule {
            Rule::NonFinite => self.non_finite_words(),
            Rule::Spike => (Level::Warn, self.spike_words()),
            Rule::DeadGradient => (Level::Warn, self.dead_words()),
            Rule::Overfitting => (Level::Warn, self.overfitting_words()),
            // Nothing is broken: these two cost time.
            Rule::Plateau => (Level::Info, self.plateau_words()),
            Rule::AlwaysClipping => (Level::Info, self.clipping_words()),
            Rule::Stalled | Rule::LowDisk | Rule::Throttling => (Level::Warn, String::new()),
        };
        Alert {
            rule,
            severity,
            text,
            since_step,
        }
    }

    fn non_finite_words(&self) -> (Level, String) {
        let spell = self.health.non_finite.clone().unwrap_or_default();
        let level = if spell.acted || spell.count >= MANY {
            Level::Error
        } else {
            Level::Warn
        };
        let steps = match spell.count {
            0 | 1 => format!("step {} is not finite", spell.last),
            n => format!("{n} steps are not finite, the last {}", spell.last),
        };
        let layer = spell
            .layer
            .map_or_else(String::new, |layer| format!(", first bad layer {layer}"));
        let text = format!(
            "{steps}{layer}; the weights are unchanged: lower the learning rate, keep optim.clip_norm above 0"
        );
        (level, text)
    }

    fn spike_words(&self) -> String {
        let spike = self.health.spike.clone().unwrap_or_default();
        let spikes = match spike.count {
            0 | 1 => "loss spike".to_owned(),
            n => format!("{n} loss spikes, the last"),
        };
        format!(
            "{spikes} at step {}: {:.3} after a mean of {:.3}; if it stays up, halve the learning rate or lower optim.clip_norm",
            spike.last, spike.loss.0, spike.mean.0
        )
    }

    fn dead_words(&self) -> String {
        let dead = self.health.dead.clone().unwrap_or_default();
        let names = dead.names.join(", ");
        let rest = dead.count.saturating_sub(dead.names.len() as u64);
        let rest = match rest {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        format!(
            "no gradient reaches {names}{rest} at step {}: a rate that was too high does that; lower optim.lr and begin anew, \
             or go on from an earlier checkpoint",
            dead.last
        )
    }

    fn overfitting_words(&self) -> String {
        let Some(rise) = self.risen() else {
            return String::new();
        };
        format!(
            "overfitting: valid NLL {:.4} is {:.1} % above its lowest {:.4} (epoch {}), train - valid accuracy went from {:+.1} \
             to {:+.1} points: stop after this epoch (the best is kept), or more augmentation and weight decay",
            rise.now,
            (rise.now / rise.low - 1.0) * 100.0,
            rise.low,
            rise.epoch,
            rise.gap_then * 100.0,
            rise.gap * 100.0
        )
    }

    fn plateau_words(&self) -> String {
        let Some(better) = self.health.better else {
            return String::new();
        };
        let epoch = self.history.back().map_or(0, |row| row.epoch);
        let base = self.base_lr.map_or(0.0, |lr| lr.0);
        let advice = if self.lr.0 > LOW_RATE * base {
            "lower the learning rate, or stop after this epoch"
        } else {
            "stop after this epoch; the rate is at its end, so a better model wants a longer run or another network"
        };
        format!(
            "plateau: validation is no better for {} epochs (accuracy {:.2} %, NLL {:.4} by epoch {}): {advice}",
            epoch.saturating_sub(better.epoch),
            better.accuracy.0 * 100.0,
            better.nll.0,
            better.epoch
        )
    }

    fn clipping_words(&self) -> String {
        let mut norms: Vec<f32> = self
            .recent
            .iter()
            .rev()
            .take(CLIP_WINDOW)
            .filter_map(|sample| sample.value(Curve::GradNorm))
            .map(|norm| norm.0)
            .collect();
        norms.sort_by(f32::total_cmp);
        let median = norms.get(norms.len() / 2).copied().unwrap_or_default();
        format!(
            "{:.0} of the last {} steps were clipped (median norm {median:.2}, optim.clip_norm {}): every step is as long as the \
             rate alone says; raise optim.clip_norm, or lower optim.lr if the loss is restless",
            self.recent_clip_share() * norms.len() as f64,
            norms.len(),
            self.clip_norm()
        )
    }
}

/// A run that stands still; `step` is what one usually takes, ms.
pub(super) fn stalled(state: &RunState, quiet_ms: u64, step: Option<f64>) -> String {
    let usual = step.map_or_else(
        || "none has been done yet".to_owned(),
        |ms| format!("usually {:.2} s a step", ms / 1000.0),
    );
    let from = match &state.checkpoint {
        Some(saved) => format!("train --resume goes on from {}", saved.path),
        None => "there is no checkpoint yet".to_owned(),
    };
    format!(
        "stalled: no step for {} ({usual}): look at the device and the disk (dmesg, nvidia-smi, df); {from}",
        clock(quiet_ms)
    )
}

/// A disk that fills up; `fit` more checkpoints fit.
pub(super) fn low_disk(free: u64, checkpoint: u64, fit: Option<u64>) -> String {
    let fit = match fit {
        Some(0) => format!(", not one more checkpoint of {} fits", size(checkpoint)),
        Some(1) => format!(", one more checkpoint of {} fits", size(checkpoint)),
        Some(n) => format!(", {n} more checkpoints of {} fit", size(checkpoint)),
        None => String::new(),
    };
    format!(
        "{} left on the disk of the run{fit}: make room (epochtop clean), lower checkpoint.keep, or save less often",
        size(free)
    )
}
