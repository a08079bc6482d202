//! Restoring the trainer from a checkpoint, so that training continues exactly as without the interruption.

use std::fmt::Write;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::health::Watch;
use super::super::window::EpochSums;
use super::super::{Resume, device};
use super::Trainer;
use super::measure::{Best, Validated};
use crate::checkpoint::{
    BestSoFar, ComputeSetup, Depth, NamedTensor, State, Store, decode, step_name, verify,
};
use crate::config::Config;
use crate::event::{Event, F64, Split, WeightsKind};
use crate::files;
use crate::metrics::fit_temperature;
use crate::model::Weights;
use crate::report::Predictions;

/// The part of `state.json` that only the trainer reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TrainerState {
    /// Sums of the current epoch.
    pub(super) sums: EpochSums,
    pub(super) watch: Watch,
    /// Epochs since the score by `train.best` last improved by more than `train.min_delta`, and that score.
    pub(super) stale: (u32, F64),
    pub(super) rollbacks: u32,
    /// Number of updates of the EMA weights.
    pub(super) averaged: u64,
    /// Duration of the run in seconds, including pauses.
    pub(super) seconds: f64,
    /// Whether the next step reports the norms of each parameter.
    pub(super) detail: bool,
}

/// Why a run that continues from `state` with this configuration and number of epochs trains no further step; `None` if
/// it does.
pub fn nothing_left(state: &State, config: &Config, epochs: u32) -> Option<String> {
    let (train, done) = (&config.train, state.epoch);
    if !state.epoch_done {
        return None;
    }
    if done >= epochs {
        let more = done.saturating_add(10);
        return Some(format!(
            "all {done} epochs are done; to train longer, add --set train.epochs={more}"
        ));
    }
    let memory: TrainerState = serde_json::from_value(state.trainer.clone()).ok()?;
    let waited = memory.stale.0;
    if train.patience > 0 && waited >= train.patience {
        return Some(format!(
            "the validation accuracy has not improved for {waited} epochs (train.patience = {}); to train longer, add \
             --set train.patience=0 or a number above {waited}",
            train.patience
        ));
    }
    let minutes = train.max_minutes;
    (minutes > 0.0 && memory.seconds >= minutes * 60.0).then(|| {
        format!(
            "the time limit train.max_minutes = {minutes} is used up; to train longer, add --set train.max_minutes=0 or \
             a greater number"
        )
    })
}

impl Trainer {
    /// Restores the trainer from a checkpoint. After an error the trainer must not be used.
    ///
    /// # Errors
    /// If a file cannot be read or does not fit the configured network or optimizer; the message names the file.
    pub(super) fn restore(&mut self, resume: &Resume) -> Result<(), String> {
        let state = &resume.state;
        let memory: TrainerState = serde_json::from_value(state.trainer.clone())
            .map_err(|error| format!("{}: state.json: {error}", resume.checkpoint.display()))?;
        let model = self.weights_of(&resume.checkpoint)?;
        let path = resume.checkpoint.join("optim.safetensors");
        let tensors = self.tensors(&path)?;
        // Trained weights must be an autograd leaf. A snapshot is not, so it is used for the EMA weights only.
        self.weights = if self.average.is_some() {
            let own = self.weights_named(&tensors, &path)?;
            if let Some(average) = &mut self.average {
                average.restore(&model, memory.averaged);
            }
            own
        } else {
            model
        };
        self.optimizer
            .restore_named(&tensors)
            .map_err(|what| format!("{}: {what}", path.display()))?;
        (self.epoch, self.epoch_step) = (state.epoch, state.epoch_step);
        (self.global_step, self.epoch_done) = (state.global_step, state.epoch_done);
        (self.lr, self.epochs) = (resume.lr, resume.epochs);
        self.mark = state.mark;
        self.temperature = state.temperature;
        self.sums = memory.sums;
        self.watch = memory.watch.with(&self.job.config.health);
        self.detail = memory.detail;
        if !resume.fork {
            // Duration, patience and number of rollbacks start from zero in a fork.
            self.stale = (memory.stale.0, memory.stale.1.0);
            self.recovery.rollbacks = memory.rollbacks;
            self.earlier = Duration::from_secs_f64(memory.seconds.clamp(0.0, 1e9));
        }
        self.save_as_good_state();
        self.last_save.0 = state.global_step;
        if !resume.fork {
            // A newer one could not be read and is saved again.
            let steps = Store::within(&self.job.run_dir).steps().into_iter();
            self.saved = steps.filter(|step| *step <= state.global_step).collect();
        }
        let best = state.best.filter(|_| !resume.fork);
        if let Some(best) = best
            && let Err(what) = self.reload_best(best)
        {
            let mut note = format!(
                "cannot load the weights of the best epoch, {} ({what})",
                best.epoch
            );
            // Use the best checkpoint that is still on disk.
            let left = Store::within(&self.job.run_dir).highest_validated(Depth::Bytes);
            match left.map(|best| (best, self.reload_best(best))) {
                Some((best, Ok(()))) => {
                    let _ = write!(
                        note,
                        ": using epoch {}, the best checkpoint left",
                        best.epoch
                    );
                }
                _ => note.push_str(": the search for the best epoch starts again"),
            }
            if let Some(resume) = &mut self.job.resume {
                resume.restoration.notes.push(note);
            }
        }
        Ok(())
    }

