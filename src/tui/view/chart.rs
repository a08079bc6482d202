//! A chart over training steps: the spread of the steps, their smoothed mean, and points measured now and then.
//!
//! The time axis grows in doublings of epochs, so that a point stays where it is while the run goes on; all charts of the
//! screen share it. No spike is lost: a column shows the least and the greatest of its steps. What lies outside the range
//! is marked at the edge, and what is no number at the top.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Ctx;
use super::canvas::{Canvas, Layer};
use super::layout::{bottom, split};
use super::paint::put;
use super::scale::Scale;
use crate::event::EpochSummary;
use crate::run::{Bucket, Ema, RunState, Series};
use crate::tui::text::columns;
use crate::tui::theme::Role;

/// Columns of the labels left of a chart, the axis included.
pub(super) const LABELS: u16 = 6;
/// Share of the past the smoothed curve keeps, per step: less than the number beside it keeps, so that a bend is seen where
/// it happened.
const SMOOTHING: f64 = 0.9;

/// What a chart shows.
pub(super) struct Chart<'a> {
    /// A value for each step.
    pub(super) steps: &'a Series,
    /// Values measured now and then, drawn as joined markers.
    pub(super) points: Option<&'a Series>,
    /// A value to draw a line at, with its name.
    pub(super) threshold: Option<(f64, String)>,
    /// From what to what.
    pub(super) scale: Scale,
    /// Looks of curve and spread.
    pub(super) roles: (Role, Role),
}

/// The time axis all charts share: steps from 0 to this.
pub(super) fn last_step(run: &RunState) -> u64 {
    let per_epoch = run.epoch_steps;
    let reached = run.global_step.max(1);
    if per_epoch == 0 {
        return reached;
    }
    let begun = reached.div_ceil(per_epoch);
    let shown = begun.checked_next_power_of_two().unwrap_or(begun);
    let most = if run.epochs == 0 {
        u64::MAX
    } else {
        u64::from(run.epochs).max(begun)
    };
    shown.min(most).saturating_mul(per_epoch)
}

/// Finite values of a curve as a chart of this width sees them, for choosing a scale.
pub(super) fn means(series: &Series, run: &RunState, width: u16) -> Vec<f64> {
    let buckets = series.columns(0, last_step(run).saturating_add(1), usize::from(width) * 2);
    buckets.iter().filter_map(Bucket::mean).collect()
}

/// Finite measured values.
pub(super) fn values(series: &Series) -> impl Iterator<Item = f64> + '_ {
    series.buckets().iter().filter_map(Bucket::mean)
}

