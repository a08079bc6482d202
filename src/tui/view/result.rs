//! The outcome of the run, at the bottom of the left column: its results, or the error and what to do.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::Ctx;
use super::evaluated::summary;
use super::paint::{Piece, piece, put, put_pieces, rule_line, width_of};
use crate::event::{EvalReport, Outcome};
use crate::metrics::Measure;
use crate::report::imbalance_warning;
use crate::run::{clock, resume_effect, size};
use crate::tui::app::App;
use crate::tui::symbols::{Symbols, symbols};
use crate::tui::text::{columns, count, outside, points, wrap};
use crate::tui::theme::Role;

/// Number of rows that the panel needs at this width.
pub(super) fn rows(app: &App, width: u16) -> u16 {
    lines(app, width).len().min(40) as u16 + 1
}

/// Draws the panel.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let failed = ctx.app.failed().is_some() || ctx.app.run.outcome.is_none();
    let role = if failed { Role::Error } else { Role::Good };
    rule_line(ctx, buf, area, role);
    put(
        buf,
        area,
        1,
        0,
        &format!(" {} ", title(ctx.app)),
        ctx.style(role),
    );
    for (line, y) in lines(ctx.app, area.width).iter().zip(1..area.height) {
        put_pieces(ctx, buf, area, 0, y, line);
    }
}

fn title(app: &App) -> String {
    let run = &app.run;
    match &run.outcome {
        None if app.trainer_died() => "Trainer killed or crashed".to_owned(),
        None if app.live => "Lost contact with the trainer".to_owned(),
        None => "No end recorded".to_owned(),
        Some(Outcome::Failed { .. }) => format!("Failed at step {}", count(run.global_step)),
        Some(outcome) => {
            let word = if *outcome == Outcome::Completed {
                "Completed"
            } else {
                "Stopped"
            };
            let epochs = run.history.back().map_or(0, |row| row.epoch);
            format!(
                "{word} after {epochs} epoch{} in {}",
                if epochs == 1 { "" } else { "s" },
                clock(app.elapsed_ms())
            )
        }
    }
}

/// What could not be written.
fn missing(app: &App) -> Vec<(String, Role)> {
    let files = app.run.unwritten.iter();
    let files = files.map(|one| (one.line(), Role::Error));
    let records = app.run.missing_line().map(|line| (line, Role::Warn));
    files.chain(records).collect()
}

fn lines(app: &App, width: u16) -> Vec<Vec<Piece>> {
    let symbols = symbols(app.settings.ascii);
    let width = usize::from(width);
    let mut lines: Vec<Vec<Piece>> = Vec::new();
    let prose = |lines: &mut Vec<Vec<Piece>>, text: &str, role: Role| {
        let text = outside(text, 1000, symbols);
        lines.extend(
            wrap(&text, width)
                .into_iter()
                .map(|line| vec![piece(line, role)]),
        );
    };
    if let Some(message) = app.failed() {
        prose(&mut lines, message, Role::Error);
        prose(
            &mut lines,
            "log.txt in the run directory has the output of libtorch and the trainer.",
            Role::Dim,
        );
    } else if app.run.outcome.is_none() {
        let effect = resume_effect(&app.run);
        let text = if app.trainer_died() {
            format!(
                "epochtop train --resume {effect}. log.txt in the run directory has the trainer's output."
            )
        } else if app.live {
            "The run reported no end and may still be running; see log.txt in the run directory."
                .to_owned()
        } else {
            format!(
                "The run is live, or its process was killed: epochtop runs says which. epochtop attach shows a live run; \
                 for a killed one, epochtop train --resume {effect}."
            )
        };
        prose(&mut lines, &text, Role::Text);
    }
    for (text, role) in missing(app) {
        prose(&mut lines, &text, role);
    }
    // Labels have a column of their own, wide or narrow.
    let wide = width >= 56;
    let label = |long: &str, short: &str| {
        piece(
            if wide {
                format!("{long:<12}")
            } else {
                format!("{short:<6}")
            },
            Role::Dim,
        )
    };
    if let Some(report) = &app.run.test.latest {
        lines.extend(scores(
            report,
            symbols,
            (label("test", "test"), wide, width as u16),
        ));
        let names = app
            .run
            .info
            .as_ref()
            .map_or(&[][..], |info| &info.dataset.classes);
        if let Some(words) = imbalance_warning(report, names) {
            prose(&mut lines, &words, Role::Warn);
        }
        if let Some(words) = report.calibration_warning() {
            prose(&mut lines, &words, Role::Warn);
        }
        lines.push(
            [
                vec![label("calibrated", "calib")],
                calibration(report, symbols, wide),
            ]
            .concat(),
        );
    }
    if let Some(best) = &app.run.best {
        let margin = points(best.measured(), symbols);
        let accuracy = format!("{:.2}% {margin}", best.accuracy.0 * 100.0);
        let of = if wide { "valid " } else { "" };
        let numbers = format!("  {of}{}  NLL {:.4}", accuracy.trim_end(), best.nll.0);
        let epoch = format!("epoch {}", best.epoch);
        lines.push(vec![
            label("best", "best"),
            piece(epoch, Role::Text),
            piece(numbers, Role::Dim),
        ]);
    }
    if let Some(saved) = &app.run.checkpoint {
        let path = outside(
            &saved.path,
            width.saturating_sub(if wide { 24 } else { 16 }),
            symbols,
        );
        let size = format!("  {}", size(saved.bytes));
        lines.push(vec![
            label("checkpoint", "saved"),
            piece(path, Role::Text),
            piece(size, Role::Dim),
        ]);
    }
    lines
}

