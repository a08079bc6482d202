//! How fast training is: the trainer's own steps, without anybody watching, for `make bench`.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use tch::Tensor;

use super::device;
use super::optim::Optimizer;
use super::schedule::Schedule;
use super::step::{Hyper, StepStats, gradient, train_step};
use super::window::Window;
use crate::checkpoint::encode;
use crate::config::Config;
use crate::data::{Augment, Dataset, Resident};
use crate::model::{Computation, Network, Plan, Weights};
use crate::random::{augment_words, epoch_order};

/// Steps and seconds before the clock runs: the first ones touch their memory for the first time.
const WARM_UP: (u64, f64) = (4, 1.0);
/// Optimizer steps that are timed alone.
const OPTIMIZER_STEPS: usize = 20;

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Speed {
    /// Images a second over all segments.
    pub images_per_second: f64,
    /// Images a second in each second or so.
    pub segments: Vec<f64>,
    /// Seconds for making the network and bringing the data to the device, then for the first step.
    pub model_seconds: f64,
    /// Seconds of the first step.
    pub first_step_seconds: f64,
    /// Median milliseconds of clipping and updating.
    pub optimizer_ms: f64,
    /// Steps in the segments.
    pub steps: u64,
    /// Threads on the CPU.
    pub threads: i32,
    /// `f32` or `bf16`.
    pub precision: String,
    /// `cpu` or `cuda:N`.
    pub device: String,
}

/// A training without events.
struct Bench {
    config: Config,
    network: Network,
    weights: Weights,
    optimizer: Optimizer,
    train: Resident,
    augment: Augment,
    order: Tensor,
    step: u64,
    kind: tch::Kind,
    window: Window,
}

impl Bench {
    fn new(config: &Config, dataset: &Dataset) -> Result<Self, String> {
        device::set_threads(config.train.threads);
        let device = device::choose(&config.train.device)?;
        let plan = Plan::of(&config.model, &dataset.info)?;
        let weights = Weights::new(&plan, config.train.seed, device);
        let order = epoch_order(config.train.seed, 1, dataset.train.labels.len());
        Ok(Self {
            optimizer: Optimizer::new(&config.optim, &plan, device),
            train: Resident::new(&dataset.train, &dataset.info, device).map_err(|error| error.0)?,
            augment: Augment::new(
                &config.data.augment,
                dataset.info.height,
                dataset.info.width,
            ),
            order: Tensor::from_slice(&order).to_device(device),
            step: 0,
            kind: device::kind(config.train.precision, device),
            window: Window::new(config.optim.clip_norm),
            network: Network::new(plan),
            weights,
            config: config.clone(),
        })
    }

