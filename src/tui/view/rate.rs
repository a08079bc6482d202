//! The learning rate over time, as it was used.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::chart::{self, Chart, LABELS, Steps};
use super::ctx::Ctx;
use super::overlay;
use super::paint::{self, Piece, piece};
use super::readout;
use super::scale::Scale;
use crate::tui::page::Pane;
use crate::tui::theme::Role;

/// Draws the pane.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let run = &ctx.app.run;
    let body = paint::title(ctx, buf, area, Pane::Rate, "", legends(ctx));
    if run.rate.is_empty() {
        paint::empty(ctx, buf, body, ctx.panel(Pane::Rate).empty);
        return;
    }
    let (body, list) = chart::beside(ctx, body);
    if let Some(list) = list {
        changes(ctx, list, buf);
    }
    let body = chart::own_axis(ctx, Pane::Rate, body, buf);
    let width = body.width.saturating_sub(LABELS);
    let mut values = chart::extremes(Steps(&run.rate, None), ctx, width);
    let mut keep = overlay::values(ctx, &values, width, |run| &run.rate);
    let scale = if ctx.app.ui.charts.log(Pane::Rate) {
        Scale::log(&mut values, &keep)
    } else {
        keep.push(0.0);
        Scale::linear(&mut values, &keep, body.height, false)
    };
    let chart = Chart {
        steps: Steps(&run.rate, None),
        points: None,
        best: None,
        threshold: None,
        scale,
        beside: |run| &run.rate,
        noisy: false,
        roles: (Role::Key, Role::Key),
    };
    chart.draw(ctx, body, buf);
}

/// What people did, newest first.
fn changes(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let mut row = 1;
    paint::put(
        buf,
        area,
        0,
        0,
        " at step  what happened",
        ctx.style(Role::Dim),
    );
    let marks = ctx.app.run.marks.iter().rev();
    for mark in marks.filter(|mark| !mark.kind.is_routine()) {
        if row >= area.height {
            return;
        }
        let (sign, role) = super::marks::sign(mark.kind, ctx.symbols);
        let pieces = [
            piece(
                format!("{:>8}  ", crate::tui::text::count(mark.step)),
                Role::Text,
            ),
            piece(format!("{sign} "), role),
            piece(mark.kind.words(), Role::Text),
        ];
        paint::put_pieces(ctx, buf, area, 0, row, &pieces);
        row += 1;
    }
    if row == 1 {
        let words = "nothing was changed";
        paint::put(buf, area, 0, 1, words, ctx.style(Role::Dim));
    }
}

fn legends(ctx: &Ctx<'_>) -> Vec<Vec<Piece>> {
    let run = &ctx.app.run;
    if let Some(step) = ctx.app.ui.charts.cursor {
        let rate = readout::measured(&run.rate, step).map(|(_, rate)| format!("{rate:.2e}"));
        let rate = rate.unwrap_or_else(|| ctx.symbols.dash.to_owned());
        let mut values = vec![piece(ctx.symbols.rate, Role::Key)];
        values.push(piece(format!(" {rate}"), Role::Strong));
        let (from, to) = super::axis::TimeAxis::of(ctx.app).steps();
        let within = (to - from) / u64::from(ctx.app.ui.size.0.max(1));
        if let Some(words) = readout::happened(ctx, step, within) {
            values.push(piece(format!("  {words}"), Role::Key));
        }
        let others = readout::others(ctx, step, |run| &run.rate, |rate| format!("{rate:.2e}"));
        let short = values.iter().take(2).cloned().collect();
        return readout::with_place(ctx, step, values, others, short);
    }
    let now = [
        piece(format!("{} ", ctx.symbols.rate), Role::Key),
        piece(format!("{:<8}", format!("{:.2e}", run.lr.0)), Role::Strong),
    ];
    let base = run.base_lr.map_or_else(Vec::new, |lr| {
        vec![
            piece("  base ", Role::Dim),
            piece(format!("{:.2e}", lr.0), Role::Text),
        ]
    });
    vec![[&now[..], &base].concat(), now.to_vec()]
}
