//! Reactions to non-finite steps (log, pause, stop or roll back) and the report of per-layer norms.

use tch::Tensor;

use super::super::step::StepStats;
use super::{Flow, Trainer};
use crate::config::NonFinite;
use crate::event::{Event, F32, F64, Finding, Health, LayerNorms, Remedy, divergence_limit};
use crate::model::{Weights, to_vec};

/// Minimum number of steps between two states saved for a rollback.
const SAVE_EVERY: u64 = 100;
/// Maximum number of rollbacks per run; after that the run is paused or, without a user, ended instead.
const ROLLBACKS: u32 = 5;

/// The states that a rollback can restore.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// The latest state after which all steps were finite for at least one window.
    good: Option<GoodState>,
    /// A newer state that is not confirmed yet.
    candidate: Option<GoodState>,
    /// Number of rollbacks in this run so far.
    pub(super) rollbacks: u32,
}

/// Weights and optimizer state that a rollback can restore.
#[derive(Debug)]
struct GoodState {
    global_step: u64,
    weights: Weights,
    optimizer: Vec<Tensor>,
}

impl Trainer {
    pub(super) fn report_health(&self, global_step: u64, finding: Finding, remedy: Remedy) {
        self.control.emit(Event::Health(Health {
            global_step,
            finding,
            remedy,
        }));
    }

    /// Applies the policy `health.non_finite` to the non-finite steps since the last call.
    pub(super) fn check_health(&mut self) -> Flow {
        let health = &self.job.config.health;
        let (policy, limit) = (health.non_finite, u64::from(health.in_a_row));
        let streak = self.watch.take_streak();
        // Batches without statistics are only reported: one with a single image says nothing about the weights.
        let Some(streak) = streak.filter(|streak| !streak.statistics) else {
            self.save_good_state();
            return Flow::Go;
        };
        let too_many = streak.length >= limit;
        // A streak is reported when it starts and when it reaches the limit.
        if !streak.is_new && !too_many {
            return Flow::Go;
        }
        let step = streak.last;
        let finding = Finding::NonFinite {
            in_a_row: streak.length,
            loss: F32(streak.loss),
            grad_norm: F32(streak.grad_norm),
            layer: self.first_non_finite_layer(step),
        };
        match policy {
            NonFinite::Stop => {
                let why = "health.non_finite = \"stop\"";
                self.stop_as_failed(step, finding, why)
            }
            NonFinite::Pause => self.pause(step, finding),
            NonFinite::Skip if too_many => self.pause_or_stop(step, finding),
            NonFinite::Rollback if too_many => self.roll_back(step, finding),
            NonFinite::Skip | NonFinite::Rollback => {
                self.report_health(step, finding, Remedy::Reported);
                Flow::Go
            }
        }
    }

    fn stop_as_failed(&mut self, step: u64, finding: Finding, why: &str) -> Flow {
        self.report_health(step, finding, Remedy::Stopped);
        self.failed = Some(format!(
            "loss or gradient of step {step} was not finite ({why}); lower optim.lr, keep optim.clip_norm above 0, and see \
             the log for the first non-finite layer"
        ));
        Flow::Stop
    }

    /// Pauses until a user resumes the run, or ends it if nobody watches it.
    fn pause_or_stop(&mut self, step: u64, finding: Finding) -> Flow {
        if self.job.unattended {
            let why =
                "a headless run does not wait for a user, unless health.non_finite = \"pause\"";
            return self.stop_as_failed(step, finding, why);
        }
        self.pause(step, finding)
    }

    fn pause(&mut self, step: u64, finding: Finding) -> Flow {
        self.report_health(step, finding, Remedy::Paused);
        self.watch.reset_streak();
        self.wait_while_paused()
    }

    fn roll_back(&mut self, step: u64, finding: Finding) -> Flow {
        let Some(good) = self
            .recovery
            .good
            .take()
            .filter(|_| self.recovery.rollbacks < ROLLBACKS)
        else {
            return self.pause_or_stop(step, finding);
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
        self.watch.reset_streak();
        // The latest validation does not apply to the restored weights.
        self.validated = None;
        let remedy = Remedy::RolledBack {
            global_step: good.global_step,
            lr: F64(self.lr),
        };
        self.report_health(step, finding, remedy);
        self.recovery.good = Some(good);
        Flow::Go
    }

    /// With the rollback policy, saves the current state as a candidate every [`SAVE_EVERY`] steps. A finite step can
    /// still have moved the weights too far, so a candidate is confirmed only once later steps were finite too.
    fn save_good_state(&mut self) {
        if self.job.config.health.non_finite != NonFinite::Rollback {
            return;
        }
        if let Some(confirmed) = self.recovery.candidate.take() {
            self.recovery.good = Some(confirmed);
        }
        let due = self
            .recovery
            .good
            .as_ref()
            .is_none_or(|good| self.global_step >= good.global_step + SAVE_EVERY);
        if due {
            self.recovery.candidate = Some(GoodState {
                global_step: self.global_step,
                weights: self.weights.snapshot(),
                optimizer: self.optimizer.snapshot(),
            });
        }
    }

    /// With the rollback policy, makes the current state a rollback target; called after restoring a checkpoint.
    pub(super) fn save_as_good_state(&mut self) {
        if self.job.config.health.non_finite == NonFinite::Rollback {
            self.recovery.good = Some(GoodState {
                global_step: self.global_step,
                weights: self.weights.snapshot(),
                optimizer: self.optimizer.snapshot(),
            });
        }
    }

    /// The first layer with a non-finite output for the batch of `step`, a non-finite step of this epoch. It is
    /// computed with the current weights, which the skipped step did not change.
    fn first_non_finite_layer(&self, step: u64) -> Option<String> {
        let since = self.global_step.saturating_sub(step) + 1;
        let epoch_step = self.epoch_step.checked_sub(since)?;
        let indices = self.indices(&self.order(self.epoch), epoch_step);
        let seed = self.job.config.train.seed;
        let words = crate::random::augment_words(seed, 0, step.saturating_sub(1));
        let batch = self.train.batch(&indices, &words).ok()?;
        self.network
            .first_non_finite_layer(&self.weights, &batch.images, self.kind)
    }

    /// A copy of the weights before a step whose layer norms are reported: the last step of an epoch, or the step after
    /// a requested evaluation.
    pub(super) fn begin_detail(&mut self, last: bool) -> Option<Tensor> {
        (std::mem::take(&mut self.detail) || last).then(|| self.weights.flat.detach().copy())
    }

    /// Reports the gradient, weight and update norm of each parameter. `gradient` is already clipped. If the step did not
    /// change the weights, its gradient is meaningless, and the next step is reported instead.
    pub(super) fn report_layer_norms(
        &mut self,
        before: &Tensor,
        gradient: &Tensor,
        stats: &StepStats,
    ) {
        let _guard = tch::no_grad_guard();
        if stats.ok.double_value(&[]) == 0.0 {
            self.detail = true;
            return;
        }
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
        // Undo the clipping: scale the gradient back to its norm before the optimizer step.
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
        let limit = divergence_limit(self.job.dataset.info.classes.len());
        let diverged = stats.loss.double_value(&[]) > limit;
        if let Some(finding) = self.watch.layers(&layers).filter(|_| !diverged) {
            self.report_health(step, finding, Remedy::Reported);
        }
        self.control.emit(Event::Layers {
            global_step: step,
            layers,
        });
    }
}
