//! [`RunState`]: everything a screen can show of a run, folded from its records.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::curves::{Curve, Curves, MOST_NAME_BYTES, MOST_NAMED};
use super::health::HealthTrack;
use super::history::{History, lower, push_bounded};
use super::layers::LayerTrack;
use super::marks::{MarkKind, Marks};
use super::parts::{Best, Clip, ClipEvent, CommandLine, EvalHistory, LogLine};
use super::series::Ema;
use super::steps::{Sample, Steps};

use super::system::SystemHistory;
use super::text::size;
use super::timeline::Timeline;
use crate::event::{
    Answer, CheckpointReason, CheckpointSaved, EpochSummary, EvalReport, Event, F32, F64,
    GalleryImages, GalleryPredictions, Level, Outcome, Phase, Record, Remedy, Restoration,
    RunStarted, Split, StepTime, StepWindow, WeightsKind,
};
use crate::metrics::{ClassScores, Measure};

/// Steps kept one by one; older ones live on in the curves.
const RECENT: usize = 512;
/// Epoch rows, clipping events and log lines kept.
const EPOCHS: usize = 512;
const CLIP_EVENTS: usize = 64;
const LOG_LINES: usize = 256;
/// Numbers of the classes' F1 kept: the more classes, the fewer epochs.
const CLASS_F1: usize = 1 << 16;
/// Share of the past the shown training numbers keep, per step.
const SMOOTHING: f64 = 0.9;
/// What the shown speed remembers, and what an estimate of the rest of the run goes by, in ms: the first follows what
/// happens, the second multiplies every tremble by all the steps to come.
const SPEED_MS: f64 = 3_000.0;
const PACE_MS: f64 = 30_000.0;

/// The whole state of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunState {
    /// Number of the last record folded in.
    pub seq: u64,
    /// Time of the first record.
    pub started_ms: u64,
    /// Time of the last record.
    pub now_ms: u64,
    /// What is known before the first step.
    pub info: Option<RunStarted>,
    /// What the trainer is doing.
    pub phase: Phase,
    /// Epoch under way, from 1; 0 before the first.
    pub epoch: u32,
    /// Epochs in all.
    pub epochs: u32,
    /// Steps done in this epoch.
    pub epoch_step: u64,
    /// Steps of this epoch.
    pub epoch_steps: u64,
    /// Steps done.
    pub global_step: u64,
    /// Learning rate of the last step.
    pub lr: F64,
    /// Base learning rate of the schedule, as far as it was told.
    #[serde(default)]
    pub base_lr: Option<F64>,
    /// Smoothed training loss.
    pub loss: Ema,
    /// Smoothed training accuracy.
    pub accuracy: Ema,
    /// Smoothed milliseconds a step.
    pub step_millis: Ema,
    /// Smoothed images a second.
    pub images_per_second: Ema,
    /// How the time of a step divides, as last told.
    #[serde(default)]
    pub step_time: Option<StepTime>,
    /// All numbers over steps.
    pub curves: Curves,
    /// The latest steps, oldest first.
    pub recent: VecDeque<Sample>,
    /// Clipping.
    pub clip: Clip,
    /// Milliseconds of ended pauses.
    pub paused_ms: u64,
    /// When the pause that is on began.
    pub paused_since: Option<u64>,
    /// Steps that were not finite and changed nothing.
    pub skipped: u64,
    /// How strongly each parameter was moved.
    #[serde(default)]
    pub layers: LayerTrack,
    /// What happened at which step.
    #[serde(default)]
    pub marks: Marks,
    /// When each step was done.
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
    /// Measurements of validation.
    pub valid: EvalHistory,
    /// The epoch, and F1 of each class on validation at its end; NaN where it is undefined.
    #[serde(default)]
    pub class_f1: History<(u32, Vec<F32>)>,
    /// Measurements of test.
    pub test: EvalHistory,
    /// How often the test split was looked at, with whatever weights.
    #[serde(default)]
    pub test_looks: u64,
    /// Images done and in all while a split is measured.
    pub eval_progress: Option<(Split, u64, u64)>,
    /// The gallery's images.
    pub gallery: GalleryImages,
    /// What the network thinks of them.
    pub predictions: Option<GalleryPredictions>,
    /// The latest checkpoint.
    pub checkpoint: Option<CheckpointSaved>,
    /// Checkpoints written.
    pub checkpoints: u64,
    /// The latest requests, oldest first.
    pub commands: VecDeque<CommandLine>,
    /// Who asked for the latest requests that did not come from the trainer's own process.
    #[serde(default)]
    pub askers: VecDeque<(u64, String)>,
    /// The latest lines for people, oldest first.
    pub log: VecDeque<LogLine>,
    /// Steps at which the run was restored from a checkpoint.
    #[serde(default, rename = "resumes")]
    pub restores: Vec<u64>,
    /// How the run ended, once it has.
    pub outcome: Option<Outcome>,
    /// How the machine is doing.
    #[serde(default)]
    pub system: SystemHistory,
    /// What the health rules go by.
    #[serde(default)]
    pub health: HealthTrack,
    /// Records of a kind that this version does not know.
    #[serde(default)]
    pub unknown: u64,
}