    fn hyper(&self) -> Hyper {
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

    fn batch(&self) -> (Tensor, Tensor) {
        let size = self.config.train.batch_size.min(self.train.len());
        let whole = (self.train.len() / size).max(1);
        let indices = self.order.narrow(0, self.step as i64 % whole * size, size);
        self.train.batch(
            &indices,
            &self.augment,
            &augment_words(self.config.train.seed, 0, self.step),
        )
    }

    fn step(&mut self) -> StepStats {
        let (images, labels) = self.batch();
        let hyper = self.hyper();
        let (stats, _) = train_step(
            &self.network,
            &mut self.weights,
            &mut self.optimizer,
            (&images, &labels),
            hyper,
        );
        self.step += 1;
        stats
    }

    /// Steps as the trainer takes them, until so many seconds are over; returns how many.
    fn run(&mut self, seconds: f64) -> u64 {
        let (began, before) = (Instant::now(), self.step);
        while began.elapsed().as_secs_f64() < seconds {
            let stats = self.step();
            self.window.push(stats);
            if self.window.is_due() {
                self.window.close();
            }
        }
        self.window.close();
        self.step - before
    }

    /// Median milliseconds of an update.
    fn optimizer_ms(&mut self) -> f64 {
        let (images, labels) = self.batch();
        let hyper = self.hyper();
        let gradient = gradient(&self.network, &self.weights, (&images, &labels), hyper).flat;
        let mut times: Vec<f64> = (0..OPTIMIZER_STEPS)
            .map(|_| {
                let flat = gradient.copy();
                let began = Instant::now();
                let _guard = tch::no_grad_guard();
                let norm = flat.norm();
                let divisor = super::step::clip_divisor(&norm, hyper.clip_norm);
                self.optimizer.step(
                    &self.weights.flat,
                    &flat,
                    hyper.lr,
                    (&divisor, &norm.isfinite()),
                );
                norm.double_value(&[]);
                began.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times.get(OPTIMIZER_STEPS / 2).copied().unwrap_or(f64::NAN)
    }
}

/// Trains for about so many seconds after a warm-up.
///
/// # Errors
/// When the network or the device is none.
pub fn speed(config: &Config, dataset: &Dataset, seconds: f64) -> Result<Speed, String> {
    let began = Instant::now();
    let mut bench = Bench::new(config, dataset)?;
    let model_seconds = began.elapsed().as_secs_f64();
    let stats = bench.step();
    stats.loss.double_value(&[]);
    let first_step_seconds = began.elapsed().as_secs_f64() - model_seconds;
    let warm = Instant::now();
    while bench.step < WARM_UP.0 || warm.elapsed().as_secs_f64() < WARM_UP.1 {
        bench.run(0.1);
    }
    let batch = config.train.batch_size as f64;
    let (mut segments, mut steps) = (Vec::new(), 0);
    let (timed, mut spent) = (Instant::now(), 0.0);
    while spent < seconds {
        let done = bench.run(1.0);
        let now = timed.elapsed().as_secs_f64();
        segments.push(done as f64 * batch / (now - spent));
        (steps, spent) = (steps + done, now);
    }
    Ok(Speed {
        images_per_second: steps as f64 * batch / spent,
        segments,
        model_seconds,
        first_step_seconds,
        optimizer_ms: bench.optimizer_ms(),
        steps,
        threads: tch::get_num_threads(),
        precision: device::precision(bench.kind).to_owned(),
        device: device::name(bench.train_device()),
    })
}

/// The losses of the first steps. What another program needs to take the same steps is left in `dir`: the weights, the
/// images and labels of each batch, and the learning rates.
///
/// # Errors
/// When a file cannot be written, or the network or the device is none.
pub fn losses(
    config: &Config,
    dataset: &Dataset,
    steps: u64,
    dir: &Path,
) -> Result<Vec<f64>, String> {
    let mut bench = Bench::new(config, dataset)?;
    let write = |name: &str, bytes: &[u8]| {
        fs_err::write(dir.join(name), bytes).map_err(|error| error.to_string())
    };
    fs_err::create_dir_all(dir).map_err(|error| error.to_string())?;
    write(
        "init.safetensors",
        &encode(&bench.weights.named(&bench.network.plan))?,
    )?;
    let (mut pixels, mut labels, mut rates, mut losses) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let batch = config.train.batch_size as usize;
    let order = epoch_order(config.train.seed, 1, dataset.train.labels.len());
    for step in 0..steps {
        let indices = order.iter().skip(step as usize * batch).take(batch);
        for &index in indices {
            pixels.extend_from_slice(dataset.train.image(index as usize, dataset.image_size()));
            labels.extend(dataset.train.labels.get(index as usize));
        }
        rates.push(bench.hyper().lr);
        losses.push(bench.step().loss.double_value(&[]));
    }
    write("images.u8", &pixels)?;
    write("labels.u8", &labels)?;
    let meta = serde_json::json!({ "batch": batch, "steps": steps, "lr": rates });
    write("meta.json", meta.to_string().as_bytes())?;
    Ok(losses)
}

impl Bench {
    fn train_device(&self) -> tch::Device {
        self.order.device()
    }
}
