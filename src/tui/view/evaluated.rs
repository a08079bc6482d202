//! Shared by the pages about an evaluation: selection of the evaluation, its title, and its headline metrics.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::Ctx;
use super::paint::{self, Piece, piece};
use crate::event::{EvalReport, Split, WeightsKind};
use crate::metrics::{Format, Measure, MeasureInfo};
use crate::run::RunState;
use crate::tui::page::Pane;
use crate::tui::symbols::Symbols;
use crate::tui::text::{count, margin, number, percent, points, score};
use crate::tui::theme::Role;

/// The newest evaluation and the previous one of the same split.
pub(super) fn newest(run: &RunState) -> Option<(&EvalReport, Option<&EvalReport>)> {
    let (valid, test) = (&run.valid, &run.test);
    let history = match (&valid.latest, &test.latest) {
        (None, None) => return None,
        (Some(_), None) => valid,
        // The test-set evaluation of the best weights is the last of a run, although their step is an earlier one.
        (Some(v), Some(t)) if t.weights != WeightsKind::Best && t.global_step < v.global_step => {
            valid
        }
        _ => test,
    };
    history
        .latest
        .as_ref()
        .map(|latest| (latest, history.previous.as_ref()))
}

/// Draws the title of a panel about the newest evaluation. Returns that evaluation, the previous one, and the area
/// below the title. Without an evaluation the placeholder of the panel is drawn and `None` is returned.
pub(super) fn open<'a>(
    ctx: &Ctx<'a>,
    (area, buf): (Rect, &mut Buffer),
    pane: Pane,
    numbers: fn(&Ctx<'_>, &EvalReport) -> Vec<Vec<Piece>>,
) -> Option<(&'a EvalReport, Option<&'a EvalReport>, Rect)> {
    let Some((report, before)) = newest(&ctx.app.run) else {
        let body = paint::title(ctx, buf, area, pane, "", Vec::new());
        paint::empty(ctx, buf, body, ctx.panel(pane).empty);
        return None;
    };
    let note = origin(ctx, report, area.width);
    let body = paint::title(ctx, buf, area, pane, &note, numbers(ctx, report));
    Some((report, before, body))
}

/// The split and the step of an evaluation.
fn origin(ctx: &Ctx<'_>, report: &EvalReport, width: u16) -> String {
    let dot = ctx.symbols.dot;
    // In a narrow pane the columns are needed for the numbers.
    if width < 56 {
        return report.split.name().to_owned();
    }
    if report.split == Split::Test && report.weights == WeightsKind::Best && width >= 60 {
        return format!("test {dot} best weights {dot} epoch {}", report.epoch);
    }
    if report.split == Split::Test && report.weights != WeightsKind::Best {
        return format!("test {dot} step {}", count(report.global_step));
    }
    format!("{} {dot} epoch {}", report.split.name(), report.epoch)
}

/// A metric with its margin, as shown in summaries on the screen.
pub(super) fn summary(report: &EvalReport, measure: Measure, symbols: &Symbols) -> [Piece; 2] {
    let (value, measured) = (report.value(measure), report.measured(measure));
    let (text, margin) = match measure.info().format {
        Format::Percent => (
            percent(Some(value), symbols.dash),
            points(measured, symbols),
        ),
        Format::Score => (score(value), margin(measured, symbols)),
        Format::Ratio => {
            let reach = measured.map(|(value, interval)| interval.reach(value));
            let margin = reach.map(|reach| format!("{}{reach:.4}", symbols.plus_minus));
            (number(value, 4, 6), margin.unwrap_or_default())
        }
    };
    let text = if value.is_nan() {
        symbols.dash
    } else {
        text.trim()
    };
    let gap = if margin.is_empty() { "" } else { " " };
    [
        piece(text.to_owned(), Role::Strong),
        piece(format!("{gap}{margin}"), Role::Dim),
    ]
}

/// Variants of the headline metrics with their intervals, from the longest to the shortest. Macro-F1 is first because
/// these pages are about classes.
pub(super) fn headlines(ctx: &Ctx<'_>, report: &EvalReport) -> Vec<Vec<Piece>> {
    let known = report.estimates.measures.keys().copied();
    let mut measures: Vec<Measure> = known.filter(|measure| measure.info().headline).collect();
    measures.sort_by_key(|measure| *measure != Measure::MacroF1);
    let line = |count: usize, name: fn(&MeasureInfo) -> &'static str| -> Vec<Piece> {
        let all = measures.iter().take(count).enumerate();
        all.flat_map(|(at, measure)| {
            let gap = if at == 0 { "" } else { "  " };
            let name = piece(format!("{gap}{} ", name(measure.info())), Role::Dim);
            [&[name][..], &summary(report, *measure, ctx.symbols)].concat()
        })
        .collect()
    };
    let n = piece(format!("  n {}", count(report.n)), Role::Dim);
    let full = [line(measures.len(), |info| info.name), vec![n]].concat();
    let long = (2..=measures.len())
        .rev()
        .map(|count| line(count, |info| info.name));
    let short = [2, 1].map(|count| line(count, |info| info.short));
    let least: Vec<Piece> = short[1].iter().take(2).cloned().collect();
    [full]
        .into_iter()
        .chain(long)
        .chain(short)
        .chain([least])
        .collect()
}
