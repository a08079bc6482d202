//! Gradient norm or update-to-weight ratio of each parameter over the run: one row per parameter, one column per range
//! of steps.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::axis::{TimeAxis, over_plot};
use super::chart;
use super::ctx::Ctx;
use super::heat::Scale;
use super::paint::{self, Piece, piece, put, put_pieces};
use crate::run::{LayerMoment, Scaling};
use crate::tui::app::App;
use crate::tui::page::Pane;
use crate::tui::text::{columns, outside};
use crate::tui::theme::Role;

/// Rows for all parameters (up to a limit), plus title, heading, events and axis.
pub(super) fn rows(app: &App, _: Rect) -> u16 {
    app.run.layers.names.len().clamp(4, 200) as u16 + 4
}

/// Draws the pane.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let track = &ctx.app.run.layers;
    let ratio = !ctx.app.ui.charts.log(Pane::Layers, Scaling::Linear);
    let note = if ratio {
        "update-to-weight ratio"
    } else {
        "gradient norm"
    };
    let body = paint::title(ctx, buf, area, Pane::Layers, note, legends(ctx, ratio));
    // The list is cut off first, as for all charts, so that time axes are aligned.
    let (body, list) = chart::split_off_list(ctx, body);
    let strips = chart::own_axis(ctx, Pane::Layers, body, buf);
    if track.history.moments.is_empty() {
        paint::empty(ctx, buf, strips, ctx.panel(Pane::Layers).empty);
        return;
    }
    if let Some(list) = list {
        let heading = format!("{:<14}{:>8}{:>8}", "parameter", "grad", "ratio");
        put(buf, list, 0, 0, &heading, ctx.style(Role::Dim));
    }
    let rows = usize::from(strips.height.saturating_sub(1));
    let first = ctx.app.ui.panels[Pane::Layers].min(track.names.len().saturating_sub(rows));
    let latest = track.history.moments.last();
    for (y, (at, name)) in (1..strips.height).zip(track.names.iter().enumerate().skip(first)) {
        strip(ctx, row(strips, y), buf, at, ratio);
        let number = format!("{:>5}", at + 1);
        put(buf, row(strips, y), 0, 0, &number, ctx.style(Role::Dim));
        if let (Some(list), Some(latest)) = (list, latest) {
            let name = outside(&short(name), 14, ctx.symbols);
            let pad = 14_u16.saturating_sub(columns(&name));
            let mut pieces = vec![
                piece(name, Role::Text),
                piece(" ".repeat(usize::from(pad)), Role::Text),
            ];
            pieces.extend(latest_numbers(latest, at));
            put_pieces(ctx, buf, list, 0, y, &pieces);
        }
    }
    let hidden = track.names.len().saturating_sub(rows) + track.left_out as usize;
    paint::more(ctx, buf, strips, (first, hidden.saturating_sub(first)));
}

fn row(area: Rect, y: u16) -> Rect {
    Rect {
        y: area.y.saturating_add(y),
        height: 1.min(area.height.saturating_sub(y)),
        ..area
    }
}

fn latest_numbers(moment: &LayerMoment, at: usize) -> Vec<Piece> {
    let number = |values: &[crate::event::F32]| {
        let value = values.get(at).map_or(f32::NAN, |value| value.0);
        match value {
            0.0 => format!("{:>8}", "0"),
            value => format!("{value:>8.0e}"),
        }
    };
    vec![
        piece(number(&moment.grad_norm), Role::Text),
        piece(number(&moment.ratio), Role::Strong),
    ]
}

/// A parameter name with common parts abbreviated: the second convolution of block 2 is `b2.res.conv2.w`, which just
/// fits.
fn short(name: &str) -> String {
    let words = [
        ("blocks.", "b"),
        (".residual.", ".res."),
        (".weight", ".w"),
        (".bias", ".b"),
    ];
    words.iter().fold(name.to_owned(), |name, (long, short)| {
        name.replace(long, short)
    })
}

/// Draws the strip of a parameter: each column shows the latest sample up to its step.
fn strip(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer, at: usize, ratio: bool) {
    let plot = over_plot(area, chart::LABELS);
    let axis = TimeAxis::of(ctx.app);
    let bounds = axis.bounds(usize::from(plot.width));
    let moments = &ctx.app.run.layers.history.moments;
    let newest = ctx.app.run.global_step;
    for (x, pair) in bounds.windows(2).enumerate() {
        let [from, until] = pair else { continue };
        // A sample is shown until the next one; there is no value before the first.
        let by_then = moments.partition_point(|moment| moment.step < *until);
        let moment = by_then.checked_sub(1).and_then(|i| moments.get(i));
        let Some(moment) = moment.filter(|_| *from <= newest) else {
            continue;
        };
        let values = if ratio {
            &moment.ratio
        } else {
            &moment.grad_norm
        };
        let value = values.get(at).map_or(f32::NAN, |value| value.0);
        let (sign, role) = scale(ratio).shade(ctx, value);
        put(buf, plot, x as u16, 0, sign, ctx.style(role));
    }
    let cursor = ctx.app.ui.charts.cursor;
    let x = cursor.and_then(|step| axis.column(step, usize::from(plot.width)));
    if let Some(x) = x {
        put(
            buf,
            plot,
            x as u16,
            0,
            ctx.symbols.axis,
            ctx.style(Role::Key),
        );
    }
}

/// One shade per decade.
fn scale(ratio: bool) -> Scale {
    Scale {
        from: if ratio {
            [1e-5, 1e-4, 1e-3, 1e-2]
        } else {
            [1e-4, 1e-3, 1e-2, 1e-1]
        },
        role: Role::Gradient,
    }
}

fn legends(ctx: &Ctx<'_>, ratio: bool) -> Vec<Vec<Piece>> {
    let scale = scale(ratio).legend(ctx, |low| format!("{low:e}"));
    let skipped = ctx.app.run.skipped;
    let bad = piece(format!("   {skipped} steps not finite"), Role::Dim);
    let with = [&scale[..], &[bad]].concat();
    vec![with, scale]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression test: when cut at their end, the three norms of a block had the same name.
    #[test]
    fn parameter_names_fit_and_are_distinct() {
        let parts = [
            "conv.weight",
            "norm.bias",
            "residual.conv1.weight",
            "residual.conv2.weight",
            "residual.norm1.bias",
            "residual.norm2.bias",
        ];
        let names = parts.map(|part| short(&format!("blocks.2.{part}")));
        assert!(names.iter().all(|name| name.len() <= 14), "{names:?}");
        assert_eq!(names[3], "b2.res.conv2.w");
        let mut distinct = names.to_vec();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), names.len());
        assert_eq!(short("head.logits.weight"), "head.logits.w");
    }
}
