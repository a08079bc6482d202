//! A panel with one chart over time, described by a [`ChartSpec`].

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::axis::over_plot;
use super::chart::{self, Chart, LABELS};
use super::ctx::Ctx;
use super::overlay;
use super::paint::{self, Piece, piece, put};
use super::readout::{self, CursorValue};
use super::scale::Scale;
use crate::run::{Curve, CurveId, RunState, Scaling};
use crate::tui::layout::bottom;
use crate::tui::page::Pane;
use crate::tui::symbols::Symbols;
use crate::tui::theme::Role;

/// Describes a panel with a chart.
pub(super) struct ChartSpec {
    pub(super) pane: Pane,
    /// The curve drawn as a line.
    pub(super) line: Curve,
    /// The curve drawn as joined markers.
    pub(super) points: Option<Curve>,
    /// Roles of the line and of the spread behind it.
    pub(super) roles: (Role, Role),
    /// Whether the line is smoothed and drawn in front of its spread.
    pub(super) noisy: bool,
    /// Whether values that are not finite are an error; see [`Chart`](super::chart::Chart).
    pub(super) marks_non_finite: bool,
    /// The values the scale must contain.
    pub(super) bound: ScaleBound,
    /// Whether the chart shows the clipping threshold and a row of marks for clipped steps.
    pub(super) clip: bool,
    /// The epoch marked as the best: its number, its last step and its value.
    pub(super) best: fn(&RunState) -> Option<(u32, u64, f64)>,
    /// Draws the list to the right of the chart.
    pub(super) list: fn(&Ctx<'_>, Rect, &mut Buffer),
    /// The symbol of the line in titles, and the word after it.
    pub(super) sign: fn(&Symbols) -> &'static str,
    pub(super) word: &'static str,
    /// The current value of the line, for the title.
    pub(super) now: fn(&RunState) -> Option<f64>,
    /// The best values of line and points so far.
    pub(super) bests: [fn(&RunState) -> Option<f64>; 2],
    pub(super) format: ValueFormat,
    /// Variants of the title, from the most to the least detailed.
    pub(super) titles: fn(&RunState) -> &'static [&'static [Part]],
    /// Further text about the step under the cursor.
    pub(super) remark: fn(&Ctx<'_>, u64, Option<CursorValue>) -> Vec<Piece>,
}

/// Values that a scale contains in addition to the bulk of the values shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScaleBound {
    /// The means of the columns.
    Means,
    /// The means, and the minimum and maximum of each column.
    Spread,
    /// The minimum and maximum of each column, and 0 on a linear scale.
    FromZero,
}

/// Formatting of values.
pub(super) struct ValueFormat {
    /// In the title; the dash is printed if there is no value.
    pub(super) title: fn(Option<f64>, &str) -> String,
    /// Under the cursor.
    pub(super) cursor: fn(f64) -> String,
    /// Under the cursor in a narrow pane.
    pub(super) short: fn(f64) -> String,
}

/// An element of a title.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// Fixed text.
    Text(&'static str, Role),
    /// The symbol of the line between two texts.
    Line(&'static str, &'static str),
    /// The symbol of the points between two texts.
    Points(&'static str, &'static str),
    /// The current value of the line.
    Now,
    /// The last of the points.
    Measured,
    /// The best value of the line, and of the points.
    BestNow,
    BestMeasured,
    /// The epoch of the best of the points.
    BestEpoch,
    /// Any other pieces, computed by a function.
    Own(fn(&Ctx<'_>) -> Vec<Piece>),
}

impl Part {
    fn pieces(self, ctx: &Ctx<'_>, spec: &ChartSpec) -> Vec<Piece> {
        let run = &ctx.app.run;
        let written = |value: Option<f64>| (spec.format.title)(value, ctx.symbols.dash);
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
    let (body, list) = chart::split_off_list(ctx, body);
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
    let mut values = match spec.bound {
        ScaleBound::Means | ScaleBound::Spread => chart::means(&line, ctx, width),
        ScaleBound::FromZero => Vec::new(),
    };
    match spec.bound {
        ScaleBound::Spread | ScaleBound::FromZero => {
            values.extend(chart::extremes(&line, ctx, width));
        }
        ScaleBound::Means => {}
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
        keep.extend((spec.bound == ScaleBound::FromZero).then_some(0.0));
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
        marks_non_finite: spec.marks_non_finite,
        roles: spec.roles,
    }
    .draw(ctx, area, buf);
}

/// Draws the row of marks: one for each column that contains a clipped step.
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

/// Variants of the values in the title: those under the cursor if there is one, else the current ones.
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

/// Variants of the title with the values under the cursor.
fn readings(ctx: &Ctx<'_>, spec: &ChartSpec, step: u64) -> Vec<Vec<Piece>> {
    let line = CurveId::from(spec.line);
    let ValueFormat { cursor, short, .. } = spec.format;
    let now = readout::cursor_value(ctx, &line, step);
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
        (spec.format.title)(measured, ctx.symbols.dash),
        Role::Strong,
    ));
    values.extend((spec.remark)(ctx, step, now));
    let others = readout::others(ctx, step, &points, cursor);
    let short = readout::short(ctx, now, measured, short);
    readout::with_place(ctx, step, values, others, short)
}
