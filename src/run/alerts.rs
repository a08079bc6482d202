//! What is not well with a run: rules with reasons, as pure functions of its state.
//!
//! Rules that follow from records alone are kept up by the fold (in `track`), which writes a line into the log when one
//! begins and when it is over, so that a replay shows the same. Those that need a clock or the machine are looked at
//! when [`alerts`] is asked. [`Announcer`] remembers which of them have been announced.

mod announcer;
mod track;
mod trend;
mod words;

use std::cmp::Reverse;

pub use announcer::{Announcer, Cause, News};
pub use words::alert_lines;

use super::health::{ActiveRule, Rule};
use super::state::RunState;
use crate::event::{Level, Phase, ThrottleReason};

/// Without a record for so long, a training stands still: windows come every 50 ms or 16 steps, and the longest pause
/// that is usual between them (a copy for a checkpoint, a first kernel compiled) is a few seconds.
const STALLED_MS: u64 = 30_000;
/// A network whose steps take longer than a few seconds is given as many of them: windows hold up to 16.
const STALLED_STEPS: f64 = 20.0;
/// Before the first step nothing is known of the pace; libraries are loaded and kernels chosen, in seconds, not minutes.
const FIRST_STEP_MS: u64 = 120_000;
/// So many more checkpoints should fit: at the default of one an epoch that leaves a person a few epochs to make room.
const CHECKPOINTS: u64 = 5;
/// And so much at least: the journal, the evaluations and everybody else on the disk want room too.
const FREE: u64 = 1 << 30;

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What.
    pub rule: Rule,
    /// How much it matters.
    pub severity: Level,
    /// The reason with its numbers, and what to try. It may hold names from outside.
    pub text: String,
    /// The step it began at, counted from 1 over the run.
    pub since_step: u64,
}

/// All that is wrong at `now_ms` (ms since 1970, by the clock of the records), most serious first. Nothing is, once the
/// run has ended: there is nothing left to try, and the log keeps what was.
pub fn alerts(state: &RunState, now_ms: u64) -> Vec<Alert> {
    if state.outcome.is_some() {
        return Vec::new();
    }
    let held = state.health.active().iter();
    let mut all: Vec<Alert> = held.map(|held| state.describe(*held)).collect();
    all.extend(stalled(state, now_ms));
    all.extend(machine(state));
    all.sort_by_key(|alert| (Reverse(alert.severity), alert.rule));
    all
}

/// What is wrong with the machine, by the latest look at it. Of the GPUs those count that the run computes on.
fn machine(state: &RunState) -> Vec<Alert> {
    let Some(sample) = &state.system.latest else {
        return Vec::new();
    };
    let size = state.checkpoint.as_ref().map_or(0, |saved| saved.bytes);
    let disk = sample.disk_free.and_then(|free| low_disk(free, size));
    let ours = sample.gpus.iter().filter(|gpu| gpu.ours);
    let hot = ours.filter_map(|gpu| throttling(gpu.index as usize, &gpu.throttled));
    let mut all: Vec<Alert> = disk.into_iter().chain(hot).collect();
    for alert in &mut all {
        alert.since_step = state.global_step;
    }
    all
}

/// No step where steps should come: not while the run is paused, measured, saved or over.
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

/// Whether the disk of the checkpoints fills up: fewer than 5 more of them fit, or less than 1 GiB is left.
///
/// `free` and `checkpoint_bytes` (the size of the latest, 0 before the first) are bytes. An error once not one more fits.
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

/// Whether a GPU slows itself down for a reason that somebody should look into.
pub fn throttling(gpu: usize, reasons: &[ThrottleReason]) -> Option<Alert> {
    let harmful = reasons.iter().filter(|reason| !reason.is_intended());
    let harmful: Vec<&str> = harmful.map(ThrottleReason::words).collect();
    (!harmful.is_empty()).then(|| Alert {
        rule: Rule::Throttling,
        severity: Level::Warn,
        text: format!(
            "GPU {gpu} slows down ({}): look after its cooling, its power supply and who else computes on it",
            harmful.join(", ")
        ),
        since_step: 0,
    })
}

#[cfg(test)]
mod tests;