impl RunState {
    /// Folds a record in. A record that was folded in before is passed over.
    pub fn apply(&mut self, record: &Record) {
        if record.seq <= self.seq {
            return;
        }
        self.seq = record.seq;
        if matches!(record.event, Event::Restored(_)) {
            // Nobody trained in between.
            let since = self.paused_since.take().unwrap_or(self.now_ms);
            self.paused_ms = self
                .paused_ms
                .saturating_add(record.t_ms.saturating_sub(since));
        }
        // Clocks are set back now and then; the state's time never is. An evaluation may follow long after the end.
        if !matches!(record.event, Event::EvalFinished(_)) {
            self.now_ms = self.now_ms.max(record.t_ms);
        }
        if self.started_ms == 0 {
            self.started_ms = record.t_ms;
        }
        self.apply_event(&record.event, record.t_ms);
        self.look_after(&record.event, record.t_ms);
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
            Event::CheckpointSaved(saved) => {
                self.checkpoints = self.checkpoints.saturating_add(1);
                let asked = saved.reason == CheckpointReason::Requested;
                let kind = if asked {
                    MarkKind::Requested
                } else {
                    MarkKind::Checkpoint
                };
                self.marks.push(saved.global_step, kind);
                // One that somebody asked for is told by the answer.
                if !asked {
                    let text = format!("checkpoint {} ({})", saved.path, size(saved.bytes));
                    self.say(t_ms, Level::Info, text);
                }
                self.checkpoint = Some(saved.clone());
            }
            // It is for those who resume.
            Event::Marked { .. } => {}
            Event::Restored(restoration) => self.restored(restoration, t_ms),
            Event::StepSkipped {
                global_step,
                loss,
                grad_norm,
            } => {
                self.skipped = self.skipped.saturating_add(1);
                let text = format!(
                    "step {global_step} skipped: loss {}, gradient norm {} (weights unchanged)",
                    loss.0, grad_norm.0
                );
                self.say(t_ms, Level::Warn, text);
            }
            Event::Health(health) => {
                if let Remedy::RolledBack { lr, .. } = health.remedy {
                    self.base_lr = Some(lr);
                    let kind = MarkKind::LearningRate { lr };
                    self.marks.push(self.global_step, kind);
                }
                self.say(t_ms, Level::Warn, health.words());
            }
            Event::Layers {
                global_step,
                layers,
            } => self.layers.push(*global_step, layers),
            Event::System(sample) => self.system.push(t_ms, sample),
            Event::Log { level, text } => self.say(t_ms, *level, text.clone()),
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
            Event::RunFinished {
                outcome,
                global_step,
            } => {
                // A run that failed cannot always say how far it had come; what it told before can.
                self.global_step = self.global_step.max(*global_step);
                self.eval_progress = None;
                if let Outcome::Failed { message } = outcome {
                    self.say(t_ms, Level::Error, message.clone());
                }
                self.outcome = Some(outcome.clone());
            }
            Event::Unknown => self.not_understood(t_ms),
        }
    }

    /// Told once: a newer version may say such things all the time.
    fn not_understood(&mut self, t_ms: u64) {
        self.unknown = self.unknown.saturating_add(1);
        if self.unknown == 1 {
            let version = env!("CARGO_PKG_VERSION");
            let text = format!(
                "the run tells things this epochtop ({version}) does not know: a newer one shows them"
            );
            self.say(t_ms, Level::Warn, text);
        }
    }

    /// A new process continues where the checkpoint was made. The records after that are left out by whoever reads a
    /// journal; what the checkpoint's own record would have told is told by this one.
    fn restored(&mut self, restoration: &Restoration, t_ms: u64) {
        self.outcome = None;
        self.phase = Phase::Starting;
        self.eval_progress = None;
        for line in &mut self.commands {
            if line.answer == Answer::Accepted {
                let reason = "the process ended before it was done".to_owned();
                line.answer = Answer::Refused { reason };
            }
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
        let again = match restoration.redone {
            0 => String::new(),
            steps => format!(" ({steps} steps are done again)"),
        };
        let text = format!("resumed from {}{again}", restoration.checkpoint);
        self.say(t_ms, Level::Info, text);
        for note in &restoration.notes {
            self.say(t_ms, Level::Warn, note.clone());
        }
    }

    fn started(&mut self, info: &RunStarted) {
        self.epochs = info.epochs;
        self.base_lr = Some(info.lr);
        self.epoch_steps = info.steps_per_epoch;
        // A run that was resumed has a step whose rate is known.
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
            let keep = |remembered_ms: f64| (-millis / remembered_ms).exp();
            self.step_millis.push(keep(PACE_MS), millis / count as f64);
            let speed = window.images as f64 * 1000.0 / millis;
            self.images_per_second.push(keep(SPEED_MS), speed);
        }
    }

    /// Takes in values of curves that no table may know.
    fn scalars(&mut self, step: u64, values: &[(String, F64)], t_ms: u64) {
        // A trainer may report nothing else.
        if step > self.global_step {
            self.global_step = step;
            self.timeline.push(step, self.worked_ms(self.now_ms));
        }
        for (name, value) in values {
            if !self.curves.push_named(name, step, value.0 as f32) {
                let text = format!(
                    "a scalar was left out, and more may be: names have 1 to {MOST_NAME_BYTES} bytes without control \
                     characters, and a run has at most {MOST_NAMED} of them"
                );
                self.say(t_ms, Level::Warn, text);
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
        // The evaluation that the epoch's row is a part of came just before it.
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
        let of_another = report.weights == WeightsKind::Checkpoint;
        if report.split == Split::Test {
            // Each look at the test split leaves a trace.
            self.test_looks = self.test_looks.saturating_add(1);
            self.marks.push(report.global_step, MarkKind::Tested);
            let weights = if of_another {
                format!("step {}", report.global_step)
            } else {
                format!("{} weights", report.weights.name())
            };
            let accuracy = report.value(Measure::Accuracy) * 100.0;
            let text = format!("test accuracy {accuracy:.2} % ({weights})");
            self.say(t_ms, Level::Info, text);
        }
        if of_another {
            // Neither what the run is at nor its best: beside those it would be taken for one of them.
            return;
        }
        let history = match report.split {
            Split::Test => &mut self.test,
            Split::Valid | Split::Train => &mut self.valid,
        };
        // The same weights measured again are no change.
        let known = history.latest.replace(report.clone());
        if let Some(known) = known.filter(|known| known.global_step != report.global_step) {
            history.previous = Some(known);
        }
    }

    pub(super) fn say(&mut self, t_ms: u64, level: Level, text: String) {
        let line = LogLine {
            t_ms,
            worked_ms: self.worked_ms(self.now_ms),
            level,
            text,
        };
        push_bounded(&mut self.log, LOG_LINES, line);
    }
}

/// F1 to four digits.
fn f1(scores: &ClassScores) -> F32 {
    let rounded = ((scores.f1 * 1e4).round() / 1e4) as f32;
    F32(if scores.f1_undefined {
        f32::NAN
    } else {
        rounded
    })
}
