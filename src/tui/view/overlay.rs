//! Compared runs, drawn over a chart: their curves, the letters at the ends of the curves, and arrows to values outside
//! the scale.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::axis::TimeAxis;
use super::canvas::{Canvas, Layer, is_shown};
use super::chart::{Chart, beyond, draw_curve};
use super::compare::letter;
use super::ctx::Ctx;
use super::paint::put;
use super::scale::near;
use crate::run::{CurveId, RunState, between};
use crate::tui::theme::Role;

/// Finite values of the compared runs in the range shown, limited to those near the chart's own values.
pub(super) fn values(ctx: &Ctx<'_>, own: &[f64], width: u16, curves: &[&CurveId]) -> Vec<f64> {
    let axis = TimeAxis::of(ctx.app);
    let of = |state: &RunState| {
        let bounds = axis.bounds_of(state, usize::from(width));
        let buckets = |curve: &&CurveId| between(state.curves.of(curve).filled(), &bounds);
        let buckets = curves.iter().flat_map(buckets);
        buckets
            .filter_map(|bucket| bucket.mean())
            .collect::<Vec<_>>()
    };
    let others = ctx.app.others.iter().map(|other| &other.state);
    let all: Vec<f64> = others.flat_map(of).filter(|v| v.is_finite()).collect();
    near(own, &all)
}

/// Annotations for the curves of compared runs. Runs are counted from 0.
#[derive(Default)]
pub(super) struct ComparedCurves {
    /// Run, column and position of each curve value outside the scale.
    outside: Vec<(u8, u16, f64)>,
    /// Run and cell of the end of each curve, for its letter.
    cells: Vec<(u8, u16, u16)>,
}

impl ComparedCurves {
    /// Draws the arrows and the letters above the curves.
    pub(super) fn draw(&self, ctx: &Ctx<'_>, buf: &mut Buffer, plot: Rect) {
        for (at, x, place) in &self.outside {
            let role = Role::of_other(usize::from(*at));
            beyond(ctx, buf, plot, (*x, *place), role);
        }
        for (at, x, y) in &self.cells {
            let letter = letter(usize::from(*at) + 1).to_string();
            let style = ctx.style(Role::of_other(usize::from(*at)));
            put(buf, plot, *x, *y, &letter, style);
        }
    }
}

impl Chart<'_> {
    /// Draws the curves of compared runs: the measured points if the chart has any, else the lines.
    pub(super) fn overlay(&self, ctx: &Ctx<'_>, canvas: &mut Canvas) -> ComparedCurves {
        let axis = TimeAxis::of(ctx.app);
        let mut found = ComparedCurves::default();
        let others = (0..).zip(&ctx.app.others);
        for ((at, other), id) in
            others.flat_map(|other| self.compared_curves().map(move |id| (other, id)))
        {
            let series = other.state.curves.of(id);
            let bounds = axis.bounds_of(&other.state, canvas.width());
            let buckets = between(series.filled(), &bounds);
            let curve = self.curve(ctx, &buckets, Layer::Compared(at));
            draw_curve(canvas, &curve, Layer::Compared(at));
            for (x, place) in curve.iter().filter(|(_, place)| !is_shown(*place)) {
                found.outside.push((at, canvas.cell((*x, 0)).0, *place));
            }
            if let Some((x, place)) = curve.last() {
                let (x, y) = canvas.cell((*x, canvas.dot_row(*place)));
                found.cells.push((at, x, y));
            }
        }
        found
    }
}
