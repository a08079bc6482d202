//! Saving checkpoints of the current state during the run. The last one of the run is in [`super::last_save`].

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::average::Average;
use super::super::save::{PATIENCE, SaveMetadata, SaveResult, Snapshot, WriterChange};
use super::resume::TrainerState;
use super::{Flow, Trainer};
use crate::checkpoint::{BestSoFar, FORMAT, State, Store};
use crate::event::{CheckpointReason, CheckpointSaved, Event, F64, Request, Validation};
use crate::metrics::Measure;
use crate::stopwatch::Moment;

/// Interval at which the writer is checked while the trainer waits for it.
pub(super) const LISTEN: Duration = Duration::from_millis(50);

impl Trainer {
    /// Copies the current state and passes it to the writer thread; training continues meanwhile. If the writer is
    /// still busy with earlier checkpoints, a periodic one is skipped. One with the best weights, or on request, waits
    /// for the writer. If the disk does not respond, a request is refused, and the best weights are retained in memory.
    pub(super) fn save_async(&mut self, reason: CheckpointReason, request: Option<Request>) {
        let (best, step) = (self.is_best(), self.global_step);
        while (best || request.is_some()) && self.saver.is_busy() && !self.saver.is_late() {
            if let Some(written) = self.saver.wait(LISTEN) {
                let _ = self.report_save(written);
            }
        }
        match request {
            Some(request) if self.saver.is_late() => {
                let why = format!(
                    "the disk is slow or does not respond: an earlier checkpoint has not been written for {} s",
                    PATIENCE.as_secs()
                );
                self.control.refuse(request, step, why);
            }
            _ if !self.saver.is_busy() => self.save_queued(reason, request),
            _ if best => {
                let snapshot = self.snapshot(reason, None);
                self.saver.retain_best(snapshot);
            }
            // That it is late has been reported.
            _ if self.saver.is_late() => {}
            _ => self.warn(format!(
                "checkpoint of step {step} skipped: earlier ones are still being written"
            )),
        }
    }

    fn save_queued(&mut self, reason: CheckpointReason, request: Option<Request>) {
        let snapshot = self.snapshot(reason, request);
        if let Err(lost) = self.saver.enqueue(snapshot) {
            let why = "the checkpoint writer has ended: training continues without checkpoints";
            match lost.request {
                Some(request) => self.control.refuse(request, self.global_step, why),
                None => self.warn(why.to_owned()),
            }
        }
        self.window.restart_clock();
    }

    /// Copies the current state, and marks this point in the journal.
    pub(super) fn snapshot(
        &mut self,
        reason: CheckpointReason,
        request: Option<Request>,
    ) -> Snapshot {
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
                best: self.is_best(),
                validated: self.epoch_validation(),
                best_by: self.job.config.train.best,
                created_ms: now_ms(),
                pause_ms: 0.0,
                again: false,
            },
        };
        snapshot.metadata.pause_ms = began.elapsed().as_secs_f64() * 1000.0;
        self.last_save = (self.global_step, Moment::now());
        snapshot
    }

    /// Rewrites the pointer files if they could not be written before, and warns if the best weights are not on disk.
    pub(super) fn check_checkpoints(&mut self) {
        while let Some(written) = self.saver.wait(Duration::ZERO) {
            let _ = self.report_save(written);
        }
        for request in self.saver.requests() {
            let why = "the run has ended, and the disk does not respond";
            self.control.refuse(request, self.global_step, why);
        }
        // On a disk that does not respond, this thread would wait as well.
        if !self.saver.is_writing() {
            let store = Store::within(&self.job.run_dir);
            for error in store.update_pointers() {
                self.warn(format!("{error} (the checkpoints are not affected)"));
            }
            self.saved = store.steps().into_iter().collect();
        }
        let best = self.best.as_ref();
        if let Some(best) = best.filter(|best| !self.saved.contains(&best.global_step)) {
            self.warn(format!(
                "the best weights, of epoch {}, are not in the run, because their checkpoint could not be written",
                best.epoch
            ));
        }
    }

    /// Reports the checkpoints that were written since the last call, and whether the disk responds.
    pub(super) fn report_finished_saves(&mut self) {
        while let Some(written) = self.saver.poll() {
            let _ = self.report_save(written);
        }
        self.report_lateness();
    }

    /// Reports when a checkpoint is late, and when that is over.
    pub(super) fn report_lateness(&mut self) {
        match self.saver.change() {
            Some(WriterChange::Late { global_step }) => self.warn(format!(
                "checkpoint of step {global_step} has not been written for {} s: the disk is slow or does not respond; \
                 training continues without new checkpoints, with the best weights in memory",
                PATIENCE.as_secs()
            )),
            Some(WriterChange::Recovered) => self.warn("the disk responds again".to_owned()),
            None => {}
        }
    }

    /// Reports a save. Returns the path of the checkpoint.
    ///
    /// # Errors
    /// Why it could not be written.
    pub(super) fn report_save(&mut self, written: SaveResult) -> io::Result<String> {
        let SaveResult {
            metadata,
            global_step,
            epoch,
            result,
            warnings,
            write_ms,
            mark: _,
        } = written;
        for warning in warnings {
            self.warn(warning);
        }
        match result {
            Ok(saved) => {
                let path = saved.path.clone();
                let event = CheckpointSaved {
                    global_step,
                    epoch,
                    path: saved.path,
                    bytes: saved.bytes,
                    reason: metadata.reason,
                    best: metadata.best,
                    pause_ms: F64(metadata.pause_ms),
                    write_ms: F64(write_ms),
                };
                if event.is_in_run() {
                    self.saved.insert(global_step);
                }
                self.control.emit(Event::CheckpointSaved(event));
                if let Some(request) = metadata.request {
                    self.control.done(request, self.global_step, path.clone());
                }
                Ok(path)
            }
            Err(error) => {
                if let Some(request) = metadata.request {
                    let why = error.to_string();
                    self.control.refuse(request, self.global_step, why);
                } else if metadata.reason == CheckpointReason::Periodic && !metadata.again {
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
                Err(error)
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
