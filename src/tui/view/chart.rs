//! A chart over training steps: the spread of the steps, their smoothed mean, and points measured now and then.
//!
//! All charts of the screen share one time axis ([`super::axis`]). No spike is lost: a column shows the least and the greatest of its steps. What lies outside the range
//! is marked at the edge, and what is no number at the top.

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

/// Columns in which measured points are told apart for a scale.
const EVERY_VALUE: u16 = 1000;
/// Columns of the labels left of a chart, the axis included.
pub(super) const LABELS: u16 = 6;

/// What a chart shows.
pub(super) struct Chart<'a> {
    /// The curve drawn as a line.
    pub(super) line: &'a CurveId,
    /// Further curves of the same scale, drawn as lines; their ends and that of the first are numbered.
    pub(super) members: &'a [CurveId],
    /// A curve measured now and then, drawn as joined markers.
    pub(super) points: Option<&'a CurveId>,
    /// Step and value of the best of them.
    pub(super) best: Option<(u64, f64)>,
    /// A value to draw a line at, with its name.
    pub(super) threshold: Option<(f64, String)>,
    /// From what to what.
    pub(super) scale: Scale,
    /// Whether the curve is smoothed and stands before the spread of the steps.
    pub(super) noisy: bool,
    /// Looks of curve and spread.
    pub(super) roles: (Role, Role),
}

/// Finite values of a curve as a chart of this width sees them, for choosing a scale.
pub(super) fn means(curve: &CurveId, ctx: &Ctx<'_>, width: u16) -> Vec<f64> {
    let buckets = buckets(curve, ctx, usize::from(width) * ctx.dots().across());
    buckets.iter().filter_map(Bucket::mean).collect()
}

/// The lowest and the highest value of each column.
pub(super) fn extremes(curve: &CurveId, ctx: &Ctx<'_>, width: u16) -> Vec<f64> {
    let buckets = buckets(curve, ctx, usize::from(width));
    let known = buckets.iter().filter(|bucket| bucket.count > 0);
    let ends = known.flat_map(|bucket| [f64::from(bucket.min), f64::from(bucket.max)]);
    ends.collect()
}

/// One bucket for each of so many columns of what is shown.
pub(super) fn buckets(curve: &CurveId, ctx: &Ctx<'_>, columns: usize) -> Vec<Bucket> {
    let axis = TimeAxis::of(ctx.app);
    let bounds = axis.bounds(columns);
    let series = ctx.app.run.curves.of(curve);
    let newest = ctx.app.run.global_step;
    let mut buckets = if axis.is_whole() {
        between(series.filled(), &bounds)
    } else {
        between(ctx.app.lookups.points(curve, series, newest), &bounds)
    };
    buckets.resize(columns, Bucket::default());
    buckets
}

/// Finite measured values of what is shown.
pub(super) fn values(curve: &CurveId, ctx: &Ctx<'_>) -> Vec<f64> {
    let (from, to) = TimeAxis::of(ctx.app).steps();
    let series = ctx.app.run.curves.of(curve);
    let shown = series
        .filled()
        .filter(|(step, _)| (from..=to).contains(step));
    shown.filter_map(|(_, bucket)| bucket.mean()).collect()
}

