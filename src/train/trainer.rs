//! The loop: epochs of steps, a validation after each, requests in between.

mod end;
mod measure;
mod obey;

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use tch::{Device, Kind, Tensor};

use super::control::Control;
use super::optim::AdamW;
use super::save::Saver;
use super::schedule::Schedule;
use super::step::{Hyper, StepStats, train_step};
use super::window::{EpochSums, Window};
use super::{Job, device};
use crate::checkpoint::State;
use crate::data::{Augment, Dataset, Resident};
use crate::event::{
    CheckpointReason, CheckpointSaved, EpochSummary, Event, F64, GalleryImages, Level, Outcome,
    Phase, Pixels, Request, RunStarted, StepWindow,
};
use crate::model::{Network, Plan, Weights};
use crate::random::{epoch_order, step_seed};
use measure::{Best, Validated};

/// How the run goes on after a boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Go,
    Stop,
}

/// Everything of a running training.
pub(super) struct Trainer {
    job: Job,
    network: Network,
    weights: Weights,
    optimizer: AdamW,
    augment: Augment,
    train: Resident,
    valid: Resident,
    test: Resident,
    device: Device,
    kind: Kind,
    control: Control,
    window: Window,
    sums: EpochSums,
    saver: Saver,
    phase: Phase,
    /// Epoch under way, from 1.
    epoch: u32,
    /// Epochs in all.
    epochs: u32,
    epoch_step: u64,
    global_step: u64,
    lr: f64,
    best: Option<Best>,
    /// The latest validation.
    validated: Option<Validated>,
    stop_after_epoch: Option<Request>,
    stop: Option<Request>,
    /// A pause is on.
    held: bool,
    /// All epochs are done.
    ending: bool,
    /// Requests to evaluate that wait for the next step boundary.
    evaluations: Vec<Request>,
    /// Time spent paused; its growth is taken off what is measured meanwhile.
    paused: Duration,
}

impl Trainer {
    pub(super) fn new(
        job: Job,
        events: Sender<Event>,
        requests: Receiver<Request>,
    ) -> Result<Self, String> {
        let config = &job.config;
        device::set_threads(config.train.threads);
        let device = device::choose(&config.train.device)?;
        let plan = Plan::of(&config.model, &job.dataset.info)?;
        let weights = Weights::new(&plan, config.train.seed, device);
        let optimizer = AdamW::new(&config.optim, &plan, device);
        let resident =
            |images| Resident::new(images, &job.dataset.info, device).map_err(|error| error.0);
        Ok(Self {
            train: resident(&job.dataset.train)?,
            valid: resident(&job.dataset.valid)?,
            test: resident(&job.dataset.test)?,
            augment: Augment::new(&config.data.augment),
            control: Control::new(events, requests),
            window: Window::new(config.optim.clip_norm),
            sums: EpochSums::default(),
            saver: Saver::new(&job.run_dir, config.checkpoint.keep),
            phase: Phase::Starting,
            epoch: 0,
            epochs: config.train.epochs,
            epoch_step: 0,
            global_step: 0,
            lr: config.optim.lr,
            best: None,
            validated: None,
            stop_after_epoch: None,
            stop: None,
            held: false,
            ending: false,
            evaluations: Vec::new(),
            paused: Duration::ZERO,
            network: Network::new(plan),
            weights,
            optimizer,
            device,
            kind: device::kind(job.config.train.precision, device),
            job,
        })
    }

    /// Trains to the end. Returns how it ended and the steps done.
    pub(super) fn run(mut self) -> Result<(Outcome, u64), String> {
        self.introduce();
        while self.epoch < self.epochs {
            self.epoch += 1;
            if self.train_epoch() == Flow::Stop || self.finish_epoch() == Flow::Stop {
                return self.stopped();
            }
        }
        self.complete()
    }

