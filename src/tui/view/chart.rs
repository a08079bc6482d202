//! A chart over training steps: the spread of the values per step, their smoothed mean, and points measured at some
//! steps, such as validation.
//!
//! All charts of the screen share one time axis ([`super::axis`]). Spikes remain visible: each column shows the minimum
//! and the maximum of its steps. Values outside the scale are marked at its edge, non-finite values at the top.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::axis::{self, TimeAxis, over_plot};
use super::canvas::{Canvas, Layer, is_shown};
use super::ctx::Ctx;
use super::marks;
use super::overlay;
use super::paint::put;
use super::scale::Scale;
use crate::run::{Bucket, CurveId, Ema, between};
use crate::tui::app::App;
use crate::tui::layout::{bottom, split};
use crate::tui::page::{Page, Pane};
use crate::tui::text::columns;
use crate::tui::theme::Role;

/// Number of columns into which measured points are grouped to choose a scale.
const EVERY_VALUE: u16 = 1000;
/// Width in columns of the labels to the left of a chart, including the axis.
pub(super) const LABELS: u16 = 6;

/// The contents of a chart.
pub(super) struct Chart<'a> {
    /// The curve drawn as a line.
    pub(super) line: &'a CurveId,
    /// Further curves on the same scale, drawn as lines; the ends of these and of the first curve are numbered.
    pub(super) members: &'a [CurveId],
    /// A curve measured at some steps only, drawn as joined markers.
    pub(super) points: Option<&'a CurveId>,
    /// Step and value of the best measured point.
    pub(super) best: Option<(u64, f64)>,
    /// A threshold drawn as a horizontal line, with its name.
    pub(super) threshold: Option<(f64, String)>,
    /// The scale of the value axis.
    pub(super) scale: Scale,
    /// Whether the curve is smoothed and drawn in front of the spread of the steps.
    pub(super) noisy: bool,
    /// Whether values that are not finite are an error to be marked; if not, the steps have no such value.
    pub(super) marks_non_finite: bool,
    /// Roles of the curve and of its spread.
    pub(super) roles: (Role, Role),
}

/// Finite column means of a curve at this chart width, used to choose a scale.
pub(super) fn means(curve: &CurveId, ctx: &Ctx<'_>, width: u16) -> Vec<f64> {
    let buckets = buckets(curve, ctx, usize::from(width) * ctx.dots().across());
    buckets.iter().filter_map(Bucket::mean).collect()
}

/// The minimum and maximum of each column.
pub(super) fn extremes(curve: &CurveId, ctx: &Ctx<'_>, width: u16) -> Vec<f64> {
    let buckets = buckets(curve, ctx, usize::from(width));
    let known = buckets.iter().filter(|bucket| bucket.count > 0);
    let ends = known.flat_map(|bucket| [f64::from(bucket.min), f64::from(bucket.max)]);
    ends.collect()
}

/// One bucket for each of `columns` columns of the range shown.
pub(super) fn buckets(curve: &CurveId, ctx: &Ctx<'_>, columns: usize) -> Vec<Bucket> {
    let axis = TimeAxis::of(ctx.app);
    let bounds = axis.bounds(columns);
    let series = ctx.app.run.curves.of(curve);
    let newest = ctx.app.run.global_step;
    let mut buckets = if axis.shows_entire_run() {
        between(series.filled(), &bounds)
    } else {
        between(ctx.app.lookups.points(curve, series, newest), &bounds)
    };
    buckets.resize(columns, Bucket::default());
    buckets
}

/// Finite values of a measured curve in the range shown.
pub(super) fn values(curve: &CurveId, ctx: &Ctx<'_>) -> Vec<f64> {
    let (from, to) = TimeAxis::of(ctx.app).steps();
    let series = ctx.app.run.curves.of(curve);
    let shown = series
        .filled()
        .filter(|(step, _)| (from..=to).contains(step));
    shown.filter_map(|(_, bucket)| bucket.mean()).collect()
}

/// Values that the scale must contain in addition to the bulk: the newest values if the end of the run is in view, else
/// the measured points in view; and the curves of compared runs.
pub(super) fn keep(ctx: &Ctx<'_>, points: &CurveId, own: &[f64], newest: [f64; 2]) -> Vec<f64> {
    let mut keep = if TimeAxis::of(ctx.app).shows_entire_run() {
        newest.to_vec()
    } else {
        values(points, ctx)
    };
    keep.extend(overlay::values(ctx, own, EVERY_VALUE, &[points]));
    keep
}

