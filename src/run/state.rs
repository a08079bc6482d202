//! [`RunState`]: everything that a screen can show about a run, folded from its records.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::curves::{Curve, Curves, MAX_NAME_BYTES, MAX_NAMED};
use super::health::HealthTrack;
use super::history::{History, lower, push_bounded};
use super::layers::LayerTrack;
use super::marks::{MarkKind, Marks};
use super::parts::{Best, Clip, ClipEvent, CommandLine, EvalHistory, LogLine, Unwritten, f1};
use super::series::Ema;
use super::steps::{Sample, Steps};
use super::system::SystemHistory;
use super::text::size;
use super::timeline::Timeline;
use crate::event::{
    CheckpointReason, CheckpointSaved, EpochSummary, EvalReport, Event, F32, F64, GalleryImages,
    GalleryPredictions, Level, Outcome, Phase, Record, Remedy, Restoration, RunStarted, Split,
    StepTime, StepWindow, WeightsKind,
};
use crate::metrics::Measure;

/// Number of latest steps with exact values; older ones are only in the curves.
const RECENT: usize = 512;
/// Greatest numbers of retained epoch rows, clipping events and log lines.
const EPOCHS: usize = 512;
const CLIP_EVENTS: usize = 64;
const LOG_LINES: usize = 256;
/// Greatest number of retained F1 values over all classes and epochs: with more classes, fewer epochs are retained.
const CLASS_F1: usize = 1 << 16;
/// The file of an evaluation on the test set.
const EVAL_JSON: &str = "eval.json";
/// Weight of the previous average in the smoothed training loss and accuracy, per step.
const SMOOTHING: f64 = 0.9;
/// Time constants in milliseconds of the displayed speed and of the pace for the remaining time. The displayed speed
/// adapts fast; the pace adapts slowly, because the estimate multiplies its fluctuations by all remaining steps.
const SPEED_MS: f64 = 3_000.0;
const PACE_MS: f64 = 30_000.0;

/// The complete state of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunState {
    /// Sequence number of the last folded record.
    pub seq: u64,
    /// Start of the run, milliseconds since 1970.
    pub started_ms: u64,
    /// Time of the latest record: the start plus the time since then on a clock that is never set, milliseconds. All
    /// times of this state are on this clock.
    pub now_ms: u64,
    /// How far the system clock of the latest record was ahead of `now_ms`, milliseconds.
    #[serde(default)]
    pub ahead_ms: i64,
    /// Description of the run, known before the first step.
    pub info: Option<RunStarted>,
    /// Current phase of the trainer.
    pub phase: Phase,
    /// Current epoch, from 1; 0 before the first.
    pub epoch: u32,
    /// Total number of epochs.
    pub epochs: u32,
    /// Steps done in the current epoch.
    pub epoch_step: u64,
    /// Total steps of the current epoch.
    pub epoch_steps: u64,
    /// Steps done in the run.
    pub global_step: u64,
    /// Learning rate of the last step.
    pub lr: F64,
    /// Base learning rate of the schedule, if it was reported.
    #[serde(default)]
    pub base_lr: Option<F64>,
    /// Smoothed training loss.
    pub loss: Ema,
    /// Smoothed training accuracy.
    pub accuracy: Ema,
    /// Smoothed time per step in milliseconds.
    pub step_millis: Ema,
    /// Smoothed images per second.
    pub images_per_second: Ema,
    /// Latest report of the parts of the step time.
    #[serde(default)]
    pub step_time: Option<StepTime>,
    /// All curves over steps.
    pub curves: Curves,
    /// The latest steps, oldest first.
    pub recent: VecDeque<Sample>,
    /// Clipping of gradients.
    pub clip: Clip,
    /// Total duration of past pauses in milliseconds.
    pub paused_ms: u64,
    /// Start of the current pause, milliseconds since 1970.
    pub paused_since: Option<u64>,
    /// Number of skipped steps: they were not finite and did not change the weights.
    pub skipped: u64,
    /// Gradient norms and update-to-weight ratios of each parameter.
    #[serde(default)]
    pub layers: LayerTrack,
    /// Events at steps, for charts.
    #[serde(default)]
    pub marks: Marks,
    /// Time of each step.
    #[serde(default)]
    pub timeline: Timeline,
    /// The latest epochs, oldest first.
    pub history: VecDeque<EpochSummary>,
    /// The best epoch so far.
    pub best: Option<Best>,
    /// Lowest validation NLL so far.
    pub lowest_valid_nll: Option<F64>,
    /// Lowest mean training loss of an epoch so far.
    pub lowest_train_loss: Option<F64>,
    /// Evaluations on validation.
    pub valid: EvalHistory,
    /// Pairs of an epoch and the F1 of each class on validation at its end; NaN where it is undefined.
    #[serde(default)]
    pub class_f1: History<(u32, Vec<F32>)>,
    /// Evaluations on the test set.
    pub test: EvalHistory,
    /// Number of test-set evaluations, with any weights.
    #[serde(default, rename = "test_looks")]
    pub test_evaluations: u64,
    /// During an evaluation: the split, the evaluated images and the total number of images.
    pub eval_progress: Option<(Split, u64, u64)>,
    /// The gallery's images.
    pub gallery: GalleryImages,
    /// Predictions for the gallery's images.
    pub predictions: Option<GalleryPredictions>,
    /// The latest checkpoint.
    pub checkpoint: Option<CheckpointSaved>,
    /// Number of checkpoints written.
    pub checkpoints: u64,
    /// Id of the accepted request to stop after the current epoch.
    #[serde(default)]
    pub stop_after_epoch: Option<u64>,
    /// The latest requests, oldest first.
    pub commands: VecDeque<CommandLine>,
    /// Ids and requesters of the latest requests from other processes.
    #[serde(default)]
    pub askers: VecDeque<(u64, String)>,
    /// The latest log lines, oldest first.
    pub log: VecDeque<LogLine>,
    /// Steps at which the run was restored from a checkpoint.
    #[serde(default, rename = "resumes")]
    pub restores: Vec<u64>,
    /// How the run ended; `None` while it is running.
    pub outcome: Option<Outcome>,
    /// Samples of the machine.
    #[serde(default)]
    pub system: SystemHistory,
    /// State of the health rules.
    #[serde(default)]
    pub health: HealthTrack,
    /// Number of records of unknown type.
    #[serde(default)]
    pub unknown: u64,
    /// Number of records missing from the journal.
    #[serde(default)]
    pub missing: u64,
    /// Files that could not be written by the end of the run.
    #[serde(default)]
    pub unwritten: Vec<Unwritten>,
}

