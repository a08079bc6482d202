//! How well each class is told apart, from the newest full measurement.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Ctx;
use super::confusions;
use super::layout::top;
use super::paint::{self, Piece, bar, piece, put, put_pieces, put_right};
use crate::event::{EvalReport, Split};
use crate::metrics::{ClassScores, Interval};
use crate::report::flattery;
use crate::run::RunState;
use crate::tui::app::Pane;
use crate::tui::text::{columns, count, margin, number, outside, percent, points, score};
use crate::tui::theme::Role;

/// Changes smaller than this are none.
const SAME: f64 = 5e-4;

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

/// Which columns there is room for.
struct Columns {
    name: u16,
    bar: u16,
    interval: bool,
    details: bool,
    auc: bool,
    support: bool,
    change: bool,
    confused: bool,
}

impl Columns {
    fn of(width: u16, longest: u16) -> Self {
        // Mark, F1 and the blanks around them.
        let mut rest = width.saturating_sub(2 + 5);
        let name = longest.clamp(4, 24).min(rest.saturating_sub(8));
        rest = rest.saturating_sub(name + 1);
        let mut take = |columns: u16, keep: u16| {
            let fits = rest >= columns + keep;
            rest -= if fits { columns } else { 0 };
            fits
        };
        let change = take(8, 6);
        let details = take(12, 6);
        let interval = take(11, 6);
        let auc = take(6, 6);
        let support = take(9, 6);
        let confused = take(28, 10);
        Self {
            name,
            bar: rest.min(40),
            interval,
            details,
            auc,
            support,
            change,
            confused,
        }
    }
}

/// Draws the pane.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let run = &ctx.app.run;
    let Some((report, before)) = newest(run) else {
        let body = paint::title(ctx, buf, area, Pane::Classes, "", Vec::new());
        paint::empty(
            ctx,
            buf,
            body,
            "per-class F1 appears after the first validation, at the end of epoch 1",
        );
        return;
    };
    let body = paint::title(
        ctx,
        buf,
        area,
        Pane::Classes,
        &origin(ctx, report, area.width),
        headlines(ctx, report),
    );
    let names = run
        .info
        .as_ref()
        .map_or(&[][..], |info| &info.dataset.classes);
    let longest = names
        .iter()
        .map(|name| columns(&outside(name, 24, ctx.symbols)))
        .max()
        .unwrap_or(8);
    let widths = Columns::of(body.width, longest);
    let classes = report.classes.len() as u16;
    // Where all classes fit, the room below them tells more of the same measurement.
    let mut body = flattered(ctx, report, body, buf);
    if body.height > classes.saturating_add(1) {
        let (table, below) = top(body, classes + 1 + u16::from(body.height > classes + 1));
        let (table, foot) = top(table, table.height.saturating_sub(1));
        calibration(ctx, report, foot, buf);
        confusions::draw(ctx, report, below, buf);
        body = table;
    }
    if body.height > classes || (body.height > 12 && classes > 12) {
        body = headings(ctx, &widths, body, buf);
    }
    let room = usize::from(body.height);
    let scroll = ctx
        .app
        .ui
        .class_scroll
        .min(report.classes.len().saturating_sub(room));
    let worst = worst(report);
    for (y, (label, scores)) in report
        .classes
        .iter()
        .enumerate()
        .skip(scroll)
        .take(room)
        .enumerate()
    {
        let line = Rect {
            y: body.y + y as u16,
            height: 1,
            ..body
        };
        let name = names
            .get(label)
            .cloned()
            .unwrap_or_else(|| format!("class {label}"));
        let name = outside(&name, usize::from(widths.name), ctx.symbols);
        let change = before
            .and_then(|before| before.classes.get(label))
            .map(|before| scores.f1 - before.f1);
        let row = Row {
            name,
            scores,
            interval: report.intervals.f1.get(label).copied().flatten(),
            auc: report.auc.get(label).copied().flatten(),
            change,
            worst: worst == Some(label),
        };
        draw_row(ctx, &widths, line, buf, &row);
        if widths.confused {
            put_right(ctx, buf, line, 0, 0, &confusion(ctx, report, label, names));
        }
    }
    more(ctx, body, buf, scroll, report.classes.len());
}

/// What a line shows.
struct Row<'a> {
    name: String,
    scores: &'a ClassScores,
    interval: Option<Interval>,
    auc: Option<f64>,
    change: Option<f64>,
    worst: bool,
}

