//! The rules that depend on records alone, and the log lines that the fold adds when an alert starts and ends.

use super::trend::{Rise, rise};
use super::words::{end_line, start_line};
use super::{Alert, Rule};
use crate::event::{EpochSummary, Event, F64, Level, StepWindow, divergence_limit};
use crate::metrics::{Interval, Measure};
use crate::run::health::{ActiveRule, Better, NON_FINITE_STEPS, SPIKE_STEPS};
use crate::run::progress::CLIP_WINDOW;
use crate::run::state::RunState;
use crate::run::steps::Steps;

/// Number of non-finite steps from which the alert is an error: a single one can be an occasional overflow of bf16.
/// Equal to the default of `health.in_a_row`.
pub(super) const MANY: u64 = 5;
/// Clipped share of the last [`CLIP_WINDOW`] steps at which the alert starts, and the share below which it ends. Two
/// thresholds, so that a share near one of them does not start and end the alert repeatedly.
const CLIPPED: f64 = 0.9;
const CLIPPED_STILL: f64 = 0.7;
/// Share of the step time spent waiting for images at which the alert starts, and the share below which it ends. A tenth is
/// usual right after an epoch begins, when no batch is ready yet.
const STARVED: f64 = 0.2;
const STARVED_STILL: f64 = 0.1;
/// Steps before clipping is judged: gradient norms are large during the warm-up of the learning rate (two epochs, 430
/// steps, by default).
const WARM: u64 = 500;
/// Epochs without a better validation that count as a plateau, as a number and as a share of the planned epochs; the
/// larger one applies. Five is in line with the schedulers of Keras and PyTorch (5 to 10); long runs progress slowly by
/// design.
const PLATEAU_EPOCHS: u32 = 5;
const PLATEAU_SHARE: f64 = 0.2;
/// Relative decrease of the NLL that counts as better: 1 %, the usual difference between neighbouring epochs.
const NLL_DELTA: f64 = 0.01;

impl RunState {
    /// Updates the rules with an event, after the rest of the state was updated, and logs the alerts that start or end.
    pub(in crate::run) fn update_rules(&mut self, event: &Event, t_ms: u64) {
        if event.traits().progress {
            self.health.heard_ms = self.now_ms;
        }
        let rules: &[Rule] = match event {
            Event::Steps(window) => {
                self.watch_divergence(window);
                &[
                    Rule::NonFinite,
                    Rule::Diverged,
                    Rule::Spike,
                    Rule::DeadGradient,
                    Rule::AlwaysClipping,
                ]
            }
            Event::StepSkipped {
                global_step,
                statistics,
                ..
            } => {
                let episode = self.health.not_finite(*global_step);
                episode.statistics = *statistics && (episode.count == 0 || episode.statistics);
                episode.count = episode.count.saturating_add(1);
                &[Rule::NonFinite]
            }
            Event::Health(health) => {
                self.health.found(health);
                &[Rule::NonFinite, Rule::Spike, Rule::DeadGradient]
            }
            Event::Layers { global_step, .. } => {
                // A finding precedes the layer norms it was derived from: norms without a finding mean recovery.
                let dead = self.health.dead.take();
                self.health.dead = dead.filter(|dead| dead.last == *global_step);
                &[Rule::DeadGradient]
            }
            Event::StepTime(_) => &[Rule::Starved],
            Event::EpochFinished(row) => {
                self.note_better(row);
                let limit = self.divergence_limit();
                self.health.divergence.epoch(row, limit);
                &[
                    Rule::Diverged,
                    Rule::DeadGradient,
                    Rule::Overfitting,
                    Rule::Plateau,
                ]
            }
            // No rule depends on these events.
            Event::RunStarted(_)
            | Event::Phase { .. }
            | Event::EpochStarted { .. }
            | Event::Scalars { .. }
            | Event::EvalFinished(_)
            | Event::EvalProgress { .. }
            | Event::GalleryImages(_)
            | Event::GalleryPredictions(_)
            | Event::Marked { .. }
            | Event::Restored(_)
            | Event::CheckpointSaved(_)
            | Event::System(_)
            | Event::Log { .. }
            | Event::Asked { .. }
            | Event::Acknowledged { .. }
            | Event::NotWritten { .. }
            | Event::RunFinished { .. }
            | Event::Unknown => return,
        };
        for rule in rules {
            self.settle(*rule, t_ms);
        }
    }

