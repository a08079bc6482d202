//! `bench`: measures training speed for `scripts/bench`, which compares it with PyTorch.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::{Value, json};

use super::args::ConfigArgs;
use super::load::load;
use super::print::{print_error, print_line};
use super::{code, with_config};
use crate::config::{Config, Loaded};
use crate::images::Dataset;
use crate::train;

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Duration of the measurement in seconds
    #[arg(long, default_value_t = 8.0, value_name = "S")]
    seconds: f64,
    /// Start time of the process in seconds since 1970, to measure the startup time
    #[arg(long, value_name = "S")]
    t0: Option<f64>,
    /// Instead run 20 steps, print their losses, and write to DIR what another program needs to repeat them
    #[arg(long, value_name = "DIR")]
    losses: Option<PathBuf>,
}

/// Measures the training speed and prints one JSON object.
pub(super) fn run(args: BenchArgs) -> u8 {
    let began = Instant::now();
    let started = args.t0.map_or(0.0, since);
    let BenchArgs {
        config,
        seconds,
        losses,
        ..
    } = args;
    with_config(config, |loaded: &Loaded| {
        let measured = load(&loaded.config)
            .map_err(|error| error.0)
            .and_then(|dataset| match &losses {
                Some(dir) => {
                    let losses = train::losses(&loaded.config, &dataset, 20, dir)?;
                    Ok(json!({ "losses": losses }))
                }
                None => measure(&loaded.config, &dataset, (started, began), seconds),
            });
        match measured {
            Ok(object) => {
                print_line(&object.to_string());
                code::COMPLETED
            }
            Err(message) => {
                print_error(&format!("error: {message}"));
                code::FAILED
            }
        }
    })
}

fn since(t0: f64) -> f64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    (now.as_secs_f64() - t0).max(0.0)
}

fn measure(
    config: &Config,
    dataset: &Dataset,
    (started, began): (f64, Instant),
    seconds: f64,
) -> Result<Value, String> {
    let data_seconds = began.elapsed().as_secs_f64();
    let speed = train::speed(config, dataset, seconds)?;
    let parts = [
        started,
        data_seconds,
        speed.model_seconds,
        speed.first_step_seconds,
    ];
    let mut object = serde_json::to_value(&speed).map_err(|error| error.to_string())?;
    if let Some(map) = object.as_object_mut() {
        map.insert(
            "startup_seconds".to_owned(),
            json!(parts.iter().sum::<f64>()),
        );
        let [import, data, model, first_step] = parts;
        let parts =
            json!({ "import": import, "data": data, "model": model, "first_step": first_step });
        map.insert("startup_parts".to_owned(), parts);
        map.insert("peak_rss_mib".to_owned(), json!(peak_rss_mib()));
    }
    Ok(object)
}

/// Peak memory (RSS) of this process in MiB; NaN (`null` in JSON) if the system does not report it.
fn peak_rss_mib() -> f64 {
    let text = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| {
        line.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<f64>()
            .ok()
    });
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}