impl Chart<'_> {
    /// Draws labels, axis and curves.
    pub(super) fn draw(&self, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
        let gutter = Rect {
            width: LABELS.min(area.width),
            ..area
        };
        let plot = over_plot(area, LABELS);
        if plot.width == 0 || plot.height == 0 {
            return;
        }
        let mut canvas = Canvas::new(plot.width, plot.height, ctx.dots());
        self.axis(ctx, buf, gutter, &canvas);
        guides(ctx, buf, plot);
        self.threshold(ctx, buf, plot, &canvas);
        let buckets = buckets(self.line, ctx, canvas.width());
        if self.noisy {
            self.band(&mut canvas, &buckets);
        }
        let others = self.overlay(ctx, &mut canvas);
        let mut ends = self.draw_members(ctx, &mut canvas);
        ends.extend(self.draw_line(ctx, &mut canvas, &buckets, (Layer::Line, 1)));
        let markers = self
            .points
            .map(|points| self.join(ctx, &mut canvas, points))
            .unwrap_or_default();
        cursor_line(ctx, buf, plot);
        canvas.draw(ctx, buf, plot, |layer| match layer {
            Layer::Band | Layer::Empty => self.roles.1,
            Layer::Compared(at) => Role::of_other(usize::from(at)),
            Layer::Member(at) => member_role(usize::from(at) + 1),
            Layer::Line => self.roles.0,
            Layer::Points => Role::Valid,
        });
        others.draw(ctx, buf, plot);
        for (number, (x, y)) in ends.into_iter().filter(|_| !self.members.is_empty()) {
            let style = ctx.style(member_role(number - 1));
            put(buf, plot, x, y, &number.to_string(), style);
        }
        for (x, place) in markers {
            let (column, row) = canvas.cell((x, canvas.dot_row(place)));
            if is_shown(place) {
                let style = ctx.style(Role::Valid);
                put(buf, plot, column, row, ctx.symbols.valid, style);
            } else {
                beyond(ctx, buf, plot, (column, place), Role::Valid);
            }
        }
        self.best(ctx, buf, plot, &canvas);
        self.edges(ctx, buf, plot, &buckets);
        self.name_threshold(ctx, buf, plot, &canvas);
    }

    /// Marks the best measured point.
    fn best(&self, ctx: &Ctx<'_>, buf: &mut Buffer, plot: Rect, canvas: &Canvas) {
        let best = self.best.and_then(|(step, value)| {
            let x = TimeAxis::of(ctx.app).column(step, canvas.width())?;
            let place = self.scale.place(value);
            is_shown(place).then(|| (x, canvas.dot_row(place)))
        });
        if let Some(best) = best {
            let (x, y) = canvas.cell(best);
            put(buf, plot, x, y, ctx.symbols.best, ctx.style(Role::Good));
        }
    }

    fn axis(&self, ctx: &Ctx<'_>, buf: &mut Buffer, gutter: Rect, canvas: &Canvas) {
        let x = gutter.width.saturating_sub(1);
        for y in 0..gutter.height {
            put(buf, gutter, x, y, ctx.symbols.axis, ctx.style(Role::Faint));
        }
        let mut above = None;
        for (value, label) in self.scale.ticks(gutter.height).into_iter().rev() {
            let y = canvas.row(canvas.dot_row(self.scale.place(value)));
            // Labels on adjacent rows would be hard to read.
            if above.is_some_and(|above: u16| y < above.saturating_add(2)) {
                continue;
            }
            above = Some(y);
            put(buf, gutter, x, y, ctx.symbols.tick, ctx.style(Role::Faint));
            put(
                buf,
                gutter,
                x.saturating_sub(columns(&label)),
                y,
                &label,
                ctx.style(Role::Dim),
            );
        }
    }

    fn threshold(&self, ctx: &Ctx<'_>, buf: &mut Buffer, plot: Rect, canvas: &Canvas) {
        let Some((value, _)) = &self.threshold else {
            return;
        };
        let y = canvas.row(canvas.dot_row(self.scale.place(*value)));
        let line = ctx.symbols.threshold.repeat(usize::from(plot.width));
        put(buf, plot, 0, y, &line, ctx.style(Role::Clip));
    }

    /// Writes the name of the threshold where it hides no curve, as far right as possible.
    fn name_threshold(&self, ctx: &Ctx<'_>, buf: &mut Buffer, plot: Rect, canvas: &Canvas) {
        let Some((value, name)) = &self.threshold else {
            return;
        };
        let line = usize::from(canvas.row(canvas.dot_row(self.scale.place(*value))));
        let last = plot.width.saturating_sub(columns(name) + 1);
        let rows = [line, line.saturating_sub(1), line + 1];
        let free = rows
            .into_iter()
            .filter(|y| *y < usize::from(plot.height))
            .find_map(|y| {
                (0..=last)
                    .rev()
                    .find(|x| canvas.is_free(usize::from(*x), usize::from(columns(name)), y))
                    .map(|x| (x, y))
            });
        if let Some((x, y)) = free {
            put(buf, plot, x, y as u16, name, ctx.style(Role::Clip));
        }
    }

    fn band(&self, canvas: &mut Canvas, buckets: &[Bucket]) {
        for (x, bucket) in buckets
            .iter()
            .enumerate()
            .filter(|(_, bucket)| bucket.count > 0)
        {
            let row = |value: f32| canvas.dot_row(self.scale.place(f64::from(value)));
            let (from, to) = (row(bucket.max), row(bucket.min));
            canvas.column(x, from, to, Layer::Band);
        }
    }

    /// Draws the further curves; returns the number of each with the cell in which it ends.
    fn draw_members(&self, ctx: &Ctx<'_>, canvas: &mut Canvas) -> Vec<(usize, (u16, u16))> {
        let members = (0_u8..).zip(self.members);
        let ends = members.filter_map(|(at, id)| {
            let buckets = buckets(id, ctx, canvas.width());
            let look = (Layer::Member(at), usize::from(at) + 2);
            self.draw_line(ctx, canvas, &buckets, look)
        });
        ends.collect()
    }

    /// Draws a curve; returns its number with the cell in which it ends.
    fn draw_line(
        &self,
        ctx: &Ctx<'_>,
        canvas: &mut Canvas,
        buckets: &[Bucket],
        (layer, number): (Layer, usize),
    ) -> Option<(usize, (u16, u16))> {
        let curve = self.curve(ctx, buckets, layer);
        draw_curve(canvas, &curve, layer);
        let (x, place) = curve.last()?;
        Some((number, canvas.cell((*x, canvas.dot_row(*place)))))
    }

    /// The curves drawn for compared runs: the measured one if there is one, else the lines.
    pub(super) fn compared_curves(&self) -> impl Iterator<Item = &CurveId> {
        let lines = self.points.is_none().then_some([self.line]);
        let lines = lines.into_iter().flatten();
        self.points.into_iter().chain(lines).chain(self.members)
    }

    /// The smoothed mean by column, as positions on the scale. Smoothing is causal, so new steps do not change what is
    /// already drawn.
    pub(super) fn curve(
        &self,
        ctx: &Ctx<'_>,
        buckets: &[Bucket],
        layer: Layer,
    ) -> Vec<(usize, f64)> {
        // Measured points are few and are not smoothed.
        let measured = matches!(layer, Layer::Compared(_)) && self.points.is_some();
        let keep = if self.noisy && !measured {
            ctx.app.ui.charts.smoothing()
        } else {
            0.0
        };
        let mut smooth = Ema::default();
        let mut curve = Vec::new();
        for (x, bucket) in buckets.iter().enumerate() {
            let Some(mean) = bucket.mean() else { continue };
            smooth.push(keep.powf(f64::from(bucket.count)), mean);
            curve.push((x, self.scale.place(smooth.value().unwrap_or(mean))));
        }
        curve
    }

    /// Joins measured points with lines; returns the columns and positions of their markers.
    fn join(&self, ctx: &Ctx<'_>, canvas: &mut Canvas, points: &CurveId) -> Vec<(usize, f64)> {
        let buckets = buckets(points, ctx, canvas.width());
        let measured = buckets.iter().enumerate();
        let curve: Vec<(usize, f64)> = measured
            .filter_map(|(x, bucket)| Some((x, self.scale.place(bucket.mean()?))))
            .collect();
        draw_curve(canvas, &curve, Layer::Points);
        let mut markers: Vec<(usize, f64)> = Vec::new();
        for (x, place) in curve {
            let column = |x: usize| canvas.cell((x, 0)).0;
            // Adjacent markers would hide the line; the newest one is always drawn.
            if markers
                .last()
                .is_some_and(|(last, _)| column(x) < column(*last).saturating_add(2))
            {
                markers.pop();
            }
            markers.push((x, place));
        }
        markers
    }

    /// Marks values outside the scale, and non-finite values.
    fn edges(&self, ctx: &Ctx<'_>, buf: &mut Buffer, plot: Rect, buckets: &[Bucket]) {
        // Values within the slack are drawn at the edge and need no mark.
        let outside = |bucket: &Bucket, value: f32| {
            bucket.count > 0 && !is_shown(self.scale.place(f64::from(value)))
        };
        for (x, cell) in buckets.chunks(ctx.dots().across()).enumerate() {
            let x = x as u16;
            let non_finite = |bucket: &Bucket| bucket.non_finite > 0;
            if self.marks_non_finite && cell.iter().any(non_finite) {
                put(
                    buf,
                    plot,
                    x,
                    0,
                    ctx.symbols.bad_point,
                    ctx.style(Role::Error),
                );
            } else if cell.iter().any(|bucket| {
                outside(bucket, bucket.max) && self.scale.place(f64::from(bucket.max)) > 0.5
            }) {
                beyond(ctx, buf, plot, (x, 1.0), self.roles.0);
            } else if cell.iter().any(|bucket| outside(bucket, bucket.min)) {
                beyond(ctx, buf, plot, (x, 0.0), self.roles.0);
            }
        }
    }
}

