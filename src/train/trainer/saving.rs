//! Saving checkpoints of the current state.

use std::time::{SystemTime, UNIX_EPOCH};

use super::super::average::Average;
use super::super::save::{SaveMetadata, SaveResult, Snapshot};
use super::resume::TrainerState;
use super::{Flow, Trainer};
use crate::checkpoint::{BestSoFar, FORMAT, State, Store};
use crate::event::{CheckpointReason, CheckpointSaved, Event, F64, Phase, Request, Validation};
use crate::metrics::Measure;
use crate::stopwatch::Moment;

impl Trainer {
    /// Copies the current state and passes it to the writer thread; training continues meanwhile. If the writer is
    /// still busy with earlier checkpoints, a periodic one is skipped unless it has the best weights.
    pub(super) fn save_async(&mut self, reason: CheckpointReason, request: Option<Request>) {
        let best = self.is_best();
        if self.saver.is_busy() && reason == CheckpointReason::Periodic && !best {
            let step = self.global_step;
            return self.warn(format!(
                "checkpoint of step {step} skipped: earlier ones are still being written"
            ));
        }
        while self.saver.is_busy() {
            let result = self.saver.wait();
            self.report_save(result);
        }
        let began = Moment::now();
        self.mark += 1;
        // A run resumed from this checkpoint continues the journal after this record.
        self.control.emit(Event::Marked { mark: self.mark });
        let mut snapshot = Snapshot {
            state: self.state(),
            evaluated: self.evaluated().snapshot(),
            weights: self.average.is_some().then(|| self.weights.snapshot()),
            optimizer: self.optimizer.named_snapshot(),
            metadata: SaveMetadata {
                reason,
                request,
                best,
                validated: self.epoch_validation(),
                best_by: self.job.config.train.best,
                created_ms: now_ms(),
                pause_ms: 0.0,
            },
        };
        snapshot.metadata.pause_ms = began.elapsed().as_secs_f64() * 1000.0;
        if let Err(lost) = self.saver.enqueue(snapshot) {
            let why = "the checkpoint writer has ended: training continues without checkpoints";
            match lost.request {
                Some(request) => self.control.refuse(request, self.global_step, why),
                None => self.warn(why.to_owned()),
            }
        }
        self.last_save = (self.global_step, Moment::now());
        self.window.restart_clock();
    }

    /// Saves the current state and waits until it is on disk. Returns its path relative to the run directory.
    ///
    /// # Errors
    /// If the checkpoint could not be written.
    pub(super) fn save_now(&mut self, reason: CheckpointReason) -> Result<String, String> {
        let before = self.phase;
        self.set_phase(Phase::Checkpointing);
        self.save_async(reason, None);
        let mut last = Err("the checkpoint writer has ended".to_owned());
        while let Some(written) = self.saver.wait() {
            if written.mark == self.mark {
                let result = written.result.as_ref();
                last = result.map(|saved| saved.path.clone()).map_err(Clone::clone);
            }
            self.report_save(Some(written));
        }
        self.set_phase(before);
        last
    }

    /// Waits until all queued checkpoints are written, and reports them.
    pub(super) fn finish_saves(&mut self) {
        while let Some(written) = self.saver.wait() {
            self.report_save(Some(written));
        }
    }

    /// Rewrites the pointer files if they could not be written before, and warns if the best weights are not on disk.
    pub(super) fn check_checkpoints(&self) {
        let store = Store::within(&self.job.run_dir);
        for error in store.update_pointers() {
            self.warn(format!("{error} (the checkpoints are not affected)"));
        }
        let best = self.best.as_ref();
        if let Some(best) = best.filter(|best| !store.steps().contains(&best.global_step)) {
            self.warn(format!(
                "the best weights, of epoch {}, are not on disk, because their checkpoint could not be written",
                best.epoch
            ));
        }
    }

    /// Reports the checkpoints that were written since the last call.
    pub(super) fn report_finished_saves(&mut self) {
        while let Some(written) = self.saver.poll() {
            self.report_save(Some(written));
        }
    }

