//! What the probabilities are worth: the reliability diagram, how often each confidence is given, and the numbers of it,
//! before and after the temperature.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Ctx;
use super::evaluated::{newest, origin};
use super::layout::{GUTTER, bottom, split, top};
use super::paint::{self, Piece, piece, put, put_pieces};
use crate::event::{EvalReport, Split};
use crate::metrics::{Interval, ReliabilityBin, overconfidence};
use crate::report::sureness;
use crate::tui::app::Pane;
use crate::tui::text::{number, short_count, wrap};
use crate::tui::theme::Role;

/// Columns of the numbers, and of the labels left of the diagram.
const WORDS: u16 = 28;
const LABELS: u16 = 5;
/// Columns of a bin, at most.
const BIN: u16 = 12;
/// A bin with fewer predictions says little.
const FEW: u64 = 10;

/// Draws the pane.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let Some((report, _)) = newest(&ctx.app.run) else {
        let body = paint::title(ctx, buf, area, Pane::Calibration, "", Vec::new());
        let words = "what the probabilities are worth appears after the first validation, at the end of epoch 1";
        paint::empty(ctx, buf, body, words);
        return;
    };
    let note = origin(ctx, report, area.width);
    let body = paint::title(
        ctx,
        buf,
        area,
        Pane::Calibration,
        &note,
        headline(ctx, report),
    );
    if body.width < WORDS + 24 {
        words(ctx, report, body, buf);
        return;
    }
    let (diagram, numbers) = split(body, body.width - WORDS - GUTTER);
    words(ctx, report, numbers, buf);
    draw_diagram(ctx, report, diagram, buf);
}

fn headline(ctx: &Ctx<'_>, report: &EvalReport) -> Vec<Vec<Piece>> {
    if report.not_finite > 0 {
        return vec![vec![piece("undefined", Role::Error)]];
    }
    let percent = |value: f64| number(value * 100.0, 2, 5).trim().to_owned() + "%";
    let ece = [
        piece("ECE ", Role::Dim),
        piece(percent(report.ece.0), Role::Text),
        piece(format!(" {} ", ctx.symbols.arrow), Role::Faint),
        piece(percent(report.ece_calibrated.0), Role::Strong),
    ];
    let ends = ends(report.intervals.ece_calibrated);
    let ends = [piece(format!(" [{ends}]"), Role::Dim)];
    let interval = if report.intervals.ece_calibrated.is_some() {
        &ends[..]
    } else {
        &[]
    };
    vec![[&ece[..], interval].concat(), ece.to_vec()]
}

/// Both ends in percent.
fn ends(interval: Option<Interval>) -> String {
    interval.map_or_else(String::new, |Interval { low, high }| {
        format!("{:.2}, {:.2}", low * 100.0, high * 100.0)
    })
}

/// The numbers, and what they mean.
fn words(ctx: &Ctx<'_>, report: &EvalReport, area: Rect, buf: &mut Buffer) {
    let fit = &report.temperature;
    let dim = |text: String| piece(text, Role::Dim);
    let pair = |label: &str, before: String, after: String| {
        vec![
            dim(format!("{label:<5}")),
            piece(format!("{before:>11}"), Role::Text),
            piece(format!("{after:>12}"), Role::Strong),
        ]
    };
    let plain = |value: f64| {
        if value.is_nan() {
            ctx.symbols.dash.to_owned()
        } else {
            number(value, 4, 6)
        }
    };
    let percent = |value: f64| {
        if value.is_nan() {
            ctx.symbols.dash.to_owned()
        } else {
            number(value * 100.0, 2, 5) + "%"
        }
    };
    let mut lines = vec![vec![dim(format!(
        "{:<5}{:>11}{:>12}",
        "", "T = 1", "calibrated"
    ))]];
    lines.push(pair(
        "ECE",
        percent(report.ece.0),
        percent(report.ece_calibrated.0),
    ));
    let (before, after) = (
        ends(report.intervals.ece),
        ends(report.intervals.ece_calibrated),
    );
    if !before.is_empty() {
        lines.push(vec![dim(format!("{:<5}{before:>11}{after:>12}", " 95%"))]);
    }
    lines.push(pair(
        "MCE",
        percent(report.mce.0),
        percent(report.mce_calibrated.0),
    ));
    lines.push(pair(
        "NLL",
        plain(report.nll.0),
        plain(report.nll_calibrated.0),
    ));
    lines.push(pair("Brier", String::new(), plain(report.brier.0)));
    lines.push(Vec::new());
    lines.push(vec![
        dim("temperature ".to_owned()),
        piece(number(fit.value, 4, 6).trim().to_owned(), Role::Strong),
    ]);
    let how = if fit.converged {
        format!("Newton, {} steps, converged", fit.iterations)
    } else {
        "did not converge: no minimum".to_owned()
    };
    lines.push(vec![piece(
        how,
        if fit.converged { Role::Dim } else { Role::Warn },
    )]);
    let fitted = if report.split == Split::Valid {
        "fitted on these very images, so it looks a little better here than it is"
    } else {
        "fitted on validation"
    };
    prose(&mut lines, fitted, area.width, Role::Dim);
    lines.push(Vec::new());
    let verdict =
        |word: &str, bins: &[ReliabilityBin]| format!("{word} {}", sureness(overconfidence(bins)));
    if !report.reliability_before.is_empty() && report.not_finite == 0 {
        prose(
            &mut lines,
            &verdict("T = 1:", &report.reliability_before),
            area.width,
            Role::Text,
        );
        prose(
            &mut lines,
            &verdict("calibrated:", &report.reliability),
            area.width,
            Role::Text,
        );
    }
    if report.not_finite > 0 {
        let text = format!(
            "{} images have logits that are no numbers: undefined",
            report.not_finite
        );
        prose(&mut lines, &text, area.width, Role::Error);
    }
    lines.push(Vec::new());
    let noise = "noise only raises an ECE: it may lie above its own interval";
    prose(&mut lines, noise, area.width, Role::Dim);
    for (line, y) in lines.iter().zip(0..area.height) {
        put_pieces(ctx, buf, area, 0, y, line);
    }
}

