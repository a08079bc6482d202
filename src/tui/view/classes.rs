//! Scores of each class, from the newest full evaluation.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::class_table::{Columns, Row};
use super::confusions;
use super::ctx::Ctx;
use super::evaluated::{headlines, newest, open};
use super::paint::{self, piece, put, put_pieces};
use crate::event::EvalReport;
use crate::metrics::Measure;
use crate::report::imbalance_warning;
use crate::tui::app::App;
use crate::tui::layout::top;
use crate::tui::page::Pane;
use crate::tui::text::{count, number, outside};
use crate::tui::theme::Role;

/// Draws the pane.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let opened = open(ctx, (area, buf), Pane::Classes, headlines);
    let Some((report, before, body)) = opened else {
        return;
    };
    let columns = Columns::of(ctx, body.width, report.classes.len());
    let classes = report.classes.len() as u16;
    let mut body = imbalance_warning_row(ctx, report, body, buf);
    // If all classes fit, the rows below show calibration and the most frequent mistakes of the same evaluation.
    if body.height > classes.saturating_add(1) {
        let (table, below) = top(body, classes + 1 + u16::from(body.height > classes + 1));
        let (table, foot) = top(table, table.height.saturating_sub(1));
        calibration(ctx, report, foot, buf);
        confusions::draw(ctx, report, below, buf);
        body = table;
    }
    if body.height > classes || (body.height > 12 && classes > 12) {
        let (line, rest) = top(body, 1);
        columns.headings(ctx, line, buf);
        body = rest;
    }
    table(ctx, &columns, (report, before), body, buf);
}

fn table(
    ctx: &Ctx<'_>,
    columns: &Columns,
    (report, before): (&EvalReport, Option<&EvalReport>),
    area: Rect,
    buf: &mut Buffer,
) {
    let room = usize::from(area.height);
    let last = report.classes.len().saturating_sub(room);
    let scroll = ctx.app.ui.panels[Pane::Classes].min(last);
    let worst = worst(report);
    let shown = report.classes.iter().enumerate().skip(scroll).take(room);
    for ((label, scores), y) in shown.zip(0..) {
        let earlier = before.and_then(|before| before.classes.get(label));
        let row = Row {
            report,
            label,
            scores,
            change: earlier.map(|earlier| scores.f1 - earlier.f1),
            worst: worst == Some(label),
        };
        columns.row(ctx, &row, top(top(area, y).1, 1).0, buf);
    }
    let below = report.classes.len().saturating_sub(scroll + room);
    paint::more(ctx, buf, area, (scroll, below));
}

/// Draws the line below the table: calibration of the probabilities.
fn calibration(ctx: &Ctx<'_>, report: &EvalReport, line: Rect, buf: &mut Buffer) {
    if report.not_finite > 0 {
        let text = format!(
            " {} images have non-finite logits",
            count(report.not_finite)
        );
        put(buf, line, 0, 0, &text, ctx.style(Role::Error));
        return;
    }
    let arrow = ctx.symbols.arrow;
    // The line changes only with each evaluation, so its numbers are not padded to fixed widths.
    let shown = |value: f64, decimals| number(value, decimals, decimals + 3).trim().to_owned();
    let long = format!(
        " NLL {}{arrow}{}  ECE {}{arrow}{}%  T {}",
        shown(report.value(Measure::Nll), 3),
        shown(report.value(Measure::NllCalibrated), 3),
        shown(report.value(Measure::Ece) * 100.0, 2),
        shown(report.value(Measure::EceCalibrated) * 100.0, 2),
        shown(report.temperature.value, 3)
    );
    let warned = report.calibration_warning().is_some();
    let (mark, role) = if warned {
        (" !", Role::Warn)
    } else {
        ("", Role::Dim)
    };
    put(buf, line, 0, 0, &format!("{long}{mark}"), ctx.style(role));
}

fn worst(report: &EvalReport) -> Option<usize> {
    let known = report
        .classes
        .iter()
        .enumerate()
        .filter(|(_, scores)| !scores.f1_undefined);
    known
        .min_by(|a, b| a.1.f1.total_cmp(&b.1.f1))
        .map(|(label, _)| label)
        .filter(|_| report.classes.len() > 1)
}

/// Rows for the title, each class, and the warning about misleading accuracy if there is one.
pub(super) fn rows(app: &App, _: Rect) -> u16 {
    let info = app.run.info.as_ref();
    let classes = info.map_or(10, |info| info.dataset.classes.len());
    let warning = newest(&app.run).and_then(|(report, _)| report.confusion.misleading_imbalance());
    1 + classes.clamp(1, 1000) as u16 + u16::from(warning.is_some())
}

/// The last scroll position: the number of classes or, in a zoomed pane, of the pairs listed below them.
pub(super) fn last(app: &App) -> usize {
    let last = if app.alone() {
        confusions::possible(app)
    } else {
        confusions::classes(app)
    };
    last.saturating_sub(1)
}

/// Draws a warning if the accuracy is misleading because of class imbalance; returns the area below it.
fn imbalance_warning_row(ctx: &Ctx<'_>, report: &EvalReport, area: Rect, buf: &mut Buffer) -> Rect {
    let Some(long) = imbalance_warning(report, ctx.classes()) else {
        return area;
    };
    let (line, rest) = top(area, u16::from(area.height > 1));
    let mark = piece(format!("{} ", ctx.symbols.warning), Role::Warn);
    let short = [
        "accuracy is misleading: see macro-F1",
        "accuracy is misleading",
    ];
    let choices = [long, short[0].to_owned(), short[1].to_owned()];
    let choices = choices.map(|words| {
        vec![
            mark.clone(),
            piece(
                outside(&words, usize::from(u16::MAX), ctx.symbols),
                Role::Warn,
            ),
        ]
    });
    let pieces = paint::first_fit(choices.to_vec(), line.width);
    put_pieces(ctx, buf, line, 0, 0, &pieces);
    rest
}