/// The role of a further curve of a chart, counted from 0.
pub(super) fn member_role(at: usize) -> Role {
    const CYCLE: [Role; 4] = [Role::Train, Role::Valid, Role::Gradient, Role::Key];
    CYCLE.get(at % CYCLE.len()).copied().unwrap_or(Role::Train)
}

/// Joins positions on the scale, clipped to the scale.
pub(super) fn draw_curve(canvas: &mut Canvas, curve: &[(usize, f64)], layer: Layer) {
    if let [only] = curve {
        canvas.segment(*only, *only, layer);
    }
    for pair in curve.windows(2) {
        let [from, to] = pair else { continue };
        canvas.segment(*from, *to, layer);
    }
}

/// Draws an arrow at the edge, towards a value outside the scale.
pub(super) fn beyond(
    ctx: &Ctx<'_>,
    buf: &mut Buffer,
    plot: Rect,
    (x, place): (u16, f64),
    role: Role,
) {
    let (sign, y) = if place > 0.5 {
        (ctx.symbols.above, 0)
    } else {
        (ctx.symbols.below, plot.height.saturating_sub(1))
    };
    put(buf, plot, x, y, sign, ctx.style(role));
}

/// Draws faint lines at the labels of the axis.
fn guides(ctx: &Ctx<'_>, buf: &mut Buffer, plot: Rect) {
    for (x, _) in TimeAxis::of(ctx.app).labels(plot.width) {
        for y in (0..plot.height).filter(|_| x > 0) {
            put(buf, plot, x, y, ctx.symbols.guide, ctx.style(Role::Faint));
        }
    }
}

