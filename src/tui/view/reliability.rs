//! The reliability diagram: the accuracy of each confidence bin as a bar, compared with the mean confidence of the bin;
//! below it the number of predictions in each bin.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::Ctx;
use super::paint::{self, Piece, piece, put, put_pieces};
use crate::event::EvalReport;
use crate::metrics::ReliabilityBin;
use crate::tui::layout::{bottom, top};
use crate::tui::text::short_count;
use crate::tui::theme::Role;

/// Width of the labels to the left of the diagram.
const LABELS: u16 = 5;
/// Maximum width of a bin.
const BIN: u16 = 12;
/// Bins with fewer predictions are drawn faint, as their accuracy is unreliable.
const FEW: u64 = 10;

/// Draws the diagram: legend, accuracy bars with confidence levels, and counts below.
pub(super) fn draw(ctx: &Ctx<'_>, report: &EvalReport, area: Rect, buf: &mut Buffer) {
    let room = area.width.saturating_sub(LABELS);
    let bins = merged(&report.reliability, room);
    let before = merged(&report.reliability_before, room);
    if bins.is_empty() || report.not_finite > 0 {
        paint::empty(
            ctx,
            buf,
            area,
            "no diagram: the probabilities are not finite",
        );
        return;
    }
    let width = (room / bins.len() as u16).clamp(1, BIN);
    let (legend_line, rest) = top(area, 1);
    let pieces = paint::first_fit(legends(ctx), room);
    put_pieces(ctx, buf, legend_line, LABELS, 0, &pieces);
    let (axis, rest) = bottom(rest, 1);
    let histogram_rows = if rest.height >= 12 {
        3
    } else {
        u16::from(rest.height >= 6)
    };
    let (histogram, rest) = bottom(rest, histogram_rows);
    // In bins of three columns, counts of three digits would touch, so every other one is drawn a row lower.
    let (counts, plot) = bottom(
        rest,
        if width >= 4 {
            1
        } else {
            2 * u16::from(width == 3)
        },
    );
    let place = |i: usize| LABELS + i as u16 * width;
    for (i, bin) in bins.iter().enumerate() {
        let column = Column {
            x: place(i),
            width: width.saturating_sub(u16::from(width > 2)),
            bin,
            before: before.get(i),
        };
        draw_column(ctx, &column, plot, buf);
    }
    for share in [0.0, 0.5, 1.0] {
        let y = row_of(share, plot.height);
        put(
            buf,
            plot,
            0,
            y,
            &format!("{:>4.0}%", share * 100.0),
            ctx.style(Role::Dim),
        );
    }
    draw_counts(ctx, &bins, (counts, histogram), (place(0), width), buf);
    let end = place(bins.len());
    let dim = ctx.style(Role::Dim);
    put(buf, axis, 0, 0, "conf", dim);
    put(buf, axis, LABELS, 0, "0%", dim);
    put(
        buf,
        axis,
        u16::midpoint(LABELS, end).saturating_sub(1),
        0,
        "50%",
        dim,
    );
    put(buf, axis, end.saturating_sub(5), 0, "100%", dim);
}

/// Variants of the legend, from the longest to the shortest.
fn legends(ctx: &Ctx<'_>) -> Vec<Vec<Piece>> {
    let symbols = ctx.symbols;
    let mark = |mark: &'static str, role: Role, word: &str| {
        vec![piece(mark, role), piece(format!(" {word}  "), Role::Dim)]
    };
    let accuracy = mark(
        symbols.column.last().copied().unwrap_or("#"),
        Role::Bar,
        "accuracy",
    );
    let confidence = mark(symbols.level, Role::Strong, "confidence");
    let shade = symbols.shades.first().copied().unwrap_or(":");
    let overconfident = |word: &str| mark(shade, Role::Bad, word);
    let before = mark(symbols.starting, Role::Valid, "accuracy at T = 1");
    // Always last, so without the space that separates entries: the legend just fits on 80 columns.
    let short = vec![
        piece(symbols.starting, Role::Valid),
        piece(" T=1", Role::Dim),
    ];
    vec![
        [
            accuracy.clone(),
            confidence.clone(),
            overconfident("overconfident"),
            before.clone(),
        ]
        .concat(),
        [
            accuracy.clone(),
            confidence.clone(),
            overconfident("overconf."),
            short.clone(),
        ]
        .concat(),
        [accuracy.clone(), confidence.clone(), short].concat(),
        [accuracy, confidence].concat(),
    ]
}