    /// Loads the weights of the best epoch from its checkpoint and repeats its validation, with the same result.
    fn reload_best(&mut self, best: BestSoFar) -> Result<(), String> {
        let step = best.global_step;
        let checkpoint = Store::within(&self.job.run_dir).path(step);
        verify(&checkpoint, Depth::Bytes).map_err(|flaw| flaw.to_string())?;
        let weights = self.weights_of(&checkpoint)?;
        let rows = self.validation_of(&weights);
        let temperature = fit_temperature(&rows.logits, &rows.labels, rows.classes);
        let mut report = self.report(
            &rows,
            temperature,
            self.evaluation_start(),
            WeightsKind::Current,
        );
        (report.epoch, report.global_step) = (best.epoch, step);
        report.checkpoint = Some(format!("checkpoints/{}", step_name(step)));
        self.best = Some(Best {
            epoch: best.epoch,
            global_step: step,
            weights: Rc::new(weights),
            validated: Validated {
                global_step: step,
                report,
                rows: Arc::new(rows),
            },
        });
        Ok(())
    }

    fn validation_of(&self, weights: &Weights) -> Predictions {
        let labels: Vec<u32> = super::measure::labels(&self.job.dataset.valid);
        let (total, batch) = (labels.len() as i64, self.job.config.eval.batch_size.max(1));
        let starts = (0..total).step_by(batch as usize);
        let logits = starts.flat_map(|start| {
            self.logits_of(Split::Valid, start, batch.min(total - start), weights)
        });
        Predictions {
            split: Split::Valid,
            logits: logits.collect(),
            labels,
            classes: self.job.dataset.info.classes.len(),
        }
    }

    fn weights_of(&self, checkpoint: &Path) -> Result<Weights, String> {
        let path = checkpoint.join("model.safetensors");
        Weights::from_named(&self.network.plan, &self.tensors(&path)?, self.device)
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    fn tensors(&self, path: &Path) -> Result<Vec<NamedTensor>, String> {
        let limit = self.network.plan.file_limit();
        let bytes = files::read(path, limit).map_err(|error| error.to_string())?;
        decode(&bytes).map_err(|what| format!("{}: {what}", path.display()))
    }

    /// The trained weights from `optim.safetensors`, which stores them if the model file has the EMA weights.
    fn weights_named(&self, tensors: &[NamedTensor], path: &Path) -> Result<Weights, String> {
        let flat = |name: &str, like: &tch::Tensor| {
            let found = tensors.iter().find(|(known, _, _)| known == name);
            let found = found.filter(|(_, size, _)| *size == like.size());
            found
                .map(|(_, _, values)| values.as_slice())
                .ok_or_else(|| {
                    format!(
                        "{}: {name} is missing or has the wrong size",
                        path.display()
                    )
                })
        };
        Ok(Weights::from_slices(
            flat("weights", &self.weights.flat)?,
            flat("statistics", &self.weights.stats)?,
            self.device,
        ))
    }

    /// The device, precision, threads and libtorch version, all of which influence rounding.
    pub(super) fn computed(&self) -> ComputeSetup {
        ComputeSetup {
            device: device::name(self.device),
            precision: device::precision(self.kind).to_owned(),
            threads: tch::get_num_threads().max(1) as u32,
            libtorch: super::super::libtorch_version(),
        }
    }

    /// Reports the checkpoint that was restored, with a note for each part of the environment that has changed.
    pub(super) fn report_restoration(&mut self) {
        let Some(resume) = self.job.resume.take() else {
            return;
        };
        let (then, now) = (&resume.state.computed, self.computed());
        let differs = |what: &str, then: &dyn std::fmt::Display, now: &dyn std::fmt::Display| {
            format!(
                "{what} was {then}, now {now}: results will differ slightly from an uninterrupted run"
            )
        };
        let mut restoration = resume.restoration;
        let notes = &mut restoration.notes;
        if then.device != now.device {
            notes.push(differs("the device", &then.device, &now.device));
        }
        if then.precision != now.precision {
            notes.push(differs("precision", &then.precision, &now.precision));
        }
        let cores = device::cores(0).max(1) as u32;
        if then.threads != now.threads {
            notes.push(differs("threads", &then.threads, &now.threads));
        } else if now.threads != cores && self.job.config.train.threads == 0 {
            notes.push(format!(
                "continuing with the {} threads of the checkpoint on {cores} cores, so that results are the same; \
                 --set train.threads={cores} uses the cores better but rounds differently",
                now.threads
            ));
        }
        if then.libtorch != now.libtorch {
            notes.push(differs("libtorch", &then.libtorch, &now.libtorch));
        }
        if resume.fork {
            for note in restoration.notes {
                self.warn(note);
            }
            self.control.emit(Event::Log {
                level: crate::event::Level::Info,
                text: format!("continuing from {}", resume.checkpoint.display()),
            });
        } else {
            self.control.emit(Event::Restored(Box::new(restoration)));
        }
    }
}