impl Chart<'_> {
    /// Draws labels, axis and curves.
    pub(super) fn draw(&self, ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
        let labels = LABELS.min(area.width);
        let (gutter, plot) = (
            Rect {
                width: labels,
                ..area
            },
            Rect {
                x: area.x + labels,
                width: area.width - labels,
                ..area
            },
        );
        if plot.width == 0 || plot.height == 0 {
            return;
        }
        let mut canvas = Canvas::new(plot.width, plot.height);
        self.axis(ctx, buf, gutter, &canvas);
        guides(ctx, buf, plot);
        self.threshold(ctx, buf, plot, &canvas);
        let until = last_step(&ctx.app.run).saturating_add(1);
        let buckets = self.steps.columns(0, until, canvas.width());
        self.band(&mut canvas, &buckets);
        self.line(&mut canvas, &buckets);
        let markers = self
            .points
            .map(|points| self.join(&mut canvas, points, until))
            .unwrap_or_default();
        canvas.draw(ctx, buf, plot, |layer| match layer {
            Layer::Band | Layer::Empty => self.roles.1,
            Layer::Line => self.roles.0,
            Layer::Points => Role::Valid,
        });
        for (x, y) in markers {
            put(buf, plot, x, y, ctx.symbols.valid, ctx.style(Role::Valid));
        }
        self.edges(ctx, buf, plot, &buckets);
        self.name_threshold(ctx, buf, plot, &canvas);
    }

    fn axis(&self, ctx: &Ctx<'_>, buf: &mut Buffer, gutter: Rect, canvas: &Canvas) {
        let x = gutter.width.saturating_sub(1);
        for y in 0..gutter.height {
            put(buf, gutter, x, y, ctx.symbols.axis, ctx.style(Role::Faint));
        }
        let mut above = None;
        for (value, label) in self.scale.ticks(gutter.height).into_iter().rev() {
            let y = (canvas.dot_row(self.scale.place(value)) / 4) as u16;
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
        let y = (canvas.dot_row(self.scale.place(*value)) / 4) as u16;
        let line = ctx.symbols.threshold.repeat(usize::from(plot.width));
        put(buf, plot, 0, y, &line, ctx.style(Role::Clip));
    }

    /// Writes the threshold's name where it hides no curve, as far right as that is possible.
    fn name_threshold(&self, ctx: &Ctx<'_>, buf: &mut Buffer, plot: Rect, canvas: &Canvas) {
        let Some((value, name)) = &self.threshold else {
            return;
        };
        let line = canvas.dot_row(self.scale.place(*value)) / 4;
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

    /// The smoothed mean. It looks back only, so what is drawn does not change as more comes.
    fn line(&self, canvas: &mut Canvas, buckets: &[Bucket]) {
        let mut smooth = Ema::default();
        let mut before = None;
        for (x, bucket) in buckets.iter().enumerate() {
            let Some(mean) = bucket.mean() else { continue };
            smooth.push(SMOOTHING.powf(f64::from(bucket.count)), mean);
            let here = (
                x,
                canvas.dot_row(self.scale.place(smooth.value().unwrap_or(mean))),
            );
            canvas.line(before.unwrap_or(here), here, Layer::Line);
            before = Some(here);
        }
    }

    /// Joins measured points; gives the cells for their markers.
    fn join(&self, canvas: &mut Canvas, points: &Series, until: u64) -> Vec<(u16, u16)> {
        let buckets = points.columns(0, until, canvas.width());
        let mut before = None;
        let mut markers: Vec<(u16, u16)> = Vec::new();
        for (x, bucket) in buckets.iter().enumerate() {
            let Some(mean) = bucket.mean() else { continue };
            let here = (x, canvas.dot_row(self.scale.place(mean)));
            canvas.line(before.unwrap_or(here), here, Layer::Points);
            before = Some(here);
            let cell = ((here.0 / 2) as u16, (here.1 / 4) as u16);
            // Side by side, markers would hide the line they sit on; the newest is always shown.
            if markers
                .last()
                .is_some_and(|last| cell.0 < last.0.saturating_add(2))
            {
                markers.pop();
            }
            markers.push(cell);
        }
        markers
    }

    /// Marks what is outside the range, and what is no number.
    fn edges(&self, ctx: &Ctx<'_>, buf: &mut Buffer, plot: Rect, buckets: &[Bucket]) {
        // What sticks out a little is held at the edge without a word.
        let outside = |bucket: &Bucket, value: f32| {
            bucket.count > 0 && !(-0.15..=1.15).contains(&self.scale.place(f64::from(value)))
        };
        for (x, pair) in buckets.chunks(2).enumerate() {
            let x = x as u16;
            if pair.iter().any(|bucket| bucket.non_finite > 0) {
                put(
                    buf,
                    plot,
                    x,
                    0,
                    ctx.symbols.bad_point,
                    ctx.style(Role::Error),
                );
            } else if pair.iter().any(|bucket| {
                outside(bucket, bucket.max) && self.scale.place(f64::from(bucket.max)) > 0.5
            }) {
                put(buf, plot, x, 0, ctx.symbols.above, ctx.style(self.roles.0));
            } else if pair.iter().any(|bucket| outside(bucket, bucket.min)) {
                put(
                    buf,
                    plot,
                    x,
                    plot.height.saturating_sub(1),
                    ctx.symbols.below,
                    ctx.style(self.roles.0),
                );
            }
        }
    }
}

/// Columns of the plot at which labelled epochs end, with their numbers.
fn epochs(run: &RunState, width: u16) -> Vec<(u16, u64)> {
    let per_epoch = run.epoch_steps;
    if per_epoch == 0 || width == 0 {
        return Vec::new();
    }
    let until = last_step(run);
    let count = until / per_epoch;
    let most = u64::from(width / 7).max(1);
    let by = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
        .into_iter()
        .find(|by| count / by <= most)
        .unwrap_or(count.max(1));
    let column = |epoch: u64| {
        let step = u128::from(epoch.saturating_mul(per_epoch));
        ((step * u128::from(width) / (u128::from(until) + 1)) as u16).min(width - 1)
    };
    (0..=count)
        .filter(|epoch| epoch % by == 0)
        .map(|epoch| (column(epoch), epoch))
        .collect()
}

/// Faint lines where labelled epochs end.
fn guides(ctx: &Ctx<'_>, buf: &mut Buffer, plot: Rect) {
    for (x, epoch) in epochs(&ctx.app.run, plot.width) {
        for y in (0..plot.height).filter(|_| epoch > 0) {
            put(buf, plot, x, y, ctx.symbols.guide, ctx.style(Role::Faint));
        }
    }
}

/// The row of epoch numbers under a chart.
pub(super) fn time_axis(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    put(buf, area, 0, 0, "epoch", ctx.style(Role::Dim));
    let labels = LABELS.min(area.width);
    let plot = Rect {
        x: area.x + labels,
        width: area.width - labels,
        ..area
    };
    for (x, epoch) in epochs(&ctx.app.run, plot.width) {
        let label = epoch.to_string();
        let x = x.min(plot.width.saturating_sub(columns(&label)));
        put(buf, plot, x, 0, &label, ctx.style(Role::Dim));
    }
}

/// Columns of the list beside a chart, and columns of a pane from which there is room for it.
const LIST: u16 = 30;
const WIDE: u16 = 100;

/// Cuts the list off the right of a chart, where there is room: alike for all charts, so that their times stand under each
/// other.
pub(super) fn beside(ctx: &Ctx<'_>, area: Rect) -> (Rect, Option<Rect>) {
    if area.width < WIDE && !ctx.app.ui.zoom {
        return (area, None);
    }
    let (plot, list) = split(area, area.width.saturating_sub(LIST + 2));
    (plot, Some(list))
}

/// The latest epochs, newest first, below a heading.
pub(super) fn epoch_list(
    ctx: &Ctx<'_>,
    area: Rect,
    buf: &mut Buffer,
    heading: &str,
    row: impl Fn(&EpochSummary) -> String,
) {
    put(buf, area, 0, 0, heading, ctx.style(Role::Dim));
    let best = ctx.app.run.best.map(|best| best.epoch);
    for (summary, y) in ctx.app.run.history.iter().rev().zip(1..area.height) {
        let role = if best == Some(summary.epoch) {
            Role::Strong
        } else {
            Role::Text
        };
        put(
            buf,
            area,
            0,
            y,
            &format!("{:>5}{}", summary.epoch, row(summary)),
            ctx.style(role),
        );
    }
}

/// Cuts the row of the time axis off a chart that has the whole screen; others share the one of the lowest.
pub(super) fn own_axis(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) -> Rect {
    if !ctx.app.ui.zoom {
        return area;
    }
    let (axis, rest) = bottom(area, 1);
    time_axis(ctx, axis, buf);
    rest
}
