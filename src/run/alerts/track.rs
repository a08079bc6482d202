//! The rules that follow from records alone, and the lines the fold writes when one begins and when it is over.

use super::trend::{Rise, rise};
use super::words::{begins, over};
use super::{Alert, Rule};
use crate::event::{EpochSummary, Event, F64, Level};
use crate::metrics::Measure;
use crate::run::health::{ActiveRule, Better, NON_FINITE_STEPS, SPIKE_STEPS};
use crate::run::progress::CLIP_WINDOW;
use crate::run::state::RunState;

/// So many of them within that are more than the odd overflow of bf16; the default of `health.in_a_row`.
pub(super) const MANY: u64 = 5;
/// Share of the last [`CLIP_WINDOW`] steps from which every step is as good as clipped, and the one below which that is
/// over; two, so that a share at the edge is not told again and again.
const CLIPPED: f64 = 0.9;
const CLIPPED_STILL: f64 = 0.7;
/// Steps before clipping says anything: norms are large while a network finds its scale and the rate warms up (two epochs,
/// 430 steps, by default).
const WARM: u64 = 500;
/// Epochs, and share of those planned, without a better validation that make a plateau: five as Keras' and PyTorch's
/// schedulers ask for (5 to 10), more for long runs, where progress is slow by design.
const PLATEAU_EPOCHS: u32 = 5;
const PLATEAU_SHARE: f64 = 0.2;
/// By how much a lower NLL counts as better: 1 %, what neighbouring epochs differ by anyway.
const NLL_DELTA: f64 = 0.01;
/// Two-sided 95 % of a normal distribution.
const Z95: f64 = 1.96;
impl RunState {
    /// Takes a record into the rules, after all else of it was folded in, and writes down which begin and which are over.
    pub(in crate::run) fn look_after(&mut self, event: &Event, t_ms: u64) {
        if event.nature().work {
            self.health.heard_ms = self.now_ms;
        }
        let rules: &[Rule] = match event {
            Event::Steps(_) => &[Rule::NonFinite, Rule::Spike, Rule::AlwaysClipping],
            Event::StepSkipped { global_step, .. } => {
                let spell = self.health.not_finite(*global_step);
                spell.count = spell.count.saturating_add(1);
                &[Rule::NonFinite]
            }
            Event::Health(health) => {
                self.health.found(health);
                &[Rule::NonFinite, Rule::Spike, Rule::DeadGradient]
            }
            Event::Layers { global_step, .. } => {
                // The finding comes just before the norms it was found in: norms without one are well again.
                let dead = self.health.dead.take();
                self.health.dead = dead.filter(|dead| dead.last == *global_step);
                &[Rule::DeadGradient]
            }
            Event::EpochFinished(row) => {
                self.note_better(row);
                &[Rule::Overfitting, Rule::Plateau]
            }
            // No rule goes by these.
            Event::RunStarted(_)
            | Event::Phase { .. }
            | Event::EpochStarted { .. }
            | Event::StepTime(_)
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
            | Event::RunFinished { .. }
            | Event::Unknown => return,
        };
        for rule in rules {
            self.settle(*rule, t_ms);
        }
    }

    fn settle(&mut self, rule: Rule, t_ms: u64) {
        let at = self.health.active.iter().position(|held| held.rule == rule);
        match (self.since(rule, at.is_some()), at) {
            (Some(since_step), None) => {
                let held = ActiveRule { rule, since_step };
                self.health.active.push(held);
                let alert: Alert = self.describe(held);
                let text = begins(&alert);
                self.say(t_ms, alert.severity, text);
            }
            (None, Some(at)) => {
                let held = self.health.active.remove(at);
                self.say(t_ms, Level::Info, over(held));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    /// Since when a rule of the records holds, if it does. `already`: it held before this record.
    fn since(&self, rule: Rule, already: bool) -> Option<u64> {
        let health = &self.health;
        let ago = |step: u64| self.global_step.saturating_sub(step);
        match rule {
            Rule::NonFinite => {
                let spell = health.non_finite.as_ref()?;
                (ago(spell.last) <= NON_FINITE_STEPS).then_some(spell.first)
            }
            Rule::Spike => {
                let spike = health.spike.as_ref()?;
                (ago(spike.last) <= SPIKE_STEPS).then_some(spike.first)
            }
            Rule::DeadGradient => health.dead.as_ref().map(|dead| dead.first),
            Rule::AlwaysClipping => self.clips(already),
            Rule::Overfitting => {
                let rise = rise(&self.history)?;
                let holds = if already { rise.lasts() } else { rise.begins() };
                holds.then_some(rise.since_step)
            }
            Rule::Plateau => {
                let better = health.better?;
                let epoch = self.history.back()?.epoch;
                let stands = epoch.saturating_sub(better.epoch) >= self.plateau_epochs();
                // After the last epoch there is nothing left to save.
                (stands && (already || epoch < self.epochs)).then_some(better.step)
            }
            Rule::Stalled | Rule::LowDisk | Rule::Throttling => None,
        }
    }

    fn clips(&self, already: bool) -> Option<u64> {
        // Most records end here: a window that ends unclipped begins nothing.
        let clipped = self.recent.back().is_some_and(|sample| sample.clipped);
        if !(already || clipped) || self.clip_norm() <= 0.0 {
            return None;
        }
        let known = self.global_step >= WARM && self.recent.len() >= CLIP_WINDOW;
        let least = if already { CLIPPED_STILL } else { CLIPPED };
        (known && self.recent_clip_share() >= least)
            .then(|| self.global_step.saturating_sub(CLIP_WINDOW as u64 - 1))
    }

    /// Epochs without a better validation that make a plateau of this run.
    pub(super) fn plateau_epochs(&self) -> u32 {
        PLATEAU_EPOCHS.max((PLATEAU_SHARE * f64::from(self.epochs)).ceil() as u32)
    }

    /// Better is an accuracy above the highest by more than half its 95 % interval, or an NLL that is lower by more than
    /// [`NLL_DELTA`]. What creeps upwards adds up: it is compared with the last time that was so.
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

    /// Half the width of the 95 % interval of an epoch's validation accuracy: as it was measured, else by the normal
    /// approximation of the binomial distribution.
    fn half_interval(&self, row: &EpochSummary) -> f64 {
        let measured = self.valid.latest.as_ref();
        let measured = measured.filter(|report| report.global_step == row.global_step);
        if let Some(interval) = measured.and_then(|report| report.interval(Measure::Accuracy)) {
            return ((interval.high - interval.low) / 2.0).max(0.0);
        }
        let n = self.info.as_ref().map_or(0, |info| info.dataset.valid);
        let p = row.valid_accuracy.0.clamp(0.0, 1.0);
        if n == 0 {
            0.0
        } else {
            Z95 * (p * (1.0 - p) / n as f64).sqrt()
        }
    }

    /// How far validation has risen, for words about it.
    pub(super) fn risen(&self) -> Option<Rise> {
        rise(&self.history)
    }
}
