//! The gradient norm before clipping, the threshold, and where it acted.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Ctx;
use super::chart::{self, Chart, LABELS};
use super::layout::bottom;
use super::paint::{self, Piece, piece, put, put_pieces};
use super::scale::Scale;
use crate::run::CLIP_WINDOW;
use crate::tui::app::Pane;
use crate::tui::text::{count, maybe, number, short_percent};
use crate::tui::theme::Role;

/// Draws the pane.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let run = &ctx.app.run;
    let body = paint::title(ctx, buf, area, Pane::Gradient, "", legends(ctx));
    if run.grad_norm.is_empty() {
        paint::empty(
            ctx,
            buf,
            body,
            "the norm of the gradient before clipping appears here with the first step",
        );
        return;
    }
    let (body, list) = chart::beside(ctx, body);
    if let Some(list) = list {
        events(ctx, list, buf);
    }
    let (axis, body) = bottom(body, 1);
    chart::time_axis(ctx, axis, buf);
    let (marks, plot) = bottom(body, u16::from(run.clip_norm() > 0.0 && body.height > 2));
    clip_marks(ctx, marks, buf);
    norm_chart(ctx, plot, buf);
}

fn norm_chart(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let run = &ctx.app.run;
    let clip = f64::from(run.clip_norm());
    let mut values = chart::means(&run.grad_norm, run, area.width.saturating_sub(LABELS));
    let peaks = run.grad_norm.columns(
        0,
        chart::last_step(run).saturating_add(1),
        usize::from(area.width.max(1)),
    );
    let known = peaks.iter().filter(|bucket| bucket.count > 0);
    values.extend(known.flat_map(|bucket| [f64::from(bucket.min), f64::from(bucket.max)]));
    let threshold = (clip > 0.0).then(|| (clip, format!(" clip at {clip} ")));
    let scale = Scale::log(&mut values, &[clip]);
    let roles = (Role::Gradient, Role::GradientBand);
    Chart {
        steps: &run.grad_norm,
        points: None,
        threshold,
        scale,
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
    let labels = LABELS.min(area.width);
    let plot = Rect {
        x: area.x + labels,
        width: area.width - labels,
        ..area
    };
    let until = chart::last_step(run).saturating_add(1);
    for (x, bucket) in run
        .grad_norm
        .columns(0, until, usize::from(plot.width))
        .iter()
        .enumerate()
    {
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

fn legends(ctx: &Ctx<'_>) -> Vec<Vec<Piece>> {
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
