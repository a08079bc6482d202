//! The end of a run: stopped, completed or failed. Every accepted request is answered before it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::{explain, memory};
use super::{Flow, Trainer};
use crate::checkpoint::step_name;
use crate::event::{Command, Outcome, Request};

impl Trainer {
    /// Ends the run on request: saves a checkpoint, then answers the request.
    ///
    /// # Errors
    /// If the checkpoint could not be written, or the run has failed.
    pub(super) fn stopped(&mut self) -> Result<(Outcome, u64), String> {
        self.close_window();
        self.set_phase(crate::event::Phase::Stopping);
        let step = self.global_step;
        let mut wait = self.final_wait(true);
        // After `stop-after-epoch` the last epoch usually has a checkpoint already.
        self.finish_saves(&mut wait);
        let epoch_over = self
            .pending
            .stop
            .is_some_and(|stop| stop.command == Command::StopAfterEpoch);
        let saved = if epoch_over && self.saved.contains(&step) {
            Ok(format!("checkpoints/{}", step_name(step)))
        } else {
            self.save_last(&mut wait)
        };
        if let Some(request) = self.pending.stop.take() {
            match &saved {
                Ok(path) => self.control.done(request, step, path.clone()),
                Err(error) => self.control.refuse(request, step, error.clone()),
            }
        }
        self.refuse_pending("the run was stopped");
        match saved {
            Ok(_) if self.failed.is_some() => Err(self.failed.take().unwrap_or_default()),
            Ok(_) => Ok((Outcome::Stopped, step)),
            Err(error) => {
                let why = self.failed.take().unwrap_or_else(|| "stopped".to_owned());
                let effect = self.resume_effect();
                Err(format!(
                    "{why}, but the checkpoint was not written: {error}; {effect}"
                ))
            }
        }
    }

    /// Completes the run: evaluates the best weights on the test set and saves the final checkpoint.
    ///
    /// # Errors
    /// If the checkpoint could not be written, or no validation gave finite numbers.
    pub(super) fn complete(&mut self) -> Result<(Outcome, u64), String> {
        self.ending = true;
        let mut wait = self.final_wait(false);
        // The test report contains the path of the checkpoint it evaluates, so that must be on disk.
        self.finish_saves(&mut wait);
        if self.final_test() == Flow::Stop {
            return self.stopped();
        }
        // The checkpoint of the last epoch may have been written during the evaluation.
        self.finish_saves(&mut wait);
        let is_saved = self.saved.contains(&self.global_step) && !self.saver.has_unsaved_best();
        let saved = if is_saved {
            Ok(())
        } else {
            self.save_last(&mut wait).map(drop)
        };
        if let Some(request) = self.pending.stop_after_epoch.take() {
            let note = "this was the last epoch";
            self.control.done(request, self.global_step, note);
        }
        self.refuse_pending("the run is complete");
        if self.best.is_none() {
            return Err("the training diverged: no validation gave finite numbers; \
                        lower optim.lr, and keep optim.clip_norm above 0"
                .to_owned());
        }
        saved.map_err(|error| {
            format!(
                "training completed and was evaluated, but its last checkpoint was not saved: {error}; {}",
                self.resume_effect()
            )
        })?;
        Ok((Outcome::Completed, self.global_step))
    }

    /// What `train --resume` will do with the checkpoints in the run directory.
    fn resume_effect(&self) -> String {
        match self.saved.last() {
            Some(step) => format!("train --resume repeats the steps after {step}"),
            None => "train --resume starts over: there is no checkpoint".to_owned(),
        }
    }

    /// Handles a failure of libtorch or of the trainer: saves the current state if it is consistent. Returns the
    /// complete error message, which names the checkpoint to resume from.
    pub(in crate::train) fn rescue(&mut self, why: &str) -> String {
        let train = &self.job.config.train;
        let why = memory::explain(why, train.batch_size, train.accumulate)
            .unwrap_or_else(|| why.to_owned());
        let step = self.global_step;
        if step == 0 {
            return format!("{why} (in the first step)");
        }
        if self.optimizer.is_moving() {
            // Some parameters may already be updated, so the state is not saved; earlier checkpoints are intact.
            self.refuse_pending("the run has failed");
            let last = self.saved.last();
            return match last {
                Some(saved) => format!(
                    "{why} (in the step after {step}; the last checkpoint is checkpoints/{})",
                    step_name(*saved)
                ),
                None => format!("{why} (in the step after {step}; there is no checkpoint yet)"),
            };
        }
        // Closing the window reads from the device and may fail for the same reason; that must not prevent saving.
        let guarded = |body: &mut dyn FnMut() -> Result<String, String>| {
            catch_unwind(AssertUnwindSafe(body))
                .unwrap_or_else(|panic| Err(explain(panic.as_ref())))
        };
        let _ = guarded(&mut || {
            self.close_window();
            Ok(String::new())
        });
        let mut wait = self.final_wait(false);
        let saved = guarded(&mut || self.save_last(&mut wait));
        self.refuse_pending("the run has failed");
        match saved {
            Ok(path) => format!("{why} (after step {step}, whose state is saved in {path})"),
            Err(error) => {
                format!("{why} (after step {step}, whose state could not be saved: {error})")
            }
        }
    }

    /// Refuses every request that has not been executed yet.
    fn refuse_pending(&mut self, reason: &str) {
        let step = self.global_step;
        let waiting = self
            .pending
            .evaluations
            .drain(..)
            .chain(self.pending.stop_after_epoch.take());
        let mut late: Vec<Request> = waiting.collect();
        while let Some(request) = self.control.next(step) {
            late.push(request);
        }
        for request in late {
            let instead = request.command.after_the_end(&self.job.name);
            let instead = instead.map_or_else(String::new, |command| format!(": use `{command}`"));
            self.control
                .refuse(request, step, format!("{reason}{instead}"));
        }
    }
}
