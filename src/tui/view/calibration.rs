//! What the probabilities are worth: the numbers, before and after the temperature, beside the reliability diagram.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Ctx;
use super::evaluated::{newest, origin};
use super::layout::{GUTTER, split};
use super::paint::{self, Piece, piece, put_pieces};
use super::reliability;
use crate::event::{EvalReport, Split};
use crate::metrics::{Interval, ReliabilityBin, overconfidence};
use crate::report::sureness;
use crate::tui::app::Pane;
use crate::tui::text::{number, wrap};
use crate::tui::theme::Role;

/// Columns of the numbers.
const WORDS: u16 = 28;

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
    reliability::draw(ctx, report, diagram, buf);
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