fn prose(lines: &mut Vec<Vec<Piece>>, text: &str, width: u16, role: Role) {
    let text = wrap(text, usize::from(width));
    lines.extend(text.into_iter().map(|line| vec![piece(line, role)]));
}

/// The diagram: legend, bars against the level their confidence asks for, counts below.
fn draw_diagram(ctx: &Ctx<'_>, report: &EvalReport, area: Rect, buf: &mut Buffer) {
    let room = area.width.saturating_sub(LABELS);
    let bins = merged(&report.reliability, room);
    let before = merged(&report.reliability_before, room);
    if bins.is_empty() || report.not_finite > 0 {
        paint::empty(ctx, buf, area, "without probabilities there is no diagram");
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
    // Counts of three digits would run into each other in bins of three columns: every other one stands a row lower.
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

/// What the marks mean, from the longest words to the shortest.
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
    let surer = |word: &str| mark(shade, Role::Bad, word);
    let before = mark(symbols.starting, Role::Valid, "at T = 1");
    vec![
        [
            accuracy.clone(),
            confidence.clone(),
            surer("surer than right"),
            before.clone(),
        ]
        .concat(),
        [accuracy.clone(), confidence.clone(), before].concat(),
        [accuracy, confidence].concat(),
    ]
}

/// Neighbouring bins put together where there are more than columns.
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

/// A bin on the diagram.
struct Column<'a> {
    x: u16,
    width: u16,
    bin: &'a ReliabilityBin,
    before: Option<&'a ReliabilityBin>,
}

/// The row a share stands in.
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
            (from..to).for_each(|y| paint(y, shade, Role::Bad));
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

/// What a row of a bar of this height shows.
fn part<'a>(ctx: &Ctx<'a>, share: f64, y: u16, height: u16) -> &'a str {
    let parts = ctx.symbols.column.len();
    let filled = (share.clamp(0.0, 1.0) * f64::from(height) * parts as f64).round() as usize;
    let below = usize::from(height - 1 - y) * parts;
    match filled.saturating_sub(below).min(parts) {
        0 => " ",
        part => ctx.symbols.column.get(part - 1).copied().unwrap_or("#"),
    }
}

/// How often each confidence was given: in numbers, and as bars hanging below the diagram's floor.
fn draw_counts(
    ctx: &Ctx<'_>,
    bins: &[ReliabilityBin],
    (counts, histogram): (Rect, Rect),
    (from, width): (u16, u16),
    buf: &mut Buffer,
) {
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
            // A bin that has any predictions is seen.
            let share =
                (bin.count as f64 / most as f64).max(0.02 * f64::from(u8::from(bin.count > 0)));
            let text = part(ctx, share, y, histogram.height).repeat(bar);
            put(buf, histogram, x, y, &text, ctx.style(Role::Gauge));
        }
    }
}
