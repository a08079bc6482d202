//! The metrics panel: a grid of small charts for the curves without a panel of their own, mainly those logged by name.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::axis;
use super::chart::{self, Chart, LABELS, member_role};
use super::chart_specs::CHARTS;
use super::ctx::{Ctx, Step};
use super::overlay;
use super::paint::{self, Piece, piece, put_pieces};
use super::readout;
use super::scale::Scale;
use crate::run::{Curve, CurveId, RunState, Scaling, Source, group_of};
use crate::tui::app::App;
use crate::tui::layout::{bottom, top};
use crate::tui::page::Pane;
use crate::tui::text::{self, outside, percent};
use crate::tui::theme::Role;

/// Minimum width for charts side by side, and minimum height of a chart: a title and a few rows of curves.
const COLUMNS: u16 = 48;
const ROWS: u16 = 6;
/// Minimum height of a chart with its own time axis.
const AXIS_ROWS: u16 = 8;

/// The curves of one chart.
pub(in crate::tui) struct Group {
    /// The common part of their names; untrusted text.
    title: String,
    members: Vec<CurveId>,
}

/// The charts of the panel: known curves that no other panel shows, the named ones grouped by the last part of their
/// names, then those of evaluations.
pub(in crate::tui) fn groups(run: &RunState) -> Vec<Group> {
    let elsewhere = |curve: Curve| {
        let mut charts = CHARTS.iter();
        charts.any(|spec| spec.line == curve || spec.points == Some(curve))
    };
    let known = Curve::ALL.into_iter();
    let known = known.filter(|curve| !elsewhere(*curve) && !run.curves[*curve].is_empty());
    let (evaluated, known): (Vec<Curve>, Vec<Curve>) =
        known.partition(|curve| is_evaluated(*curve));
    let group = |curve: Curve| Group {
        title: curve.info().title.to_owned(),
        members: vec![curve.into()],
    };
    let mut named: BTreeMap<&str, Vec<CurveId>> = BTreeMap::new();
    for (name, _) in run.curves.named() {
        let members = named.entry(group_of(name)).or_default();
        members.push(CurveId::Named(name.to_owned()));
    }
    let named = named.into_iter().map(|(title, members)| Group {
        title: title.to_owned(),
        members,
    });
    let known = known.into_iter().map(group);
    known
        .chain(named)
        .chain(evaluated.into_iter().map(group))
        .collect()
}

/// Whether a curve has points at evaluations only. Its chart needs no rows on a page with other charts.
fn is_evaluated(curve: Curve) -> bool {
    matches!(curve.info().source, Source::Evaluation(_))
}

/// The layout of the charts in an area.
struct Grid {
    /// Number of charts side by side, and number of rows of charts in total.
    across: usize,
    rows: usize,
    /// Number of rows of charts that fit, and height of each in cells.
    fit: usize,
    height: u16,
}

impl Grid {
    fn of(groups: usize, area: Rect) -> Self {
        let across = usize::from(area.width / COLUMNS).clamp(1, groups.max(1));
        let rows = groups.div_ceil(across);
        let fit = usize::from(area.height / ROWS).clamp(1, rows.max(1));
        Self {
            across,
            rows,
            fit,
            height: area.height / fit as u16,
        }
    }

    /// The charts on the screen at this scroll position: index of the first, and maximum number.
    fn shown(&self, scroll: usize) -> (usize, usize) {
        let first = scroll.min(self.rows - self.fit.min(self.rows));
        (first * self.across, self.fit * self.across)
    }
}

/// Number of screen rows that the panel would fill on a page of this width; 0 if it has no charts.
pub(super) fn rows(app: &App, width: u16) -> u16 {
    let needed = |group: &Group| match group.members.as_slice() {
        [CurveId::Known(curve)] => !is_evaluated(*curve),
        _ => true,
    };
    let groups = groups(&app.run).into_iter().filter(needed).count();
    let grid = Grid::of(groups, Rect::new(0, 0, width, u16::MAX));
    let rows = u16::try_from(grid.rows).unwrap_or(u16::MAX);
    if groups == 0 {
        return 0;
    }
    rows.saturating_mul(AXIS_ROWS).saturating_add(1)
}

fn grid(app: &App, groups: &[Group]) -> Grid {
    Grid::of(groups.len(), top(app.layout.pane_area(Pane::Metrics), 1).1)
}

/// Scrolls by rows of charts; at its ends the key is not handled.
pub(super) fn scroll(app: &mut App, by: isize) -> Step {
    let grid = grid(app, &groups(&app.run));
    let before = app.ui.panels[Pane::Metrics];
    let last = grid.rows - grid.fit.min(grid.rows);
    app.ui.panels.shift(Pane::Metrics, by, last);
    if app.ui.panels[Pane::Metrics] == before.min(last) {
        Step::Pass
    } else {
        Step::Done
    }
}

/// The curves on the screen.
pub(super) fn shown(app: &App) -> Vec<CurveId> {
    let groups = groups(&app.run);
    let (first, count) = grid(app, &groups).shown(app.ui.panels[Pane::Metrics]);
    let shown = groups.into_iter().skip(first).take(count);
    shown.flat_map(|group| group.members).collect()
}

