//! The screen that is too small for panes: the most important numbers, one per line, in order of importance.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::chart_specs::latest_accuracy_interval;
use super::ctx::Ctx;
use super::evaluated::newest;
use super::header::phase;
use super::paint::{Piece, piece, put_pieces};
use super::slider;
use crate::metrics::Measure;
use crate::run::{Curve, clock};
use crate::tui::layout::bottom;
use crate::tui::text::{margin, maybe, outside, percent, points, score, short_percent};
use crate::tui::theme::Role;

/// Draws the lines that fit.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let (foot, area) = bottom(area, u16::from(ctx.app.replay.is_some() && area.height > 1));
    slider::draw(ctx, foot, buf);
    let lines = if area.height < 4 {
        vec![one_line(ctx)]
    } else {
        lines(ctx)
    };
    for (line, y) in lines.iter().zip(0..area.height) {
        put_pieces(ctx, buf, area, 0, y, line);
    }
}

fn progress(ctx: &Ctx<'_>) -> String {
    let run = &ctx.app.run;
    format!(
        "{}/{} {}",
        run.epoch,
        run.last_epoch(),
        short_percent(run.progress())
    )
}

fn one_line(ctx: &Ctx<'_>) -> Vec<Piece> {
    let run = &ctx.app.run;
    let symbol = phase(ctx)
        .into_iter()
        .map(|(text, role)| (text.chars().take(2).collect(), role));
    let mut line: Vec<Piece> = symbol.collect();
    line.push(piece(progress(ctx), Role::Text));
    line.push(piece(
        format!(" loss {}", maybe(run.loss.value(), 3, 5, ctx.symbols.dash)),
        Role::Text,
    ));
    line.push(piece(
        format!(" acc{}", percent(run.accuracy.value(), ctx.symbols.dash)),
        Role::Text,
    ));
    line
}

fn lines(ctx: &Ctx<'_>) -> Vec<Vec<Piece>> {
    let run = &ctx.app.run;
    let dash = ctx.symbols.dash;
    let dim = |text: &str| piece(text, Role::Dim);
    let strong = |text: String| piece(text, Role::Strong);
    let mut first = phase(ctx);
    first.push(dim("epoch "));
    first.push(piece(progress(ctx), Role::Text));
    let eta = ctx.app.eta_ms().map_or_else(|| dash.to_owned(), clock);
    let mut lines = vec![
        first,
        vec![
            dim("loss  "),
            strong(maybe(run.loss.value(), 4, 7, dash)),
            dim("  valid "),
            strong(maybe(run.curves[Curve::ValidNll].last(), 4, 7, dash)),
        ],
        vec![
            dim("acc   "),
            strong(percent(run.accuracy.value(), dash)),
            dim("  valid "),
            strong(percent(run.curves[Curve::ValidAccuracy].last(), dash)),
            dim(&format!(
                " {}",
                points(latest_accuracy_interval(run), ctx.symbols)
            )),
        ],
        vec![
            dim("norm  "),
            strong(maybe(run.curves[Curve::GradNorm].last(), 3, 7, dash)),
            dim("  clipped"),
            strong(short_percent(run.recent_clip_share())),
        ],
        vec![
            dim("time  "),
            piece(format!("{:>7}", clock(ctx.app.elapsed_ms())), Role::Text),
            dim("  ETA "),
            piece(eta, Role::Text),
        ],
    ];
    if let Some(message) = ctx.app.failed() {
        lines.insert(
            1,
            vec![piece(outside(message, 200, ctx.symbols), Role::Error)],
        );
    }
    let Some((report, _)) = newest(run) else {
        return lines;
    };
    lines.push(vec![
        dim("F1    "),
        strong(format!("{:>7}", score(report.value(Measure::MacroF1)))),
        dim(&format!(
            " {}",
            margin(report.measured(Measure::MacroF1), ctx.symbols)
        )),
        dim(" macro, "),
        dim(report.split.name()),
    ]);
    let mut classes: Vec<_> = report.classes.iter().enumerate().collect();
    classes.sort_by(|a, b| a.1.f1.total_cmp(&b.1.f1));
    for (label, scores) in classes {
        let name = ctx.class(label, 20);
        lines.push(vec![
            piece(format!("      {:>7}", score(scores.f1)), Role::Text),
            dim("  "),
            dim(&name),
        ]);
    }
    lines
}
