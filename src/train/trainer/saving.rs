//! Checkpoints of this moment.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::super::average::Average;
use super::super::save::{Order, Snapshot, Written};
use super::resume::Memory;
use super::{Flow, Trainer};
use crate::checkpoint::{BestSoFar, FORMAT, State};
use crate::event::{CheckpointReason, CheckpointSaved, Event, F64, Phase, Request};
use crate::metrics::Measure;

impl Trainer {
    /// Copies this moment and lets it be written beside the training. Where the disk is still busy with earlier ones, one
    /// that is only due is left out.
    pub(super) fn save_beside(&mut self, reason: CheckpointReason, request: Option<Request>) {
        let best = self.is_best();
        if self.saver.is_busy() && reason == CheckpointReason::Periodic && !best {
            let step = self.global_step;
            return self.warn(format!(
                "no checkpoint of step {step}: the disk is still busy with the ones before"
            ));
        }
        while self.saver.is_busy() {
            let written = self.saver.wait();
            self.tell_written(written);
        }
        let began = Instant::now();
        self.mark += 1;
        // Whoever resumes from here goes on after this record.
        self.control.say(Event::Marked { mark: self.mark });
        let mut snapshot = Snapshot {
            state: self.state(),
            evaluated: self.evaluated().snapshot(),
            weights: self.average.is_some().then(|| self.weights.snapshot()),
            memory: self.optimizer.named_snapshot(),
            order: Order {
                reason,
                request,
                best,
                valid_accuracy: self.valid_accuracy(),
                created_ms: now_ms(),
                pause_ms: 0.0,
            },
        };
        snapshot.order.pause_ms = began.elapsed().as_secs_f64() * 1000.0;
        if let Err(lost) = self.saver.hand_over(snapshot) {
            let why = "the thread that writes checkpoints is gone: the run goes on without";
            match lost.request {
                Some(request) => self.control.refuse(request, self.global_step, why),
                None => self.warn(why.to_owned()),
            }
        }
        self.last_save = (self.global_step, Instant::now());
        self.window.restart_clock();
    }

    /// Saves this moment and waits until it is on the disk. Returns where.
    ///
    /// # Errors
    /// Why it could not be written.
    pub(super) fn save_now(&mut self, reason: CheckpointReason) -> Result<String, String> {
        let before = self.phase;
        self.say_phase(Phase::Checkpointing);
        self.save_beside(reason, None);
        let mut last = Err("the thread that writes checkpoints is gone".to_owned());
        while let Some(written) = self.saver.wait() {
            if written.mark == self.mark {
                let result = written.result.as_ref();
                last = result.map(|saved| saved.path.clone()).map_err(Clone::clone);
            }
            self.tell_written(Some(written));
        }
        self.say_phase(before);
        last
    }

    /// Waits for all that is being written.
    pub(super) fn finish_saves(&mut self) {
        while let Some(written) = self.saver.wait() {
            self.tell_written(Some(written));
        }
    }

    /// Tells what has been written meanwhile.
    pub(super) fn hear_saver(&mut self) {
        while let Some(written) = self.saver.poll() {
            self.tell_written(Some(written));
        }
    }

    fn tell_written(&mut self, written: Option<Written>) {
        let Some(written) = written else { return };
        let Written {
            order,
            global_step,
            epoch,
            result,
            complaints,
            write_ms,
            mark: _,
        } = written;
        for complaint in complaints {
            self.warn(format!("beside the checkpoint: {complaint}"));
        }
        match result {
            Ok(saved) => {
                self.saved.insert(global_step);
                let path = saved.path.clone();
                self.control.say(Event::CheckpointSaved(CheckpointSaved {
                    global_step,
                    epoch,
                    path: saved.path,
                    bytes: saved.bytes,
                    reason: order.reason,
                    best: order.best,
                    pause_ms: F64(order.pause_ms),
                    write_ms: F64(write_ms),
                }));
                if let Some(request) = order.request {
                    self.control.done(request, self.global_step, path);
                }
            }
            Err(error) => {
                if let Some(request) = order.request {
                    self.control.refuse(request, self.global_step, error);
                } else if order.reason == CheckpointReason::Periodic {
                    // A disk that is full now may have room later; the run goes on and says so.
                    self.warn(format!(
                        "checkpoint of step {global_step} not written: {error} (training goes on)"
                    ));
                }
            }
        }
    }

    /// Saves when so many steps or minutes have gone by since the last time.
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
        // What the window tells is acted on before it is forgotten by whoever resumes.
        let flow = self.look_after();
        self.save_beside(CheckpointReason::Periodic, None);
        flow
    }

    fn is_best(&self) -> bool {
        let best = self.best.as_ref();
        best.is_some_and(|best| best.global_step == self.global_step)
    }

    /// Validation accuracy of the weights of this moment.
    fn valid_accuracy(&self) -> Option<f64> {
        let known = self.validated.as_ref();
        known
            .filter(|known| known.global_step == self.global_step)
            .map(|known| known.report.value(Measure::Accuracy))
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
            trainer: serde_json::to_value(self.memory()).unwrap_or_default(),
            data: self.job.dataset.fingerprint.clone(),
            dataset: self.job.dataset.info.clone(),
            config: self.job.config.run_toml(),
        }
    }

    fn memory(&self) -> Memory {
        Memory {
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
