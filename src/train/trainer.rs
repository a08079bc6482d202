//! The training loop: epochs of steps, a validation after each epoch, and requests handled between steps.

mod end;
mod epoch;
mod health;
mod last_save;
mod measure;
mod requests;
mod resume;
mod saving;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use tch::{Device, Kind};

use super::average::Average;
use super::balance::{self, class_weights};
use super::clock::Clock;
use super::control::Control;
use super::health::Watch;
use super::optim::Optimizer;
use super::save::Saver;
use super::window::{EpochSums, Window};
use super::{Job, device};
use crate::data::{DataError, Dataset, Images, Loader};
use crate::event::{
    CheckpointReason, DatasetInfo, Event, F64, GalleryImages, Level, Outcome, Phase, Pixels,
    Request, RunStarted,
};
use crate::images::audit::leak_warning;
use crate::images::{reduced, reduced_size};
use crate::limits::GALLERY_SIDE;
use crate::model::{Network, Op, Plan, Weights};
use crate::stopwatch::Moment;
use health::Recovery;
use measure::{Best, UnwrittenEvaluation, Validated};
use requests::PendingRequests;
pub use resume::nothing_left;

/// How the run continues after a step boundary. If two apply, the greater one is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Flow {
    Go,
    /// Start no further epoch and complete the run.
    Finish,
    /// Save a checkpoint and stop.
    Stop,
}

/// The state of a training run.
pub(super) struct Trainer {
    job: Job,
    network: Network,
    weights: Weights,
    optimizer: Optimizer,
    train: Loader,
    valid: Loader,
    test: Loader,
    device: Device,
    kind: Kind,
    control: Control,
    window: Window,
    clock: Clock,
    watch: Watch,
    average: Option<Average>,
    recovery: Recovery,
    pending: PendingRequests,
    /// Whether the next step reports the gradient, weight and update norm of each parameter.
    detail: bool,
    /// Start of this process; pauses and stops are included in the time since then.
    began: Instant,
    /// Duration of the run before this process was started.
    earlier: Duration,
    /// Epochs since the score by `train.best` last improved by more than `train.min_delta`, and that score.
    stale: (u32, f64),
    sums: EpochSums,
    saver: Saver,
    /// Number of the last save.
    mark: u64,
    /// Steps whose checkpoints are on disk.
    saved: BTreeSet<u64>,
    /// Step and time of the last save.
    last_save: (u64, Moment),
    phase: Phase,
    /// The current epoch, from 1.
    epoch: u32,
    /// Total number of epochs.
    epochs: u32,
    /// Steps done in the current epoch.
    epoch_step: u64,
    /// Whether the current epoch is complete, including its validation.
    epoch_done: bool,
    /// Steps done in the run.
    global_step: u64,
    /// Base learning rate.
    lr: f64,
    /// Temperature fitted at the latest validation, and its step; `None` if the fit did not converge.
    temperature: Option<(f64, u64)>,
    best: Option<Best>,
    /// The latest validation.
    validated: Option<Validated>,
    /// The latest test-set evaluation, if it could not be written to the run directory yet.
    unwritten: Option<UnwrittenEvaluation>,
    /// The error message, once it is decided that the run fails.
    failed: Option<String>,
    /// A warning, if the system allows fewer threads than wanted.
    few_threads: Option<String>,
    /// Whether all epochs are done.
    ending: bool,
    /// Total time spent paused in this epoch; subtracted from measured durations.
    paused: Duration,
}

impl Trainer {
    pub(super) fn new(
        mut job: Job,
        events: Sender<Event>,
        requests: Receiver<Request>,
    ) -> Result<Self, String> {
        let config = &job.config;
        let threads = job.resume.as_ref().map_or(config.train.threads, |resume| {
            resume.threads(config.train.threads)
        });
        let few_threads = device::set_threads(threads)?;
        let device = device::choose(&config.train.device)?;
        let plan = Plan::of(&config.model, &job.dataset.info)?;
        let weights = Weights::new(&plan, config.train.seed, device);
        let kind = device::kind(config.train.precision, device);
        let optimizer = Optimizer::new(&config.optim, &plan, device).computing_in(kind);
        let loader =
            |images| Loader::new(images, &job.dataset.info, device).map_err(|error| error.0);
        let weighted = class_weights(config, &job.dataset)?;
        let network = Network::new(plan.clone()).with_class_weights(weighted.as_deref(), device);
        let marks = job.marks.take();
        let saver = Saver::new(&job.run_dir, &plan, job.config.checkpoint.keep, marks)?;
        let config = &job.config;
        let mut trainer = Self {
            train: {
                let (images, info) = (&job.dataset.train, &job.dataset.info);
                let loader = Loader::for_training(images, info, device, &config.data);
                loader.map_err(|error| error.0)?
            },
            valid: loader(&job.dataset.valid)?,
            test: loader(&job.dataset.test)?,
            control: Control::new(events, requests),
            window: Window::new(config.optim.clip_norm),
            clock: Clock::new(device),
            watch: Watch::new(&config.health),
            average: Average::new(config.train.ema, &weights),
            recovery: Recovery::default(),
            pending: PendingRequests::default(),
            detail: false,
            began: Instant::now(),
            earlier: Duration::ZERO,
            stale: (0, f64::NEG_INFINITY),
            sums: EpochSums::default(),
            saver,
            mark: 0,
            saved: BTreeSet::new(),
            last_save: (0, Moment::now()),
            phase: Phase::Starting,
            epoch: 0,
            epochs: config.train.epochs,
            epoch_step: 0,
            epoch_done: true,
            global_step: 0,
            lr: config.optim.lr,
            temperature: None,
            best: None,
            validated: None,
            unwritten: None,
            failed: None,
            few_threads,
            ending: false,
            paused: Duration::ZERO,
            network,
            weights,
            optimizer,
            device,
            kind,
            job,
        };
        if let Some(resume) = trainer.job.resume.clone() {
            trainer.restore(&resume)?;
        }
        Ok(trainer)
    }

