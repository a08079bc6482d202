//! Training speed and losses for `make bench`: the trainer's own steps, without events.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::bare::BareTrainer;
use super::clock::Clock;
use super::device;
use super::step::{clip_divisor, gradient};
use super::window::Window;
use crate::checkpoint::encode;
use crate::config::Config;
use crate::data::{Batch, order};
use crate::event::StepTime;
use crate::images::Dataset;

/// Minimum number of steps and seconds before the measurement, since the first steps allocate their memory.
const WARM_UP: (u64, f64) = (4, 1.0);
/// Number of optimizer steps that are timed separately.
const OPTIMIZER_STEPS: usize = 20;

/// Results of a speed measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Speed {
    /// Images per second over all segments.
    pub images_per_second: f64,
    /// Images per second in each segment of about one second.
    pub segments: Vec<f64>,
    /// Seconds to build the network and to copy the data to the device.
    pub model_seconds: f64,
    /// Seconds of the first step.
    pub first_step_seconds: f64,
    /// Median milliseconds of gradient clipping and update.
    pub optimizer_ms: f64,
    /// Number of steps in the segments.
    pub steps: u64,
    /// Breakdown of the time of these steps.
    pub step_time: Option<StepTime>,
    /// Number of CPU threads.
    pub threads: i32,
    /// `f32` or `bf16`.
    pub precision: String,
    /// `cpu` or `cuda:N`.
    pub device: String,
}

/// Trains for at least `seconds`, exactly as the trainer does. Returns the number of steps.
fn run(bare: &mut BareTrainer, window: &mut Window, seconds: f64) -> Result<u64, String> {
    let (began, before) = (Instant::now(), bare.step);
    while began.elapsed().as_secs_f64() < seconds {
        let stats = bare.step()?;
        window.push(stats, bare.hyper().lr);
        if window.is_due() {
            window.close();
        }
    }
    window.close();
    Ok(bare.step - before)
}

/// Median milliseconds of gradient clipping and update.
fn optimizer_ms(bare: &mut BareTrainer) -> Result<f64, String> {
    let Batch { images, targets } = bare.batch()?;
    let hyper = bare.hyper();
    let batch = (&images, &targets);
    let how = (hyper, &mut bare.clock);
    let gradient = gradient(&bare.network, &bare.weights, batch, how).flat;
    let mut times: Vec<f64> = (0..OPTIMIZER_STEPS)
        .map(|_| {
            let flat = gradient.copy();
            let began = Instant::now();
            let _guard = tch::no_grad_guard();
            let norm = flat.norm();
            let divisor = clip_divisor(&norm, hyper.clip_norm);
            let ok = norm.isfinite();
            bare.optimizer
                .step(&bare.weights.flat, &flat, hyper.lr, (&divisor, &ok));
            norm.double_value(&[]);
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    Ok(times.get(OPTIMIZER_STEPS / 2).copied().unwrap_or(f64::NAN))
}

/// Measures the training speed over about `seconds` after a warm-up.
///
/// # Errors
/// If the network cannot be built or the device does not exist.
pub fn speed(config: &Config, dataset: &Dataset, seconds: f64) -> Result<Speed, String> {
    let began = Instant::now();
    let mut bare = BareTrainer::new(config, dataset)?;
    let model_seconds = began.elapsed().as_secs_f64();
    let stats = bare.step()?;
    stats.loss.double_value(&[]);
    let first_step_seconds = began.elapsed().as_secs_f64() - model_seconds;
    let mut window = Window::new(config.optim.clip_norm);
    let warm = Instant::now();
    while bare.step < WARM_UP.0 || warm.elapsed().as_secs_f64() < WARM_UP.1 {
        run(&mut bare, &mut window, 0.1)?;
    }
    let batch = config.train.batch_size as f64;
    bare.clock = Clock::new(bare.order.device());
    let (mut segments, mut steps) = (Vec::new(), 0);
    let (timed, mut spent) = (Instant::now(), 0.0);
    while spent < seconds {
        let done = run(&mut bare, &mut window, 1.0)?;
        let now = timed.elapsed().as_secs_f64();
        segments.push(done as f64 * batch / (now - spent));
        (steps, spent) = (steps + done, now);
    }
    let step_time = bare.clock.take(true);
    Ok(Speed {
        images_per_second: steps as f64 * batch / spent,
        segments,
        model_seconds,
        first_step_seconds,
        optimizer_ms: optimizer_ms(&mut bare)?,
        steps,
        step_time,
        threads: tch::get_num_threads(),
        precision: device::precision(bare.kind).to_owned(),
        device: device::name(bare.order.device()),
    })
}

/// Trains `steps` steps and returns their losses. Writes to `dir` what another program needs to repeat these steps: the
/// initial weights, the images and labels of each batch, and the learning rates.
///
/// # Errors
/// If a file cannot be written, the network cannot be built or the device does not exist.
pub fn losses(
    config: &Config,
    dataset: &Dataset,
    steps: u64,
    dir: &Path,
) -> Result<Vec<f64>, String> {
    let mut bare = BareTrainer::new(config, dataset)?;
    let write = |name: &str, bytes: &[u8]| {
        fs_err::write(dir.join(name), bytes).map_err(|error| error.to_string())
    };
    fs_err::create_dir_all(dir).map_err(|error| error.to_string())?;
    write(
        "init.safetensors",
        &encode(&bare.weights.named(&bare.network.plan))?,
    )?;
    let (mut pixels, mut labels, mut rates, mut losses) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let batch = config.train.batch_size as usize;
    let order = order(config, dataset, 1);
    for step in 0..steps {
        let indices = order.iter().skip(step as usize * batch).take(batch);
        for &index in indices {
            let image = dataset.train.image(index as usize);
            pixels.extend_from_slice(&image.map_err(|error| error.0)?);
            if let Some(label) = dataset.train.labels.get(index as usize) {
                let label = u8::try_from(*label);
                labels.push(label.map_err(|_| "expected at most 256 classes".to_owned())?);
            }
        }
        rates.push(bare.hyper().lr);
        losses.push(bare.step()?.loss.double_value(&[]));
    }
    write("images.u8", &pixels)?;
    write("labels.u8", &labels)?;
    let meta = serde_json::json!({ "batch": batch, "steps": steps, "lr": rates });
    write("meta.json", meta.to_string().as_bytes())?;
    Ok(losses)
}
