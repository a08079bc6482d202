//! A panel with one chart over time, as a specification describes it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::axis::over_plot;
use super::chart::{self, Chart, LABELS};
use super::ctx::Ctx;
use super::overlay;
use super::paint::{self, Piece, piece, put};
use super::readout::{self, Reading};
use super::scale::Scale;
use crate::run::{Curve, CurveId, RunState, Scaling};
use crate::tui::layout::bottom;
use crate::tui::page::Pane;
use crate::tui::symbols::Symbols;
use crate::tui::theme::Role;

/// What a panel with a chart shows, and how.
pub(super) struct ChartSpec {
    pub(super) pane: Pane,
    /// The curve drawn as a line.
    pub(super) line: Curve,
    /// The curve drawn as joined markers.
    pub(super) points: Option<Curve>,
    /// Looks of the line and of the spread behind it.
    pub(super) roles: (Role, Role),
    /// Whether the line is smoothed and stands before its spread.
    pub(super) noisy: bool,
    /// What the scale makes room for.
    pub(super) room: Room,
    /// Whether the chart has the threshold of clipping, and a row of marks for clipped steps.
    pub(super) clip: bool,
    /// The epoch marked as the best: its number, its last step and its value.
    pub(super) best: fn(&RunState) -> Option<(u32, u64, f64)>,
    /// Draws the list beside the chart.
    pub(super) list: fn(&Ctx<'_>, Rect, &mut Buffer),
    /// The sign of the line in titles, and a word behind it.
    pub(super) sign: fn(&Symbols) -> &'static str,
    pub(super) word: &'static str,
    /// What the title says of the line now.
    pub(super) now: fn(&RunState) -> Option<f64>,
    /// The best values of line and points so far.
    pub(super) bests: [fn(&RunState) -> Option<f64>; 2],
    pub(super) written: Written,
    /// The title, from the most to the least telling.
    pub(super) titles: fn(&RunState) -> &'static [&'static [Part]],
    /// What else is written of the step under the cursor.
    pub(super) remark: fn(&Ctx<'_>, u64, Option<Reading>) -> Vec<Piece>,
}

/// What a scale makes room for besides the bulk of what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// The means of the columns.
    Means,
    /// The means, and the lowest and highest value of each column.
    Spread,
    /// The lowest and highest value of each column, and on a scale of equal steps 0.
    FromZero,
}

/// How values are written.
pub(super) struct Written {
    /// In the title; a dash stands for none.
    pub(super) title: fn(Option<f64>, &str) -> String,
    /// Under the cursor.
    pub(super) cursor: fn(f64) -> String,
    /// Under the cursor, where columns are few.
    pub(super) short: fn(f64) -> String,
}