/// Draws the cursor as a column over the full height.
pub(super) fn cursor_line(ctx: &Ctx<'_>, buf: &mut Buffer, plot: Rect) {
    let cursor = ctx.app.ui.charts.cursor;
    let x = cursor.and_then(|step| TimeAxis::of(ctx.app).column(step, usize::from(plot.width)));
    if let Some(x) = x {
        for y in 0..plot.height {
            put(
                buf,
                plot,
                x as u16,
                y,
                ctx.symbols.axis,
                ctx.style(Role::Key),
            );
        }
    }
}

/// Width in columns of the list to the right of a chart, and minimum pane width for it.
const LIST: u16 = 30;
const WIDE: u16 = 100;
/// The same for a zoomed pane.
const CLOSE: u16 = 72;

/// Cuts the list off the right side of a chart if there is room. All charts do it alike, so that their time axes are
/// aligned.
pub(super) fn split_off_list(ctx: &Ctx<'_>, area: Rect) -> (Rect, Option<Rect>) {
    if !has_list(ctx.app, area.width) {
        return (area, None);
    }
    let (plot, list) = split(area, area.width.saturating_sub(LIST + 2));
    (plot, Some(list))
}

fn has_list(app: &App, width: u16) -> bool {
    let close = app.alone() || app.ui.page != Page::Overview;
    width >= if close { CLOSE } else { WIDE }
}

/// Width in columns of the plot in a pane of this width.
pub(super) fn plot_width(app: &App, width: u16) -> u16 {
    let list = if has_list(app, width) { LIST + 2 } else { 0 };
    width.saturating_sub(list + LABELS)
}

/// Cuts off the rows of the time axis, if this chart carries it: the lowest one of its page, or a zoomed one. If there
/// is room, a row of events is drawn above the axis.
pub(super) fn own_axis(ctx: &Ctx<'_>, pane: Pane, area: Rect, buf: &mut Buffer) -> Rect {
    let panes = ctx.app.ui.page.panes().iter().rev();
    let lowest = panes.copied().find(|pane| ctx.panel(*pane).shares_axis);
    if !ctx.app.alone() && lowest != Some(pane) {
        return area;
    }
    let (axis_row, rest) = bottom(area, 1);
    axis::draw(ctx, axis_row, LABELS, buf);
    let roomy = rest.height > 8 || (ctx.app.ui.page != Page::Overview && rest.height > 3);
    let (row, rest) = bottom(rest, u16::from(roomy));
    if roomy {
        marks::row(ctx, row, LABELS, buf);
    } else {
        marks::on_axis(ctx, axis_row, LABELS, buf);
    }
    rest
}
