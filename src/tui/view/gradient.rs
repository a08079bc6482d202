//! The gradient norm before clipping, the threshold, and where it acted.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::axis::over_plot;
use super::chart::{self, Chart, LABELS, Steps};
use super::ctx::Ctx;
use super::overlay;
use super::paint::{self, Piece, piece, put, put_pieces};
use super::readout;
use super::scale::Scale;
use crate::link::Curve;
use crate::run::CLIP_WINDOW;
use crate::tui::layout::bottom;
use crate::tui::page::Pane;
use crate::tui::text::{count, maybe, number, short_percent};
use crate::tui::theme::Role;

/// Draws the pane.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let run = &ctx.app.run;
    let body = paint::title(ctx, buf, area, Pane::Gradient, "", legends(ctx));
    if run.grad_norm.is_empty() {
        paint::empty(ctx, buf, body, ctx.panel(Pane::Gradient).empty);
        return;
    }
    let (body, list) = chart::beside(ctx, body);
    if let Some(list) = list {
        events(ctx, list, buf);
    }
    let body = chart::own_axis(ctx, Pane::Gradient, body, buf);
    let (marks, plot) = bottom(body, u16::from(run.clip_norm() > 0.0 && body.height > 2));
    clip_marks(ctx, marks, buf);
    norm_chart(ctx, plot, buf);
}

fn norm_chart(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let run = &ctx.app.run;
    let clip = f64::from(run.clip_norm());
    let width = area.width.saturating_sub(LABELS);
    let mut values = chart::means(Steps(&run.grad_norm, Some(Curve::GradNorm)), ctx, width);
    values.extend(chart::extremes(
        Steps(&run.grad_norm, Some(Curve::GradNorm)),
        ctx,
        width,
    ));
    let threshold = (clip > 0.0).then(|| (clip, format!(" clip at {clip} ")));
    let mut keep = overlay::values(ctx, &values, width, |run| &run.grad_norm);
    keep.push(clip);
    let scale = if ctx.app.ui.charts.log(Pane::Gradient) {
        Scale::log(&mut values, &keep)
    } else {
        Scale::linear(&mut values, &keep, area.height, false)
    };
    let roles = (Role::Gradient, Role::GradientBand);
    Chart {
        steps: Steps(&run.grad_norm, Some(Curve::GradNorm)),
        points: None,
        best: None,
        threshold,
        scale,
        beside: |run| &run.grad_norm,
        noisy: true,
        roles,
    }
    .draw(ctx, area, buf);
}

/// The row of marks: a column in which any step was clipped.
fn clip_marks(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let run = &ctx.app.run;
    put(buf, area, 0, 0, " clip", ctx.style(Role::Dim));
    let plot = over_plot(area, LABELS);
    chart::cursor_line(ctx, buf, plot);
    let columns = chart::buckets(
        Steps(&run.grad_norm, Some(Curve::GradNorm)),
        ctx,
        usize::from(plot.width),
    );
    for (x, bucket) in columns.iter().enumerate() {
        if bucket.count > 0 && bucket.max > run.clip_norm() {
            put(
                buf,
                plot,
                x as u16,
                0,
                ctx.symbols.clipped,
                ctx.style(Role::Clip),
            );
        }
    }
}

/// The latest clipped steps, newest first.
fn events(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let run = &ctx.app.run;
    put(
        buf,
        area,
        0,
        0,
        "clipped step    norm   factor",
        ctx.style(Role::Dim),
    );
    if run.clip.events.is_empty() {
        let words = if run.clip_norm() > 0.0 {
            "none yet"
        } else {
            "clipping is off"
        };
        put(buf, area, 0, 1, words, ctx.style(Role::Dim));
    }
    for (event, y) in run.clip.events.iter().rev().zip(1..area.height) {
        let line = format!(
            "{:>12}{}   {}",
            count(event.step),
            number(f64::from(event.norm.0), 2, 8),
            number(f64::from(event.factor.0), 3, 6)
        );
        put_pieces(ctx, buf, area, 0, y, &[piece(line, Role::Text)]);
    }
}

/// The norm under the cursor, and what clipping made of it.
fn readings(ctx: &Ctx<'_>, step: u64) -> Vec<Vec<Piece>> {
    let norm = readout::at(ctx, Curve::GradNorm, step);
    let mut values = vec![piece(ctx.symbols.train, Role::Gradient)];
    values.extend(readout::value(ctx, norm, |norm| number(norm, 3, 7)));
    let clip = f64::from(ctx.app.run.clip_norm());
    let above = norm.filter(|norm| norm.exact && clip > 0.0 && norm.value > clip);
    values.push(match above {
        Some(norm) => piece(format!("  clipped x{:.3}", clip / norm.value), Role::Clip),
        None => piece("", Role::Dim),
    });
    let others = readout::others(ctx, step, |run| &run.grad_norm, |norm| number(norm, 3, 7));
    let short = readout::value(ctx, norm, |norm| number(norm, 2, 5));
    readout::with_place(ctx, step, values, others, short)
}

fn legends(ctx: &Ctx<'_>) -> Vec<Vec<Piece>> {
    if let Some(step) = ctx.app.ui.charts.cursor {
        return readings(ctx, step);
    }
    let run = &ctx.app.run;
    let now = [
        piece(format!("{} ", ctx.symbols.train), Role::Gradient),
        piece(
            maybe(run.grad_norm.last(), 3, 6, ctx.symbols.dash),
            Role::Strong,
        ),
    ];
    let skipped = [
        piece(
            "  skipped ",
            if run.skipped > 0 {
                Role::Warn
            } else {
                Role::Dim
            },
        ),
        piece(
            count(run.skipped),
            if run.skipped > 0 {
                Role::Warn
            } else {
                Role::Text
            },
        ),
    ];
    if run.clip_norm() <= 0.0 {
        return vec![
            [&now[..], &[piece("  clipping off", Role::Dim)], &skipped].concat(),
            now.to_vec(),
        ];
    }
    let share = |share: f64| piece(short_percent(share), Role::Strong);
    let recent = [
        piece("  clipped", Role::Clip),
        share(run.recent_clip_share()),
    ];
    let window = [piece(format!(" of last {CLIP_WINDOW}"), Role::Dim)];
    let epoch = [share(run.clip.epoch_share()), piece(" of epoch", Role::Dim)];
    let comma = [piece(",", Role::Dim)];
    let total = [piece(
        format!(", {} in all", count(run.clip.total)),
        Role::Dim,
    )];
    vec![
        [&now[..], &recent, &window, &comma, &epoch, &total, &skipped].concat(),
        [&now[..], &recent, &window, &comma, &epoch, &skipped].concat(),
        [&now[..], &recent, &window, &comma, &epoch].concat(),
        [&now[..], &recent, &window].concat(),
        [&now[..], &recent].concat(),
        now.to_vec(),
    ]
}
