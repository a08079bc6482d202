//! Drawing primitives for all panels: text at a position, titles, bars. None of them draws outside the given area.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::ctx::Ctx;
use crate::tui::layout::top;
use crate::tui::page::Pane;
use crate::tui::text::{columns, count};
use crate::tui::theme::Role;

/// A piece of a line: text and role.
pub(super) type Piece = (String, Role);

/// Creates a piece.
pub(super) fn piece(text: impl Into<String>, role: Role) -> Piece {
    (text.into(), role)
}

/// Width of pieces in columns.
pub(super) fn width_of(pieces: &[Piece]) -> u16 {
    pieces
        .iter()
        .map(|(text, _)| columns(text))
        .fold(0, u16::saturating_add)
}

/// Writes text at a column and row of the area, cut at its right edge; returns the column after it.
pub(super) fn put(buf: &mut Buffer, area: Rect, x: u16, y: u16, text: &str, style: Style) -> u16 {
    let area = area.intersection(buf.area);
    if y >= area.height || x >= area.width {
        return x;
    }
    // The style of earlier content must not make the text dim or bold.
    let inherited = Modifier::all().difference(style.add_modifier);
    let style = style.remove_modifier(inherited);
    let (end, _) = buf.set_stringn(
        area.x + x,
        area.y + y,
        text,
        usize::from(area.width - x),
        style,
    );
    end - area.x
}

/// Writes pieces one after the other; if they are cut at the right edge, a sign shows it.
pub(super) fn put_pieces(
    ctx: &Ctx<'_>,
    buf: &mut Buffer,
    area: Rect,
    x: u16,
    y: u16,
    pieces: &[Piece],
) -> u16 {
    let end = pieces.iter().fold(x, |x, (text, role)| {
        put(buf, area, x, y, text, ctx.style(*role))
    });
    let last = area.width.saturating_sub(1);
    if x < area.width && x.saturating_add(width_without_trailing_blanks(pieces)) > area.width {
        put(
            buf,
            area,
            last,
            y,
            ctx.symbols.ellipsis,
            ctx.style(Role::Dim),
        );
    }
    end
}

/// Width of pieces up to the last character that is not blank.
fn width_without_trailing_blanks(pieces: &[Piece]) -> u16 {
    let last = pieces.iter().rposition(|(text, _)| !text.trim().is_empty());
    let Some((last, before)) = last.and_then(|at| pieces.get(..=at)?.split_last()) else {
        return 0;
    };
    width_of(before).saturating_add(columns(last.0.trim_end()))
}

/// Writes pieces aligned to the right edge, if they fit after column `from`.
pub(super) fn put_right(
    ctx: &Ctx<'_>,
    buf: &mut Buffer,
    area: Rect,
    from: u16,
    y: u16,
    pieces: &[Piece],
) {
    let width = width_of(pieces);
    if from.saturating_add(width) <= area.width {
        put_pieces(ctx, buf, area, area.width - width, y, pieces);
    }
}

/// The first variant that fits into `width`; variants are ordered from the most to the least detailed. Empty if none
/// fits.
pub(super) fn first_fit(choices: Vec<Vec<Piece>>, width: u16) -> Vec<Piece> {
    choices
        .into_iter()
        .find(|pieces| width_of(pieces) <= width)
        .unwrap_or_default()
}

