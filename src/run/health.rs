//! The state of the health rules: which of them are active, and the numbers they depend on.

use serde::{Deserialize, Serialize};

use crate::event::{EpochSummary, F32, F64, Finding, Health, Remedy};

/// Steps after which the alert about a non-finite step ends: about two epochs of Fashion-MNIST at a batch size of 256,
/// and about the length of `RunState::recent`.
pub(super) const NON_FINITE_STEPS: u64 = 500;
/// Steps after which the alert about a loss spike ends: four times the time constant of the trainer's running mean
/// (about 50 steps). By then the loss has recovered, or the mean has adapted to the new level.
pub(super) const SPIKE_STEPS: u64 = 200;
/// Consecutive steps after which a training counts as diverged or as recovered. Single losses can be high; a smaller step
/// recovers from them within a few.
const DIVERGED_STEPS: u64 = 20;
/// Greatest number of retained names of layers without a gradient, and greatest number of characters of a name.
const NAMES: usize = 4;
const NAME: usize = 60;

/// An alert rule. Of two alerts with equal severity, that of the earlier variant is shown first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Losses or gradients that are NaN or infinite.
    NonFinite,
    /// A loss far above that of guessing.
    Diverged,
    /// No step for a long time.
    Stalled,
    /// Little disk space for checkpoints.
    LowDisk,
    /// A loss far above the running mean.
    Spike,
    /// Layers whose gradient is zero.
    DeadGradient,
    /// A GPU that reduces its clocks.
    Throttling,
    /// Steps that wait for images.
    Starved,
    /// Training threads that wait for a CPU core.
    Crowded,
    /// Validation gets worse while training gets better.
    Overfitting,
    /// Validation no longer gets better.
    Plateau,
    /// Nearly every step is clipped.
    AlwaysClipping,
}

impl Rule {
    /// Name in logs and for the hook command.
    pub fn name(self) -> &'static str {
        match self {
            Self::NonFinite => "non-finite",
            Self::Diverged => "diverged",
            Self::Stalled => "stalled",
            Self::LowDisk => "low-disk",
            Self::Spike => "spike",
            Self::DeadGradient => "dead-gradient",
            Self::Throttling => "throttling",
            Self::Starved => "starved",
            Self::Crowded => "crowded",
            Self::Overfitting => "overfitting",
            Self::Plateau => "plateau",
            Self::AlwaysClipping => "always-clipping",
        }
    }
}

/// A rule whose alert is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveRule {
    /// The rule.
    pub rule: Rule,
    /// The step at which the problem started.
    pub since_step: u64,
}

/// The state of the health rules. Its size does not depend on the length of the run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthTrack {
    pub(super) active: Vec<ActiveRule>,
    pub(super) heard_ms: u64,
    pub(super) non_finite: Option<NonFinite>,
    pub(super) divergence: Divergence,
    pub(super) spike: Option<Spike>,
    pub(super) dead: Option<DeadLayers>,
    pub(super) better: Option<Better>,
}

/// An episode of non-finite steps: none is more than [`NON_FINITE_STEPS`] after the one before.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct NonFinite {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) count: u64,
    /// The first layer whose output was not finite, if it is known.
    pub(super) layer: Option<String>,
    /// Whether the trainer has reacted, for example with a pause or a rollback.
    pub(super) acted: bool,
    /// Whether only the batch statistics of these steps were not finite.
    #[serde(default)]
    pub(super) statistics: bool,
}

/// Losses far above that of guessing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Divergence {
    /// The step since which the training has diverged; `None` if it has not.
    pub(super) since: Option<u64>,
    /// The latest loss above the limit.
    pub(super) loss: F32,
    /// The latest validation NLL above the limit, and its epoch.
    pub(super) valid: Option<(u32, F64)>,
    /// Number of consecutive steps above the limit, and of those that are not, up to the last one.
    above: u64,
    below: u64,
}

impl Divergence {
    /// Adds the loss of a step.
    pub(super) fn step(&mut self, step: u64, loss: F32, limit: f64) {
        if f64::from(loss.0) > limit {
            (self.above, self.below) = (self.above.saturating_add(1), 0);
            self.loss = loss;
            if self.above >= DIVERGED_STEPS && self.since.is_none() {
                self.since = Some(step.saturating_sub(self.above - 1));
            }
        } else if loss.0.is_finite() {
            (self.above, self.below) = (0, self.below.saturating_add(1));
            if self.below >= DIVERGED_STEPS {
                (self.since, self.valid) = (None, None);
            }
        }
    }

    /// Adds an epoch, which may have fewer than [`DIVERGED_STEPS`] steps.
    pub(super) fn epoch(&mut self, row: &EpochSummary, limit: f64) {
        let (train, valid) = (row.train_loss.0, row.valid_nll.0);
        if valid > limit {
            self.valid = Some((row.epoch, row.valid_nll));
        }
        // A validation that is not a number has overflowed.
        if train > limit && (valid > limit || valid.is_nan()) {
            self.since.get_or_insert(row.global_step);
        }
    }
}

/// An episode of loss spikes: none is more than [`SPIKE_STEPS`] after the one before.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Spike {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) count: u64,
    pub(super) loss: F32,
    pub(super) mean: F64,
}

/// Layers without a gradient in the latest sample.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct DeadLayers {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) names: Vec<String>,
    pub(super) count: u64,
}

/// The last epoch whose validation was clearly better than before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Better {
    pub(super) epoch: u32,
    pub(super) step: u64,
    /// The highest accuracy and the lowest NLL by then.
    pub(super) accuracy: F64,
    pub(super) nll: F64,
}

impl HealthTrack {
    /// The active rules among those that depend on records alone, in the order in which they started.
    pub fn active(&self) -> &[ActiveRule] {
        &self.active
    }

    /// Time of the last record of the trainer's work, milliseconds since 1970.
    pub fn heard_ms(&self) -> u64 {
        self.heard_ms
    }

    /// The episode that a non-finite step belongs to; starts a new one if the last is too long ago.
    pub(super) fn not_finite(&mut self, step: u64) -> &mut NonFinite {
        let known = self.non_finite.take();
        let known = known.filter(|known| step.saturating_sub(known.last) <= NON_FINITE_STEPS);
        let episode = self.non_finite.insert(known.unwrap_or(NonFinite {
            first: step,
            ..NonFinite::default()
        }));
        episode.last = episode.last.max(step);
        episode
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

    /// Records a finding of the trainer.
    pub(super) fn found(&mut self, health: &Health) {
        let step = health.global_step;
        match &health.finding {
            Finding::NonFinite {
                in_a_row, layer, ..
            } => {
                let episode = self.not_finite(step);
                episode.count = episode.count.max(*in_a_row);
                let first = step.saturating_sub(in_a_row.saturating_sub(1));
                episode.first = episode.first.min(first);
                episode.acted |= health.remedy != Remedy::Reported;
                if let Some(layer) = layer {
                    episode.layer = Some(short(layer));
                }
            }
            Finding::Spike { loss, mean } => self.spiked(step, *loss, *mean),
            Finding::DeadGradient { layers } => {
                let first = self.dead.take().map_or(step, |dead| dead.first);
                self.dead = Some(DeadLayers {
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
