//! What the pages about an evaluation share: which one is shown, what it is called, its headline numbers.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::Ctx;
use super::paint::{self, Piece, piece};
use crate::event::{EvalReport, Split};
use crate::run::RunState;
use crate::tui::page::Pane;
use crate::tui::text::{count, margin, percent, points, score};
use crate::tui::theme::Role;

/// The newest measurement and the one of the same split before it.
pub(super) fn newest(run: &RunState) -> Option<(&EvalReport, Option<&EvalReport>)> {
    let (valid, test) = (&run.valid, &run.test);
    let history = match (&valid.latest, &test.latest) {
        (None, None) => return None,
        (Some(_), None) => valid,
        // The measurement of the best weights is the last of a run, though their step is an earlier one.
        (Some(v), Some(t)) if t.weights != "best" && t.global_step < v.global_step => valid,
        _ => test,
    };
    history
        .latest
        .as_ref()
        .map(|latest| (latest, history.previous.as_ref()))
}

/// Draws the title of a panel about the newest evaluation; gives it, the one before, and the area below. Before there is one,
/// the panel says what will appear.
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

/// What was measured, and of which moment.
fn origin(ctx: &Ctx<'_>, report: &EvalReport, width: u16) -> String {
    let dot = ctx.symbols.dot;
    // Where it is narrow the numbers need the columns.
    if width < 56 {
        return report.split.name().to_owned();
    }
    if report.split == Split::Test && report.weights == "best" && width >= 60 {
        return format!("test {dot} best weights {dot} epoch {}", report.epoch);
    }
    if report.split == Split::Test && report.weights != "best" {
        return format!("test {dot} step {}", count(report.global_step));
    }
    format!("{} {dot} epoch {}", report.split.name(), report.epoch)
}

/// The headline numbers with their intervals, as much as there is room for.
pub(super) fn headlines(ctx: &Ctx<'_>, report: &EvalReport) -> Vec<Vec<Piece>> {
    let intervals = &report.intervals;
    let dim = |text: &str| piece(text, Role::Dim);
    let with = |margin: String| {
        let gap = if margin.is_empty() { "" } else { " " };
        piece(format!("{gap}{margin}"), Role::Dim)
    };
    let f1 = [
        piece(score(report.macro_f1.0), Role::Strong),
        with(margin(intervals.macro_f1, ctx.symbols)),
    ];
    let accuracy = [
        piece(
            percent(Some(report.accuracy.0), ctx.symbols.dash)
                .trim()
                .to_owned(),
            Role::Strong,
        ),
        with(points(intervals.accuracy, ctx.symbols)),
    ];
    let auc = [
        report.auc_macro.map_or_else(
            || dim(ctx.symbols.dash),
            |auc| piece(format!("{auc:.4}"), Role::Strong),
        ),
        with(intervals.auc.map_or_else(String::new, |auc| {
            format!("{}{:.4}", ctx.symbols.plus_minus, auc.half_width())
        })),
    ];
    vec![
        [
            &[dim("macro-F1 ")][..],
            &f1,
            &[dim("  accuracy ")],
            &accuracy,
            &[dim("  AUC ")],
            &auc,
        ]
        .concat(),
        [
            &[dim("macro-F1 ")][..],
            &f1,
            &[dim("  accuracy ")],
            &accuracy,
        ]
        .concat(),
        [&[dim("F1 ")][..], &f1, &[dim("  acc ")], &accuracy].concat(),
        [&[dim("F1 ")][..], &f1].concat(),
        vec![dim("F1 "), f1[0].clone()],
    ]
}