impl RunState {
    /// Folds a record into the state. A record that was folded before is skipped.
    pub fn apply(&mut self, record: &Record) {
        if record.seq <= self.seq {
            return;
        }
        let t_ms = self.advance(record);
        self.count_missing(record, t_ms);
        self.seq = record.seq;
        self.apply_event(&record.event, t_ms);
        self.update_rules(&record.event, t_ms);
    }

    fn apply_event(&mut self, event: &Event, t_ms: u64) {
        match event {
            Event::RunStarted(info) => self.started(info),
            Event::Phase { phase } => self.enter(*phase, t_ms),
            Event::EpochStarted {
                epoch,
                epochs,
                steps,
            } => self.epoch_started(*epoch, *epochs, *steps),
            Event::Steps(window) => self.steps(window),
            Event::StepTime(time) => self.step_time = Some(*time),
            Event::Scalars {
                global_step,
                values,
            } => self.scalars(*global_step, values, t_ms),
            Event::EpochFinished(summary) => self.epoch_finished(summary),
            Event::EvalFinished(report) => self.evaluated(report, t_ms),
            Event::EvalProgress { split, done, total } => {
                self.eval_progress = Some((*split, *done, *total));
            }
            Event::GalleryImages(images) => self.gallery = images.clone(),
            Event::GalleryPredictions(predictions) => self.predictions = Some(predictions.clone()),
            Event::CheckpointSaved(saved) => self.checkpoint_saved(saved, t_ms),
            // Only needed to restore a run.
            Event::Marked { .. } => {}
            Event::Restored(restoration) => self.restored(restoration, t_ms),
            Event::StepSkipped {
                global_step,
                loss,
                grad_norm,
                statistics,
            } => {
                self.skipped = self.skipped.saturating_add(1);
                let why = if *statistics {
                    self.statistics_text(*global_step)
                } else {
                    format!("loss {}, gradient norm {}", loss.0, grad_norm.0)
                };
                let text = format!("step {global_step} skipped: {why} (weights unchanged)");
                self.add_log(t_ms, Level::Warn, text);
            }
            Event::Health(health) => {
                if let Remedy::RolledBack { lr, .. } = health.remedy {
                    self.base_lr = Some(lr);
                    let kind = MarkKind::LearningRate { lr };
                    self.marks.push(self.global_step, kind);
                }
                self.add_log(t_ms, Level::Warn, health.words());
            }
            Event::Layers {
                global_step,
                layers,
            } => self.layers.push(*global_step, layers),
            Event::System(sample) => self.system.push(t_ms, sample),
            Event::Log { level, text } => self.add_log(t_ms, *level, text.clone()),
            Event::Asked { id, by, .. } => self.asked(*id, by),
            Event::Acknowledged {
                id,
                command,
                answer,
                global_step,
            } => {
                self.acknowledged(CommandLine {
                    id: *id,
                    command: *command,
                    by: None,
                    answer: answer.clone(),
                    global_step: *global_step,
                    t_ms,
                    worked_ms: self.worked_ms(self.now_ms),
                });
            }
            Event::NotWritten { file, why } => {
                let (file, why) = (file.clone(), why.clone());
                self.not_written(Unwritten { file, why }, t_ms);
            }
            Event::RunFinished {
                outcome,
                global_step,
            } => {
                // A failed run cannot always report its last step, and earlier records can have a later one.
                self.global_step = self.global_step.max(*global_step);
                self.eval_progress = None;
                if let Outcome::Failed { message } = outcome {
                    self.add_log(t_ms, Level::Error, message.clone());
                }
                self.outcome = Some(outcome.clone());
            }
            Event::Unknown => self.count_unknown(t_ms),
        }
    }

