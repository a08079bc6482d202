//! How the run ended, at the lower end of the left column: the result, or what failed and what to do.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::Ctx;
use super::paint::{Piece, piece, put, put_pieces, rule_line};
use crate::event::{EvalReport, Outcome};
use crate::report::flattery;
use crate::run::{clock, size};
use crate::tui::app::App;
use crate::tui::symbols::{Symbols, symbols};
use crate::tui::text::{count, margin, outside, points, score, wrap};
use crate::tui::theme::Role;

/// Rows the panel wants at this width.
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
        None => "The run is out of sight".to_owned(),
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
            "What libtorch and the trainer wrote is in log.txt of the run directory.",
            Role::Dim,
        );
    } else if app.run.outcome.is_none() {
        prose(
            &mut lines,
            "Nothing more comes from it, and its end was not told. It may go on elsewhere; log.txt of the run directory knows more.",
            Role::Text,
        );
    }
    // Labels stand in a column of their own, as wide as there is room for.
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
        lines.push([vec![label("test", "test")], scores(report, symbols, wide)].concat());
        let names = app
            .run
            .info
            .as_ref()
            .map_or(&[][..], |info| &info.dataset.classes);
        if let Some(words) = flattery(report, names) {
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
        let margin = points(best.interval, symbols);
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

fn scores(report: &EvalReport, symbols: &Symbols, wide: bool) -> Vec<Piece> {
    let intervals = &report.intervals;
    let dim = |text: String| piece(text, Role::Dim);
    let mut pieces = vec![
        piece(format!("{:.2}%", report.accuracy.0 * 100.0), Role::Strong),
        dim(format!(" {}", points(intervals.accuracy, symbols))
            .trim_end()
            .to_owned()),
        dim(if wide { "  macro-F1 " } else { "  F1 " }.to_owned()),
        piece(score(report.macro_f1.0), Role::Strong),
        dim(format!(" {}", margin(intervals.macro_f1, symbols))
            .trim_end()
            .to_owned()),
    ];
    if wide && let Some(auc) = report.auc_macro {
        pieces.extend([
            dim("  AUC ".to_owned()),
            piece(format!("{auc:.4}"), Role::Text),
        ]);
    }
    pieces
}

fn calibration(report: &EvalReport, symbols: &Symbols, wide: bool) -> Vec<Piece> {
    let arrow = symbols.arrow;
    let (nll, after) = (report.nll.0, report.nll_calibrated.0);
    let (ece, mended) = (report.ece.0 * 100.0, report.ece_calibrated.0 * 100.0);
    let mut pieces = vec![piece(
        format!("ECE {ece:.2}{arrow}{mended:.2}%"),
        Role::Text,
    )];
    if wide && let Some(ends) = report.intervals.ece_calibrated {
        let (low, high) = (ends.low * 100.0, ends.high * 100.0);
        pieces.push(piece(format!(" [{low:.2}, {high:.2}]"), Role::Dim));
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
