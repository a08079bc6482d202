//! Events of the run, as a row of symbols above the time axis.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::axis::{TimeAxis, over_plot};
use super::ctx::Ctx;
use super::paint::put;
use crate::run::MarkKind;
use crate::tui::symbols::Symbols;
use crate::tui::theme::Role;

/// Symbol and role of a kind of event.
pub(super) fn sign(kind: MarkKind, symbols: &Symbols) -> (&'static str, Role) {
    match kind {
        MarkKind::Checkpoint => (symbols.saving, Role::Dim),
        MarkKind::Requested => (symbols.requested, Role::Good),
        MarkKind::Tested => ("T", Role::Valid),
        MarkKind::Paused => (symbols.paused, Role::Warn),
        MarkKind::Resumed => (symbols.resumed, Role::Good),
        MarkKind::Restored => ("R", Role::Warn),
        MarkKind::LearningRate { .. } => (symbols.rate, Role::Key),
        MarkKind::Epochs { .. } => ("E", Role::Key),
    }
}

/// Priority: if several events share a column, the one with the greatest value is drawn.
fn priority(kind: MarkKind) -> u8 {
    match kind {
        MarkKind::Checkpoint => 0,
        MarkKind::Tested => 1,
        MarkKind::Requested => 2,
        MarkKind::Epochs { .. } => 3,
        MarkKind::Resumed => 4,
        MarkKind::Paused => 5,
        MarkKind::Restored => 6,
        MarkKind::LearningRate { .. } => 7,
    }
}

/// Draws all events of the range shown, in a row of their own.
pub(super) fn row(ctx: &Ctx<'_>, area: Rect, labels: u16, buf: &mut Buffer) {
    put(buf, area, 0, 0, "event", ctx.style(Role::Dim));
    draw(ctx, over_plot(area, labels), buf, |_| true);
}

/// Draws the changes made by users, where the labels of the axis leave room.
pub(super) fn on_axis(ctx: &Ctx<'_>, area: Rect, labels: u16, buf: &mut Buffer) {
    let plot = over_plot(area, labels);
    draw(ctx, plot, buf, |kind| !kind.is_routine());
}

fn draw(ctx: &Ctx<'_>, plot: Rect, buf: &mut Buffer, wanted: impl Fn(MarkKind) -> bool) {
    let axis = TimeAxis::of(ctx.app);
    let mut seen: Vec<Option<MarkKind>> = vec![None; usize::from(plot.width)];
    let marks = ctx.app.run.marks.iter();
    for mark in marks.filter(|mark| wanted(mark.kind)) {
        let column = axis.column(mark.step, usize::from(plot.width));
        let Some(cell) = column.and_then(|x| seen.get_mut(x)) else {
            continue;
        };
        if cell.is_none_or(|known| priority(known) <= priority(mark.kind)) {
            *cell = Some(mark.kind);
        }
    }
    for (x, kind) in seen.into_iter().enumerate() {
        let Some(kind) = kind else { continue };
        let x = x as u16;
        let occupied = buf
            .cell((plot.x.saturating_add(x), plot.y))
            .is_some_and(|cell| cell.symbol() != " ");
        if !occupied {
            let (sign, role) = sign(kind, ctx.symbols);
            put(buf, plot, x, 0, sign, ctx.style(role));
        }
    }
}