    fn introduce(&self) {
        let Job {
            name,
            config,
            dataset,
            ..
        } = &self.job;
        self.control.say(Event::RunStarted(Box::new(RunStarted {
            run: name.clone(),
            dataset: dataset.info.clone(),
            model: "cnn".to_owned(),
            parameters: self.network.plan.size() as u64,
            device: device::name(self.device),
            threads: tch::get_num_threads().max(1) as u32,
            seed: config.train.seed,
            epochs: self.epochs,
            steps_per_epoch: self.steps_per_epoch(),
            batch_size: config.train.batch_size as u32,
            clip_norm: F64(config.optim.clip_norm),
            lr: F64(config.optim.lr),
            warnings: [config.warnings(), dataset.warnings.clone()].concat(),
        })));
        self.control.say(Event::GalleryImages(gallery_images(
            dataset,
            self.gallery_size(),
        )));
    }

    fn gallery_size(&self) -> usize {
        self.job
            .config
            .eval
            .gallery
            .min(self.job.dataset.test.labels.len())
    }

    fn steps_per_epoch(&self) -> u64 {
        (self.train.len() as u64).div_ceil(self.job.config.train.batch_size.max(1) as u64)
    }

    fn say_phase(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            self.control.say(Event::Phase { phase });
        }
    }

    fn train_epoch(&mut self) -> Flow {
        let steps = self.steps_per_epoch();
        self.epoch_step = 0;
        self.sums = EpochSums::default();
        self.paused = Duration::ZERO;
        self.control.say(Event::EpochStarted {
            epoch: self.epoch,
            epochs: self.epochs,
            steps,
        });
        self.say_phase(Phase::Training);
        let order = Tensor::from_slice(&epoch_order(
            self.job.config.train.seed,
            self.epoch,
            self.train.len() as usize,
        ))
        .to_device(self.device);
        self.window.restart_clock();
        while self.epoch_step < steps {
            let stats = self.step(&order);
            self.window.push(stats);
            self.epoch_step += 1;
            self.global_step += 1;
            if self.window.is_due() || self.epoch_step == steps {
                self.close_window();
            }
            if self.obey(Phase::Training) == Flow::Stop {
                return Flow::Stop;
            }
        }
        Flow::Go
    }

    /// One step, which follows from the seed and its number alone.
    fn step(&mut self, order: &Tensor) -> StepStats {
        let batch = self.job.config.train.batch_size;
        let start = self.epoch_step as i64 * batch;
        let indices = order.narrow(0, start, batch.min(self.train.len() - start));
        tch::manual_seed(step_seed(self.job.config.train.seed, 0, self.global_step));
        let (images, labels) = self.train.batch(&indices, &self.augment);
        let hyper = self.hyper();
        train_step(
            &self.network,
            &mut self.weights,
            &mut self.optimizer,
            (&images, &labels),
            hyper,
        )
    }

    fn hyper(&self) -> Hyper {
        Hyper {
            kind: self.kind,
            lr: self.lr_at(self.global_step),
            label_smoothing: self.job.config.optim.label_smoothing,
            clip_norm: self.job.config.optim.clip_norm,
        }
    }

    fn lr_at(&self, step: u64) -> f64 {
        Schedule::new(
            &self.job.config.optim,
            self.lr,
            self.steps_per_epoch(),
            self.epochs,
        )
        .at(step)
    }

    /// Tells what the steps since the last window did.
    fn close_window(&mut self) {
        let Some(window) = self.window.close() else {
            return;
        };
        let window = StepWindow {
            epoch: self.epoch,
            epoch_step: self.epoch_step,
            global_step: self.global_step,
            lr: F64(self.lr_at(self.global_step.saturating_sub(1))),
            ..window
        };
        self.sums
            .add(&window, self.job.config.train.batch_size as u64);
        let first = self.global_step - window.loss.len() as u64 + 1;
        for (i, (loss, grad_norm)) in window.loss.iter().zip(&window.grad_norm).enumerate() {
            if !loss.0.is_finite() || !grad_norm.0.is_finite() {
                let (loss, grad_norm) = (*loss, *grad_norm);
                self.control.say(Event::StepSkipped {
                    global_step: first + i as u64,
                    loss,
                    grad_norm,
                });
            }
        }
        self.control.say(Event::Steps(window));
    }

    /// Validates, tells the epoch's row, saves.
    fn finish_epoch(&mut self) -> Flow {
        let begun = self.begin();
        let Some(validated) = self.validate() else {
            return Flow::Stop;
        };
        let report = &validated.report;
        let best = self
            .best
            .as_ref()
            .is_none_or(|best| report.accuracy.0 > best.validated.report.accuracy.0)
            && report.nll.0.is_finite();
        let row = self.sums.summary();
        let seconds = self.sums.seconds() + self.seconds_since(begun);
        self.control.say(Event::EpochFinished(EpochSummary {
            epoch: self.epoch,
            global_step: self.global_step,
            valid_nll: report.nll,
            valid_accuracy: report.accuracy,
            valid_macro_f1: report.macro_f1,
            lr: F64(self.lr_at(self.global_step.saturating_sub(1))),
            seconds: F64(seconds),
            best,
            ..row
        }));
        if best {
            self.best = Some(Best {
                epoch: self.epoch,
                global_step: self.global_step,
                weights: self.weights.snapshot(),
                validated,
            });
        }
        let every = self.job.config.checkpoint.every_epochs;
        if best || (every > 0 && self.epoch.is_multiple_of(every)) {
            // A disk that is full now may have room later; the run goes on and says so.
            if let Err(error) = self.save(CheckpointReason::Periodic) {
                self.warn(format!("checkpoint not written: {error}"));
            }
        }
        if self.obey(Phase::Training) == Flow::Stop {
            return Flow::Stop;
        }
        if self.epoch < self.epochs && self.stop_after_epoch.is_some() {
            self.stop = self.stop_after_epoch.take();
            return Flow::Stop;
        }
        Flow::Go
    }

    fn warn(&self, text: String) {
        self.control.say(Event::Log {
            level: Level::Warn,
            text,
        });
    }

    /// Writes a checkpoint of this moment; returns where.
    fn save(&mut self, reason: CheckpointReason) -> Result<String, String> {
        let before = self.phase;
        self.say_phase(Phase::Checkpointing);
        let best = self
            .best
            .as_ref()
            .is_some_and(|best| best.global_step == self.global_step);
        let state = self.state();
        let pinned = reason == CheckpointReason::Requested;
        let saved = self.saver.save(
            &self.network.plan,
            &self.weights,
            &self.optimizer,
            &state,
            (pinned, best),
        );
        self.say_phase(before);
        self.window.restart_clock();
        let outcome = saved.map_err(|error| error.to_string())?;
        for error in outcome.complaints {
            self.warn(format!("beside the checkpoint: {error}"));
        }
        let saved = outcome.saved;
        let (global_step, epoch) = (self.global_step, self.epoch);
        let path = saved.path.clone();
        self.control.say(Event::CheckpointSaved(CheckpointSaved {
            global_step,
            epoch,
            path: saved.path,
            bytes: saved.bytes,
            reason,
            best,
        }));
        Ok(path)
    }

    fn state(&self) -> State {
        State {
            format: 1,
            run: self.job.name.clone(),
            epoch: self.epoch,
            epoch_step: self.epoch_step,
            global_step: self.global_step,
            seed: self.job.config.train.seed,
            lr: self.lr,
            epochs: self.epochs,
            best: self
                .best
                .as_ref()
                .map(|best| (best.validated.report.accuracy.0, best.epoch)),
            temperature: self
                .validated
                .as_ref()
                .filter(|known| known.report.temperature.converged)
                .map(|known| (known.report.temperature.value, known.global_step)),
            data: self.job.dataset.fingerprint.clone(),
            dataset: self.job.dataset.info.clone(),
            config: self.job.config.run_toml(),
        }
    }
}

/// The first images of the test split; colour becomes its mean.
fn gallery_images(dataset: &Dataset, count: usize) -> GalleryImages {
    let (channels, size) = (dataset.info.channels.max(1) as usize, dataset.image_size());
    let area = size / channels;
    let mut pixels = Vec::with_capacity(count * area);
    for index in 0..count {
        let image = dataset.test.image(index, size);
        pixels.extend((0..area).map(|p| {
            let sum: usize = image
                .iter()
                .skip(p)
                .step_by(area.max(1))
                .map(|&byte| byte as usize)
                .sum();
            (sum / channels) as u8
        }));
    }
    let labels = dataset
        .test
        .labels
        .iter()
        .take(count)
        .map(|&label| label.into())
        .collect();
    GalleryImages {
        height: dataset.info.height,
        width: dataset.info.width,
        labels,
        pixels: Pixels(pixels),
    }
}
