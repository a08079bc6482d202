//! The runs beside this one, laid over a chart: their curves, the letters at their ends, arrows to what lies outside.

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

/// Finite values of the runs beside this one in what is shown, as far as the chart makes room for them beside its own.
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

/// What the runs beside this one leave on a chart, each with its number.
#[derive(Default)]
pub(super) struct Others {
    /// Columns in which a curve is outside of the scale, with its place there.
    outside: Vec<(u8, u16, f64)>,
    /// The cells the curves end in, for their letters.
    cells: Vec<(u8, u16, u16)>,
}

impl Others {
    /// Draws what stands above the curves.
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
    /// The curves of the runs beside this one: what was measured, or where nothing is, the steps.
    pub(super) fn overlay(&self, ctx: &Ctx<'_>, canvas: &mut Canvas) -> Others {
        let axis = TimeAxis::of(ctx.app);
        let mut found = Others::default();
        let others = (0..).zip(&ctx.app.others);
        for ((at, other), id) in others.flat_map(|other| self.beside().map(move |id| (other, id))) {
            let series = other.state.curves.of(id);
            let bounds = axis.bounds_of(&other.state, canvas.width());
            let buckets = between(series.filled(), &bounds);
            let curve = self.curve(ctx, &buckets, Layer::Beside(at));
            draw_curve(canvas, &curve, Layer::Beside(at));
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