/// Draws the panel.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let groups = groups(&ctx.app.run);
    let body = paint::title(ctx, buf, area, Pane::Metrics, "", Vec::new());
    if groups.is_empty() {
        paint::empty(ctx, buf, body, ctx.panel(Pane::Metrics).empty);
        return;
    }
    let grid = Grid::of(groups.len(), body);
    let (first, count) = grid.shown(ctx.app.ui.panels[Pane::Metrics]);
    let width = body.width / grid.across as u16;
    for (at, group) in groups.iter().skip(first).take(count).enumerate() {
        let (x, y) = ((at % grid.across) as u16, (at / grid.across) as u16);
        let cell = Rect {
            x: body.x + x * width,
            y: body.y + y * grid.height,
            width: width.saturating_sub(u16::from(grid.across > 1)),
            height: grid.height,
        };
        draw_group(ctx, group, cell, buf);
    }
    let below = groups.len().saturating_sub(first + count);
    paint::more(ctx, buf, body, (first, below));
}

fn draw_group(ctx: &Ctx<'_>, group: &Group, area: Rect, buf: &mut Buffer) {
    let Some((line, members)) = group.members.split_first() else {
        return;
    };
    let (head, body) = top(area, 1);
    let title = piece(format!("{} ", shown_name(ctx, &group.title)), Role::Title);
    let x = put_pieces(ctx, buf, head, 0, 0, &[title]);
    let rest = Rect {
        x: head.x + x,
        width: head.width.saturating_sub(x),
        ..head
    };
    put_pieces(
        ctx,
        buf,
        rest,
        0,
        0,
        &paint::first_fit(legends(ctx, group), rest.width),
    );
    let (axis_row, body) = bottom(body, u16::from(area.height >= AXIS_ROWS));
    if axis_row.height > 0 {
        axis::draw(ctx, axis_row, LABELS, buf);
    }
    let width = body.width.saturating_sub(LABELS);
    let means = group
        .members
        .iter()
        .flat_map(|id| chart::means(id, ctx, width));
    let mut values: Vec<f64> = means.collect();
    let ids: Vec<&CurveId> = group.members.iter().collect();
    let keep = overlay::values(ctx, &values, width, &ids);
    let scale = if ctx.app.ui.charts.log(Pane::Metrics, line.scaling()) {
        Scale::log(&mut values, &keep)
    } else {
        let percent = line.scaling() == Scaling::Percent;
        Scale::linear(&mut values, &keep, body.height, percent)
    };
    Chart {
        line,
        members,
        points: None,
        best: None,
        threshold: None,
        scale,
        noisy: false,
        marks_non_finite: true,
        roles: (member_role(0), member_role(0)),
    }
    .draw(ctx, body, buf);
}

fn shown_name(ctx: &Ctx<'_>, name: &str) -> String {
    outside(name, 24, ctx.symbols)
}

/// Variants of the values of a group, under the cursor or else the latest: with the names of the curves, with their
/// numbers, and the first curve only.
fn legends(ctx: &Ctx<'_>, group: &Group) -> Vec<Vec<Piece>> {
    let numbered = group.members.len() > 1;
    let member = |(at, id): (usize, &CurveId), named: bool| {
        let mut pieces = Vec::new();
        let number = if numbered {
            format!(" {}", at + 1)
        } else {
            String::new()
        };
        pieces.push(piece(number, member_role(at)));
        let before = id.title().strip_suffix(&group.title).unwrap_or_default();
        let before = before.trim_end_matches('/');
        if named && !before.is_empty() {
            let name = format!(" {}", shown_name(ctx, before));
            pieces.push(piece(name, member_role(at)));
        }
        pieces.extend(value(ctx, id));
        pieces
    };
    let all = |named: bool| -> Vec<Piece> {
        let members = group.members.iter().enumerate();
        members.flat_map(|id| member(id, named)).collect()
    };
    let others = ctx.app.ui.charts.cursor.into_iter().flat_map(|step| {
        let ids = group.members.iter().take(1);
        ids.flat_map(move |id| readout::others(ctx, step, id, written(id)))
    });
    let first = group.members.iter().take(1).flat_map(|id| value(ctx, id));
    vec![
        all(true).into_iter().chain(others).collect(),
        all(true),
        all(false),
        first.collect(),
    ]
}

/// The value of a curve under the cursor or, without a cursor, its latest one.
fn value(ctx: &Ctx<'_>, id: &CurveId) -> Vec<Piece> {
    if let Some(step) = ctx.app.ui.charts.cursor {
        return readout::value(ctx, readout::cursor_value(ctx, id, step), written(id));
    }
    let last = ctx.app.run.curves.of(id).last();
    let last = last.map_or_else(|| ctx.symbols.dash.to_owned(), written(id));
    vec![piece(format!(" {last}"), Role::Strong)]
}

/// The number format of a curve.
fn written(id: &CurveId) -> fn(f64) -> String {
    match id.scaling() {
        Scaling::Percent => |share| percent(Some(share), ""),
        Scaling::Linear | Scaling::Log => number,
    }
}

/// Formats a number of any magnitude in at most ten columns.
fn number(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e5).contains(&value.abs()) && value.is_finite() {
        return format!("{value:.2e}");
    }
    text::number(value, 4, 6)
}