    fn report_save(&mut self, written: Option<SaveResult>) {
        let Some(written) = written else { return };
        let SaveResult {
            metadata,
            global_step,
            epoch,
            result,
            warnings,
            write_ms,
            mark: _,
            again: _,
        } = written;
        for warning in warnings {
            self.warn(format!("checkpoint written, but: {warning}"));
        }
        match result {
            Ok(saved) => {
                self.saved.insert(global_step);
                let path = saved.path.clone();
                self.control.emit(Event::CheckpointSaved(CheckpointSaved {
                    global_step,
                    epoch,
                    path: saved.path,
                    bytes: saved.bytes,
                    reason: metadata.reason,
                    best: metadata.best,
                    pause_ms: F64(metadata.pause_ms),
                    write_ms: F64(write_ms),
                }));
                if let Some(request) = metadata.request {
                    self.control.done(request, self.global_step, path);
                }
            }
            Err(error) => {
                if let Some(request) = metadata.request {
                    self.control.refuse(request, self.global_step, error);
                } else if metadata.reason == CheckpointReason::Periodic {
                    // Training continues: a disk that is full now may have space later.
                    let again = if metadata.best {
                        "; it has the best weights and is written again with the next one"
                    } else {
                        ""
                    };
                    self.warn(format!(
                        "checkpoint of step {global_step} not written: {error} (training continues{again})"
                    ));
                }
            }
        }
    }

    /// Saves a checkpoint if `checkpoint.every_steps` or `checkpoint.every_minutes` have passed since the last one.
    pub(super) fn save_if_due(&mut self) -> Flow {
        let config = &self.job.config.checkpoint;
        let (step, at) = self.last_save;
        let by_steps =
            config.every_steps > 0 && self.global_step.saturating_sub(step) >= config.every_steps;
        let by_time =
            config.every_minutes > 0.0 && at.elapsed().as_secs_f64() >= config.every_minutes * 60.0;
        if !(by_steps || by_time) || self.saver.is_busy() {
            return Flow::Go;
        }
        self.close_window();
        // Non-finite steps of this window must be handled before saving: a resumed run would not see them.
        let flow = self.check_health();
        self.save_async(CheckpointReason::Periodic, None);
        flow
    }

    fn is_best(&self) -> bool {
        let best = self.best.as_ref();
        best.is_some_and(|best| best.global_step == self.global_step)
    }

    /// The validation of the current weights at the end of an epoch. Weights within an epoch are never the best.
    fn epoch_validation(&self) -> Option<Validation> {
        let known = self.validated.as_ref();
        let known = known.filter(|known| known.global_step == self.global_step && self.epoch_done);
        known.map(|known| known.report.validation())
    }

    fn state(&self) -> State {
        State {
            format: FORMAT,
            run: self.job.name.clone(),
            epoch: self.epoch,
            epoch_step: self.epoch_step,
            epoch_done: self.epoch_done,
            global_step: self.global_step,
            seed: self.job.config.train.seed,
            lr: self.lr,
            epochs: self.epochs,
            best: self.best.as_ref().map(|best| BestSoFar {
                accuracy: best.validated.report.value(Measure::Accuracy),
                epoch: best.epoch,
                global_step: best.global_step,
            }),
            temperature: self.temperature,
            mark: self.mark,
            computed: self.computed(),
            trainer: serde_json::to_value(self.trainer_state()).unwrap_or_default(),
            data: self.job.dataset.fingerprint.clone(),
            dataset: self.job.dataset.info.clone(),
            config: self.job.config.run_toml(),
        }
    }

    fn trainer_state(&self) -> TrainerState {
        TrainerState {
            sums: self.sums.clone(),
            watch: self.watch.clone(),
            stale: (self.stale.0, F64(self.stale.1)),
            rollbacks: self.recovery.rollbacks,
            averaged: self.average.as_ref().map_or(0, Average::updates),
            seconds: self.seconds_of_run(),
            detail: self.detail,
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
