//! The texts of alerts: the reason with its numbers, then what to try.

use super::track::MANY;
use super::{ActiveRule, Alert, Rule};
use crate::event::{Level, SystemSample, loss_words};
use crate::run::curves::Curve;
use crate::run::progress::CLIP_WINDOW;
use crate::run::state::RunState;
use crate::run::text::{clock, size};

/// Share of the base learning rate below which the schedule is near its end, so that lowering the rate has no effect.
const LOW_RATE: f64 = 0.1;

/// The log line for the start of an alert.
pub(super) fn start_line(alert: &Alert) -> String {
    let name = alert.rule.name();
    // Some texts start with the name, because the status bar shows the text alone.
    let reason = alert.text.strip_prefix(name);
    let reason = reason.and_then(|rest| rest.strip_prefix(": "));
    format!("alert {name}: {}", reason.unwrap_or(&alert.text))
}

/// The log line for the end of an alert.
pub(super) fn end_line(ended: ActiveRule) -> String {
    format!(
        "alert {} resolved (active since step {})",
        ended.rule.name(),
        ended.since_step
    )
}

/// Lines for the plain log: one for each alert that has ended or started since the rules `before` were active.
pub fn alert_lines(before: &[ActiveRule], state: &RunState) -> Vec<String> {
    let now = state.health.active();
    let ended = before
        .iter()
        .filter(|rule| !now.contains(rule))
        .map(|rule| end_line(*rule));
    let started = now
        .iter()
        .filter(|rule| !before.contains(rule))
        .map(|rule| {
            let alert = state.describe(*rule);
            let word = match alert.severity {
                Level::Info => "",
                Level::Warn => "warning: ",
                Level::Error => "error: ",
            };
            format!("{word}{}", start_line(&alert))
        });
    ended.chain(started).collect()
}

impl RunState {
    /// The alert for an active rule.
    pub(super) fn describe(&self, active: ActiveRule) -> Alert {
        let ActiveRule { rule, since_step } = active;
        let (severity, text) = match rule {
            Rule::NonFinite => self.non_finite_text(),
            Rule::Diverged => (Level::Error, self.diverged_text()),
            Rule::Spike => (Level::Warn, self.spike_text()),
            Rule::DeadGradient => (Level::Warn, self.dead_gradient_text()),
            Rule::Overfitting => (Level::Warn, self.overfitting_text()),
            // These two only waste time: the run itself is sound.
            Rule::Plateau => (Level::Info, self.plateau_text()),
            Rule::AlwaysClipping => (Level::Info, self.clipping_text()),
            Rule::Starved => (Level::Warn, self.starved_text()),
            Rule::Stalled | Rule::LowDisk | Rule::Throttling | Rule::Crowded => {
                (Level::Warn, String::new())
            }
        };
        Alert {
            rule,
            severity,
            text,
            since_step,
        }
    }

    fn non_finite_text(&self) -> (Level, String) {
        let episode = self.health.non_finite.clone().unwrap_or_default();
        let level = if episode.acted || episode.count >= MANY {
            Level::Error
        } else {
            Level::Warn
        };
        let steps = match episode.count {
            0 | 1 => format!("step {} is not finite", episode.last),
            n => format!("{n} steps are not finite, the latest {}", episode.last),
        };
        if episode.statistics && !episode.acted {
            let why = self.statistics_text(episode.last);
            let text = format!("{steps}: {why}; such a step changes no weights");
            return (Level::Warn, text);
        }
        let layer = episode.layer.map_or_else(String::new, |layer| {
            format!(", first non-finite layer {layer}")
        });
        let text = format!(
            "{steps}{layer}; the weights are unchanged: lower the learning rate, keep optim.clip_norm above 0"
        );
        (level, text)
    }

    /// Why a step was skipped whose batch statistics were not finite, and what to do.
    pub(in crate::run) fn statistics_text(&self, step: u64) -> String {
        let single = self.info.as_ref().is_some_and(|info| {
            let (images, batch) = (info.dataset.train, u64::from(info.batch_size));
            let last = info.steps_per_epoch > 0 && step.is_multiple_of(info.steps_per_epoch);
            batch == 1 || last && images.checked_rem(batch) == Some(1)
        });
        if single {
            let why = "its batch has a single image, and batch norm over 1x1 maps needs more";
            format!("{why}: choose a train.batch_size that leaves no single image")
        } else {
            "the statistics of its batch are not finite: lower the learning rate".to_owned()
        }
    }

    fn diverged_text(&self) -> String {
        let track = &self.health.divergence;
        let valid = track.valid.map_or_else(String::new, |(epoch, nll)| {
            format!(", validation NLL {} in epoch {epoch}", loss_words(nll.0))
        });
        let clip = if self.clip_norm() > 0.0 {
            ""
        } else {
            " and set optim.clip_norm above 0"
        };
        format!(
            "diverged: training loss {}{valid}, where guessing has {:.2}: lower optim.lr{clip}, and restart or resume from an \
             earlier checkpoint",
            loss_words(f64::from(track.loss.0)),
            (self.classes() as f64).ln()
        )
    }

    fn spike_text(&self) -> String {
        let spike = self.health.spike.clone().unwrap_or_default();
        let spikes = match spike.count {
            0 | 1 => "loss spike".to_owned(),
            n => format!("{n} loss spikes, the latest"),
        };
        format!(
            "{spikes} at step {}: {} after a mean of {}; if it stays high, halve the learning rate or lower optim.clip_norm",
            spike.last,
            loss_words(f64::from(spike.loss.0)),
            loss_words(spike.mean.0)
        )
    }

