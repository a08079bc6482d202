//! Lines of the plain log for records and states, and the final summary of a run.
//!
//! Scripts read some of these lines: the formats of [`epoch_line`], [`eval_line`] and [`closing_lines`] are stable.
//! They are documented in the README and tested in `tests/viewer/headless.rs`.

use super::state::RunState;
use super::text::clock;
use crate::event::{Answer, EpochSummary, EvalReport, Event, Level, Outcome};
use crate::metrics::{Interval, Measure};

/// A one-line description of the run: data set, model, device and seed; `None` before the run has started.
pub fn headline(state: &RunState) -> Option<String> {
    let info = state.info.as_ref()?;
    let data = &info.dataset;
    Some(format!(
        "{}: {} {}x{}x{}, {} classes, {} train + {} valid + {} test; {} with {} parameters on {} ({} threads, {}), seed {}",
        info.run,
        data.name,
        data.channels,
        data.height,
        data.width,
        data.classes.len(),
        data.train,
        data.valid,
        data.test,
        info.model,
        info.parameters,
        info.device,
        info.threads,
        info.precision,
        info.seed
    ))
}

/// The line of an epoch. Columns have fixed widths, so that consecutive lines are aligned.
pub fn epoch_line(row: &EpochSummary, epochs: u32) -> String {
    let width = epochs.to_string().len();
    // With mixup and CutMix there is no training accuracy.
    let train_accuracy = Some(row.train_accuracy.0 * 100.0).filter(|percent| percent.is_finite());
    format!(
        "epoch {:>width$}/{}  train loss {:.4} acc {:>5} %  valid nll {:.4} acc {:5.2} % F1 {:5.2} %  norm {:.2} clipped {:3.0} %  lr {:.2e}  {:>6.0} img/s  {:>6.1} s{}",
        row.epoch,
        epochs,
        row.train_loss.0,
        train_accuracy.map_or("-".to_owned(), |percent| format!("{percent:.2}")),
        row.valid_nll.0,
        row.valid_accuracy.0 * 100.0,
        row.valid_macro_f1.0 * 100.0,
        row.grad_norm_mean.0,
        row.clipped_fraction.0 * 100.0,
        row.lr.0,
        row.images_per_second.0,
        row.seconds.0,
        if row.best { "  best" } else { "" }
    )
}

/// The line of an evaluation.
pub fn eval_line(report: &EvalReport) -> String {
    let of_line = |measure: &Measure| measure.info().in_line && !measure.info().calibrated;
    let with = |measure: Measure| {
        let unit = measure.info().format.units().0;
        let number = |measure: Measure| measure.in_line(report.value(measure));
        if let Some(after) = measure.partner() {
            let name = measure.info().name.to_lowercase();
            return format!("  {name} {} -> {}{unit}", number(measure), number(after));
        }
        let ends = ends(report.interval(measure));
        format!("  {} {}{unit}{ends}", measure.info().name, number(measure))
    };
    let measures: String = Measure::ALL.into_iter().filter(of_line).map(with).collect();
    format!(
        "{} ({} weights, step {}):{}  T {:.3}{}",
        report.split.name(),
        report.weights.name(),
        report.global_step,
        measures.strip_prefix(' ').unwrap_or(&measures),
        report.temperature.value,
        if report.temperature.converged {
            ""
        } else {
            " (did not converge)"
        }
    )
}

/// A 95 % interval in percent; empty if there is none.
fn ends(interval: Option<Interval>) -> String {
    interval.map_or_else(String::new, |interval| {
        let Interval { low, high } = interval.displayed(100.0, 2);
        format!(" [{low:.2}, {high:.2}]")
    })
}