/// Draws the title line of a pane: its name, a note, and text at the right. Returns the area below.
///
/// `right` lists variants from the most to the least detailed; the first that fits is drawn.
pub(super) fn title(
    ctx: &Ctx<'_>,
    buf: &mut Buffer,
    area: Rect,
    pane: Pane,
    note: &str,
    right: Vec<Vec<Piece>>,
) -> Rect {
    let focused = ctx.app.ui.focus == pane;
    let (rule, name) = if focused {
        (Role::RuleFocus, Role::TitleFocus)
    } else {
        (Role::Rule, Role::Title)
    };
    rule_line(ctx, buf, area, rule);
    let lead = if focused {
        ctx.symbols.focus
    } else {
        ctx.symbols.rule
    };
    let mut x = put(buf, area, 0, 0, lead, ctx.style(rule));
    x = put(
        buf,
        area,
        x,
        0,
        &format!(" {} ", ctx.panel(pane).title),
        ctx.style(name),
    );
    if !note.is_empty() {
        x = put(buf, area, x, 0, &format!("{note} "), ctx.style(Role::Dim));
    }
    let room = area.width.saturating_sub(x + 3);
    let mut pieces = first_fit(right, room);
    if !pieces.is_empty() {
        pieces.insert(0, piece(" ", Role::Dim));
        pieces.push(piece(" ", Role::Dim));
        let width = width_of(&pieces);
        put_pieces(
            ctx,
            buf,
            area,
            area.width.saturating_sub(width + 1),
            0,
            &pieces,
        );
    }
    top(area, 1).1
}

/// Writes the number of hidden lines over the end of the last row, and whether any of them are below.
pub(super) fn more(ctx: &Ctx<'_>, buf: &mut Buffer, area: Rect, (above, below): (usize, usize)) {
    if area.height == 0 || above + below == 0 {
        return;
    }
    // In ASCII the signs for up and down (of changes) do not show a direction.
    let (up, down) = if ctx.symbols.unicode {
        (ctx.symbols.up, ctx.symbols.down)
    } else {
        (ctx.symbols.above, ctx.symbols.below)
    };
    let mark = if below > 0 { down } else { up };
    let text = format!(" {} more {mark}", count((above + below) as u64));
    let pieces = [piece(text, Role::Dim)];
    put_right(ctx, buf, area, 0, area.height - 1, &pieces);
}

/// Draws a rule across the first row of the area.
pub(super) fn rule_line(ctx: &Ctx<'_>, buf: &mut Buffer, area: Rect, role: Role) {
    put(
        buf,
        area,
        0,
        0,
        &ctx.symbols.rule.repeat(usize::from(area.width)),
        ctx.style(role),
    );
}

/// A bar of `width` columns filled to a fraction, with a resolution of half a column if the characters permit. It is
/// thin, so that bars in adjacent rows remain separate.
pub(super) fn bar(ctx: &Ctx<'_>, share: f64, width: u16, role: Role) -> Vec<Piece> {
    let parts = ctx.symbols.bar.len();
    let share = if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    };
    let filled = (share * f64::from(width) * parts as f64).round() as usize;
    let (whole, part) = (filled / parts, filled % parts);
    let full = ctx.symbols.bar.last().copied().unwrap_or("#");
    let mut text = full.repeat(whole);
    if part > 0 {
        text.push_str(ctx.symbols.bar.get(part - 1).copied().unwrap_or_default());
    }
    let rest = usize::from(width).saturating_sub(whole + usize::from(part > 0));
    vec![
        piece(text, role),
        piece(ctx.symbols.bar_rest.repeat(rest), Role::Faint),
    ]
}

/// A gauge: a thin line filled to a fraction.
pub(super) fn gauge(ctx: &Ctx<'_>, share: f64, width: u16) -> Vec<Piece> {
    let share = if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    };
    let done = (share * f64::from(width)).floor() as usize;
    let rest = usize::from(width).saturating_sub(done);
    vec![
        piece(ctx.symbols.gauge.repeat(done), Role::Gauge),
        piece(ctx.symbols.gauge_rest.repeat(rest), Role::GaugeRest),
    ]
}

/// Draws explanatory text in the middle of an area that has no data yet.
pub(super) fn empty(ctx: &Ctx<'_>, buf: &mut Buffer, area: Rect, words: &str) {
    let width = area.width.saturating_sub(4);
    let lines = crate::tui::text::wrap(words, usize::from(width));
    let y = area.height.saturating_sub(lines.len() as u16) / 2;
    for (i, line) in lines.iter().enumerate() {
        let x = area.width.saturating_sub(columns(line)) / 2;
        put(buf, area, x, y + i as u16, line, ctx.style(Role::Dim));
    }
}
