//! Evaluations during a run, batch by batch, so that requests are handled in between.
//!
//! An evaluation uses a snapshot of the weights, taken at a step boundary, and no gradients. Its forward pass uses no
//! random numbers and does not update the running statistics, so it has no effect on the training that follows.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};

use super::{Flow, Trainer, fail};
use crate::checkpoint::step_name;
use crate::event::{EvalReport, Event, F32, F64, GalleryPredictions, Phase, Split, WeightsKind};
use crate::fault;
use crate::images::Images;
use crate::metrics::{Measure, Temperature, argmax, fit_temperature, softmax};
use crate::model::{Weights, to_vec};
use crate::report::{self, EvaluationOutput, Options, Predictions};
use crate::stopwatch::Moment;

/// Interval at which requests are handled while an evaluation report is computed.
const LISTEN: Duration = Duration::from_millis(5);
/// Duration and interval of the last attempts to write an evaluation, at the end of the run.
const LAST_ATTEMPTS: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_millis(100);

/// A validation report and the predictions it was computed from.
#[derive(Debug, Clone)]
pub(super) struct Validated {
    pub(super) global_step: u64,
    pub(super) report: EvalReport,
    pub(super) rows: Arc<Predictions>,
}

/// The weights of the best epoch by validation, and their validation.
#[derive(Debug, Clone)]
pub(super) struct Best {
    pub(super) epoch: u32,
    pub(super) global_step: u64,
    pub(super) weights: Rc<Weights>,
    pub(super) validated: Validated,
}

/// The result of the run, while it has not been written to the run directory.
#[derive(Debug)]
pub(super) struct UnwrittenEvaluation {
    report: EvalReport,
    /// The predictions on validation and, if there is one, on the test split.
    rows: Vec<Arc<Predictions>>,
}

/// Start of an evaluation, and the time already spent paused at that moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct EvaluationStart {
    at: Moment,
    paused: Duration,
}

impl Trainer {
    /// Starts to measure the duration of an evaluation.
    pub(super) fn evaluation_start(&self) -> EvaluationStart {
        EvaluationStart {
            at: Moment::now(),
            paused: self.paused,
        }
    }

    /// Seconds since `start`, without pauses.
    pub(super) fn seconds_since(&self, start: EvaluationStart) -> f64 {
        let pauses = self.paused.saturating_sub(start.paused);
        start.at.elapsed().saturating_sub(pauses).as_secs_f64()
    }

