//! The calibration page: metrics before and after temperature scaling, next to the reliability diagram.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::Ctx;
use super::evaluated::open;
use super::paint::{Piece, more, piece, put_pieces};
use super::reliability;
use crate::event::{EvalReport, Split};
use crate::metrics::{Interval, Measure, largest_gap_count, overconfidence};
use crate::report::confidence_gap_note;
use crate::tui::layout::{GUTTER, split};
use crate::tui::page::Pane;
use crate::tui::text::{number, wrap};
use crate::tui::theme::Role;

/// Width in columns of the metrics.
const WORDS: u16 = 28;

/// Draws the pane.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let opened = open(ctx, (area, buf), Pane::Calibration, headline);
    let Some((report, _, body)) = opened else {
        return;
    };
    if body.width < WORDS + 24 {
        metrics_column(ctx, report, body, buf);
        return;
    }
    let (diagram, numbers) = split(body, body.width - WORDS - GUTTER);
    metrics_column(ctx, report, numbers, buf);
    reliability::draw(ctx, report, diagram, buf);
}

fn headline(ctx: &Ctx<'_>, report: &EvalReport) -> Vec<Vec<Piece>> {
    if report.not_finite > 0 {
        return vec![vec![piece("undefined", Role::Error)]];
    }
    let percent = |value: f64| number(value * 100.0, 2, 6).trim().to_owned() + "%";
    let ece = [
        piece("ECE ", Role::Dim),
        piece(percent(report.value(Measure::Ece)), Role::Text),
        piece(format!(" {} ", ctx.symbols.arrow), Role::Faint),
        piece(percent(report.value(Measure::EceCalibrated)), Role::Strong),
    ];
    let ends = ends(report.interval(Measure::EceCalibrated));
    let ends = [piece(format!(" [{ends}]"), Role::Dim)];
    let interval = if report.interval(Measure::EceCalibrated).is_some() {
        &ends[..]
    } else {
        &[]
    };
    vec![[&ece[..], interval].concat(), ece.to_vec()]
}

/// Both ends of an interval in percent, in at most 11 columns.
fn ends(interval: Option<Interval>) -> String {
    interval.map_or_else(String::new, |interval| {
        let digits = if interval.low < 0.099_95 { 2 } else { 1 };
        let Interval { low, high } = interval.displayed(100.0, digits);
        format!("{low:.digits$}, {high:.digits$}")
    })
}

/// Draws the metrics and their interpretation.
fn metrics_column(ctx: &Ctx<'_>, report: &EvalReport, area: Rect, buf: &mut Buffer) {
    let mut lines = numbers(ctx, report);
    fitted(&mut lines, report, area.width);
    interpretation(&mut lines, report, area.width);
    // If rows are scarce, blank lines are dropped before text is.
    while lines.len() > usize::from(area.height)
        && let Some(blank) = lines.iter().rposition(Vec::is_empty)
    {
        lines.remove(blank);
    }
    for (line, y) in lines.iter().zip(0..area.height) {
        put_pieces(ctx, buf, area, 0, y, line);
    }
    let below = lines.len().saturating_sub(usize::from(area.height));
    more(ctx, buf, area, (0, below));
}

/// The table of metrics before and after temperature scaling.
fn numbers(ctx: &Ctx<'_>, report: &EvalReport) -> Vec<Vec<Piece>> {
    let line = |label: &str, before: &str, after: &str, roles: [Role; 2]| {
        vec![
            piece(format!("{label:<5}"), Role::Dim),
            piece(format!("{before:>11}"), roles[0]),
            piece(format!("{after:>12}"), roles[1]),
        ]
    };
    let strong = |label, before: String, after: String| {
        line(label, &before, &after, [Role::Text, Role::Strong])
    };
    let dim = |label, before: &str, after: &str| line(label, before, after, [Role::Dim; 2]);
    let shown = |value: f64, text: String| {
        if value.is_nan() {
            ctx.symbols.dash.to_owned()
        } else {
            text
        }
    };
    let plain = |value: f64| shown(value, number(value, 4, 6));
    let percent = |value: f64| shown(value, number(value * 100.0, 2, 6) + "%");
    let (ece, calibrated) = (
        report.value(Measure::Ece),
        report.value(Measure::EceCalibrated),
    );
    let (mce, mce_calibrated) = (
        report.value(Measure::Mce),
        report.value(Measure::MceCalibrated),
    );
    let mut lines = vec![
        dim("", "T = 1", "calibrated"),
        strong("ECE", percent(ece), percent(calibrated)),
    ];
    let intervals = [
        report.interval(Measure::Ece),
        report.interval(Measure::EceCalibrated),
    ]
    .map(ends);
    if !intervals[0].is_empty() {
        lines.push(dim(" 95%", &intervals[0], &intervals[1]));
    }
    lines.push(strong("MCE", percent(mce), percent(mce_calibrated)));
    if report.not_finite == 0 {
        let [before, after] = [&report.reliability_before, &report.reliability].map(|bins| {
            let count = largest_gap_count(bins);
            format!("n = {count}")
        });
        lines.push(dim(" bin", &before, &after));
    }
    let (nll, after) = (
        report.value(Measure::Nll),
        report.value(Measure::NllCalibrated),
    );
    lines.push(strong("NLL", plain(nll), plain(after)));
    lines.push(strong(
        "Brier",
        String::new(),
        plain(report.value(Measure::Brier)),
    ));
    lines
}

/// Adds the temperature and how it was fitted.
fn fitted(lines: &mut Vec<Vec<Piece>>, report: &EvalReport, width: u16) {
    let fit = &report.temperature;
    lines.push(Vec::new());
    lines.push(vec![
        piece("temperature ", Role::Dim),
        piece(number(fit.value, 4, 9).trim().to_owned(), Role::Strong),
    ]);
    let (how, role) = if fit.converged {
        (
            format!("Newton, {} steps, converged", fit.iterations),
            Role::Dim,
        )
    } else {
        ("did not converge: not used".to_owned(), Role::Warn)
    };
    lines.push(vec![piece(how, role)]);
    let on = if report.split == Split::Valid {
        "fitted on this split; optimistic"
    } else {
        "fitted on validation"
    };
    prose(lines, on, width, Role::Dim);
    lines.push(Vec::new());
}

/// Adds the interpretation of the metrics.
fn interpretation(lines: &mut Vec<Vec<Piece>>, report: &EvalReport, width: u16) {
    if report.not_finite > 0 {
        let count = report.not_finite;
        let text = format!("{count} images have non-finite logits: undefined");
        prose(lines, &text, width, Role::Error);
    } else if !report.reliability_before.is_empty() {
        if let Some(text) = report.calibration_warning() {
            prose(lines, &text, width, Role::Warn);
        }
        let bins = [&report.reliability_before, &report.reliability];
        for (when, bins) in ["T = 1:", "calibrated:"].iter().zip(bins) {
            let text = format!("{when} {}", confidence_gap_note(overconfidence(bins)));
            prose(lines, &text, width, Role::Text);
        }
    }
    lines.push(Vec::new());
    let noise = "ECE is biased upward; the estimate can exceed its interval";
    prose(lines, noise, width, Role::Dim);
}

fn prose(lines: &mut Vec<Vec<Piece>>, text: &str, width: u16, role: Role) {
    let text = wrap(text, usize::from(width));
    lines.extend(text.into_iter().map(|line| vec![piece(line, role)]));
}