/// The line of the plain log for an event that was just folded into `state`; `None` for events without a line.
pub fn event_line(state: &RunState, event: &Event) -> Option<String> {
    match event {
        Event::RunStarted(info) => {
            // For a restarted run, the headline has already been printed above its earlier epochs.
            let mut lines: Vec<String> = Vec::new();
            lines.extend(headline(state).filter(|_| state.restores.is_empty()));
            lines.extend(info.warnings.iter().map(|text| format!("warning: {text}")));
            (!lines.is_empty()).then(|| lines.join("\n"))
        }
        Event::EpochFinished(row) => Some(epoch_line(row, state.epochs)),
        Event::EvalFinished(report) if report.split == crate::event::Split::Test => {
            let warning = report.calibration_warning();
            let warning = warning.map(|text| format!("\nwarning: {text}"));
            Some(eval_line(report) + &warning.unwrap_or_default())
        }
        Event::CheckpointSaved(saved) => Some(format!(
            "checkpoint {} ({:.1} MB)",
            saved.path,
            saved.bytes as f64 / 1e6
        )),
        Event::Restored(restoration) => {
            let mut lines = vec![restoration.line()];
            lines.extend(
                restoration
                    .notes
                    .iter()
                    .map(|note| format!("warning: {note}")),
            );
            Some(lines.join("\n"))
        }
        Event::Health(health) => Some(format!("warning: {}", health.words())),
        Event::StepSkipped { .. } => state
            .log
            .back()
            .map(|line| format!("warning: {}", line.text)),
        Event::Log { level, text } => Some(match level {
            Level::Info => text.clone(),
            Level::Warn => format!("warning: {text}"),
            Level::Error => format!("error: {text}"),
        }),
        Event::Asked { command, by, .. } => Some(format!("{} requested by {by}", command.name())),
        Event::Acknowledged {
            command,
            answer,
            global_step,
            ..
        } => match answer {
            Answer::Accepted => None,
            Answer::Done { note } => Some(format!(
                "{} done at step {global_step}: {note}",
                command.name()
            )),
            Answer::Refused { reason } => Some(format!(
                "{} refused at step {global_step}: {reason}",
                command.name()
            )),
        },
        _ => None,
    }
}

/// What `train --resume` does after the process of the run has ended, in a few words.
pub fn resume_effect(state: &RunState) -> String {
    match &state.checkpoint {
        Some(saved) if !saved.is_in_run() => format!(
            "continues at an earlier step; train --fork {} at step {}",
            saved.path, saved.global_step
        ),
        Some(saved) => format!("continues at step {}", saved.global_step),
        None => "starts over at step 0".to_owned(),
    }
}

/// The final lines of a run: how it ended, and its best epoch.
pub fn closing_lines(state: &RunState) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(outcome) = &state.outcome {
        let took = clock(state.worked_ms(state.now_ms));
        let mut line = format!(
            "{} after {} epochs, {} steps, {took}",
            outcome.name(),
            state.history.back().map_or(0, |row| row.epoch),
            state.global_step
        );
        if let Outcome::Failed { message } = outcome {
            line = format!("{line}\nerror: {message}");
        }
        lines.push(line);
        let unwritten = state.unwritten.iter();
        lines.extend(unwritten.map(|one| format!("error: {}, but {}", outcome.name(), one.line())));
    }
    lines.extend(state.missing_line().map(|line| format!("warning: {line}")));
    if let Some(best) = &state.best {
        lines.push(format!(
            "best epoch {}: valid accuracy {:.2} %{}, nll {:.4}",
            best.epoch,
            best.accuracy.0 * 100.0,
            ends(best.interval),
            best.nll.0
        ));
    }
    lines
}

/// The final lines with the test-set result and the last checkpoint, for readers who have not seen the earlier lines.
pub fn final_lines(state: &RunState) -> Vec<String> {
    let mut lines = closing_lines(state);
    if let Some(report) = &state.test.latest {
        lines.push(eval_line(report));
    }
    if let Some(saved) = &state.checkpoint {
        lines.push(format!("checkpoint {}", saved.path));
    }
    lines
}