    /// The validation of the current weights, computed now unless it exists. `None` if the run was stopped meanwhile.
    pub(super) fn validate(&mut self) -> Option<Validated> {
        if let Some(known) = self.current_validation() {
            return Some(known);
        }
        let before = self.phase;
        self.set_phase(Phase::Validating);
        let start = self.evaluation_start();
        let rows = self.logits(Split::Valid, &self.evaluated().snapshot())?;
        let temperature = fit_temperature(&rows.logits, &rows.labels, rows.classes);
        let rows = Arc::new(rows);
        let report = self.compute_report(&rows, temperature, start, WeightsKind::Current)?;
        // During a pause these weights may have been validated on request; report them only once.
        if let Some(known) = self.current_validation() {
            self.set_phase(before);
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
        self.control.emit(Event::EvalFinished(Box::new(report)));
        self.report_gallery(None, validated.report.temperature.value);
        self.set_phase(before);
        Some(validated)
    }

    /// The latest validation, if it is of the current step.
    fn current_validation(&self) -> Option<Validated> {
        let known = self.validated.as_ref();
        known
            .filter(|known| known.global_step == self.global_step)
            .cloned()
    }

    /// Evaluates the current weights on the validation split. Returns a note for the requester, `None` if the run was
    /// stopped meanwhile.
    pub(super) fn evaluate_valid(&mut self) -> Option<String> {
        Some(accuracy_note(&self.validate()?.report))
    }

    /// Evaluates the current weights on the test split, with the temperature of their validation. Returns a note for the
    /// requester, `None` if the run was stopped meanwhile.
    pub(super) fn evaluate_test(&mut self) -> Option<String> {
        let validated = self.validate()?;
        self.set_phase(Phase::Testing);
        let start = self.evaluation_start();
        let rows = self.logits(Split::Test, &self.evaluated().snapshot())?;
        let rows = Arc::new(rows);
        let report = self.compute_report(
            &rows,
            validated.report.temperature,
            start,
            WeightsKind::Current,
        )?;
        let note = accuracy_note(&report);
        self.report_test(report, &validated.rows, rows);
        Some(note)
    }

    /// Evaluates the best weights on the test set, with the temperature of their validation. If there is no test set, the
    /// validation of these weights is the result.
    pub(super) fn final_test(&mut self) -> Flow {
        self.set_phase(Phase::Testing);
        // A clone: a checkpoint requested during the evaluation reads `self.best`.
        let Some(best) = self.best.clone() else {
            return Flow::Go;
        };
        if self.test.is_empty() {
            let Validated { report, rows, .. } = best.validated.clone();
            let report = EvalReport {
                weights: WeightsKind::Best,
                checkpoint: self.checkpoint_of(best.global_step),
                ..report
            };
            let temperature = report.temperature.value;
            self.write_result(report, vec![rows]);
            self.report_gallery(Some(&best), temperature);
            return Flow::Go;
        }
        let start = self.evaluation_start();
        let Some(rows) = self.logits(Split::Test, &best.weights) else {
            return Flow::Stop;
        };
        let temperature = best.validated.report.temperature;
        let rows = Arc::new(rows);
        let Some(mut report) = self.compute_report(&rows, temperature, start, WeightsKind::Best)
        else {
            return Flow::Stop;
        };
        report.epoch = best.epoch;
        report.global_step = best.global_step;
        report.checkpoint = self.checkpoint_of(best.global_step);
        self.report_test(report, &best.validated.rows, rows);
        // The gallery shown with the result uses the same weights.
        self.report_gallery(Some(&best), temperature.value);
        Flow::Go
    }

    /// Reports a test-set evaluation and writes it to the run directory.
    fn report_test(
        &mut self,
        report: EvalReport,
        valid: &Arc<Predictions>,
        test: Arc<Predictions>,
    ) {
        // Report it first: every test-set evaluation must be recorded, even if the file cannot be written.
        self.control
            .emit(Event::EvalFinished(Box::new(report.clone())));
        self.write_result(report, vec![Arc::clone(valid), test]);
    }

    /// Writes an evaluation to the run directory as the result of the run.
    fn write_result(&mut self, report: EvalReport, rows: Vec<Arc<Predictions>>) {
        self.unwritten = Some(UnwrittenEvaluation { report, rows });
        if let Err(error) = self.write_evaluation() {
            self.warn(format!(
                "evaluation not written to the run directory: {error} (tried again at the end of the run)"
            ));
        }
    }

    /// Writes the latest test-set evaluation to the run directory, unless it has been written.
    fn write_evaluation(&mut self) -> io::Result<()> {
        let Some(UnwrittenEvaluation { report, rows }) = &self.unwritten else {
            return Ok(());
        };
        let rows: Vec<&Predictions> = rows.iter().map(Arc::as_ref).collect();
        let evaluated = EvaluationOutput {
            report,
            run: &self.job.name,
            names: &self.job.dataset.info.classes,
            rows: &rows,
            is_result: true,
        };
        report::write(&self.job.run_dir, evaluated)?;
        self.unwritten = None;
        Ok(())
    }

    /// Writes a test-set evaluation that could not be written before, trying for a few seconds.
    pub(super) fn finish_evaluation(&mut self) {
        let deadline = Instant::now() + LAST_ATTEMPTS;
        while let Err(error) = self.write_evaluation() {
            if Instant::now() >= deadline {
                let file = "eval.json".to_owned();
                let why = error.to_string();
                return self.control.emit(Event::NotWritten { file, why });
            }
            std::thread::sleep(ATTEMPT);
        }
    }

    /// Computes the report of a split on another thread and handles requests meanwhile, as the bootstrap takes longer
    /// than a batch. `None` if a stop was requested; the computation then finishes in the background and is discarded.
    fn compute_report(
        &mut self,
        rows: &Arc<Predictions>,
        temperature: Temperature,
        start: EvaluationStart,
        weights: WeightsKind,
    ) -> Option<EvalReport> {
        let (options, predictions) = (self.report_options(), Arc::clone(rows));
        let (sender, receiver) = bounded(1);
        let thread = Builder::new().name("trainer-report".to_owned());
        let thread = thread.spawn(move || {
            let _ = sender.send(report::measure(&predictions, temperature, options));
        });
        if thread.is_err() {
            return Some(self.report(rows, temperature, start, weights));
        }
        loop {
            match receiver.recv_timeout(LISTEN) {
                Ok(report) => return Some(self.completed(report, start, weights)),
                Err(RecvTimeoutError::Timeout) => {
                    if self.handle_requests(Phase::Validating) == Flow::Stop {
                        return None;
                    }
                }
                // The thread panicked. On this thread the same panic ends the run with its message.
                Err(RecvTimeoutError::Disconnected) => {
                    return Some(self.report(rows, temperature, start, weights));
                }
            }
        }
    }

    /// Computes the report of a split on this thread, without handling requests.
    pub(super) fn report(
        &self,
        rows: &Predictions,
        temperature: Temperature,
        start: EvaluationStart,
        weights: WeightsKind,
    ) -> EvalReport {
        let report = report::measure(rows, temperature, self.report_options());
        self.completed(report, start, weights)
    }

    fn report_options(&self) -> Options {
        let config = &self.job.config.eval;
        Options {
            bins: config.ece_bins,
            resamples: config.bootstrap,
        }
    }

    /// Adds epoch, step, checkpoint, kind of weights and duration to a report.
    fn completed(
        &self,
        mut report: EvalReport,
        start: EvaluationStart,
        weights: WeightsKind,
    ) -> EvalReport {
        report.epoch = self.epoch;
        report.global_step = self.global_step;
        report.checkpoint = self.checkpoint_of(self.global_step);
        report.weights = weights;
        report.seconds = F64(self.seconds_since(start));
        report
    }

    fn checkpoint_of(&self, global_step: u64) -> Option<String> {
        let exists = self.saved.contains(&global_step);
        exists.then(|| format!("checkpoints/{}", step_name(global_step)))
    }

    /// Computes the logits of a split, handling requests after each batch. `None` if a stop was requested.
    fn logits(&mut self, split: Split, weights: &Weights) -> Option<Predictions> {
        let images = match split {
            Split::Train => &self.job.dataset.train,
            Split::Valid => &self.job.dataset.valid,
            Split::Test => &self.job.dataset.test,
        };
        let labels = labels(images);
        let (total, batch) = (labels.len() as i64, self.job.config.eval.batch_size.max(1));
        self.expect_split(split);
        let classes = self.job.dataset.info.classes.len();
        let mut logits = Vec::with_capacity(labels.len() * classes);
        let mut start = 0;
        while start < total {
            let count = batch.min(total - start);
            fault::moment("batch");
            logits.extend(self.logits_of(split, start, count, weights));
            start += count;
            self.control.emit(Event::EvalProgress {
                split,
                done: start as u64,
                total: total as u64,
            });
            if self.handle_requests(Phase::Validating) == Flow::Stop {
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

    /// Logits of `count` images of a split from `start`, row-major (count, classes).
    pub(super) fn logits_of(
        &self,
        split: Split,
        start: i64,
        count: i64,
        weights: &Weights,
    ) -> Vec<f32> {
        let _guard = tch::no_grad_guard();
        let loader = match split {
            Split::Train => &self.train,
            Split::Valid => &self.valid,
            Split::Test => &self.test,
        };
        let images = loader.run(start, count).unwrap_or_else(|error| fail(error));
        to_vec(&self.network.logits(weights, &images))
    }

    /// The split whose first images are the gallery.
    fn shown_split(&self) -> Split {
        if self.test.is_empty() {
            Split::Valid
        } else {
            Split::Test
        }
    }

    /// Announces all batches of a split, so that images which are not in memory are read ahead.
    fn expect_split(&self, split: Split) {
        let loader = match split {
            Split::Train => &self.train,
            Split::Valid => &self.valid,
            Split::Test => &self.test,
        };
        loader.expect_all(self.job.config.eval.batch_size);
    }

    /// Reports predictions for the gallery images. They are only samples: no measure is computed from them, and
    /// they influence no decision.
    fn report_gallery(&self, best: Option<&Best>, temperature: f64) {
        let count = self.gallery_size() as i64;
        if count == 0 {
            return;
        }
        let weights = best.map_or(self.evaluated(), |best| &best.weights);
        let logits = self.logits_of(self.shown_split(), 0, count, weights);
        let classes = self.job.dataset.info.classes.len().max(1);
        self.control
            .emit(Event::GalleryPredictions(GalleryPredictions {
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

/// The accuracy of a report, as the answer to the request for it.
fn accuracy_note(report: &EvalReport) -> String {
    let split = match report.split {
        Split::Valid => "validation",
        Split::Train | Split::Test => report.split.name(),
    };
    let accuracy = report.value(Measure::Accuracy) * 100.0;
    format!("{split} accuracy {accuracy:.2} %")
}

pub(super) fn labels(images: &Images) -> Vec<u32> {
    images.labels.iter().map(|&label| label.into()).collect()
}

/// The three most probable classes with their probabilities, most probable first; empty if a logit is not finite.
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