    /// Trains until the run ends. Returns the outcome and the number of steps done.
    pub(super) fn run(&mut self) -> Result<(Outcome, u64), String> {
        let end = self.run_epochs();
        self.check_checkpoints();
        self.finish_evaluation();
        end
    }

    fn run_epochs(&mut self) -> Result<(Outcome, u64), String> {
        let forked = self.job.resume.as_ref().is_some_and(|resume| resume.fork);
        let changed = self
            .job
            .resume
            .as_ref()
            .is_some_and(|resume| resume.changed);
        let is_new = forked || self.job.resume.is_none();
        self.report_restoration();
        self.report_run_start(is_new);
        if changed {
            // If the process is killed before the next checkpoint, the changed settings must not be lost.
            self.save_async(CheckpointReason::Periodic, None);
        }
        if forked && !self.epoch_done {
            self.report_epoch_start();
        }
        while !self.epoch_done || self.epoch < self.epochs && !self.is_over() {
            if self.epoch_done {
                self.begin_epoch();
            }
            let flow = match self.train_epoch() {
                Flow::Stop => Flow::Stop,
                flow => self.finish_epoch().max(flow),
            };
            match flow {
                Flow::Stop => return self.stopped(),
                Flow::Finish => break,
                Flow::Go => {}
            }
        }
        self.complete()
    }

    /// Sends the description of the run and its gallery images, and for a new run the notes about its data.
    fn report_run_start(&self, is_new: bool) {
        let Job {
            name,
            config,
            dataset,
            ..
        } = &self.job;
        self.control.emit(Event::RunStarted(Box::new(RunStarted {
            run: name.clone(),
            dataset: dataset.info.clone(),
            model: config.model.name.name().to_owned(),
            parameters: self.network.plan.size() as u64,
            device: device::name(self.device),
            precision: device::precision(self.kind).to_owned(),
            threads: tch::get_num_threads().max(1) as u32,
            seed: config.train.seed,
            epochs: self.epochs,
            steps_per_epoch: self.steps_per_epoch(),
            batch_size: config.train.batch_size as u32,
            clip_norm: F64(config.optim.clip_norm),
            lr: F64(self.lr),
            warnings: [
                config.warnings(),
                dataset.warnings.clone(),
                // Images that cannot be read are reported by the step that needs them.
                leak_warning(dataset)
                    .unwrap_or_default()
                    .into_iter()
                    .collect(),
                self.few_threads.iter().cloned().collect(),
                self.single_image_warning().into_iter().collect(),
            ]
            .concat(),
        })));
        let notes = dataset.notes.iter().map(|note| format!("data: {note}"));
        // The log of a resumed run has them already.
        for text in notes.chain(balance::note(config)).filter(|_| is_new) {
            let level = Level::Info;
            self.control.emit(Event::Log { level, text });
        }
        self.control.emit(Event::GalleryImages(gallery_images(
            dataset,
            self.gallery_size(),
        )));
    }

    /// A warning if the last batch of each epoch has one image, and a batch norm has maps of 1x1: the variance of a single
    /// value is not defined.
    fn single_image_warning(&self) -> Option<String> {
        let batch = self.job.config.train.batch_size.max(1);
        let single = batch == 1 || self.train.len() % batch == 1;
        let norm = self.network.plan.layers.iter().find(|layer| {
            matches!(layer.op, Op::Norm { .. }) && layer.output.height * layer.output.width == 1
        });
        let name = &norm.filter(|_| single)?.name;
        let steps = if batch == 1 { "every" } else { "the last" };
        Some(format!(
            "{steps} step of an epoch has a single image, and {name} has maps of 1x1: batch norm is not defined for one \
             value, so such a step changes nothing; choose another train.batch_size"
        ))
    }

    fn gallery_size(&self) -> usize {
        self.job
            .config
            .eval
            .gallery
            .min(self.job.dataset.shown().len())
    }

    fn steps_per_epoch(&self) -> u64 {
        (self.train.len() as u64).div_ceil(self.job.config.train.batch_size.max(1) as u64)
    }

    fn set_phase(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            self.control.emit(Event::Phase { phase });
        }
    }
}

/// Ends the run because images cannot be read. As after an error of libtorch, the current state is saved first.
fn fail(error: DataError) -> ! {
    std::panic::resume_unwind(Box::new(error.0))
}

/// The first `count` images of the split that the gallery shows, at most [`GALLERY_SIDE`] pixels wide and high.
fn gallery_images(dataset: &Dataset, count: usize) -> GalleryImages {
    let DatasetInfo {
        channels,
        height,
        width,
        ..
    } = dataset.info;
    let shown: &Images = dataset.shown();
    let mut pixels = Vec::new();
    for index in 0..count {
        let image = shown.image(index).unwrap_or_else(|error| fail(error));
        pixels.extend(reduced(&image, (channels, height, width), GALLERY_SIDE));
    }
    let (height, width) = reduced_size((height, width), GALLERY_SIDE);
    let labels = shown
        .labels
        .iter()
        .take(count)
        .map(|&label| label.into())
        .collect();
    GalleryImages {
        height,
        width,
        labels,
        pixels: Pixels(pixels),
    }
}
