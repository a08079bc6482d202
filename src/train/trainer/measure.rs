//! Measuring splits during a run, batch by batch so that requests are heard in between.
//!
//! What is measured is a snapshot of the weights, at a step boundary and without gradients: the forward pass of an evaluation
//! draws no random number and moves no running statistic, so training goes on as if nothing had been asked.

use std::rc::Rc;
use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};

use super::{Flow, Trainer};
use crate::checkpoint::step_name;
use crate::data::Images;
use crate::event::{EvalReport, Event, F32, F64, GalleryPredictions, Phase, Split, WeightsKind};
use crate::fault;
use crate::metrics::{Measure, Temperature, argmax, fit_temperature, softmax};
use crate::model::{Weights, to_vec};
use crate::report::{self, Evaluated, Options, Predictions};

/// How often requests are looked at while numbers are computed.
const LISTEN: Duration = Duration::from_millis(5);

/// A validation, and the rows it was computed from.
#[derive(Debug, Clone)]
pub(super) struct Validated {
    pub(super) global_step: u64,
    pub(super) report: EvalReport,
    pub(super) rows: Arc<Predictions>,
}

/// The weights of the best epoch by validation accuracy, with what was measured then.
#[derive(Debug, Clone)]
pub(super) struct Best {
    pub(super) epoch: u32,
    pub(super) global_step: u64,
    pub(super) weights: Rc<Weights>,
    pub(super) validated: Validated,
}

/// When a measurement began, and what had been paused by then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    at: Instant,
    paused: Duration,
}

impl Trainer {
    /// Begins to take time.
    pub(super) fn begin(&self) -> Begun {
        Begun {
            at: Instant::now(),
            paused: self.paused,
        }
    }

    /// Seconds since then, without pauses.
    pub(super) fn seconds_since(&self, begun: Begun) -> f64 {
        let pauses = self.paused.saturating_sub(begun.paused);
        begun.at.elapsed().saturating_sub(pauses).as_secs_f64()
    }

    /// The validation of the present weights, made now unless there is one. `None` when stopped.
    pub(super) fn validate(&mut self) -> Option<Validated> {
        if let Some(known) = self.known_validation() {
            return Some(known);
        }
        let before = self.phase;
        self.say_phase(Phase::Validating);
        let begun = self.begin();
        let rows = self.logits(Split::Valid, &self.evaluated().snapshot())?;
        let temperature = fit_temperature(&rows.logits, &rows.labels, rows.classes);
        let rows = Arc::new(rows);
        let report = self.report_heard(&rows, temperature, begun, WeightsKind::Current)?;
        // During a pause in here these weights may have been validated on request; told once is enough.
        if let Some(known) = self.known_validation() {
            self.say_phase(before);
            return Some(known);
        }
        let validated = Validated {
            global_step: self.global_step,
            report: report.clone(),
            rows,
        };
        let temperature = &validated.report.temperature;
        self.temperature = temperature
            .converged
            .then_some((temperature.value, self.global_step));
        self.validated = Some(validated.clone());
        self.control.say(Event::EvalFinished(Box::new(report)));
        self.tell_gallery(None, validated.report.temperature.value);
        self.say_phase(before);
        Some(validated)
    }

    fn known_validation(&self) -> Option<Validated> {
        let known = self.validated.as_ref();
        known
            .filter(|known| known.global_step == self.global_step)
            .cloned()
    }

    /// Validation, then the test split, on the present weights. Returns a note, `None` when stopped.
    pub(super) fn evaluate_now(&mut self) -> Option<String> {
        let validated = self.validate()?;
        self.say_phase(Phase::Testing);
        let begun = self.begin();
        let rows = self.logits(Split::Test, &self.evaluated().snapshot())?;
        let rows = Arc::new(rows);
        let report = self.report_heard(
            &rows,
            validated.report.temperature,
            begun,
            WeightsKind::Current,
        )?;
        let note = format!(
            "test accuracy {:.2} %",
            report.value(Measure::Accuracy) * 100.0
        );
        self.tell_test(&report, &validated.rows, &rows);
        Some(note)
    }

    /// The test split on the best weights by validation, with the temperature of their validation.
    pub(super) fn final_test(&mut self) -> Flow {
        self.say_phase(Phase::Testing);
        // A copy: while it is measured, a checkpoint may be asked for, and that must know the best.
        let Some(best) = self.best.clone() else {
            return Flow::Go;
        };
        let begun = self.begin();
        let Some(rows) = self.logits(Split::Test, &best.weights) else {
            return Flow::Stop;
        };
        let temperature = best.validated.report.temperature;
        let rows = Arc::new(rows);
        let Some(mut report) = self.report_heard(&rows, temperature, begun, WeightsKind::Best)
        else {
            return Flow::Stop;
        };
        report.epoch = best.epoch;
        report.global_step = best.global_step;
        report.checkpoint = self.checkpoint_of(best.global_step);
        self.tell_test(&report, &best.validated.rows, &rows);
        // The gallery beside the result are predicted by the same weights.
        self.tell_gallery(Some(&best), temperature.value);
        Flow::Go
    }

    /// Says what the test split gave, and leaves it in the run directory.
    fn tell_test(&self, report: &EvalReport, valid: &Predictions, test: &Predictions) {
        let evaluated = Evaluated {
            report,
            run: &self.job.name,
            names: &self.job.dataset.info.classes,
            rows: &[valid, test],
        };
        // The record first: a look at the test split leaves its trace whatever happens next.
        self.control
            .say(Event::EvalFinished(Box::new(report.clone())));
        if let Err(error) = report::write(&self.job.run_dir, evaluated) {
            self.warn(format!("the evaluation is told but not written: {error}"));
        }
    }

