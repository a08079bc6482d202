//! Measuring splits during a run, batch by batch so that requests are heard in between.

use std::time::Instant;

use super::super::evaluate::{Measured, measure};
use super::{Flow, Trainer};
use crate::data::Images;
use crate::event::{EvalReport, Event, F32, F64, GalleryPredictions, Phase, Split};
use crate::metrics::{Temperature, argmax, fit_temperature, softmax};
use crate::model::{Weights, to_vec};

/// The weights of the best epoch by validation accuracy, with what was measured then.
#[derive(Debug)]
pub(super) struct Best {
    pub(super) epoch: u32,
    pub(super) global_step: u64,
    pub(super) weights: Weights,
    pub(super) report: EvalReport,
}

impl Trainer {
    /// Validation of the present weights: fits the temperature, tells the report and the gallery. `None` when stopped.
    pub(super) fn validate(&mut self) -> Result<Option<EvalReport>, String> {
        let before = self.phase;
        self.say_phase(Phase::Validating);
        let began = Instant::now();
        let Some(measured) = self.logits(Split::Valid, None)? else {
            return Ok(None);
        };
        let temperature = fit_temperature(&measured.logits, &measured.labels, measured.classes);
        let report = self.report(&measured, temperature, began, "current");
        self.validated = Some((self.global_step, report.clone()));
        self.control
            .say(Event::EvalFinished(Box::new(report.clone())));
        self.tell_gallery(report.temperature.value);
        self.say_phase(before);
        Ok(Some(report))
    }

    /// Validation, if the present weights have none yet, then the test split. Returns a note, `None` when stopped.
    pub(super) fn evaluate_now(&mut self) -> Result<Option<String>, String> {
        let known = self
            .validated
            .as_ref()
            .filter(|(step, _)| *step == self.global_step)
            .map(|(_, report)| report.clone());
        let validated = match known {
            Some(report) => Some(report),
            None => self.validate()?,
        };
        let Some(validated) = validated else {
            return Ok(None);
        };
        self.say_phase(Phase::Testing);
        let began = Instant::now();
        let Some(measured) = self.logits(Split::Test, None)? else {
            return Ok(None);
        };
        let report = self.report(&measured, validated.temperature, began, "current");
        let note = format!("test accuracy {:.2} %", report.accuracy.0 * 100.0);
        self.control.say(Event::EvalFinished(Box::new(report)));
        Ok(Some(note))
    }

    /// The test split on the best weights by validation, with the temperature of their validation.
    pub(super) fn final_test(&mut self) -> Result<(), String> {
        self.say_phase(Phase::Testing);
        let Some(best) = self.best.take() else {
            return Ok(());
        };
        let began = Instant::now();
        let measured = self.logits(Split::Test, Some(&best.weights))?;
        if let Some(measured) = measured {
            let mut report = self.report(&measured, best.report.temperature, began, "best");
            report.epoch = best.epoch;
            report.global_step = best.global_step;
            self.control.say(Event::EvalFinished(Box::new(report)));
        }
        self.best = Some(best);
        Ok(())
    }

    fn report(
        &self,
        measured: &Measured,
        temperature: Temperature,
        began: Instant,
        weights: &str,
    ) -> EvalReport {
        let mut report = measure(measured, temperature, self.job.config.eval.ece_bins);
        report.epoch = self.epoch;
        report.global_step = self.global_step;
        weights.clone_into(&mut report.weights);
        report.seconds = F64(began.elapsed().as_secs_f64());
        report
    }

    /// Logits of a split with given weights, or the present ones. `None` when a stop was asked for in between.
    fn logits(
        &mut self,
        split: Split,
        weights: Option<&Weights>,
    ) -> Result<Option<Measured>, String> {
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
            logits.extend(self.logits_of(split, start, count, weights));
            start += count;
            self.control.say(Event::EvalProgress {
                split,
                done: start as u64,
                total: total as u64,
            });
            if self.obey(Phase::Validating)? == Flow::Stop {
                return Ok(None);
            }
        }
        Ok(Some(Measured {
            split,
            logits,
            labels,
            classes,
        }))
    }

    fn logits_of(
        &self,
        split: Split,
        start: i64,
        count: i64,
        weights: Option<&Weights>,
    ) -> Vec<f32> {
        let _guard = tch::no_grad_guard();
        let resident = match split {
            Split::Train => &self.train,
            Split::Valid => &self.valid,
            Split::Test => &self.test,
        };
        to_vec(&self.network.forward(
            weights.unwrap_or(&self.weights),
            &resident.run(start, count),
            false,
        ))
    }

    /// Predictions for the gallery's images. For display only: nothing is chosen by them.
    fn tell_gallery(&self, temperature: f64) {
        let count = self.gallery_size() as i64;
        if count == 0 {
            return;
        }
        let logits = self.logits_of(Split::Test, 0, count, None);
        let classes = self.job.dataset.info.classes.len().max(1);
        self.control
            .say(Event::GalleryPredictions(GalleryPredictions {
                epoch: self.epoch,
                global_step: self.global_step,
                temperature: F64(temperature),
                top: logits
                    .chunks_exact(classes)
                    .map(|row| top_three(row, temperature))
                    .collect(),
            }));
    }
}

fn labels(images: &Images) -> Vec<u32> {
    images.labels.iter().map(|&label| label.into()).collect()
}

/// The three most probable classes, the predicted one first even where all are NaN.
fn top_three(row: &[f32], temperature: f64) -> Vec<(u32, F32)> {
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
