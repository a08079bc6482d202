//! The ends of a run. Every request that was accepted is answered before it is over.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::{explain, memory};
use super::{Flow, Trainer};
use crate::checkpoint::step_name;
use crate::event::{CheckpointReason, Command, Outcome, Request};

impl Trainer {
    /// The end on request: a checkpoint, then the acknowledgement.
    ///
    /// # Errors
    /// Why the checkpoint could not be written.
    pub(super) fn stopped(&mut self) -> Result<(Outcome, u64), String> {
        self.close_window();
        self.say_phase(crate::event::Phase::Stopping);
        let step = self.global_step;
        // The epoch that was to be the last has just been saved, as a rule.
        self.finish_saves();
        let epoch_over = self
            .asked
            .stop
            .is_some_and(|stop| stop.command == Command::StopAfterEpoch);
        let saved = if epoch_over && self.saved.contains(&step) {
            Ok(format!("checkpoints/{}", step_name(step)))
        } else {
            self.save_now(CheckpointReason::Final)
        };
        if let Some(request) = self.asked.stop.take() {
            match &saved {
                Ok(path) => self.control.done(request, step, path.clone()),
                Err(error) => self.control.refuse(request, step, error.clone()),
            }
        }
        self.refuse_the_rest("the run was stopped");
        match saved {
            Ok(_) if self.failed.is_some() => Err(self.failed.take().unwrap_or_default()),
            Ok(_) => Ok((Outcome::Stopped, step)),
            Err(error) => Err(format!(
                "stopped, but the checkpoint was not written: {error}"
            )),
        }
    }

    /// The end after all epochs: the test split on the best weights, and a last checkpoint.
    ///
    /// # Errors
    /// Why the checkpoint could not be written.
    pub(super) fn complete(&mut self) -> Result<(Outcome, u64), String> {
        self.ending = true;
        // The report names the checkpoint of what it measures.
        self.finish_saves();
        if self.final_test() == Flow::Stop {
            return self.stopped();
        }
        // The last epoch may have been saved just now.
        self.finish_saves();
        if !self.saved.contains(&self.global_step) {
            self.save_now(CheckpointReason::Final).map_err(|error| {
                format!("trained to the end, but the last checkpoint was not written: {error}")
            })?;
        }
        if let Some(request) = self.asked.stop_after_epoch.take() {
            let note = "it was the last epoch";
            self.control.done(request, self.global_step, note);
        }
        self.refuse_the_rest("the run is complete");
        if self.best.is_none() {
            return Err("the training diverged: no validation gave finite numbers; \
                        lower optim.lr, and keep optim.clip_norm above 0"
                .to_owned());
        }
        Ok((Outcome::Completed, self.global_step))
    }

    /// What is left to do when libtorch, or anything else here, has failed: the last good state is saved, as long as it
    /// can be. Returns the whole story.
    pub(in crate::train) fn rescue(&mut self, why: &str) -> String {
        let train = &self.job.config.train;
        let why = memory::explain(why, train.batch_size, train.accumulate)
            .unwrap_or_else(|| why.to_owned());
        let step = self.global_step;
        if step == 0 {
            return format!("{why} (in the first step)");
        }
        if self.optimizer.is_moving() {
            // Some layers may have been moved already; what was saved before is whole.
            self.refuse_the_rest("the run has failed");
            let last = self.saved.last();
            return match last {
                Some(saved) => format!(
                    "{why} (in the step after {step}; the last checkpoint is checkpoints/{})",
                    step_name(*saved)
                ),
                None => format!("{why} (in the step after {step}; there is no checkpoint yet)"),
            };
        }
        // What is told first may be what failed.
        let guarded = |body: &mut dyn FnMut() -> Result<String, String>| {
            catch_unwind(AssertUnwindSafe(body))
                .unwrap_or_else(|panic| Err(explain(panic.as_ref())))
        };
        let _ = guarded(&mut || {
            self.close_window();
            Ok(String::new())
        });
        let saved = guarded(&mut || self.save_now(CheckpointReason::Final));
        self.refuse_the_rest("the run has failed");
        match saved {
            Ok(path) => format!("{why} (after step {step}, whose state is saved in {path})"),
            Err(error) => {
                format!("{why} (after step {step}, whose state could not be saved: {error})")
            }
        }
    }

    fn refuse_the_rest(&mut self, reason: &str) {
        let step = self.global_step;
        let waiting = self
            .asked
            .evaluations
            .drain(..)
            .chain(self.asked.stop_after_epoch.take());
        let mut late: Vec<Request> = waiting.collect();
        while let Some(request) = self.control.next(step) {
            late.push(request);
        }
        for request in late {
            self.control.refuse(request, step, reason);
        }
    }
}
