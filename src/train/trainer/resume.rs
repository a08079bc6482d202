//! Going on from a checkpoint: all that a trainer knows is read back, so that nobody can tell that it was away.

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
    BestSoFar, Computed, Depth, NamedTensor, Store, decode, step_name, verify,
};
use crate::event::{Event, F64, Split, WeightsKind};
use crate::files;
use crate::metrics::fit_temperature;
use crate::model::Weights;
use crate::report::Predictions;

/// What of `state.json` only the trainer reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Memory {
    /// Of the epoch under way.
    pub(super) sums: EpochSums,
    pub(super) watch: Watch,
    /// Epochs since the validation accuracy was better by enough, and what it was then.
    pub(super) stale: (u32, F64),
    pub(super) rollbacks: u32,
    /// Steps that the average of the weights has taken in.
    pub(super) averaged: u64,
    /// How long the run has taken, pauses included.
    pub(super) seconds: f64,
    /// The next step tells how strongly each parameter is moved.
    pub(super) detail: bool,
}

impl Trainer {
    /// Takes up a checkpoint. When that fails, the trainer is of no use.
    ///
    /// # Errors
    /// The file and what is wrong with it.
    pub(super) fn take_up(&mut self, resume: &Resume) -> Result<(), String> {
        let state = &resume.state;
        let memory: Memory = serde_json::from_value(state.trainer.clone())
            .map_err(|error| format!("{}: state.json: {error}", resume.checkpoint.display()))?;
        let model = self.weights_of(&resume.checkpoint)?;
        let path = resume.checkpoint.join("optim.safetensors");
        let tensors = tensors(&path)?;
        // Weights that are trained are a leaf that gradients are taken of; a snapshot is none.
        self.weights = if self.average.is_some() {
            let own = self.weights_named(&tensors, &path)?;
            if let Some(average) = &mut self.average {
                average.take_up(&model, memory.averaged);
            }
            own
        } else {
            model
        };
        self.optimizer
            .take_up(&tensors)
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
            // How long the run has taken and how long it has not got better is that run's alone.
            self.stale = (memory.stale.0, memory.stale.1.0);
            self.recovery.rollbacks = memory.rollbacks;
            self.earlier = Duration::from_secs_f64(memory.seconds.clamp(0.0, 1e9));
        }
        self.keep_as_good();
        self.last_save.0 = state.global_step;
        if !resume.fork {
            self.saved = Store::new(&self.job.run_dir).steps().into_iter().collect();
        }
        let best = state.best.filter(|_| !resume.fork);
        if let Some(best) = best
            && let Err(what) = self.recall(best)
        {
            let mut note = format!(
                "the weights of the best epoch, {}, cannot be had any more ({what})",
                best.epoch
            );
            // The next best thing that is on the disk.
            match self.best_on_disk().map(|best| (best, self.recall(best))) {
                Some((best, Ok(()))) => {
                    let _ = write!(note, ": epoch {} is the best there is", best.epoch);
                }
                _ => note.push_str(": the best is sought anew"),
            }
            if let Some(resume) = &mut self.job.resume {
                resume.told.notes.push(note);
            }
        }
        Ok(())
    }

    /// The whole checkpoint with the highest validation accuracy.
    fn best_on_disk(&self) -> Option<BestSoFar> {
        let store = Store::new(&self.job.run_dir);
        let manifests = store.steps().into_iter().filter_map(|step| {
            let manifest = verify(&store.path(step), Depth::Lengths).ok()?;
            Some((manifest.valid_accuracy_ppm?, step, manifest.epoch))
        });
        manifests.max().map(|(ppm, global_step, epoch)| BestSoFar {
            accuracy: f64::from(ppm) / 1e6,
            epoch,
            global_step,
        })
    }

    /// The best epoch so far: its weights from its checkpoint, its validation made again, which gives the same numbers.
    fn recall(&mut self, best: BestSoFar) -> Result<(), String> {
        let step = best.global_step;
        let checkpoint = Store::new(&self.job.run_dir).path(step);
        verify(&checkpoint, Depth::Bytes).map_err(|flaw| flaw.to_string())?;
        let weights = self.weights_of(&checkpoint)?;
        let rows = self.validation_of(&weights);
        let temperature = fit_temperature(&rows.logits, &rows.labels, rows.classes);
        let mut report = self.report(&rows, temperature, self.begin(), WeightsKind::Current);
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
        Weights::from_named(&self.network.plan, &tensors(&path)?, self.device)
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The weights that are trained, where others are evaluated.
    fn weights_named(&self, tensors: &[NamedTensor], path: &Path) -> Result<Weights, String> {
        let flat = |name: &str, like: &tch::Tensor| {
            let found = tensors.iter().find(|(known, _, _)| known == name);
            let found = found.filter(|(_, size, _)| *size == like.size());
            found
                .map(|(_, _, values)| values.as_slice())
                .ok_or_else(|| format!("{}: {name} is missing or of another size", path.display()))
        };
        Ok(Weights::from_slices(
            flat("weights", &self.weights.flat)?,
            flat("statistics", &self.weights.stats)?,
            self.device,
        ))
    }

    /// What decides how sums are rounded.
    pub(super) fn computed(&self) -> Computed {
        Computed {
            device: device::name(self.device),
            precision: device::precision(self.kind).to_owned(),
            threads: tch::get_num_threads().max(1) as u32,
            libtorch: super::super::libtorch_version(),
        }
    }

    /// Tells where it goes on, and what of that is not as it was.
    pub(super) fn tell_resumed(&mut self) {
        let Some(resume) = self.job.resume.take() else {
            return;
        };
        let (then, now) = (&resume.state.computed, self.computed());
        let differs = |what: &str, then: &dyn std::fmt::Display, now: &dyn std::fmt::Display| {
            format!(
                "{what} was {then} and is {now}: the numbers go on a little differently than without the interruption"
            )
        };
        let mut notes = resume.told.notes.clone();
        if then.device != now.device {
            notes.push(differs("the device", &then.device, &now.device));
        }
        if then.precision != now.precision {
            notes.push(differs("precision", &then.precision, &now.precision));
        }
        if then.threads != now.threads {
            notes.push(differs("threads", &then.threads, &now.threads));
        }
        if then.libtorch != now.libtorch {
            notes.push(differs("libtorch", &then.libtorch, &now.libtorch));
        }
        let mut told = resume.told;
        told.notes = notes;
        if resume.fork {
            for note in told.notes {
                self.warn(note);
            }
            self.control.say(Event::Log {
                level: crate::event::Level::Info,
                text: format!("goes on from {}", resume.checkpoint.display()),
            });
        } else {
            self.control.say(Event::Restored(Box::new(told)));
        }
    }
}

fn tensors(path: &Path) -> Result<Vec<NamedTensor>, String> {
    let bytes = files::read(path, u64::MAX).map_err(|error| error.to_string())?;
    decode(&bytes).map_err(|what| format!("{}: {what}", path.display()))
}
