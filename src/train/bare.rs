//! A training of which nobody is told: the trainer's own steps for measuring how fast they are and how they take a learning
//! rate.

use tch::Tensor;

use super::clock::{Clock, Part};
use super::device;
use super::optim::Optimizer;
use super::schedule::Schedule;
use super::step::{Hyper, StepStats, timed_step};
use crate::config::Config;
use crate::data::{Augment, Dataset, Resident};
use crate::model::{Computation, Network, Plan, Weights};
use crate::random::{augment_words, epoch_order};

/// A training without events.
#[derive(Debug)]
pub(super) struct Bare {
    pub(super) config: Config,
    pub(super) network: Network,
    pub(super) weights: Weights,
    pub(super) optimizer: Optimizer,
    pub(super) train: Resident,
    augment: Augment,
    pub(super) order: Tensor,
    pub(super) step: u64,
    pub(super) kind: tch::Kind,
    pub(super) clock: Clock,
}

impl Bare {
    /// The first moment of a training.
    pub(super) fn new(config: &Config, dataset: &Dataset) -> Result<Self, String> {
        device::set_threads(config.train.threads);
        let device = device::choose(&config.train.device)?;
        let kind = device::kind(config.train.precision, device);
        let plan = Plan::of(&config.model, &dataset.info)?;
        let weights = Weights::new(&plan, config.train.seed, device);
        let order = epoch_order(config.train.seed, 1, dataset.train.labels.len());
        Ok(Self {
            optimizer: Optimizer::new(&config.optim, &plan, device).computing_in(kind),
            train: Resident::new(&dataset.train, &dataset.info, device).map_err(|error| error.0)?,
            augment: Augment::new(
                &config.data.augment,
                dataset.info.height,
                dataset.info.width,
            ),
            order: Tensor::from_slice(&order).to_device(device),
            step: 0,
            kind,
            clock: Clock::new(device),
            network: Network::new(plan),
            weights,
            config: config.clone(),
        })
    }

    /// The numbers of the next step.
    pub(super) fn hyper(&self) -> Hyper {
        let train = &self.config.train;
        let steps = (self.train.len() as u64).div_ceil(train.batch_size as u64);
        Hyper {
            how: Computation {
                kind: self.kind,
                label_smoothing: self.config.optim.label_smoothing,
            },
            lr: Schedule::new(
                &self.config.optim,
                self.config.optim.lr,
                steps,
                train.epochs,
            )
            .at(self.step),
            clip_norm: self.config.optim.clip_norm,
            accumulate: train.accumulate,
        }
    }

    /// The batch of the next step.
    pub(super) fn batch(&self) -> (Tensor, Tensor) {
        let size = self.config.train.batch_size.min(self.train.len());
        let whole = (self.train.len() / size).max(1);
        let indices = self.order.narrow(0, self.step as i64 % whole * size, size);
        self.train.batch(
            &indices,
            &self.augment,
            &augment_words(self.config.train.seed, 0, self.step),
        )
    }

    /// A step as the trainer takes it.
    pub(super) fn step(&mut self) -> StepStats {
        let hyper = self.hyper();
        self.step_with(hyper)
    }

    /// A step with these numbers.
    pub(super) fn step_with(&mut self, hyper: Hyper) -> StepStats {
        self.clock.begin(false);
        let (images, labels) = self.batch();
        self.clock.lap(Part::Data);
        let (network, weights, optimizer) = (&self.network, &mut self.weights, &mut self.optimizer);
        let how = (hyper, &mut self.clock);
        let (stats, _) = timed_step(network, weights, optimizer, (&images, &labels), how);
        self.step += 1;
        self.clock.count(self.step);
        stats
    }
}
