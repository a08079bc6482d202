//! `lr-find`: the learning-rate range test with its chart and suggestion.

use std::env;

use super::args::LrFindArgs;
use super::load::load;
use super::print::{print_error, print_json, print_line};
use super::progress::Progress;
use super::{code, with_config};
use crate::config::{Config, Loaded};
use crate::train::{self, LrFindStep, Suggestion};
use crate::tui::{Dots, Plot, utf8_locale};

/// Runs the test and prints the result.
pub(super) fn run(args: LrFindArgs) -> u8 {
    let LrFindArgs {
        config,
        from,
        to,
        steps,
        json,
    } = args;
    // Written so that NaN is rejected too.
    if !(from > 0.0 && to > from && to.is_finite()) {
        print_error(&format!(
            "error: --from {from} --to {to}: both rates must be above 0, and --to above --from"
        ));
        return code::USAGE;
    }
    with_config(config, |loaded: &Loaded| {
        match test(&loaded.config, (from, to, steps)) {
            Err(message) => {
                print_error(&format!("error: {message}"));
                code::FAILED
            }
            Ok(tried) if json => {
                let object = object(&tried, train::suggest_lr(&tried));
                if print_json(&object) {
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

fn test(config: &Config, range: (f64, f64, u64)) -> Result<Vec<LrFindStep>, String> {
    let dataset = load(config).map_err(|error| error.to_string())?;
    let mut progress = Progress::new();
    train::run_lr_find(config, &dataset, range, |tried| {
        let batch = config.train.batch_size.max(0) as u64;
        progress.show(
            "testing learning rates",
            tried.len() as u64 * batch,
            range.2 * batch,
        );
        true
    })
}

fn object(tried: &[LrFindStep], found: Option<Suggestion>) -> serde_json::Value {
    let column = |pick: fn(&LrFindStep) -> f64| tried.iter().map(pick).collect::<Vec<f64>>();
    serde_json::json!({
        "lr": column(|t| t.lr),
        "loss": column(|t| t.loss),
        "smooth": column(|t| t.smooth),
        "steepest": found.map(|found| found.steepest),
        "lowest": found.map(|found| found.lowest),
    })
}

fn print(tried: &[LrFindStep], config: &Config) {
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
    print_line("Loss by learning rate: smoothed curve; dots are single steps");
    let (width, height) = crossterm::terminal::size().unwrap_or((80, 24));
    for line in plot.lines(width.clamp(40, 120), height.saturating_sub(6).clamp(10, 24)) {
        print_line(&line);
    }
    let name = config.optim.name.traits().name;
    let steps = tried.len();
    match found {
        Some(found) => {
            print_line(&format!(
                "S  {:.1e}  steepest decrease of the loss: a good optim.lr for {name}",
                found.steepest
            ));
            print_line(&format!(
                "L  {:.1e}  lowest loss: too high for training; stay below a third of this rate",
                found.lowest
            ));
            print_line(&format!(
                "^  {:.1e}  configured optim.lr ({steps} steps of {} images)",
                config.optim.lr, config.train.batch_size
            ));
        }
        None => print_line(&format!(
            "The loss did not decrease in {steps} steps. Try a lower --from, more --steps, or epochtop data check."
        )),
    }
}