fn draw_row(ctx: &Ctx<'_>, widths: &Columns, line: Rect, buf: &mut Buffer, row: &Row<'_>) {
    let scores = row.scores;
    let (mark, name) = if row.worst {
        ("!", Role::Warn)
    } else {
        (" ", Role::Text)
    };
    put(buf, line, 0, 0, mark, ctx.style(Role::Warn));
    put(buf, line, 1, 0, &row.name, ctx.style(name));
    let look = if row.worst { Role::BarWorst } else { Role::Bar };
    let mut x = widths.name + 2;
    x = put_pieces(ctx, buf, line, x, 0, &bar(ctx, scores.f1, widths.bar, look));
    let mut pieces = vec![
        piece(" ", Role::Text),
        defined(ctx, scores.f1, scores.f1_undefined, Role::Strong),
    ];
    if widths.interval {
        let undefined = || format!("{:>11}", ctx.symbols.dash);
        let ends = row.interval.filter(|_| !scores.f1_undefined);
        let text = ends.map_or_else(undefined, |ends| {
            format!("  {}{}{}", score(ends.low), ctx.symbols.dash, score(ends.high))
        });
        pieces.push(piece(text, Role::Dim));
    }
    if widths.details {
        pieces.push(piece("  ", Role::Text));
        pieces.push(defined(
            ctx,
            scores.precision,
            scores.precision_undefined,
            Role::Dim,
        ));
        pieces.push(piece("  ", Role::Text));
        pieces.push(defined(
            ctx,
            scores.recall,
            scores.recall_undefined,
            Role::Dim,
        ));
    }
    if widths.auc {
        let auc = defined(ctx, row.auc.unwrap_or(0.0), row.auc.is_none(), Role::Text);
        pieces.extend([piece("  ", Role::Text), auc]);
    }
    if widths.support {
        pieces.push(piece(format!("{:>9}", count(scores.support)), Role::Dim));
    }
    if widths.change {
        pieces.push(change(ctx, row.change));
    }
    put_pieces(ctx, buf, line, x, 0, &pieces);
}

/// A score, or a dash where it is undefined and 0 by convention.
fn defined(ctx: &Ctx<'_>, value: f64, undefined: bool, role: Role) -> Piece {
    if undefined {
        piece(format!("{:>4}", ctx.symbols.dash), Role::Dim)
    } else {
        piece(score(value), role)
    }
}

fn change(ctx: &Ctx<'_>, change: Option<f64>) -> Piece {
    match change {
        Some(by) if by >= SAME => piece(format!("  {} {}", ctx.symbols.up, score(by)), Role::Good),
        Some(by) if by <= -SAME => {
            piece(format!("  {} {}", ctx.symbols.down, score(-by)), Role::Bad)
        }
        Some(_) => piece("  = .000", Role::Faint),
        None => piece("        ", Role::Faint),
    }
}

/// What the class is most often taken for.
fn confusion(ctx: &Ctx<'_>, report: &EvalReport, label: usize, names: &[String]) -> Vec<Piece> {
    let support = report.confusion.support(label);
    let taken = (0..report.confusion.classes()).filter(|predicted| *predicted != label);
    let Some((count, predicted)) = taken
        .map(|predicted| (report.confusion.count(label, predicted), predicted))
        .max_by_key(|(count, at)| (*count, usize::MAX - at))
    else {
        return Vec::new();
    };
    if support == 0 || count == 0 {
        return Vec::new();
    }
    let name = names
        .get(predicted)
        .map_or_else(|| format!("class {predicted}"), Clone::clone);
    let name = outside(&name, 16, ctx.symbols);
    let pad = " ".repeat(16_usize.saturating_sub(usize::from(columns(&name))));
    let share = count as f64 / support as f64 * 100.0;
    vec![
        piece(format!("{} ", ctx.symbols.arrow), Role::Faint),
        piece(format!("{name}{pad}"), Role::Dim),
        piece(format!("{share:>5.1}%"), Role::Text),
    ]
}

fn headings(ctx: &Ctx<'_>, widths: &Columns, area: Rect, buf: &mut Buffer) -> Rect {
    let (line, rest) = top(area, 1);
    let mut text = "   F1".to_owned();
    if widths.interval {
        text.push_str("  95% inter.");
    }
    if widths.details {
        text.push_str("  prec   rec");
    }
    if widths.auc {
        text.push_str("   AUC");
    }
    if widths.support {
        text.push_str("  support");
    }
    if widths.change {
        text.push_str("  change");
    }
    put(
        buf,
        line,
        widths.name + 2 + widths.bar,
        0,
        &text,
        ctx.style(Role::Dim),
    );
    put(buf, line, 1, 0, "class", ctx.style(Role::Dim));
    if widths.confused {
        put_right(
            ctx,
            buf,
            line,
            0,
            0,
            &[piece("most often taken for ", Role::Dim)],
        );
    }
    rest
}