    fn checkpoint_saved(&mut self, saved: &CheckpointSaved, t_ms: u64) {
        self.checkpoints = self.checkpoints.saturating_add(1);
        let requested = saved.reason == CheckpointReason::Requested;
        let kind = if requested {
            MarkKind::Requested
        } else {
            MarkKind::Checkpoint
        };
        self.marks.push(saved.global_step, kind);
        // A requested checkpoint is reported by the answer to the request.
        if !requested {
            let text = format!("checkpoint {} ({})", saved.path, size(saved.bytes));
            self.add_log(t_ms, Level::Info, text);
        }
        self.checkpoint = Some(saved.clone());
    }

    /// A new process restored the run from a checkpoint. Readers of a journal omit the records after that checkpoint,
    /// including the one that reported it; this record replaces it.
    fn restored(&mut self, restoration: &Restoration, t_ms: u64) {
        self.outcome = None;
        self.unwritten.clear();
        self.phase = Phase::Starting;
        self.eval_progress = None;
        self.answer_after(restoration);
        self.add_log(t_ms, Level::Info, restoration.line());
        for note in &restoration.notes {
            self.add_log(t_ms, Level::Warn, note.clone());
        }
        if restoration.starts_over() {
            return;
        }
        self.restores.push(restoration.global_step);
        self.marks.push(restoration.global_step, MarkKind::Restored);
        self.checkpoints = self.checkpoints.saturating_add(1);
        self.checkpoint = Some(CheckpointSaved {
            global_step: restoration.global_step,
            epoch: restoration.epoch,
            path: restoration.checkpoint.clone(),
            bytes: restoration.bytes,
            reason: CheckpointReason::Periodic,
            best: self
                .best
                .is_some_and(|best| best.epoch == restoration.epoch),
            pause_ms: F64(0.0),
            write_ms: F64(0.0),
        });
    }

    fn started(&mut self, info: &RunStarted) {
        // A request to the process before a restart is void.
        self.stop_after_epoch = None;
        self.epochs = info.epochs;
        self.base_lr = Some(info.lr);
        self.epoch_steps = info.steps_per_epoch;
        // In a restored run, the rate of the last step is already known.
        if self.global_step == 0 {
            self.lr = info.lr;
        }
        self.info = Some(info.clone());
    }

    fn enter(&mut self, phase: Phase, t_ms: u64) {
        self.phase = phase;
        if phase == Phase::Paused {
            if self.paused_since.is_none() {
                self.marks.push(self.global_step, MarkKind::Paused);
            }
            self.paused_since.get_or_insert(t_ms);
        } else if let Some(since) = self.paused_since.take() {
            self.marks.push(self.global_step, MarkKind::Resumed);
            self.paused_ms = self.paused_ms.saturating_add(t_ms.saturating_sub(since));
        }
        if !matches!(phase, Phase::Validating | Phase::Testing) {
            self.eval_progress = None;
        }
    }

    fn epoch_started(&mut self, epoch: u32, epochs: u32, steps: u64) {
        self.epoch = epoch;
        self.epochs = epochs;
        self.epoch_step = 0;
        self.epoch_steps = steps;
        self.clip.epoch_clipped = 0;
        self.clip.epoch_steps = 0;
    }

    fn steps(&mut self, window: &StepWindow) {
        self.epoch = window.epoch;
        self.epoch_step = window.epoch_step;
        self.global_step = window.global_step;
        self.lr = window.lr;
        self.curves.window(window);
        let worked_ms = self.worked_ms(self.now_ms);
        self.timeline.push(window.global_step, worked_ms);
        let steps = Steps::of(window);
        steps.samples().for_each(|sample| self.step(sample));
        let count = steps.count();
        if count > 0 && window.millis.0 > 0.0 {
            let millis = window.millis.0;
            let keep = |time_constant_ms: f64| (-millis / time_constant_ms).exp();
            self.step_millis.push(keep(PACE_MS), millis / count as f64);
            let speed = window.images as f64 * 1000.0 / millis;
            self.images_per_second.push(keep(SPEED_MS), speed);
        }
    }