    /// Starts or ends the alert of a rule, if its condition has changed.
    fn settle(&mut self, rule: Rule, t_ms: u64) {
        let active = &self.health.active;
        let at = active.iter().position(|active| active.rule == rule);
        match (self.since(rule, at.is_some()), at) {
            (Some(since_step), None) => {
                let started = ActiveRule { rule, since_step };
                self.health.active.push(started);
                let alert: Alert = self.describe(started);
                let text = start_line(&alert);
                self.add_log(t_ms, alert.severity, text);
            }
            (None, Some(at)) => {
                let ended = self.health.active.remove(at);
                self.add_log(t_ms, Level::Info, end_line(ended));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    /// The step since which a rule's condition holds; `None` if it does not. `already`: the alert is active.
    fn since(&self, rule: Rule, already: bool) -> Option<u64> {
        let health = &self.health;
        let ago = |step: u64| self.global_step.saturating_sub(step);
        match rule {
            Rule::NonFinite => {
                let episode = health.non_finite.as_ref()?;
                (ago(episode.last) <= NON_FINITE_STEPS).then_some(episode.first)
            }
            Rule::Spike => {
                let spike = health.spike.as_ref()?;
                (ago(spike.last) <= SPIKE_STEPS).then_some(spike.first)
            }
            Rule::Diverged => health.divergence.since,
            // In a diverged training a zero gradient is only a consequence.
            Rule::DeadGradient if health.divergence.since.is_some() => None,
            Rule::DeadGradient => health.dead.as_ref().map(|dead| dead.first),
            Rule::AlwaysClipping => self.clips(already),
            Rule::Overfitting => {
                let rise = rise(&self.history)?;
                let holds = if already {
                    rise.continues()
                } else {
                    rise.starts()
                };
                holds.then_some(rise.since_step)
            }
            Rule::Plateau => {
                let better = health.better?;
                let epoch = self.history.back()?.epoch;
                let is_plateau = epoch.saturating_sub(better.epoch) >= self.plateau_epochs();
                // After the last epoch the advice to stop or to change the rate is useless.
                (is_plateau && (already || epoch < self.epochs)).then_some(better.step)
            }
            Rule::Starved => {
                // At the very first step nothing can be ready. On a GPU, reports are samples of a single step.
                let time = self
                    .step_time
                    .filter(|time| time.sampled || time.steps > 1)?;
                let least = if already { STARVED_STILL } else { STARVED };
                let first = time
                    .global_step
                    .saturating_sub(time.steps.saturating_sub(1));
                (time.loader_share() >= least).then_some(first)
            }
            Rule::Stalled | Rule::LowDisk | Rule::Throttling | Rule::Crowded => None,
        }
    }

    fn watch_divergence(&mut self, window: &StepWindow) {
        let limit = self.divergence_limit();
        for (step, loss) in Steps::of(window).numbered(&window.loss) {
            self.health.divergence.step(step, *loss, limit);
        }
    }

    fn divergence_limit(&self) -> f64 {
        divergence_limit(self.classes())
    }

    /// Number of classes; 0 if it is unknown.
    pub(super) fn classes(&self) -> usize {
        let info = self.info.as_ref();
        info.map_or(0, |info| info.dataset.classes.len())
    }

    fn clips(&self, already: bool) -> Option<u64> {
        // Fast path for most records: the alert cannot start at a step that was not clipped.
        let clipped = self.recent.back().is_some_and(|sample| sample.clipped);
        if !(already || clipped) || self.clip_norm() <= 0.0 {
            return None;
        }
        let judged = self.global_step >= WARM && self.recent.len() >= CLIP_WINDOW;
        let least = if already { CLIPPED_STILL } else { CLIPPED };
        (judged && self.recent_clip_share() >= least)
            .then(|| self.global_step.saturating_sub(CLIP_WINDOW as u64 - 1))
    }

    /// Epochs without a better validation that count as a plateau in this run.
    pub(super) fn plateau_epochs(&self) -> u32 {
        PLATEAU_EPOCHS.max((PLATEAU_SHARE * f64::from(self.epochs)).ceil() as u32)
    }

    /// Records the epoch if its validation is clearly better: accuracy above the best by more than half its 95 %
    /// interval, or NLL lower by more than [`NLL_DELTA`]. The comparison is with the last such epoch, so slow progress
    /// adds up.
    fn note_better(&mut self, row: &EpochSummary) {
        let (accuracy, nll) = (row.valid_accuracy.0, row.valid_nll.0);
        if !accuracy.is_finite() || !nll.is_finite() {
            return;
        }
        let known = self.health.better;
        let is_better = known.is_none_or(|known| {
            accuracy > known.accuracy.0 + self.half_interval(row)
                || nll < known.nll.0 * (1.0 - NLL_DELTA)
        });
        if is_better {
            self.health.better = Some(Better {
                epoch: row.epoch,
                step: row.global_step,
                accuracy: F64(known.map_or(accuracy, |known| known.accuracy.0.max(accuracy))),
                nll: F64(known.map_or(nll, |known| known.nll.0.min(nll))),
            });
        }
    }

    /// Half the width of the 95 % interval of an epoch's validation accuracy: the measured interval if there is one,
    /// otherwise that of the proportion.
    fn half_interval(&self, row: &EpochSummary) -> f64 {
        let measured = self.valid.latest.as_ref();
        let measured = measured.filter(|report| report.global_step == row.global_step);
        let measured = measured.and_then(|report| report.interval(Measure::Accuracy));
        let n = self.info.as_ref().map_or(0, |info| info.dataset.valid);
        let right = (row.valid_accuracy.0 * n as f64).round() as u64;
        let interval = measured.or_else(|| Interval::proportion(right, n));
        interval.map_or(0.0, |found| ((found.high - found.low) / 2.0).max(0.0))
    }

    /// The current rise of the validation NLL, for the alert's text.
    pub(super) fn risen(&self) -> Option<Rise> {
        rise(&self.history)
    }
}