/// The headline metrics, as many per line as fit; on a narrow screen in one line.
fn scores(
    report: &EvalReport,
    symbols: &Symbols,
    (label, wide, room): (Piece, bool, u16),
) -> Vec<Vec<Piece>> {
    let blank = piece(" ".repeat(usize::from(columns(&label.0))), Role::Dim);
    let mut lines = vec![vec![label]];
    let headlines = report
        .estimates
        .measures
        .keys()
        .filter(|measure| measure.info().headline);
    for (at, &measure) in headlines.enumerate() {
        let info = measure.info();
        let name = if wide { info.name } else { info.short };
        // The label of the first line (the split) also identifies its first metric, accuracy.
        let name = if at == 0 {
            String::new()
        } else {
            format!("{name} ")
        };
        let mut shown = [
            &[piece(name, Role::Dim)][..],
            &summary(report, measure, symbols),
        ]
        .concat();
        if at == 0 && wide {
            shown.push(piece(format!(" of {}", count(report.n)), Role::Dim));
        }
        let Some(line) = lines.last_mut() else { break };
        if line.len() > 1 && width_of(line) + 2 + width_of(&shown) > room {
            if !wide {
                break;
            }
            lines.push([vec![blank.clone()], shown].concat());
            continue;
        }
        if line.len() > 1 {
            line.push(piece("  ", Role::Dim));
        }
        line.extend(shown);
    }
    lines
}

fn calibration(report: &EvalReport, symbols: &Symbols, wide: bool) -> Vec<Piece> {
    let arrow = symbols.arrow;
    let (nll, after) = (
        report.value(Measure::Nll),
        report.value(Measure::NllCalibrated),
    );
    let (ece, ece_calibrated) = (
        report.value(Measure::Ece) * 100.0,
        report.value(Measure::EceCalibrated) * 100.0,
    );
    let mut pieces = vec![piece(
        format!("ECE {ece:.2}{arrow}{ece_calibrated:.2}%"),
        Role::Text,
    )];
    if wide && let Some(ends) = report.interval(Measure::EceCalibrated) {
        let ends = ends.displayed(100.0, 2);
        pieces.push(piece(
            format!(" [{:.2}, {:.2}]", ends.low, ends.high),
            Role::Dim,
        ));
    }
    pieces.push(piece(
        format!("  NLL {nll:.3}{arrow}{after:.3}"),
        Role::Text,
    ));
    if wide {
        pieces.push(piece(
            format!("  T {:.3}", report.temperature.value),
            Role::Dim,
        ));
    }
    pieces
}