    /// Adds values of named curves.
    fn scalars(&mut self, step: u64, values: &[(String, F64)], t_ms: u64) {
        // Some trainers report only scalars.
        if step > self.global_step {
            self.global_step = step;
            self.timeline.push(step, self.worked_ms(self.now_ms));
        }
        for (name, value) in values {
            if !self.curves.push_named(name, step, value.0 as f32) {
                let text = format!(
                    "scalar ignored (later ones are ignored silently): a name has 1 to {MAX_NAME_BYTES} bytes without \
                     control characters, and a run has at most {MAX_NAMED} named scalars"
                );
                self.add_log(t_ms, Level::Warn, text);
            }
        }
    }

    fn step(&mut self, sample: Sample) {
        let value = |curve| sample.value(curve).map_or(f32::NAN, |value| value.0);
        self.loss
            .push(SMOOTHING, f64::from(value(Curve::TrainLoss)));
        self.accuracy
            .push(SMOOTHING, f64::from(value(Curve::TrainAccuracy)));
        self.clip.epoch_steps = self.clip.epoch_steps.saturating_add(1);
        if sample.clipped {
            self.clip.epoch_clipped = self.clip.epoch_clipped.saturating_add(1);
            self.clip.total = self.clip.total.saturating_add(1);
            let norm = value(Curve::GradNorm);
            let factor = self.clip_norm() / (norm + 1e-6);
            let event = ClipEvent {
                step: sample.step,
                norm: F32(norm),
                factor: F32(factor.min(1.0)),
            };
            push_bounded(&mut self.clip.events, CLIP_EVENTS, event);
        }
        push_bounded(&mut self.recent, RECENT, sample);
    }

    fn epoch_finished(&mut self, summary: &EpochSummary) {
        self.global_step = summary.global_step;
        self.curves.epoch(summary);
        lower(&mut self.lowest_valid_nll, summary.valid_nll);
        lower(&mut self.lowest_train_loss, summary.train_loss);
        // The epoch's validation was reported just before this summary.
        let measured = self.valid.latest.as_ref();
        let measured = measured.filter(|report| report.global_step == summary.global_step);
        if let Some(report) = measured {
            let f1: Vec<F32> = report.classes.iter().map(f1).collect();
            let epochs = CLASS_F1 / f1.len().max(CLASS_F1 / EPOCHS);
            self.class_f1.push(epochs, (summary.epoch, f1), |row| row.0);
        }
        if summary.best {
            self.best = Some(Best {
                epoch: summary.epoch,
                global_step: summary.global_step,
                accuracy: summary.valid_accuracy,
                interval: measured.and_then(|report| report.interval(Measure::Accuracy)),
                nll: summary.valid_nll,
            });
        }
        push_bounded(&mut self.history, EPOCHS, summary.clone());
    }

    fn evaluated(&mut self, report: &EvalReport, t_ms: u64) {
        self.eval_progress = None;
        self.curves.evaluation(report);
        let of_another = report.weights == WeightsKind::Checkpoint;
        if report.split == Split::Test {
            // Every test-set evaluation is recorded, because repeated use biases the result.
            self.test_evaluations = self.test_evaluations.saturating_add(1);
            // It is written after this record; a failure is reported again.
            self.unwritten.retain(|one| one.file != EVAL_JSON);
            self.marks.push(report.global_step, MarkKind::Tested);
            let weights = if of_another {
                format!("step {}", report.global_step)
            } else {
                format!("{} weights", report.weights.name())
            };
            let accuracy = report.value(Measure::Accuracy) * 100.0;
            let text = format!("test accuracy {accuracy:.2} % ({weights})");
            self.add_log(t_ms, Level::Info, text);
            if let Some(warning) = report.calibration_warning() {
                self.add_log(t_ms, Level::Warn, warning);
            }
        }
        if of_another {
            // Not stored: it could be mistaken for an evaluation of the current or the best weights.
            return;
        }
        let history = match report.split {
            Split::Test => &mut self.test,
            Split::Valid | Split::Train => &mut self.valid,
        };
        // A repeated evaluation of the same weights does not count as a change.
        let known = history.latest.replace(report.clone());
        if let Some(known) = known.filter(|known| known.global_step != report.global_step) {
            history.previous = Some(known);
        }
    }

    /// Appends a line to the log.
    pub(super) fn add_log(&mut self, t_ms: u64, level: Level, text: String) {
        let line = LogLine {
            t_ms,
            worked_ms: self.worked_ms(self.now_ms),
            level,
            text,
        };
        push_bounded(&mut self.log, LOG_LINES, line);
    }
}
