//! The list of the most frequent mistakes.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::{Ctx, Step};
use super::evaluated::newest;
use super::images;
use super::paint::{self, piece, put, put_pieces};
use crate::event::EvalReport;
use crate::link::Filter;
use crate::metrics::ConfusedPair;
use crate::tui::app::App;
use crate::tui::page::{Page, Pane};
use crate::tui::text::{columns, count};
use crate::tui::theme::Role;

/// Maximum width of a class name.
const NAME: u16 = 20;

/// Number of classes.
pub(super) fn classes(app: &App) -> usize {
    let info = app.run.info.as_ref();
    info.map_or(0, |info| info.dataset.classes.len())
}

/// Number of pairs (label, wrong prediction).
pub(super) fn possible(app: &App) -> usize {
    let classes = classes(app);
    classes.saturating_mul(classes.saturating_sub(1))
}

/// Opens the gallery with the images of the selected pair.
pub(super) fn show_images(app: &mut App) -> Step {
    let Some(pair) = selected(app) else {
        return Step::Done;
    };
    let (truth, predicted) = (pair.label as u32, pair.predicted as u32);
    images::show(app, Filter::Confused { truth, predicted });
    Step::Open(Page::Gallery)
}

/// The selected pair of the evaluation that is shown.
pub(super) fn selected(app: &App) -> Option<ConfusedPair> {
    let (report, _) = newest(&app.run)?;
    let mut pairs = report.confusion.worst_pairs(usize::MAX);
    let at = app.ui.panels[Pane::Confusion].min(pairs.len().checked_sub(1)?);
    Some(pairs.swap_remove(at))
}

/// Draws as many pairs as there are rows, most frequent first; the selected one is always visible.
pub(super) fn draw(ctx: &Ctx<'_>, report: &EvalReport, area: Rect, buf: &mut Buffer) {
    let room = usize::from(area.height.saturating_sub(2));
    let mut pairs = report.confusion.worst_pairs(usize::MAX);
    // A pair can be selected only on the confusion page; on the classes page the list scrolls with the classes.
    let selecting = ctx.app.ui.page == Page::Confusion;
    let selected = ctx.app.ui.panels[Pane::Confusion].min(pairs.len().saturating_sub(1));
    let first = if selecting {
        selected.saturating_sub(room / 2)
    } else {
        ctx.app.ui.panels[Pane::Classes]
    };
    let first = first.min(pairs.len().saturating_sub(room));
    let below = pairs.len().saturating_sub(first + room);
    pairs.drain(..first);
    let heading = if pairs.is_empty() {
        "no mistakes"
    } else {
        "most frequent mistakes"
    };
    put(buf, area, 1, 1, heading, ctx.style(Role::Dim));
    let both = pairs.iter().flat_map(|pair| [pair.label, pair.predicted]);
    let wide = both
        .map(|label| columns(&ctx.class(label, NAME)))
        .max()
        .unwrap_or(0);
    let padded = |label: usize| {
        let name = ctx.class(label, NAME);
        let pad = usize::from(wide.saturating_sub(columns(&name)));
        format!("{name}{}", " ".repeat(pad))
    };
    for ((at, pair), y) in (first..).zip(&pairs).zip(2..area.height) {
        if selecting && at == selected {
            put(buf, area, 0, y, ctx.symbols.focus, ctx.style(Role::Key));
        }
        let share = format!("{:>6.1}%", pair.share * 100.0);
        let counts = format!(
            "  {:>7} of {}",
            count(pair.count),
            count(report.confusion.support(pair.label))
        );
        let line = [
            piece(padded(pair.label), Role::Text),
            piece(format!(" {} ", ctx.symbols.arrow), Role::Faint),
            piece(padded(pair.predicted), Role::Text),
            piece(share, Role::Strong),
            piece(counts, Role::Dim),
        ];
        put_pieces(ctx, buf, area, 1, y, &line);
    }
    paint::more(ctx, buf, area, (first, below));
}
