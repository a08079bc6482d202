//! `lr-find`: the learning-rate range test, its chart and what it suggests.

use std::env;

use clap::Args;

use super::args::ConfigArgs;
use super::print::{complain, say, say_json};
use super::progress::Progress;
use super::{code, with_config};
use crate::config::{Config, Loaded};
use crate::data;
use crate::train::{self, Suggestion, Tried};
use crate::tui::{Dots, Plot, utf8_locale};

/// What `lr-find` takes.
#[derive(Debug, Args)]
pub(super) struct LrFindArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// The first learning rate
    #[arg(long, default_value_t = 1e-6, value_name = "LR")]
    from: f64,
    /// The last one
    #[arg(long, default_value_t = 1.0, value_name = "LR")]
    to: f64,
    /// Steps from one to the other
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u64).range(20..=100_000))]
    steps: u64,
    /// The numbers instead of the chart
    #[arg(long)]
    json: bool,
}

/// Runs the test and prints what it found.
pub(super) fn run(args: LrFindArgs) -> u8 {
    let LrFindArgs {
        config,
        from,
        to,
        steps,
        json,
    } = args;
    // NaN fails too.
    if !(from > 0.0 && to > from && to.is_finite()) {
        complain(&format!(
            "error: --from {from} --to {to}: the rates must be above 0, and the last above the first"
        ));
        return code::USAGE;
    }
    with_config(config, |loaded: &Loaded| {
        match test(&loaded.config, (from, to, steps)) {
            Err(message) => {
                complain(&format!("error: {message}"));
                code::FAILED
            }
            Ok(tried) if json => {
                let object = object(&tried, train::suggest_lr(&tried));
                if say_json(&object) {
                    code::COMPLETED
                } else {
                    code::FAILED
                }
            }
            Ok(tried) => {
                print(&tried, &loaded.config);
                code::COMPLETED
            }
        }
    })
}

fn test(config: &Config, range: (f64, f64, u64)) -> Result<Vec<Tried>, String> {
    let dataset = data::load(&config.data, config.train.seed).map_err(|error| error.to_string())?;
    let mut progress = Progress::new();
    train::find_lr(config, &dataset, range, |tried| {
        let batch = config.train.batch_size.max(0) as u64;
        progress.say(
            "trying learning rates",
            tried.len() as u64 * batch,
            range.2 * batch,
        );
        true
    })
}

fn object(tried: &[Tried], found: Option<Suggestion>) -> serde_json::Value {
    let column = |pick: fn(&Tried) -> f64| tried.iter().map(pick).collect::<Vec<f64>>();
    serde_json::json!({
        "lr": column(|t| t.lr),
        "loss": column(|t| t.loss),
        "smooth": column(|t| t.smooth),
        "steepest": found.map(|found| found.steepest),
        "lowest": found.map(|found| found.lowest),
    })
}

fn print(tried: &[Tried], config: &Config) {
    let points: Vec<(f64, f64)> = tried.iter().map(|t| (t.lr, t.smooth)).collect();
    let behind: Vec<(f64, f64)> = tried.iter().map(|t| (t.lr, t.loss)).collect();
    let found = train::suggest_lr(tried);
    let marks: Vec<(f64, char)> = found
        .map(|found| {
            vec![
                (found.lowest, 'L'),
                (found.steepest, 'S'),
                (config.optim.lr, '^'),
            ]
        })
        .unwrap_or_default();
    let lookup = |key: &str| env::var(key).ok();
    let plot = Plot {
        points: &points,
        behind: &behind,
        marks: &marks,
        dots: Dots::choose(config.ui.chart, !utf8_locale(lookup), lookup),
    };
    say("Loss by learning rate: the smoothed curve, and dots for single steps");
    let (width, height) = crossterm::terminal::size().unwrap_or((80, 24));
    for line in plot.lines(width.clamp(40, 120), height.saturating_sub(6).clamp(10, 24)) {
        say(&line);
    }
    let name = config.optim.name.traits().name;
    let steps = tried.len();
    match found {
        Some(found) => {
            say(&format!(
                "S  {:.1e}  the loss falls fastest: a good optim.lr for {name}",
                found.steepest
            ));
            say(&format!(
                "L  {:.1e}  the loss is lowest: too high to train with, a third of it is about the limit",
                found.lowest
            ));
            say(&format!(
                "^  {:.1e}  optim.lr as configured ({steps} steps of {} images)",
                config.optim.lr, config.train.batch_size
            ));
        }
        None => say(&format!(
            "The loss never fell in {steps} steps. Try --from lower, more --steps, or look at the data with epochtop data check."
        )),
    }
}