    /// The numbers of a split, while requests are heard: a bootstrap takes longer than a batch. `None` when a stop was asked
    /// for; what is computed then is left to itself.
    fn report_heard(
        &mut self,
        rows: &Arc<Predictions>,
        temperature: Temperature,
        begun: Begun,
        weights: WeightsKind,
    ) -> Option<EvalReport> {
        let (options, computed) = (self.measuring(), Arc::clone(rows));
        let (tell, told) = bounded(1);
        let computing = Builder::new().name("trainer-report".to_owned());
        let computing = computing.spawn(move || {
            let _ = tell.send(report::measure(&computed, temperature, options));
        });
        if computing.is_err() {
            return Some(self.report(rows, temperature, begun, weights));
        }
        loop {
            match told.recv_timeout(LISTEN) {
                Ok(report) => return Some(self.completed(report, begun, weights)),
                Err(RecvTimeoutError::Timeout) => {
                    if self.obey(Phase::Validating) == Flow::Stop {
                        return None;
                    }
                }
                // It panicked; here that ends the run in words.
                Err(RecvTimeoutError::Disconnected) => {
                    return Some(self.report(rows, temperature, begun, weights));
                }
            }
        }
    }

    /// The numbers of a split, without a look at requests.
    pub(super) fn report(
        &self,
        rows: &Predictions,
        temperature: Temperature,
        begun: Begun,
        weights: WeightsKind,
    ) -> EvalReport {
        let report = report::measure(rows, temperature, self.measuring());
        self.completed(report, begun, weights)
    }

    fn measuring(&self) -> Options {
        let config = &self.job.config.eval;
        Options {
            bins: config.ece_bins,
            resamples: config.bootstrap,
        }
    }

    /// With what is known about the weights.
    fn completed(&self, mut report: EvalReport, begun: Begun, weights: WeightsKind) -> EvalReport {
        report.epoch = self.epoch;
        report.global_step = self.global_step;
        report.checkpoint = self.checkpoint_of(self.global_step);
        report.weights = weights;
        report.seconds = F64(self.seconds_since(begun));
        report
    }

    fn checkpoint_of(&self, global_step: u64) -> Option<String> {
        let there = self.saved.contains(&global_step);
        there.then(|| format!("checkpoints/{}", step_name(global_step)))
    }

    /// Logits of a split. `None` when a stop was asked for in between.
    fn logits(&mut self, split: Split, weights: &Weights) -> Option<Predictions> {
        let images = match split {
            Split::Train => &self.job.dataset.train,
            Split::Valid => &self.job.dataset.valid,
            Split::Test => &self.job.dataset.test,
        };
        let labels = labels(images);
        let (total, batch) = (labels.len() as i64, self.job.config.eval.batch_size.max(1));
        let classes = self.job.dataset.info.classes.len();
        let mut logits = Vec::with_capacity(labels.len() * classes);
        let mut start = 0;
        while start < total {
            let count = batch.min(total - start);
            fault::moment("batch");
            logits.extend(self.logits_of(split, start, count, weights));
            start += count;
            self.control.say(Event::EvalProgress {
                split,
                done: start as u64,
                total: total as u64,
            });
            if self.obey(Phase::Validating) == Flow::Stop {
                return None;
            }
        }
        Some(Predictions {
            split,
            logits,
            labels,
            classes,
        })
    }

    pub(super) fn logits_of(
        &self,
        split: Split,
        start: i64,
        count: i64,
        weights: &Weights,
    ) -> Vec<f32> {
        let _guard = tch::no_grad_guard();
        let resident = match split {
            Split::Train => &self.train,
            Split::Valid => &self.valid,
            Split::Test => &self.test,
        };
        to_vec(&self.network.logits(weights, &resident.run(start, count)))
    }

    /// Predictions for the gallery's images. For display only: nothing is chosen by them.
    fn tell_gallery(&self, best: Option<&Best>, temperature: f64) {
        let count = self.gallery_size() as i64;
        if count == 0 {
            return;
        }
        let weights = best.map_or(self.evaluated(), |best| &best.weights);
        let logits = self.logits_of(Split::Test, 0, count, weights);
        let classes = self.job.dataset.info.classes.len().max(1);
        self.control
            .say(Event::GalleryPredictions(GalleryPredictions {
                epoch: best.map_or(self.epoch, |best| best.epoch),
                global_step: best.map_or(self.global_step, |best| best.global_step),
                temperature: F64(temperature),
                top: logits
                    .chunks_exact(classes)
                    .map(|row| top_three(row, temperature))
                    .collect(),
            }));
    }
}

pub(super) fn labels(images: &Images) -> Vec<u32> {
    images.labels.iter().map(|&label| label.into()).collect()
}

/// The three most probable classes, best first; none where the logits are no numbers.
fn top_three(row: &[f32], temperature: f64) -> Vec<(u32, F32)> {
    if row.iter().any(|logit| !logit.is_finite()) {
        return Vec::new();
    }
    let probabilities = softmax(row, temperature);
    let first = argmax(row);
    let mut order: Vec<usize> = (0..row.len()).filter(|&class| class != first).collect();
    order.sort_by(|&a, &b| {
        let at = |i: usize| probabilities.get(i).copied().unwrap_or(0.0);
        at(b).total_cmp(&at(a))
    });
    let probability =
        |class: usize| F32(probabilities.get(class).copied().unwrap_or(f64::NAN) as f32);
    std::iter::once(first)
        .chain(order)
        .take(3)
        .map(|class| (class as u32, probability(class)))
        .collect()
}
