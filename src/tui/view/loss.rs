//! The loss: training step by step (with label smoothing), validation epoch by epoch (plain NLL).

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::chart::{self, Chart, LABELS, Steps};
use super::ctx::Ctx;
use super::paint::{self, Piece, piece};
use super::readout;
use super::scale::Scale;
use crate::link::Curve;
use crate::tui::page::Pane;
use crate::tui::text::{maybe, number};
use crate::tui::theme::Role;

/// Draws the pane.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let run = &ctx.app.run;
    let body = paint::title(ctx, buf, area, Pane::Loss, "", legends(ctx));
    if run.train_loss.is_empty() && run.valid_nll.is_empty() {
        paint::empty(ctx, buf, body, ctx.panel(Pane::Loss).empty);
        return;
    }
    let (body, list) = chart::beside(ctx, body);
    if let Some(list) = list {
        chart::epoch_list(ctx, list, buf, "epoch     train  valid NLL", |row| {
            format!(
                "    {}     {}",
                number(row.train_loss.0, 4, 6),
                number(row.valid_nll.0, 4, 6)
            )
        });
    }
    let body = chart::own_axis(ctx, Pane::Loss, body, buf);
    let mut values = chart::means(
        Steps(&run.train_loss, Some(Curve::TrainLoss)),
        ctx,
        body.width.saturating_sub(LABELS),
    );
    values.extend(chart::values(&run.valid_nll, ctx));
    let newest = [
        run.loss.value().unwrap_or(f64::NAN),
        run.valid_nll.last().unwrap_or(f64::NAN),
    ];
    let keep = chart::keep(ctx, &run.valid_nll, &values, newest, |run| &run.valid_nll);
    let scale = if ctx.app.ui.charts.log(Pane::Loss) {
        Scale::log(&mut values, &keep)
    } else {
        Scale::linear(&mut values, &keep, body.height, false)
    };
    let lowest = run
        .history
        .iter()
        .filter(|row| row.valid_nll.0.is_finite())
        .min_by(|a, b| a.valid_nll.0.total_cmp(&b.valid_nll.0));
    let chart = Chart {
        steps: Steps(&run.train_loss, Some(Curve::TrainLoss)),
        points: Some(&run.valid_nll),
        best: lowest.map(|row| (row.global_step, row.valid_nll.0)),
        threshold: None,
        scale,
        beside: |run| &run.valid_nll,
        noisy: true,
        roles: (Role::Train, Role::TrainBand),
    };
    chart.draw(ctx, body, buf);
}

/// The values under the cursor.
fn readings(ctx: &Ctx<'_>, step: u64) -> Vec<Vec<Piece>> {
    let train = readout::at(ctx, Curve::TrainLoss, step);
    let mut values = vec![piece(format!("{} train", ctx.symbols.train), Role::Train)];
    values.extend(readout::value(ctx, train, |loss| number(loss, 4, 6)));
    let valid = readout::measured(&ctx.app.run.valid_nll, step);
    values.push(piece(
        format!("  {} valid ", ctx.symbols.valid),
        Role::Valid,
    ));
    values.push(piece(
        maybe(valid.map(|(_, nll)| nll), 4, 6, ctx.symbols.dash),
        Role::Strong,
    ));
    let others = readout::others(ctx, step, |run| &run.valid_nll, |nll| number(nll, 4, 6));
    let short = readout::short(ctx, train, valid.map(|(_, nll)| nll), |loss| {
        number(loss, 2, 4)
    });
    readout::with_place(ctx, step, values, others, short)
}

fn legends(ctx: &Ctx<'_>) -> Vec<Vec<Piece>> {
    if let Some(step) = ctx.app.ui.charts.cursor {
        return readings(ctx, step);
    }
    let run = &ctx.app.run;
    let dash = ctx.symbols.dash;
    let loss = |value: Option<f64>| maybe(value, 4, 6, dash);
    let train = [
        piece(format!("{} train ", ctx.symbols.train), Role::Train),
        piece(loss(run.loss.value()), Role::Strong),
    ];
    let valid = [
        piece(format!("   {} valid NLL ", ctx.symbols.valid), Role::Valid),
        piece(loss(run.valid_nll.last()), Role::Strong),
    ];
    let best = |value: Option<f64>| [piece(" best ", Role::Dim), piece(loss(value), Role::Text)];
    let best_train = best(run.lowest_train_loss.map(|loss| loss.0));
    let best_valid = best(run.lowest_valid_nll.map(|loss| loss.0));
    let lowest = run
        .history
        .iter()
        .min_by(|a, b| a.valid_nll.0.total_cmp(&b.valid_nll.0));
    let epoch = [piece(
        lowest.map_or_else(String::new, |row| format!(" (epoch {})", row.epoch)),
        Role::Dim,
    )];
    let smoothed = [piece(" label-smoothed", Role::Dim)];
    let short_valid = [
        piece(format!("  {} valid ", ctx.symbols.valid), Role::Valid),
        valid[1].clone(),
    ];
    vec![
        [
            &train[..],
            &smoothed,
            &best_train,
            &valid,
            &best_valid,
            &epoch,
        ]
        .concat(),
        [&train[..], &best_train, &valid, &best_valid, &epoch].concat(),
        [&train[..], &best_train, &valid, &best_valid].concat(),
        [&train[..], &valid].concat(),
        [&train[..], &short_valid].concat(),
        [&[
            train[1].clone(),
            piece(format!(" {} ", ctx.symbols.valid), Role::Valid),
            valid[1].clone(),
        ][..]]
        .concat(),
    ]
}