/// What a chart of training and validation must show beside its bulk: what is going on now where now is, else the measured
/// points of the stretch; and the runs beside this one.
pub(super) fn keep(ctx: &Ctx<'_>, points: &CurveId, own: &[f64], newest: [f64; 2]) -> Vec<f64> {
    let mut keep = if TimeAxis::of(ctx.app).is_whole() {
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
            Layer::Beside(at) => Role::of_other(usize::from(at)),
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

    /// Marks the best of the measured points.
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
            // Labels on neighbouring rows are a wall of digits.
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

    /// Writes the threshold's name where it hides no curve, as far right as that is possible.
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

    /// Draws the members; gives their numbers with the cells they end in.
    fn draw_members(&self, ctx: &Ctx<'_>, canvas: &mut Canvas) -> Vec<(usize, (u16, u16))> {
        let members = (0_u8..).zip(self.members);
        let ends = members.filter_map(|(at, id)| {
            let buckets = buckets(id, ctx, canvas.width());
            let look = (Layer::Member(at), usize::from(at) + 2);
            self.draw_line(ctx, canvas, &buckets, look)
        });
        ends.collect()
    }

    /// Draws a curve; gives its number with the cell it ends in.
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

    /// The curves of other runs that are laid over it: what was measured, or where nothing is, the lines.
    pub(super) fn beside(&self) -> impl Iterator<Item = &CurveId> {
        let lines = self.points.is_none().then_some([self.line]);
        let lines = lines.into_iter().flatten();
        self.points.into_iter().chain(lines).chain(self.members)
    }

    /// The smoothed mean, column by column, as places of the scale. It looks back only, so what is drawn does not change as
    /// more comes.
    pub(super) fn curve(
        &self,
        ctx: &Ctx<'_>,
        buckets: &[Bucket],
        layer: Layer,
    ) -> Vec<(usize, f64)> {
        // Measurements are few, and each counts.
        let measured = matches!(layer, Layer::Beside(_)) && self.points.is_some();
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

    /// Joins measured points; gives the columns and places of their markers.
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
            // Side by side, markers would hide the line they sit on; the newest is always shown.
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

    /// Marks what is outside the range, and what is no number.
    fn edges(&self, ctx: &Ctx<'_>, buf: &mut Buffer, plot: Rect, buckets: &[Bucket]) {
        // What sticks out a little is held at the edge without a word.
        let outside = |bucket: &Bucket, value: f32| {
            bucket.count > 0 && !is_shown(self.scale.place(f64::from(value)))
        };
        for (x, cell) in buckets.chunks(ctx.dots().across()).enumerate() {
            let x = x as u16;
            if cell.iter().any(|bucket| bucket.non_finite > 0) {
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

/// The look of a curve among those of a chart, counted from 0.
pub(super) fn member_role(at: usize) -> Role {
    const CYCLE: [Role; 4] = [Role::Train, Role::Valid, Role::Gradient, Role::Key];
    CYCLE.get(at % CYCLE.len()).copied().unwrap_or(Role::Train)
}

/// Joins places of a scale, as far as they lie on it.
pub(super) fn draw_curve(canvas: &mut Canvas, curve: &[(usize, f64)], layer: Layer) {
    if let [only] = curve {
        canvas.segment(*only, *only, layer);
    }
    for pair in curve.windows(2) {
        let [from, to] = pair else { continue };
        canvas.segment(*from, *to, layer);
    }
}

/// An arrow at the edge, towards a value that lies beyond it.
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

/// Faint lines at the labels of the axis.
fn guides(ctx: &Ctx<'_>, buf: &mut Buffer, plot: Rect) {
    for (x, _) in TimeAxis::of(ctx.app).labels(plot.width) {
        for y in (0..plot.height).filter(|_| x > 0) {
            put(buf, plot, x, y, ctx.symbols.guide, ctx.style(Role::Faint));
        }
    }
}

/// The column of the cursor, from top to bottom.
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

/// Columns of the list beside a chart, and columns of a pane from which there is room for it.
const LIST: u16 = 30;
const WIDE: u16 = 100;
/// The same where the pane is there to be read closely.
const CLOSE: u16 = 72;

/// Cuts the list off the right of a chart, where there is room: alike for all charts, so that their times stand under each
/// other.
pub(super) fn beside(ctx: &Ctx<'_>, area: Rect) -> (Rect, Option<Rect>) {
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

/// Columns of the plot in a pane of this width.
pub(super) fn plot_width(app: &App, width: u16) -> u16 {
    let list = if has_list(app, width) { LIST + 2 } else { 0 };
    width.saturating_sub(list + LABELS)
}

/// Cuts the rows of the time axis off the chart that carries it: the lowest of its page, or one that has the screen alone.
/// Where there is room, a row of marks stands above it.
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
