//! The mistakes made most often, in words.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Ctx;
use super::paint::{piece, put, put_pieces};
use crate::event::EvalReport;
use crate::tui::text::{columns, count, outside};
use crate::tui::theme::Role;

/// Columns of a name.
const NAME: usize = 20;

/// Draws as many pairs as there are rows, most frequent first.
pub(super) fn draw(ctx: &Ctx<'_>, report: &EvalReport, area: Rect, buf: &mut Buffer) {
    put(
        buf,
        area,
        1,
        1,
        "most frequent mistakes",
        ctx.style(Role::Dim),
    );
    let names = ctx
        .app
        .run
        .info
        .as_ref()
        .map_or(&[][..], |info| &info.dataset.classes);
    let name = |label: usize| {
        let name = names.get(label).map_or_else(
            || format!("class {label}"),
            |name| outside(name, NAME, ctx.symbols),
        );
        let pad = NAME.saturating_sub(usize::from(columns(&name)));
        format!("{name}{}", " ".repeat(pad))
    };
    let pairs = report
        .confusion
        .worst_pairs(usize::from(area.height.saturating_sub(2)));
    for (pair, y) in pairs.iter().zip(2..area.height) {
        let share = format!("{:>5.1}%", pair.share * 100.0);
        let counts = format!(
            "  {:>7} of {}",
            count(pair.count),
            count(report.confusion.support(pair.label))
        );
        let line = [
            piece(name(pair.label), Role::Text),
            piece(format!(" {} ", ctx.symbols.arrow), Role::Faint),
            piece(name(pair.predicted), Role::Text),
            piece(share, Role::Strong),
            piece(counts, Role::Dim),
        ];
        put_pieces(ctx, buf, area, 1, y, &line);
    }
}