/// The line below: what the probabilities are worth.
fn calibration(ctx: &Ctx<'_>, report: &EvalReport, line: Rect, buf: &mut Buffer) {
    if report.not_finite > 0 {
        let text = format!(" {} images have logits that are no numbers", count(report.not_finite));
        put(buf, line, 0, 0, &text, ctx.style(Role::Error));
        return;
    }
    let arrow = ctx.symbols.arrow;
    // The line changes with each evaluation only, so its numbers need no columns.
    let shown = |value: f64, decimals| number(value, decimals, decimals + 3).trim().to_owned();
    let long = format!(
        " NLL {}{arrow}{}  ECE {}{arrow}{}%  T {}",
        shown(report.nll.0, 3),
        shown(report.nll_calibrated.0, 3),
        shown(report.ece.0 * 100.0, 2),
        shown(report.ece_calibrated.0 * 100.0, 2),
        shown(report.temperature.value, 3)
    );
    put(buf, line, 0, 0, &long, ctx.style(Role::Dim));
}

/// Says how many classes are above and below, over the last column.
fn more(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer, scroll: usize, classes: usize) {
    let below = classes.saturating_sub(scroll + usize::from(area.height));
    if area.height > 0 && (scroll > 0 || below > 0) {
        let text = format!(
            " {} more {}",
            count((scroll + below) as u64),
            if below > 0 {
                ctx.symbols.down
            } else {
                ctx.symbols.up
            }
        );
        put_right(
            ctx,
            buf,
            area,
            0,
            area.height - 1,
            &[piece(text, Role::Dim)],
        );
    }
}

fn worst(report: &EvalReport) -> Option<usize> {
    let known = report
        .classes
        .iter()
        .enumerate()
        .filter(|(_, scores)| !scores.f1_undefined);
    known
        .min_by(|a, b| a.1.f1.total_cmp(&b.1.f1))
        .map(|(label, _)| label)
        .filter(|_| report.classes.len() > 1)
}

/// Rows the pane needs besides a row a class.
pub(super) fn remarks(run: &RunState) -> u16 {
    let flattered = newest(run).and_then(|(report, _)| report.confusion.flattered());
    u16::from(flattered.is_some())
}

/// A line where accuracy flatters; gives the area below it.
fn flattered(ctx: &Ctx<'_>, report: &EvalReport, area: Rect, buf: &mut Buffer) -> Rect {
    let names = ctx.app.run.info.as_ref().map_or(&[][..], |info| &info.dataset.classes);
    let Some(long) = flattery(report, names) else {
        return area;
    };
    let (line, rest) = top(area, u16::from(area.height > 1));
    let mark = piece(format!("{} ", ctx.symbols.warning), Role::Warn);
    let choices = [long, "accuracy flatters: see macro-F1".to_owned()];
    let choices = choices.map(|words| {
        vec![mark.clone(), piece(outside(&words, usize::from(u16::MAX), ctx.symbols), Role::Warn)]
    });
    let pieces = paint::first_fit(choices.to_vec(), line.width);
    put_pieces(ctx, buf, line, 0, 0, &pieces);
    rest
}

/// What was measured, and of which moment.
pub(super) fn origin(ctx: &Ctx<'_>, report: &EvalReport, width: u16) -> String {
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
        piece(percent(Some(report.accuracy.0), ctx.symbols.dash).trim().to_owned(), Role::Strong),
        with(points(intervals.accuracy, ctx.symbols)),
    ];
    let auc = [
        report.auc_macro.map_or_else(|| dim(ctx.symbols.dash), |auc| piece(format!("{auc:.4}"), Role::Strong)),
        with(intervals.auc.map_or_else(String::new, |auc| {
            format!("{}{:.4}", ctx.symbols.plus_minus, auc.half_width())
        })),
    ];
    vec![
        [&[dim("macro-F1 ")][..], &f1, &[dim("  accuracy ")], &accuracy, &[dim("  AUC ")], &auc].concat(),
        [&[dim("macro-F1 ")][..], &f1, &[dim("  accuracy ")], &accuracy].concat(),
        [&[dim("F1 ")][..], &f1, &[dim("  acc ")], &accuracy].concat(),
        [&[dim("F1 ")][..], &f1].concat(),
        vec![dim("F1 "), f1[0].clone()],
    ]
}
