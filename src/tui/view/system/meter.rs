//! A meter: a row with label, bar, value, text, and the history as vertical bars.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::ctx::Ctx;
use super::super::paint::{bar, first_fit, piece, put, put_pieces, width_of};
use crate::run::Trace;
use crate::tui::layout::top;
use crate::tui::text::{maybe, short_percent};
use crate::tui::theme::Role;

/// Width of the label, and of the value including its blanks.
pub(super) const LABEL: u16 = 12;
const SHARE: u16 = 7;
/// Minimum width of a history.
const PAST: u16 = 6;

/// Bytes in GiB, five columns wide.
pub(super) fn gib(bytes: Option<u64>, dash: &str) -> String {
    maybe(
        bytes.map(|bytes| bytes as f64 / (1_u64 << 30) as f64),
        1,
        5,
        dash,
    )
}

/// A measurement of the machine.
pub(super) struct Meter<'a> {
    label: &'static str,
    share: Option<f32>,
    /// Shown instead of the fraction, if the measurement is not a fraction.
    value: Option<String>,
    /// Variants of the text, from the most to the least detailed.
    words: Vec<String>,
    warn: bool,
    /// Its history, and the value that fills a bar of it.
    past: Option<(&'a Trace, f32)>,
    /// Whether its history uses further rows, if there are any.
    grows: bool,
}

impl<'a> Meter<'a> {
    /// A fraction with its text and history.
    pub(super) fn new(
        label: &'static str,
        share: Option<f32>,
        words: String,
        past: Option<(&'a Trace, f32)>,
    ) -> Self {
        Self {
            label,
            share,
            value: None,
            words: vec![words],
            warn: false,
            past,
            grows: false,
        }
    }

    /// A fraction without a history, whose text may use the columns of the history.
    pub(super) fn choice(label: &'static str, share: Option<f32>, words: Vec<String>) -> Self {
        Self {
            words,
            ..Self::new(label, share, String::new(), None)
        }
    }

    /// Replaces the text by variants, from the most to the least detailed.
    pub(super) fn words(mut self, words: Vec<String>) -> Self {
        self.words = words;
        self
    }

    /// Shows `value` instead of the fraction.
    pub(super) fn value(mut self, value: String) -> Self {
        self.value = Some(value);
        self
    }

    /// Lets the history use further rows, if there are any.
    pub(super) fn growing(mut self) -> Self {
        self.grows = true;
        self
    }

    /// Draws the meter as a warning.
    pub(super) fn warn(mut self, warn: bool) -> Self {
        self.warn = warn;
        self
    }
}

/// The division of a row into columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Columns {
    bar: u16,
    words: u16,
    past: u16,
}

impl Columns {
    fn of(width: u16) -> Self {
        let bar = width / 8 + 1;
        let words = (width / 4).clamp(22, 32);
        let past = width.saturating_sub(LABEL + bar + SHARE + words + 1);
        Self {
            bar,
            words,
            past: if past < PAST { 0 } else { past },
        }
    }
}

/// Draws meters one below the other, those with a growing history `rows` high; returns the rows used.
pub(super) fn draw_all(
    ctx: &Ctx<'_>,
    meters: &[Meter<'_>],
    rows: u16,
    area: Rect,
    buf: &mut Buffer,
) -> u16 {
    let mut rest = area;
    for meter in meters {
        let (own, below) = top(rest, if meter.grows { rows } else { 1 });
        draw(ctx, meter, own, buf);
        rest = below;
    }
    area.height - rest.height
}

fn draw(ctx: &Ctx<'_>, meter: &Meter<'_>, area: Rect, buf: &mut Buffer) {
    let columns = Columns::of(area.width);
    let role = if meter.warn { Role::Warn } else { Role::Gauge };
    put(buf, area, 0, 0, meter.label, ctx.style(Role::Dim));
    let share = bar(
        ctx,
        f64::from(meter.share.unwrap_or(0.0)),
        columns.bar,
        role,
    );
    put_pieces(ctx, buf, area, LABEL, 0, &share);
    let value = meter.value.clone().unwrap_or_else(|| {
        meter.share.map_or_else(
            || format!("{:>4}", ctx.symbols.dash),
            |share| short_percent(f64::from(share)),
        )
    });
    let role = if meter.warn { Role::Warn } else { Role::Strong };
    let at = LABEL + columns.bar;
    put(buf, area, at, 0, &format!("{value:>5}"), ctx.style(role));
    let room = if meter.past.is_some() {
        columns.words
    } else {
        area.width.saturating_sub(at + SHARE)
    };
    let role = if meter.warn { Role::Warn } else { Role::Text };
    let words = meter.words.iter().map(|words| vec![piece(words, role)]);
    let mut words = first_fit(words.collect(), room);
    if words.is_empty() {
        // The text is cut rather than omitted.
        words = meter
            .words
            .last()
            .map(|w| piece(w, role))
            .into_iter()
            .collect();
    }
    put_pieces(ctx, buf, area, at + SHARE, 0, &words);
    debug_assert!(width_of(&share) == columns.bar);
    if let Some((trace, most)) = meter.past
        && columns.past > 0
    {
        let left = area.width - columns.past;
        let place = Rect {
            x: area.x + left,
            width: columns.past,
            ..area
        };
        past(ctx, trace, most, place, buf);
    }
}

/// Draws the latest values of a trace as vertical bars, the newest at the right; `most` fills a bar. Unknown values are
/// left blank.
fn past(ctx: &Ctx<'_>, trace: &Trace, most: f32, area: Rect, buf: &mut Buffer) {
    for (value, x) in trace.iter().rev().zip((0..area.width).rev()) {
        let Some(value) = value else {
            continue;
        };
        let (full, end) = column(ctx, value / most, area.height);
        // The ends of the bars form the curve; the cells below are drawn as background.
        let ground = (ctx.symbols.shades[0], Role::TrainBand);
        let cells = std::iter::repeat_n(ground, full).chain([(end, Role::Bar)]);
        for ((part, role), y) in cells.zip((0..area.height).rev()) {
            put(buf, area, x, y, part, ctx.style(role));
        }
    }
}

/// A vertical bar: the number of full cells below its end, and the character of the end. A value above 0 is always
/// visible, and a full bar leaves a gap to the row above, so that rows remain separate.
fn column(ctx: &Ctx<'_>, share: f32, rows: u16) -> (usize, &'static str) {
    let parts: &[&str] = if ctx.symbols.unicode {
        ctx.symbols.column
    } else {
        &ctx.symbols.shades
    };
    let steps = parts.len().max(1);
    let gap = usize::from(ctx.symbols.unicode);
    let all = (usize::from(rows) * steps).saturating_sub(gap);
    let share = if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    };
    let filled = ((share * all as f32).round() as usize).saturating_sub(1);
    let end = parts.get(filled % steps).copied().unwrap_or_default();
    (filled / steps, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_width_has_room_for_the_history() {
        for width in 58..400 {
            let columns = Columns::of(width);
            assert!(columns.past >= PAST, "{width}: {columns:?}");
        }
    }
}
