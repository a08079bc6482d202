//! What the rules that follow from records go by, and the lines the fold writes when one begins and when it is over.

use serde::{Deserialize, Serialize};

use super::trend::{Rise, rise};
use super::words::{begins, over};
use super::{Alert, Rule};
use crate::event::{EpochSummary, Event, F32, F64, Finding, Health, Level, Remedy};
use crate::run::progress::CLIP_WINDOW;
use crate::run::state::RunState;

/// Steps after which a step that was not finite is no news any more: about two epochs of Fashion-MNIST at a batch of 256,
/// and as many as [`RunState::recent`] keeps.
const NON_FINITE_STEPS: u64 = 500;
/// So many of them within that are more than the odd overflow of bf16; the default of `health.in_a_row`.
pub(super) const MANY: u64 = 5;
/// Steps after which a spike is over: four times the about 50 steps the trainer's running mean remembers, which has then
/// either come back or taken the new level in.
const SPIKE_STEPS: u64 = 200;
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
/// Names kept of layers without a gradient, and characters of a name.
const NAMES: usize = 4;
const NAME: usize = 60;

/// A rule that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Which.
    pub rule: Rule,
    /// The step it began at.
    pub since_step: u64,
}

/// What the health rules go by; a few numbers, however long a run is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthTrack {
    active: Vec<Held>,
    heard_ms: u64,
    pub(super) non_finite: Option<NonFinite>,
    pub(super) spike: Option<Spike>,
    pub(super) dead: Option<Dead>,
    pub(super) better: Option<Better>,
}

/// Steps that were not finite, none of them long after the one before.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct NonFinite {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) count: u64,
    /// The first layer whose output was not finite, if it is known.
    pub(super) layer: Option<String>,
    /// Whether the trainer has done something about it.
    pub(super) acted: bool,
}

/// Spikes of the loss, none of them long after the one before.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Spike {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) count: u64,
    pub(super) loss: F32,
    pub(super) mean: F64,
}

/// Layers without a gradient, when they were looked at last.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Dead {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) names: Vec<String>,
    pub(super) count: u64,
}

/// The last time validation was clearly better than before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Better {
    pub(super) epoch: u32,
    pub(super) step: u64,
    /// The highest accuracy and the lowest NLL by then.
    pub(super) accuracy: F64,
    pub(super) nll: F64,
}

impl HealthTrack {
    /// The rules that hold by the records, in the order they began.
    pub fn active(&self) -> &[Held] {
        &self.active
    }

    /// When the trainer itself was heard last, ms since 1970.
    pub fn heard_ms(&self) -> u64 {
        self.heard_ms
    }

    /// Whether an event shows that the trainer works: what others say goes on while it hangs.
    pub fn is_work(event: &Event) -> bool {
        !matches!(
            event,
            Event::Log { .. }
                | Event::Asked { .. }
                | Event::EvalFinished(_)
                | Event::CheckpointSaved(_)
                | Event::System(_)
                | Event::Scalars { .. }
                | Event::Unknown
        )
    }

    fn not_finite(&mut self, step: u64) -> &mut NonFinite {
        let known = self.non_finite.take();
        let known = known.filter(|known| step.saturating_sub(known.last) <= NON_FINITE_STEPS);
        let spell = self.non_finite.insert(known.unwrap_or(NonFinite {
            first: step,
            ..NonFinite::default()
        }));
        spell.last = spell.last.max(step);
        spell
    }

    fn spiked(&mut self, step: u64, loss: F32, mean: F64) {
        let known = self.spike.take();
        let known = known.filter(|known| step.saturating_sub(known.last) <= SPIKE_STEPS);
        let (first, count) = known.map_or((step, 0), |known| (known.first, known.count));
        self.spike = Some(Spike {
            first,
            last: step,
            count: count.saturating_add(1),
            loss,
            mean,
        });
    }

    fn found(&mut self, health: &Health) {
        let step = health.global_step;
        match &health.finding {
            Finding::NonFinite {
                in_a_row, layer, ..
            } => {
                let spell = self.not_finite(step);
                spell.count = spell.count.max(*in_a_row);
                let first = step.saturating_sub(in_a_row.saturating_sub(1));
                spell.first = spell.first.min(first);
                spell.acted |= health.remedy != Remedy::Told;
                if let Some(layer) = layer {
                    spell.layer = Some(short(layer));
                }
            }
            Finding::Spike { loss, mean } => self.spiked(step, *loss, *mean),
            Finding::DeadGradient { layers } => {
                let first = self.dead.take().map_or(step, |dead| dead.first);
                self.dead = Some(Dead {
                    first,
                    last: step,
                    names: layers.iter().take(NAMES).map(|name| short(name)).collect(),
                    count: layers.len() as u64,
                });
            }
        }
    }
}

fn short(name: &str) -> String {
    name.chars().take(NAME).collect()
}

impl RunState {
    /// Takes a record into the rules, after all else of it was folded in, and writes down which begin and which are over.
    pub(in crate::run) fn look_after(&mut self, event: &Event, t_ms: u64) {
        if HealthTrack::is_work(event) {
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
            _ => return,
        };
        for rule in rules {
            self.settle(*rule, t_ms);
        }
    }

    fn settle(&mut self, rule: Rule, t_ms: u64) {
        let at = self.health.active.iter().position(|held| held.rule == rule);
        match (self.since(rule, at.is_some()), at) {
            (Some(since_step), None) => {
                let held = Held { rule, since_step };
                self.health.active.push(held);
                let alert: Alert = self.describe(held);
                let text = begins(&alert);
                self.say(t_ms, alert.severity, text);
            }
            (None, Some(at)) => {
                let held = self.health.active.remove(at);
                self.say(t_ms, Level::Info, over(held));
            }
            _ => {}
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
        if let Some(interval) = measured.and_then(|report| report.intervals.accuracy) {
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
