//! What is remembered of a run for its health rules: which of them hold, and the few numbers they go by.

use serde::{Deserialize, Serialize};

use crate::event::{F32, F64, Finding, Health, Remedy};

/// Steps after which a step that was not finite is no news any more: about two epochs of Fashion-MNIST at a batch of 256,
/// and as many as `RunState::recent` keeps.
pub(super) const NON_FINITE_STEPS: u64 = 500;
/// Steps after which a spike is over: four times the about 50 steps the trainer's running mean remembers, which has then
/// either come back or taken the new level in.
pub(super) const SPIKE_STEPS: u64 = 200;
/// Names kept of layers without a gradient, and characters of a name.
const NAMES: usize = 4;
const NAME: usize = 60;

/// What can be wrong. Of two that are equally serious the earlier comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Losses or gradients that are no numbers.
    NonFinite,
    /// No step comes.
    Stalled,
    /// Hardly any room for checkpoints.
    LowDisk,
    /// A loss far above those before it.
    Spike,
    /// Layers that no gradient reaches.
    DeadGradient,
    /// A GPU that slows itself down.
    Throttling,
    /// Validation gets worse while training gets better.
    Overfitting,
    /// Validation gets no better.
    Plateau,
    /// Nearly every step is clipped.
    AlwaysClipping,
}

impl Rule {
    /// Its name in logs and for the hook command.
    pub fn name(self) -> &'static str {
        match self {
            Self::NonFinite => "non-finite",
            Self::Stalled => "stalled",
            Self::LowDisk => "low-disk",
            Self::Spike => "spike",
            Self::DeadGradient => "dead-gradient",
            Self::Throttling => "throttling",
            Self::Overfitting => "overfitting",
            Self::Plateau => "plateau",
            Self::AlwaysClipping => "always-clipping",
        }
    }
}

/// A rule that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveRule {
    /// Which.
    pub rule: Rule,
    /// The step it began at.
    pub since_step: u64,
}

/// What the health rules go by; a few numbers, however long a run is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthTrack {
    pub(super) active: Vec<ActiveRule>,
    pub(super) heard_ms: u64,
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
    pub fn active(&self) -> &[ActiveRule] {
        &self.active
    }

    /// When the trainer itself was heard last, ms since 1970.
    pub fn heard_ms(&self) -> u64 {
        self.heard_ms
    }

    pub(super) fn not_finite(&mut self, step: u64) -> &mut NonFinite {
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

    pub(super) fn found(&mut self, health: &Health) {
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
