//! What is done when a training is not well.

use tch::Tensor;

use super::super::step::StepStats;
use super::{Flow, Trainer};
use crate::config::NonFinite;
use crate::event::{Event, F32, F64, Finding, Health, LayerNorms, Remedy};
use crate::model::{Weights, to_vec};

/// Steps between two states kept to go back to.
const KEEP_EVERY: u64 = 100;
/// Going back more often than this heals nothing.
const ROLLBACKS: u32 = 5;

/// The states that a rollback can restore.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// The last state whose steps were all finite.
    good: Option<Good>,
    /// A later one that has yet to prove so.
    candidate: Option<Good>,
    /// Rollbacks of the run so far.
    pub(super) rollbacks: u32,
}

/// A state that can be restored.
#[derive(Debug)]
struct Good {
    global_step: u64,
    weights: Weights,
    optimizer: Vec<Tensor>,
}

impl Trainer {
    pub(super) fn tell_health(&self, global_step: u64, finding: Finding, remedy: Remedy) {
        self.control.say(Event::Health(Health {
            global_step,
            finding,
            remedy,
        }));
    }

    /// Acts on steps that were not finite, as `health.non_finite` says.
    pub(super) fn look_after(&mut self) -> Flow {
        let Some(row) = self.watch.take_row() else {
            self.keep_good();
            return Flow::Go;
        };
        let health = &self.job.config.health;
        let (policy, limit) = (health.non_finite, u64::from(health.in_a_row));
        let too_many = row.length >= limit;
        // The beginning of a row is told, and then what is done about too many.
        if !row.is_new && !too_many {
            return Flow::Go;
        }
        let step = row.last;
        let finding = Finding::NonFinite {
            in_a_row: row.length,
            loss: F32(row.loss),
            grad_norm: F32(row.grad_norm),
            layer: self.first_bad_layer(step),
        };
        match policy {
            NonFinite::Stop => {
                self.tell_health(step, finding, Remedy::Stopped);
                self.failed = Some(format!(
                    "step {step} was not finite (health.non_finite = \"stop\"); lower optim.lr, keep optim.clip_norm above \
                     0, and look at the first bad layer in the log"
                ));
                Flow::Stop
            }
            NonFinite::Pause => self.pause(step, finding),
            NonFinite::Skip if too_many => self.pause(step, finding),
            NonFinite::Rollback if too_many => self.roll_back(step, finding),
            NonFinite::Skip | NonFinite::Rollback => {
                self.tell_health(step, finding, Remedy::Told);
                Flow::Go
            }
        }
    }

    fn pause(&mut self, step: u64, finding: Finding) -> Flow {
        self.tell_health(step, finding, Remedy::Paused);
        self.watch.forgive();
        self.hold()
    }

    fn roll_back(&mut self, step: u64, finding: Finding) -> Flow {
        let Some(good) = self
            .recovery
            .good
            .take()
            .filter(|_| self.recovery.rollbacks < ROLLBACKS)
        else {
            return self.pause(step, finding);
        };
        self.recovery.rollbacks += 1;
        self.recovery.candidate = None;
        self.lr *= 0.5;
        let _guard = tch::no_grad_guard();
        self.weights.flat.detach().copy_(&good.weights.flat);
        self.weights.stats.copy_(&good.weights.stats);
        self.optimizer.restore(&good.optimizer);
        if let Some(average) = &mut self.average {
            average.restart(&self.weights);
        }
        self.watch.forgive();
        // The measurement of these steps' weights is no measurement of those that were gone back to.
        self.validated = None;
        let remedy = Remedy::RolledBack {
            global_step: good.global_step,
            lr: F64(self.lr),
        };
        self.tell_health(step, finding, remedy);
        self.recovery.good = Some(good);
        Flow::Go
    }

    /// Keeps this state to go back to, now and then, where that may be asked for. A step can look well and have thrown the
    /// weights far away: whether a state is good is known when the steps after it were.
    fn keep_good(&mut self) {
        if self.job.config.health.non_finite != NonFinite::Rollback {
            return;
        }
        if let Some(proved) = self.recovery.candidate.take() {
            self.recovery.good = Some(proved);
        }
        let due = self
            .recovery
            .good
            .as_ref()
            .is_none_or(|good| self.global_step >= good.global_step + KEEP_EVERY);
        if due {
            self.recovery.candidate = Some(Good {
                global_step: self.global_step,
                weights: self.weights.snapshot(),
                optimizer: self.optimizer.snapshot(),
            });
        }
    }

    /// The first layer that is not finite for the images of a step of this epoch that was not, with the weights of now: the
    /// step itself changed nothing.
    /// This moment is a good one to go back to: it was saved.
    pub(super) fn keep_as_good(&mut self) {
        if self.job.config.health.non_finite == NonFinite::Rollback {
            self.recovery.good = Some(Good {
                global_step: self.global_step,
                weights: self.weights.snapshot(),
                optimizer: self.optimizer.snapshot(),
            });
        }
    }

    fn first_bad_layer(&self, step: u64) -> Option<String> {
        let since = self.global_step.saturating_sub(step) + 1;
        let epoch_step = self.epoch_step.checked_sub(since)?;
        let indices = self.indices(&self.order(self.epoch), epoch_step);
        let seed = self.job.config.train.seed;
        let words = crate::random::augment_words(seed, 0, step.saturating_sub(1));
        let (images, _) = self.train.batch(&indices, &self.augment, &words);
        self.network
            .first_bad_layer(&self.weights, &images, self.kind)
    }

    /// The weights before a step that is looked at closely: the last of an epoch, and where it was asked for.
    pub(super) fn begin_detail(&mut self, last: bool) -> Option<Tensor> {
        (std::mem::take(&mut self.detail) || last).then(|| self.weights.flat.detach().copy())
    }

    /// Says how strongly each parameter was moved. `gradient` was divided by the clipping already.
    pub(super) fn tell_layers(&self, before: &Tensor, gradient: &Tensor, stats: &StepStats) {
        let _guard = tch::no_grad_guard();
        let moved = self.weights.flat.detach() - before;
        let plan = &self.network.plan;
        let norms = |flat: &Tensor| {
            let mut start = 0;
            let parts: Vec<Tensor> = plan
                .parameters
                .iter()
                .map(|parameter| {
                    start += parameter.size();
                    flat.narrow(0, start - parameter.size(), parameter.size())
                        .norm()
                })
                .collect();
            to_vec(&Tensor::stack(&parts, 0))
        };
        // What was clipped in the optimizer is scaled up again to what it was.
        let unclipped = &stats.grad_norm / gradient.norm().clamp_min(1e-30);
        let (gradients, weights, updates) =
            (norms(&(gradient * unclipped)), norms(before), norms(&moved));
        let numbers = gradients.into_iter().zip(weights).zip(updates);
        let layers: Vec<LayerNorms> = plan
            .parameters
            .iter()
            .zip(numbers)
            .map(|(parameter, ((gradient, weight), update))| LayerNorms {
                name: parameter.name.clone(),
                grad_norm: F32(gradient),
                weight_norm: F32(weight),
                update_norm: F32(update),
            })
            .collect();
        let step = self.global_step + 1;
        if let Some(finding) = self.watch.layers(&layers) {
            self.tell_health(step, finding, Remedy::Told);
        }
        self.control.say(Event::Layers {
            global_step: step,
            layers,
        });
    }
}
