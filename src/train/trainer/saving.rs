//! Checkpoints of this moment.

use super::super::average::Average;
use super::Trainer;
use crate::checkpoint::State;
use crate::event::{CheckpointReason, CheckpointSaved, Event, Phase};

impl Trainer {
    /// Writes a checkpoint of this moment; returns where.
    pub(super) fn save(&mut self, reason: CheckpointReason) -> Result<String, String> {
        let before = self.phase;
        self.say_phase(Phase::Checkpointing);
        let best = self
            .best
            .as_ref()
            .is_some_and(|best| best.global_step == self.global_step);
        let state = self.state();
        let pinned = reason == CheckpointReason::Requested;
        let evaluated = self
            .average
            .as_ref()
            .map_or(&self.weights, Average::weights);
        let saved = self.saver.save(
            &self.network.plan,
            (evaluated, &self.weights),
            &self.optimizer,
            &state,
            (pinned, best),
        );
        self.say_phase(before);
        self.window.restart_clock();
        let outcome = saved.map_err(|error| error.to_string())?;
        for error in outcome.complaints {
            self.warn(format!("beside the checkpoint: {error}"));
        }
        let saved = outcome.saved;
        let (global_step, epoch) = (self.global_step, self.epoch);
        let path = saved.path.clone();
        self.control.say(Event::CheckpointSaved(CheckpointSaved {
            global_step,
            epoch,
            path: saved.path,
            bytes: saved.bytes,
            reason,
            best,
        }));
        Ok(path)
    }

    fn state(&self) -> State {
        State {
            format: 1,
            run: self.job.name.clone(),
            epoch: self.epoch,
            epoch_step: self.epoch_step,
            global_step: self.global_step,
            seed: self.job.config.train.seed,
            lr: self.lr,
            epochs: self.epochs,
            best: self
                .best
                .as_ref()
                .map(|best| (best.validated.report.accuracy.0, best.epoch)),
            temperature: self
                .validated
                .as_ref()
                .filter(|known| known.report.temperature.converged)
                .map(|known| (known.report.temperature.value, known.global_step)),
            data: self.job.dataset.fingerprint.clone(),
            dataset: self.job.dataset.info.clone(),
            config: self.job.config.run_toml(),
        }
    }
}
