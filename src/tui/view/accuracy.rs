//! The accuracy: training step by step (with the weights before the step), validation epoch by epoch.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::chart::{self, Chart, LABELS, Steps};
use super::ctx::Ctx;
use super::paint::{self, Piece, piece};
use super::readout;
use super::scale::Scale;
use crate::link::Curve;
use crate::metrics::Interval;
use crate::run::RunState;
use crate::tui::page::Pane;
use crate::tui::text::{percent, points, score, short_percent};
use crate::tui::theme::Role;

/// Draws the pane.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let run = &ctx.app.run;
    let body = paint::title(ctx, buf, area, Pane::Accuracy, "", legends(ctx));
    if run.train_accuracy.is_empty() && run.valid_accuracy.is_empty() {
        paint::empty(ctx, buf, body, ctx.panel(Pane::Accuracy).empty);
        return;
    }
    let (body, list) = chart::beside(ctx, body);
    if let Some(list) = list {
        chart::epoch_list(ctx, list, buf, "epoch    train   valid     F1", |row| {
            let shown = |share: f64| percent(Some(share), ctx.symbols.dash);
            format!(
                "  {} {}   {}",
                shown(row.train_accuracy.0),
                shown(row.valid_accuracy.0),
                score(row.valid_macro_f1.0)
            )
        });
    }
    let body = chart::own_axis(ctx, Pane::Accuracy, body, buf);
    let mut values = chart::means(
        Steps(&run.train_accuracy, Some(Curve::TrainAccuracy)),
        ctx,
        body.width.saturating_sub(LABELS),
    );
    values.extend(chart::values(&run.valid_accuracy, ctx));
    let newest = [
        run.accuracy.value().unwrap_or(f64::NAN),
        run.valid_accuracy.last().unwrap_or(f64::NAN),
    ];
    let keep = chart::keep(ctx, &run.valid_accuracy, &values, newest, |run| {
        &run.valid_accuracy
    });
    let scale = Scale::linear(&mut values, &keep, body.height, true);
    let chart = Chart {
        steps: Steps(&run.train_accuracy, Some(Curve::TrainAccuracy)),
        points: Some(&run.valid_accuracy),
        best: run.best.map(|best| (best.global_step, best.accuracy.0)),
        threshold: None,
        scale,
        beside: |run| &run.valid_accuracy,
        noisy: true,
        roles: (Role::Train, Role::TrainBand),
    };
    chart.draw(ctx, body, buf);
}

/// The interval of the validation that is the curve's last point; one on request between two epochs is not on the curve.
pub(super) fn latest_interval(run: &RunState) -> Option<Interval> {
    let last = run.valid_accuracy.last()?;
    let known = run.valid.latest.iter().chain(&run.valid.previous);
    let mut same = known.filter(|report| f64::from(report.accuracy.0 as f32) == last);
    same.next()?.intervals.accuracy
}

/// The values under the cursor.
fn readings(ctx: &Ctx<'_>, step: u64) -> Vec<Vec<Piece>> {
    let shown = |share: f64| percent(Some(share), ctx.symbols.dash);
    let train = readout::at(ctx, Curve::TrainAccuracy, step);
    let mut values = vec![piece(format!("{} train", ctx.symbols.train), Role::Train)];
    values.extend(readout::value(ctx, train, shown));
    let valid = readout::measured(&ctx.app.run.valid_accuracy, step);
    values.push(piece(
        format!("  {} valid ", ctx.symbols.valid),
        Role::Valid,
    ));
    values.push(piece(
        percent(valid.map(|(_, share)| share), ctx.symbols.dash),
        Role::Strong,
    ));
    let others = readout::others(ctx, step, |run| &run.valid_accuracy, shown);
    let share = valid.map(|(_, share)| share);
    let short = readout::short(ctx, train, share, short_percent);
    readout::with_place(ctx, step, values, others, short)
}

fn legends(ctx: &Ctx<'_>) -> Vec<Vec<Piece>> {
    if let Some(step) = ctx.app.ui.charts.cursor {
        return readings(ctx, step);
    }
    let run = &ctx.app.run;
    let dash = ctx.symbols.dash;
    let shown = |value: Option<f64>| percent(value, dash);
    let highest = run
        .history
        .iter()
        .map(|row| row.train_accuracy.0)
        .filter(|v| v.is_finite())
        .reduce(f64::max);
    let train = [
        piece(format!("{} train", ctx.symbols.train), Role::Train),
        piece(shown(run.accuracy.value()), Role::Strong),
    ];
    let valid = [
        piece(format!("   {} valid", ctx.symbols.valid), Role::Valid),
        piece(shown(run.valid_accuracy.last()), Role::Strong),
    ];
    let with = |interval: Option<Interval>| {
        let margin = points(interval, ctx.symbols);
        let gap = if margin.is_empty() { "" } else { " " };
        piece(format!("{gap}{margin}"), Role::Dim)
    };
    let margin = [with(latest_interval(run))];
    let best = |value: Option<f64>| [piece(" best", Role::Dim), piece(shown(value), Role::Text)];
    let best_valid = best(run.best.map(|best| best.accuracy.0));
    let best_margin = [with(run.best.and_then(|best| best.interval))];
    let epoch = [piece(
        run.best
            .map_or_else(String::new, |best| format!(" (epoch {})", best.epoch)),
        Role::Dim,
    )];
    vec![
        [
            &train[..],
            &best(highest),
            &valid,
            &margin,
            &best_valid,
            &best_margin,
            &epoch,
        ]
        .concat(),
        [&train[..], &valid, &margin, &best_valid, &epoch].concat(),
        [&train[..], &valid, &margin, &best_valid].concat(),
        [&train[..], &valid, &margin].concat(),
        [
            &[
                piece(ctx.symbols.train, Role::Train),
                train[1].clone(),
                piece(format!("  {} valid", ctx.symbols.valid), Role::Valid),
                valid[1].clone(),
            ][..],
            &margin,
        ]
        .concat(),
        [
            &[
                piece(ctx.symbols.train, Role::Train),
                train[1].clone(),
                piece(format!("  {}", ctx.symbols.valid), Role::Valid),
                valid[1].clone(),
            ][..],
            &margin,
        ]
        .concat(),
        [
            &[train[1].clone()][..],
            &[
                piece(format!(" {}", ctx.symbols.valid), Role::Valid),
                valid[1].clone(),
            ],
        ]
        .concat(),
    ]
}
