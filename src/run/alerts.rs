//! Alerts: problems of a run, found by rules that are pure functions of its state.
//!
//! Rules that depend on records alone are updated by the fold (in `track`), which adds a log line when an alert starts
//! and when it ends, so that a replay shows the same lines. Rules that need the current time or the state of the
//! machine are evaluated when [`alerts`] is called. [`Announcer`] remembers which alerts have been announced.

mod announcer;
mod track;
mod trend;
mod words;

use std::cmp::Reverse;

pub use announcer::{Announcer, Cause, Notification};
pub use words::alert_lines;

use super::health::{ActiveRule, Rule};
use super::state::RunState;
use crate::event::{Level, Phase, SystemSample, ThrottleReason};

/// Time without a record after which a run counts as stalled. Windows of steps arrive every 50 ms or 16 steps; the
/// longest usual gap between them (copying the weights for a checkpoint, compiling the first kernel) is a few seconds.
const STALLED_MS: u64 = 30_000;
/// The same limit in units of the usual step time, for networks whose steps take seconds: a window has up to 16 steps.
const STALLED_STEPS: f64 = 20.0;
/// Limit before the first step, when the step time is unknown. Loading libraries and choosing kernels takes seconds.
const FIRST_STEP_MS: u64 = 120_000;
/// Number of further checkpoints that should fit on the disk. At the default of one per epoch, this leaves the user a
/// few epochs to free space.
const CHECKPOINTS: u64 = 5;
/// Free bytes that should remain in any case: the journal, the evaluations and other users of the disk need space too.
const FREE: u64 = 1 << 30;

/// Share of their time that the training threads wait for a core from which an alert is active. One other busy process on
/// two cores gives a third; the threads that serve screens and files give a hundredth.
pub const CROWDED: f32 = 0.15;

/// A current problem of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The rule that found the problem.
    pub rule: Rule,
    /// Severity of the problem.
    pub severity: Level,
    /// The reason with its numbers, and what to try. It may contain untrusted names, such as those of layers.
    pub text: String,
    /// The step at which the problem started, counted from 1 over the run.
    pub since_step: u64,
}

/// The alerts that are active at `now_ms` (milliseconds since 1970 on the clock of the records), most severe first.
/// Empty once the run has ended: no action is left, and the log keeps the past alerts.
pub fn alerts(state: &RunState, now_ms: u64) -> Vec<Alert> {
    if state.outcome.is_some() {
        return Vec::new();
    }
    let active = state.health.active().iter();
    let mut all: Vec<Alert> = active.map(|rule| state.describe(*rule)).collect();
    all.extend(stalled(state, now_ms));
    all.extend(machine(state));
    all.sort_by_key(|alert| (Reverse(alert.severity), alert.rule));
    all
}

/// Alerts about the machine, from its latest sample. Only the GPUs that the run uses are considered.
fn machine(state: &RunState) -> Vec<Alert> {
    let Some(sample) = &state.system.latest else {
        return Vec::new();
    };
    let size = state.checkpoint.as_ref().map_or(0, |saved| saved.bytes);
    let disk = sample.disk_free.and_then(|free| low_disk(free, size));
    let ours = sample.gpus.iter().filter(|gpu| gpu.ours);
    let hot = ours.filter_map(|gpu| throttling(gpu.index as usize, &gpu.throttled));
    let crowded = crowded(state, sample);
    let mut all: Vec<Alert> = disk.into_iter().chain(hot).chain(crowded).collect();
    for alert in &mut all {
        alert.since_step = state.global_step;
    }
    all
}

/// The alert for missing steps. It applies only to the training phase, not while the run is paused, evaluated, saved or
/// finished.
fn stalled(state: &RunState, now_ms: u64) -> Option<Alert> {
    if state.phase != Phase::Training || state.info.is_none() {
        return None;
    }
    let quiet = now_ms.saturating_sub(state.health.heard_ms());
    let step = state.step_millis.value().filter(|ms| *ms > 0.0);
    let limit = step.map_or(FIRST_STEP_MS, |ms| {
        STALLED_MS.max((STALLED_STEPS * ms) as u64)
    });
    (quiet > limit).then(|| Alert {
        rule: Rule::Stalled,
        severity: Level::Error,
        text: words::stalled(state, quiet, step),
        since_step: state.global_step,
    })
}

/// An alert if the disk with the checkpoints is nearly full: fewer than 5 more checkpoints fit, or less than 1 GiB is
/// free.
///
/// `free` and `checkpoint_bytes` (size of the latest checkpoint, 0 before the first) are in bytes. The alert is an
/// error if no further checkpoint fits.
pub fn low_disk(free: u64, checkpoint_bytes: u64) -> Option<Alert> {
    let fit = free.checked_div(checkpoint_bytes);
    if free >= FREE && fit.is_none_or(|fit| fit >= CHECKPOINTS) {
        return None;
    }
    Some(Alert {
        rule: Rule::LowDisk,
        severity: if fit == Some(0) || free == 0 {
            Level::Error
        } else {
            Level::Warn
        },
        text: words::low_disk(free, checkpoint_bytes, fit),
        since_step: 0,
    })
}

/// An alert if the training threads wait for a core during a large part of their time.
fn crowded(state: &RunState, sample: &SystemSample) -> Option<Alert> {
    let share = state.system.waiting_share()?;
    (state.phase == Phase::Training && share >= CROWDED).then(|| Alert {
        rule: Rule::Crowded,
        severity: Level::Warn,
        text: words::crowded(share, sample),
        since_step: 0,
    })
}

/// An alert if a GPU reduces its clocks for a reason that is not intended, such as heat.
pub fn throttling(gpu: usize, reasons: &[ThrottleReason]) -> Option<Alert> {
    let harmful = reasons.iter().filter(|reason| !reason.is_intended());
    let harmful: Vec<&str> = harmful.map(ThrottleReason::words).collect();
    (!harmful.is_empty()).then(|| Alert {
        rule: Rule::Throttling,
        severity: Level::Warn,
        text: format!(
            "GPU {gpu} is throttled ({}): check its cooling, its power supply and other processes on it",
            harmful.join(", ")
        ),
        since_step: 0,
    })
}

#[cfg(test)]
mod tests;