    fn dead_gradient_text(&self) -> String {
        let dead = self.health.dead.clone().unwrap_or_default();
        let names = dead.names.join(", ");
        let rest = dead.count.saturating_sub(dead.names.len() as u64);
        let rest = match rest {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        format!(
            "no gradient reaches {names}{rest} at step {}; a frequent cause is a learning rate that is too high: lower optim.lr \
             and restart, or resume from an earlier checkpoint",
            dead.last
        )
    }

    fn overfitting_text(&self) -> String {
        let Some(rise) = self.risen() else {
            return String::new();
        };
        format!(
            "overfitting: valid NLL {:.4} is {:.1} % above its lowest {:.4} (epoch {}), train - valid accuracy went from {:+.1} \
             to {:+.1} points: stop after this epoch (the best is saved), or use more augmentation and weight decay",
            rise.now,
            (rise.now / rise.low - 1.0) * 100.0,
            rise.low,
            rise.epoch,
            rise.gap_then * 100.0,
            rise.gap * 100.0
        )
    }

    fn plateau_text(&self) -> String {
        let Some(better) = self.health.better else {
            return String::new();
        };
        let epoch = self.history.back().map_or(0, |row| row.epoch);
        let base = self.base_lr.map_or(0.0, |lr| lr.0);
        let advice = if self.lr.0 > LOW_RATE * base {
            "lower the learning rate, or stop after this epoch"
        } else {
            "stop after this epoch; the schedule is near its end, so a better model needs a longer run or another network"
        };
        format!(
            "plateau: no better validation for {} epochs (best accuracy {:.2} %, NLL {:.4} at epoch {}): {advice}",
            epoch.saturating_sub(better.epoch),
            better.accuracy.0 * 100.0,
            better.nll.0,
            better.epoch
        )
    }

    /// Which part of the loader is the limit, and what to change.
    fn starved_text(&self) -> String {
        let time = self.step_time.unwrap_or_default();
        let reads = time.reading.0 >= 0.5;
        let (limit, advice) = if reads {
            (
                "reading the packed images",
                "keep them in memory (data.in_memory = \"always\"), move data.cache_dir to a faster disk, or raise data.workers",
            )
        } else {
            (
                "cropping and changing the images",
                "raise data.workers if cores are free, lower data.pack_size, or use less of data.augment",
            )
        };
        format!(
            "starved: steps wait for the loader {:.0} % of their time ({:.1} of {:.1} ms), not for the computation; its threads \
             spend {:.0} % on {limit}: {advice}",
            time.loader_share() * 100.0,
            time.loader_ms.0,
            time.total_ms(),
            if reads {
                time.reading.0
            } else {
                1.0 - time.reading.0
            } * 100.0,
        )
    }

    fn clipping_text(&self) -> String {
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
            "{:.0} of the last {} steps were clipped (median norm {median:.2}, optim.clip_norm {}): the learning rate alone \
             sets the step length; raise optim.clip_norm, or lower optim.lr if the loss fluctuates",
            self.recent_clip_share() * norms.len() as f64,
            norms.len(),
            self.clip_norm()
        )
    }
}

/// The text for a stalled run: no step for `quiet_ms` ms, where a step usually takes `step` ms.
pub(super) fn stalled(state: &RunState, quiet_ms: u64, step: Option<f64>) -> String {
    let usual = step.map_or_else(
        || "no step has finished yet".to_owned(),
        |ms| format!("usually {:.2} s per step", ms / 1000.0),
    );
    let from = match &state.checkpoint {
        Some(saved) => format!("train --resume restarts from {}", saved.path),
        None => "train --resume starts over: there is no checkpoint yet".to_owned(),
    };
    format!(
        "stalled: no step for {} ({usual}): check the device and the disk (dmesg, nvidia-smi, df); {from}",
        clock(quiet_ms)
    )
}

/// The text for a nearly full disk: `fit` more checkpoints of `checkpoint` bytes fit into `free` bytes.
pub(super) fn low_disk(free: u64, checkpoint: u64, fit: Option<u64>) -> String {
    let fit = match fit {
        Some(0) => format!(", no further checkpoint of {} fits", size(checkpoint)),
        Some(1) => format!(", one more checkpoint of {} fits", size(checkpoint)),
        Some(n) => format!(", {n} more checkpoints of {} fit", size(checkpoint)),
        None => String::new(),
    };
    format!(
        "{} free on the disk of the run{fit}: free some space (epochtop clean), lower checkpoint.keep, or save less often",
        size(free)
    )
}

/// The text for training threads that wait for a core for this share of their time.
pub(super) fn crowded(share: f32, sample: &SystemSample) -> String {
    let cores = sample.cores.map_or(String::new(), |cores| {
        let plural = if cores == 1 { "" } else { "s" };
        format!(" on {cores} core{plural}")
    });
    let load = sample
        .load
        .map_or(String::new(), |load| format!("; load {load:.1}{cores}"));
    format!(
        "crowded: the training threads wait for a core {:.0} % of their time{load}: other processes use the cores (see top), \
         or a CPU limit applies; end those processes or lower their priority (renice), or lower train.threads",
        share * 100.0
    )
}