/// Merges adjacent bins if there are more bins than columns.
fn merged(bins: &[ReliabilityBin], room: u16) -> Vec<ReliabilityBin> {
    let together = bins.len().div_ceil(usize::from(room.max(1))).max(1);
    bins.chunks(together)
        .map(|bins| {
            let count = bins.iter().map(|bin| bin.count).sum();
            let mean = |pick: fn(&ReliabilityBin) -> f64| {
                let sum: f64 = bins.iter().map(|bin| pick(bin) * bin.count as f64).sum();
                if count == 0 { 0.0 } else { sum / count as f64 }
            };
            ReliabilityBin {
                lower: bins.first().map_or(0.0, |bin| bin.lower),
                upper: bins.last().map_or(0.0, |bin| bin.upper),
                count,
                confidence: mean(|bin| bin.confidence),
                accuracy: mean(|bin| bin.accuracy),
            }
        })
        .collect()
}

/// A bin and its columns in the diagram.
struct Column<'a> {
    x: u16,
    width: u16,
    bin: &'a ReliabilityBin,
    before: Option<&'a ReliabilityBin>,
}

/// The row for a rate from 0 to 1.
fn row_of(share: f64, height: u16) -> u16 {
    let last = height.saturating_sub(1);
    let rows = (share.clamp(0.0, 1.0) * f64::from(height)).ceil() as u16;
    last - rows.saturating_sub(1).min(last)
}

fn draw_column(ctx: &Ctx<'_>, column: &Column<'_>, plot: Rect, buf: &mut Buffer) {
    let Column {
        x,
        width,
        bin,
        before,
    } = *column;
    let mut paint = |y: u16, text: &str, role: Role| {
        put(
            buf,
            plot,
            x,
            y,
            &text.repeat(usize::from(width)),
            ctx.style(role),
        );
    };
    if bin.count > 0 {
        let role = if bin.count < FEW {
            Role::GaugeRest
        } else {
            Role::Bar
        };
        for y in 0..plot.height {
            paint(y, part(ctx, bin.accuracy, y, plot.height), role);
        }
        let shade = ctx.symbols.shades.first().copied().unwrap_or(":");
        if bin.accuracy < bin.confidence {
            let (from, to) = (
                row_of(bin.confidence, plot.height),
                row_of(bin.accuracy, plot.height),
            );
            // Includes the row of the bar's end, if the bar is too low to be visible in it.
            let hollow = |y: u16| part(ctx, bin.accuracy, y, plot.height) == " ";
            (from..=to)
                .filter(|y| *y < to || hollow(*y))
                .for_each(|y| paint(y, shade, Role::Bad));
        }
        paint(
            row_of(bin.confidence, plot.height),
            ctx.symbols.level,
            Role::Strong,
        );
    }
    if let Some(before) = before.filter(|bin| bin.count > 0) {
        let y = row_of(before.accuracy, plot.height);
        put(
            buf,
            plot,
            x + width / 2,
            y,
            ctx.symbols.starting,
            ctx.style(Role::Valid),
        );
    }
}

/// The character for row `y` of a bar of this height.
fn part<'a>(ctx: &Ctx<'a>, share: f64, y: u16, height: u16) -> &'a str {
    let parts = ctx.symbols.column.len();
    let filled = (share.clamp(0.0, 1.0) * f64::from(height) * parts as f64).round() as usize;
    let below = usize::from(height - 1 - y) * parts;
    match filled.saturating_sub(below).min(parts) {
        0 => " ",
        part => ctx.symbols.column.get(part - 1).copied().unwrap_or("#"),
    }
}

/// Draws the number of predictions per bin: as counts, and as bars that hang down from the base line.
fn draw_counts(
    ctx: &Ctx<'_>,
    bins: &[ReliabilityBin],
    (counts, histogram): (Rect, Rect),
    (from, width): (u16, u16),
    buf: &mut Buffer,
) {
    put(
        buf,
        histogram,
        0,
        histogram.height.saturating_sub(1),
        "freq",
        ctx.style(Role::Dim),
    );
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(0).max(1);
    put(buf, counts, 0, 0, "count", ctx.style(Role::Dim));
    for (i, bin) in bins.iter().enumerate() {
        let x = from + i as u16 * width;
        let text = if bin.count == 0 {
            ctx.symbols.right_small.to_owned()
        } else {
            short_count(bin.count)
        };
        let role = if bin.count < FEW {
            Role::Faint
        } else {
            Role::Dim
        };
        let text = format!(
            "{text:>0$}",
            usize::from(width.saturating_sub(u16::from(width > 3)))
        );
        let y = i as u16 % counts.height.max(1);
        put(buf, counts, x, y, &text, ctx.style(role));
        let bar = usize::from(width.saturating_sub(u16::from(width > 2)));
        for y in 0..histogram.height {
            // A bin with any predictions is always visible.
            let share =
                (bin.count as f64 / most as f64).max(0.02 * f64::from(u8::from(bin.count > 0)));
            let text = part(ctx, share, y, histogram.height).repeat(bar);
            put(buf, histogram, x, y, &text, ctx.style(Role::Gauge));
        }
    }
}
