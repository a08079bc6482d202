//! Alerts: the most severe one in a row under the header, all of them above the zoomed log. Without alerts, nothing is
//! drawn.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::Ctx;
use super::paint::{Piece, piece, put, put_pieces, put_right, rule_line};
use crate::event::Level;
use crate::run::Alert;
use crate::tui::layout::{bottom, top};
use crate::tui::text::{columns, count, outside, wrap};
use crate::tui::theme::Role;

/// Maximum width in columns of an alert's text in the row; the log has the full text.
const LONGEST: usize = 400;

/// Draws the most severe alert, and the number of further alerts.
pub(super) fn bar(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let alerts = ctx.app.alerts();
    let Some((first, more)) = alerts.split_first() else {
        return;
    };
    let (symbol, role) = severity_symbol(ctx, first.severity);
    let more = match more.len() {
        0 => Vec::new(),
        n => vec![piece(format!(" +{n} more "), Role::Dim)],
    };
    let more_width = more.iter().map(|(text, _)| columns(text)).sum::<u16>();
    let room = area.width.saturating_sub(more_width + 3);
    let text = outside(&first.text, usize::from(room).min(LONGEST), ctx.symbols);
    let pieces: [Piece; 2] = [piece(format!("{symbol} "), role), piece(text, role)];
    let end = put_pieces(ctx, buf, area, 0, 0, &pieces);
    put_right(ctx, buf, area, end, 0, &more);
}

/// Draws the same alert on a screen without panes, in the last row so that nothing above it moves. If the screen has
/// only one row, only the symbol and the number of alerts are drawn, at its right end.
pub(super) fn foot(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let alerts = ctx.app.alerts();
    let Some(first) = alerts.first() else { return };
    if area.height < 2 {
        let (symbol, role) = severity_symbol(ctx, first.severity);
        let pieces = [piece(format!(" {symbol}{}", alerts.len()), role)];
        put_right(ctx, buf, area, 0, 0, &pieces);
        return;
    }
    let (row, _) = bottom(area, 1);
    let blank = " ".repeat(usize::from(row.width));
    put(buf, row, 0, 0, &blank, ctx.style(Role::Text));
    bar(ctx, row, buf);
}

/// Draws all alerts in at most half of the area, and a rule below them. Returns the area below the rule.
pub(super) fn list(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) -> Rect {
    let alerts = ctx.app.alerts();
    let room = usize::from(area.height / 2);
    if alerts.is_empty() || room < 2 {
        return area;
    }
    let rows: Vec<Piece> = alerts
        .iter()
        .flat_map(|alert| rows(ctx, alert, area.width))
        .collect();
    // One row is reserved for the rule.
    let shown = rows.len().min(room - 1);
    for (y, (text, role)) in rows.iter().take(shown).enumerate() {
        put(buf, area, 0, y as u16, text, ctx.style(*role));
    }
    let (_, rest) = top(area, shown as u16);
    let (rule, rest) = top(rest, 1);
    rule_line(ctx, buf, rule, Role::Rule);
    if shown < rows.len() {
        let left = (rows.len() - shown) as u64;
        let text = format!(" {} more rows {} ", count(left), ctx.symbols.down);
        put_right(ctx, buf, rule, 0, 0, &[piece(text, Role::Dim)]);
    }
    rest
}

/// The rows of an alert, wrapped at `width` columns.
fn rows(ctx: &Ctx<'_>, alert: &Alert, width: u16) -> Vec<Piece> {
    let (symbol, role) = severity_symbol(ctx, alert.severity);
    let since = match alert.since_step {
        0 => String::new(),
        step => format!(" (since step {})", count(step)),
    };
    let text = outside(&format!("{}{since}", alert.text), 600, ctx.symbols);
    wrap(&text, usize::from(width.saturating_sub(2)))
        .into_iter()
        .enumerate()
        .map(|(i, text)| {
            let lead = if i == 0 { symbol } else { " " };
            piece(format!("{lead} {text}"), role)
        })
        .collect()
}

/// Symbol and role of a severity level.
fn severity_symbol(ctx: &Ctx<'_>, severity: Level) -> (&'static str, Role) {
    match severity {
        Level::Error => (ctx.symbols.wrong, Role::Error),
        Level::Warn => (ctx.symbols.warning, Role::Warn),
        Level::Info => (ctx.symbols.dot, Role::Strong),
    }
}
