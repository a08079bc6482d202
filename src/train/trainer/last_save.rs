//! The last checkpoint of a run. It has the results of the whole training, so the end of the run waits for it if the disk
//! is full or does not respond, and it is written to another directory if that does not help.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel::bounded;

use super::super::save::{PATIENCE, Snapshot, is_full, write_outside};
use super::Trainer;
use super::saving::LISTEN;
use crate::event::{CheckpointReason, Command, Phase};
use crate::stopwatch::Moment;
use crate::{native, threads};

/// Time between two attempts to write to a full disk.
const RETRY: Duration = Duration::from_secs(2);
/// Longest wait for `checkpoint.fallback_dir`.
const FALLBACK: Duration = Duration::from_secs(300);

/// How long the end of a run waits for its checkpoints.
pub(super) struct FinalWait {
    began: Moment,
    limit: Duration,
    /// Whether a warning has stated why the run waits.
    announced: bool,
    /// Whether a stop has ended the wait.
    ended: bool,
}

impl Trainer {
    /// The wait at the end of the run. After a stop somebody waits for the end, so it is short if the checkpoint can be
    /// written elsewhere.
    pub(super) fn final_wait(&self, stopped: bool) -> FinalWait {
        let config = &self.job.config.checkpoint;
        let limit =
            Duration::try_from_secs_f64(config.wait_minutes * 60.0).unwrap_or(Duration::MAX);
        let short = stopped && !config.fallback_dir.is_empty();
        FinalWait {
            began: Moment::now(),
            limit: if short { limit.min(PATIENCE) } else { limit },
            announced: false,
            ended: false,
        }
    }

    /// Waits until all queued checkpoints are written, and reports them.
    pub(super) fn finish_saves(&mut self, wait: &mut FinalWait) {
        while self.saver.is_writing() && self.waits_for_late(wait) {
            if let Some(written) = self.saver.wait(LISTEN) {
                let _ = self.report_save(written);
            }
        }
    }

    /// Saves the last checkpoint of the run and waits until it is on disk. Returns its path: relative to the run
    /// directory, or absolute if it is in `checkpoint.fallback_dir`.
    ///
    /// # Errors
    /// If the checkpoint could not be written.
    pub(super) fn save_last(&mut self, wait: &mut FinalWait) -> Result<String, String> {
        let before = self.phase;
        self.set_phase(Phase::Checkpointing);
        let snapshot = self.snapshot(CheckpointReason::Final, None);
        let saved = self.try_last(&snapshot, wait).or_else(|error| {
            if self.job.config.checkpoint.fallback_dir.is_empty() {
                return Err(error.to_string());
            }
            self.save_outside(snapshot, &error)
        });
        self.set_phase(before);
        saved
    }

    /// Writes a snapshot to the run; to a full disk again and again until the wait is over.
    fn try_last(&mut self, snapshot: &Snapshot, wait: &mut FinalWait) -> io::Result<String> {
        loop {
            let queued = self.saver.enqueue(snapshot.shallow_clone());
            queued.map_err(|_| writer_ended())?;
            let error = match self.result_of(snapshot, wait) {
                Err(error) if is_full(&error) => error,
                result => return result,
            };
            let failed = Moment::now();
            while failed.elapsed() < RETRY {
                if !self.waits(wait, &error.to_string()) {
                    return Err(error);
                }
                std::thread::sleep(LISTEN);
            }
        }
    }

    /// Waits for the result of a queued snapshot.
    fn result_of(&mut self, snapshot: &Snapshot, wait: &mut FinalWait) -> io::Result<String> {
        while self.waits_for_late(wait) {
            match self.saver.wait(LISTEN) {
                Some(written) if written.mark == snapshot.state.mark => {
                    return self.report_save(written);
                }
                Some(written) => drop(self.report_save(written)),
                None if self.saver.is_writing() => {}
                None => return Err(writer_ended()),
            }
        }
        let text = format!(
            "the disk does not respond: not written within {:.0} s",
            wait.began.elapsed().max(PATIENCE).as_secs_f64()
        );
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    }

    /// Whether to go on waiting for the writer: always until it is late.
    fn waits_for_late(&mut self, wait: &mut FinalWait) -> bool {
        self.report_lateness();
        !self.saver.is_late() || self.waits(wait, "the disk does not respond")
    }

    /// Whether to go on waiting, because of `why`: until the limit, or until a stop is requested. All other requests are
    /// refused.
    fn waits(&mut self, wait: &mut FinalWait, why: &str) -> bool {
        let left = wait.limit.saturating_sub(wait.began.elapsed());
        if !wait.announced && !left.is_zero() {
            wait.announced = true;
            self.warn(format!(
                "waiting at most {:.1} minutes to write the last checkpoint: {why} (`ctl stop` or a second SIGTERM ends \
                 the wait)",
                left.as_secs_f64() / 60.0
            ));
        }
        let step = self.global_step;
        while let Some(request) = self.control.next(step) {
            if request.command == Command::Stop {
                wait.ended = true;
                let note = "the run no longer waits for the disk";
                self.control.done(request, step, note);
            } else {
                let reason = "the run is ending: it waits for the disk";
                self.control.refuse(request, step, reason);
            }
        }
        !wait.ended && !left.is_zero()
    }

    /// Writes the last checkpoint, and the best one if that is not on disk either, to `checkpoint.fallback_dir`, because
    /// of an error in the run directory.
    fn save_outside(&mut self, last: Snapshot, error: &io::Error) -> Result<String, String> {
        let dir = PathBuf::from(&self.job.config.checkpoint.fallback_dir);
        let best = self.saver.unsaved_best().filter(|_| !last.metadata.best);
        let best = best.map(|mut best| {
            (best.metadata.request, best.metadata.again) = (None, true);
            best
        });
        let snapshots: Vec<Snapshot> = best.into_iter().chain([last]).collect();
        let (sender, receiver) = bounded(1);
        let plan = self.network.plan.clone();
        // That disk may not respond either.
        let write = move || {
            native::compute_alone();
            let _ = sender.send(write_outside(&dir, &plan, &snapshots));
        };
        let failed = |why: &dyn std::fmt::Display| {
            Err(format!("{error}; nor to checkpoint.fallback_dir: {why}"))
        };
        if let Err(why) = threads::start("fallback", write) {
            return failed(&why);
        }
        let Ok(results) = receiver.recv_timeout(FALLBACK) else {
            return failed(&"it does not respond");
        };
        let mut saved = failed(&"nothing was written");
        for written in results {
            let step = written.global_step;
            saved = match self.report_save(written) {
                Ok(path) => {
                    self.warn(format!(
                        "the checkpoint of step {step} could not be written to the run ({error}): it is in {path}; \
                         `train --fork` and `eval` take this path"
                    ));
                    Ok(path)
                }
                Err(why) => failed(&why),
            };
        }
        saved
    }
}

fn writer_ended() -> io::Error {
    io::Error::other("the checkpoint writer has ended")
}