/// A piece of a title.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// A text.
    Text(&'static str, Role),
    /// The sign of the line between two texts.
    Line(&'static str, &'static str),
    /// The sign of the points between two texts.
    Points(&'static str, &'static str),
    /// The value of the line.
    Now,
    /// The last of the points.
    Measured,
    /// The best value of the line, and of the points.
    BestNow,
    BestMeasured,
    /// The epoch of the best of the points.
    BestEpoch,
    /// Something of its own.
    Own(fn(&Ctx<'_>) -> Vec<Piece>),
}

impl Part {
    fn pieces(self, ctx: &Ctx<'_>, spec: &ChartSpec) -> Vec<Piece> {
        let run = &ctx.app.run;
        let written = |value: Option<f64>| (spec.written.title)(value, ctx.symbols.dash);
        let [best_now, best_measured] = spec.bests;
        vec![match self {
            Self::Own(pieces) => return pieces(ctx),
            Self::Text(text, role) => piece(text, role),
            Self::Line(before, after) => {
                let sign = (spec.sign)(ctx.symbols);
                piece(format!("{before}{sign}{after}"), spec.roles.0)
            }
            Self::Points(before, after) => {
                let sign = ctx.symbols.valid;
                piece(format!("{before}{sign}{after}"), Role::Valid)
            }
            Self::Now => piece(written((spec.now)(run)), Role::Strong),
            Self::Measured => {
                let last = spec.points.and_then(|points| run.curves[points].last());
                piece(written(last), Role::Strong)
            }
            Self::BestNow => piece(written(best_now(run)), Role::Text),
            Self::BestMeasured => piece(written(best_measured(run)), Role::Text),
            Self::BestEpoch => {
                let epoch = (spec.best)(run).map(|(epoch, _, _)| format!(" (epoch {epoch})"));
                piece(epoch.unwrap_or_default(), Role::Dim)
            }
        }]
    }
}

/// Draws a panel.
pub(super) fn panel(ctx: &Ctx<'_>, spec: &ChartSpec, area: Rect, buf: &mut Buffer) {
    let run = &ctx.app.run;
    let body = paint::title(ctx, buf, area, spec.pane, "", title(ctx, spec));
    let mut curves = [Some(spec.line), spec.points].into_iter().flatten();
    if curves.all(|curve| run.curves[curve].is_empty()) {
        paint::empty(ctx, buf, body, ctx.panel(spec.pane).empty);
        return;
    }
    let (body, list) = chart::beside(ctx, body);
    if let Some(list) = list {
        (spec.list)(ctx, list, buf);
    }
    let body = chart::own_axis(ctx, spec.pane, body, buf);
    let clip_row = spec.clip && run.clip_norm() > 0.0 && body.height > 2;
    let (marks, plot) = bottom(body, u16::from(clip_row));
    if clip_row {
        clip_marks(ctx, spec.line, marks, buf);
    }
    draw_chart(ctx, spec, plot, buf);
}

fn draw_chart(ctx: &Ctx<'_>, spec: &ChartSpec, area: Rect, buf: &mut Buffer) {
    let run = &ctx.app.run;
    let (line, points) = (CurveId::from(spec.line), spec.points.map(CurveId::from));
    let width = area.width.saturating_sub(LABELS);
    let mut values = match spec.room {
        Room::Means | Room::Spread => chart::means(&line, ctx, width),
        Room::FromZero => Vec::new(),
    };
    match spec.room {
        Room::Spread | Room::FromZero => values.extend(chart::extremes(&line, ctx, width)),
        Room::Means => {}
    }
    let mut keep = match &points {
        Some(points) => {
            values.extend(chart::values(points, ctx));
            let newest = [(spec.now)(run), run.curves.of(points).last()];
            let newest = newest.map(|value| value.unwrap_or(f64::NAN));
            chart::keep(ctx, points, &values, newest)
        }
        None => overlay::values(ctx, &values, width, &[&line]),
    };
    let clip = f64::from(run.clip_norm());
    let threshold = (spec.clip && clip > 0.0).then(|| (clip, format!(" clip at {clip} ")));
    keep.extend(spec.clip.then_some(clip));
    let scaling = spec.line.info().scaling;
    let scale = if ctx.app.ui.charts.log(spec.pane, scaling) {
        Scale::log(&mut values, &keep)
    } else {
        keep.extend((spec.room == Room::FromZero).then_some(0.0));
        Scale::linear(&mut values, &keep, area.height, scaling == Scaling::Percent)
    };
    Chart {
        line: &line,
        members: &[],
        points: points.as_ref(),
        best: (spec.best)(run).map(|(_, step, value)| (step, value)),
        threshold,
        scale,
        noisy: spec.noisy,
        roles: spec.roles,
    }
    .draw(ctx, area, buf);
}

/// The row of marks: a column in which any step was clipped.
fn clip_marks(ctx: &Ctx<'_>, curve: Curve, area: Rect, buf: &mut Buffer) {
    put(buf, area, 0, 0, " clip", ctx.style(Role::Dim));
    let plot = over_plot(area, LABELS);
    chart::cursor_line(ctx, buf, plot);
    let columns = chart::buckets(&curve.into(), ctx, usize::from(plot.width));
    for (x, bucket) in columns.iter().enumerate() {
        if bucket.count > 0 && bucket.max > ctx.app.run.clip_norm() {
            let style = ctx.style(Role::Clip);
            put(buf, plot, x as u16, 0, ctx.symbols.clipped, style);
        }
    }
}

/// Choices for the numbers in the title: those under the cursor, or those of now.
fn title(ctx: &Ctx<'_>, spec: &ChartSpec) -> Vec<Vec<Piece>> {
    if let Some(step) = ctx.app.ui.charts.cursor {
        return readings(ctx, spec, step);
    }
    let pieces = |parts: &&[Part]| {
        parts
            .iter()
            .flat_map(|part| part.pieces(ctx, spec))
            .collect()
    };
    (spec.titles)(&ctx.app.run).iter().map(pieces).collect()
}

/// The values under the cursor.
fn readings(ctx: &Ctx<'_>, spec: &ChartSpec, step: u64) -> Vec<Vec<Piece>> {
    let line = CurveId::from(spec.line);
    let Written { cursor, short, .. } = spec.written;
    let now = readout::reading(ctx, &line, step);
    let sign = (spec.sign)(ctx.symbols);
    let mut values = vec![piece(format!("{sign}{}", spec.word), spec.roles.0)];
    values.extend(readout::value(ctx, now, cursor));
    let Some(points) = spec.points.map(CurveId::from) else {
        values.extend((spec.remark)(ctx, step, now));
        let others = readout::others(ctx, step, &line, cursor);
        return readout::with_place(ctx, step, values, others, readout::value(ctx, now, short));
    };
    let measured = readout::measured(ctx.app.run.curves.of(&points), step).map(|(_, value)| value);
    let sign = format!("  {} valid ", ctx.symbols.valid);
    values.push(piece(sign, Role::Valid));
    values.push(piece(
        (spec.written.title)(measured, ctx.symbols.dash),
        Role::Strong,
    ));
    values.extend((spec.remark)(ctx, step, now));
    let others = readout::others(ctx, step, &points, cursor);
    let short = readout::short(ctx, now, measured, short);
    readout::with_place(ctx, step, values, others, short)
}
