//! Training without events: the trainer's own steps, for benchmarks and the learning-rate range test.

use tch::Tensor;

use super::balance::class_weights;
use super::clock::Clock;
use super::device;
use super::optim::Optimizer;
use super::schedule::Schedule;
use super::step::{Hyper, StepStats, timed_step};
use crate::config::Config;
use crate::data::{Batch, Dataset, Loader, order};
use crate::model::{Computation, Network, Plan, Weights};
use crate::random::augment_words;

/// A trainer that sends no events and has no evaluation, requests or checkpoints.
#[derive(Debug)]
pub(super) struct BareTrainer {
    pub(super) config: Config,
    pub(super) network: Network,
    pub(super) weights: Weights,
    pub(super) optimizer: Optimizer,
    pub(super) train: Loader,
    pub(super) order: Tensor,
    pub(super) step: u64,
    pub(super) kind: tch::Kind,
    pub(super) clock: Clock,
}

impl BareTrainer {
    /// A trainer with fresh weights, before its first step.
    ///
    /// # Errors
    /// If the network cannot be built or the device does not exist.
    pub(super) fn new(config: &Config, dataset: &Dataset) -> Result<Self, String> {
        device::set_threads(config.train.threads)?;
        let device = device::choose(&config.train.device)?;
        let kind = device::kind(config.train.precision, device);
        let plan = Plan::of(&config.model, &dataset.info)?;
        let weights = Weights::new(&plan, config.train.seed, device);
        let order = order(config, dataset, 1);
        Ok(Self {
            optimizer: Optimizer::new(&config.optim, &plan, device).computing_in(kind),
            train: {
                let (images, info) = (&dataset.train, &dataset.info);
                let loader = Loader::for_training(images, info, device, &config.data);
                loader.map_err(|error| error.0)?
            },
            order: Tensor::from_slice(&order).to_device(device),
            step: 0,
            kind,
            clock: Clock::new(device),
            network: Network::new(plan)
                .with_class_weights(class_weights(config, dataset)?.as_deref(), device),
            weights,
            config: config.clone(),
        })
    }

    /// Hyperparameters of the next step.
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
    ///
    /// # Errors
    /// If images cannot be read.
    pub(super) fn batch(&self) -> Result<Batch, String> {
        let size = self.config.train.batch_size.min(self.train.len());
        let full_batches = (self.train.len() / size).max(1);
        let start = self.step as i64 % full_batches * size;
        let indices = self.order.narrow(0, start, size);
        let seed = self.config.train.seed;
        if start == 0 {
            let order = Vec::<i64>::try_from(&self.order).unwrap_or_default();
            let whole = order.get(..(full_batches * size) as usize);
            self.train
                .expect(whole.unwrap_or(&order), size, 0, (seed, self.step));
        }
        let words = augment_words(seed, 0, self.step);
        let batch = self.train.batch(&indices, &words);
        batch.map_err(|error| error.0)
    }

    /// Trains one step, exactly as the trainer does.
    ///
    /// # Errors
    /// If images cannot be read.
    pub(super) fn step(&mut self) -> Result<StepStats, String> {
        let hyper = self.hyper();
        self.step_with(hyper)
    }

    /// Trains one step with these hyperparameters.
    ///
    /// # Errors
    /// If images cannot be read.
    pub(super) fn step_with(&mut self, hyper: Hyper) -> Result<StepStats, String> {
        self.clock.begin(false);
        let Batch { images, targets } = self.batch()?;
        self.clock.lap_data(self.train.take_times());
        let (network, weights, optimizer) = (&self.network, &mut self.weights, &mut self.optimizer);
        let how = (hyper, &mut self.clock);
        let (stats, _) = timed_step(network, weights, optimizer, (&images, &targets), how);
        self.step += 1;
        self.clock.count(self.step);
        Ok(stats)
    }
}
