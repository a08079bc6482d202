//! The values under the cursor of the charts.

use super::axis::TimeAxis;
use super::compare;
use super::ctx::Ctx;
use super::paint::{Piece, piece};
use crate::link::Curve;
use crate::run::{Bucket, RunState, Sample, Series, clock};
use crate::tui::text::count;
use crate::tui::theme::Role;

/// A value, and whether it is that of the very step or the mean of some around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reading {
    /// The value.
    pub(super) value: f64,
    /// Whether it is that of the very step.
    pub(super) exact: bool,
}

/// The value of a curve over steps at a step.
pub(super) fn at(ctx: &Ctx<'_>, curve: Curve, step: u64) -> Option<Reading> {
    let run = &ctx.app.run;
    let exact = |value: f32| Reading {
        value: f64::from(value),
        exact: true,
    };
    if let Some(sample) = recent(run, step) {
        return match curve {
            Curve::TrainLoss => Some(exact(sample.loss.0)),
            Curve::TrainAccuracy => Some(exact(sample.accuracy.0)),
            Curve::GradNorm => Some(exact(sample.grad_norm.0)),
            Curve::ValidNll | Curve::ValidAccuracy => None,
        };
    }
    // A replay that has gone back does not know yet what was told of a later step.
    let told = ctx.app.lookups.step(step);
    if let Some(values) = told.filter(|told| told.step == step && step <= run.global_step) {
        return match curve {
            Curve::TrainLoss => Some(exact(values.loss.0)),
            Curve::TrainAccuracy => Some(exact(values.accuracy.0)),
            Curve::GradNorm => Some(exact(values.grad_norm.0)),
            Curve::ValidNll | Curve::ValidAccuracy => None,
        };
    }
    let series = match curve {
        Curve::TrainLoss => &run.train_loss,
        Curve::TrainAccuracy => &run.train_accuracy,
        Curve::GradNorm => &run.grad_norm,
        Curve::ValidNll => &run.valid_nll,
        Curve::ValidAccuracy => &run.valid_accuracy,
    };
    let bucket = series.bucket_at(step)?;
    if bucket.non_finite > 0 && bucket.count == 0 {
        return Some(exact(f32::NAN));
    }
    Some(Reading {
        value: bucket.mean()?,
        exact: bucket.count == 1 && series.stride() == 1,
    })
}

fn recent(run: &RunState, step: u64) -> Option<&Sample> {
    let first = run.recent.front()?.step;
    let guess = run.recent.get(step.checked_sub(first)? as usize);
    guess.filter(|sample| sample.step == step)
}

/// What was measured last, by then: step and value.
pub(super) fn measured(series: &Series, step: u64) -> Option<(u64, f64)> {
    let (at, bucket) = before(series, step)?;
    Some((at, bucket.mean()?))
}

fn before(series: &Series, step: u64) -> Option<(u64, Bucket)> {
    series.filled().take_while(|(at, _)| *at <= step).last()
}

/// Where the cursor is: step, epoch, time.
pub(super) fn place(ctx: &Ctx<'_>, step: u64) -> Vec<Piece> {
    let run = &ctx.app.run;
    let epoch = step.div_ceil(run.epoch_steps.max(1)).max(1);
    let time = clock(run.timeline.at(step) as u64);
    vec![
        piece(ctx.symbols.axis, Role::Key),
        piece(" step ", Role::Dim),
        piece(count(step), Role::Strong),
        piece(format!(" epoch {epoch} {time}"), Role::Dim),
    ]
}

/// A reading as it is written: a mean has a sign before it.
pub(super) fn value(
    ctx: &Ctx<'_>,
    reading: Option<Reading>,
    written: impl Fn(f64) -> String,
) -> Vec<Piece> {
    match reading {
        Some(Reading { value, exact }) => vec![
            piece(if exact { " " } else { ctx.symbols.about }, Role::Dim),
            piece(written(value), Role::Strong),
        ],
        None => vec![piece(format!(" {}", ctx.symbols.dash), Role::Dim)],
    }
}

/// What the runs beside this one had by then, each under its letter. A mean of several steps has a sign before it.
pub(super) fn others(
    ctx: &Ctx<'_>,
    step: u64,
    curve: fn(&RunState) -> &Series,
    written: impl Fn(f64) -> String,
) -> Vec<Piece> {
    let axis = TimeAxis::of(ctx.app);
    let read = |state: &RunState| {
        let there = axis.step_of(state, step)?;
        let (_, bucket) = before(curve(state), there)?;
        let sign = if bucket.count > 1 {
            ctx.symbols.about
        } else {
            ""
        };
        Some(format!("{sign}{}", written(bucket.mean()?).trim_start()))
    };
    let pieces = ctx.app.others.iter().zip(1..).flat_map(|(other, at)| {
        let value = read(&other.state).unwrap_or_else(|| ctx.symbols.dash.to_owned());
        [
            piece(format!("  {} ", compare::letter(at)), compare::look(at)),
            piece(value, Role::Text),
        ]
    });
    pieces.collect()
}

/// Training and validation in the fewest columns, for a narrow pane.
pub(super) fn short(
    ctx: &Ctx<'_>,
    train: Option<Reading>,
    valid: Option<f64>,
    written: impl Fn(f64) -> String,
) -> Vec<Piece> {
    let measured = valid.map_or_else(|| ctx.symbols.dash.to_owned(), &written);
    let mut pieces = value(ctx, train, written);
    pieces.push(piece(format!(" {} ", ctx.symbols.valid), Role::Valid));
    pieces.push(piece(measured.trim_start(), Role::Strong));
    pieces
}

/// Choices for the title of a chart: the values and those of the other runs with the place of the cursor, and with less;
/// `short` is the least, for a narrow pane.
pub(super) fn with_place(
    ctx: &Ctx<'_>,
    step: u64,
    values: Vec<Piece>,
    others: Vec<Piece>,
    short: Vec<Piece>,
) -> Vec<Vec<Piece>> {
    let place = place(ctx, step);
    let gap = [piece("   ", Role::Text)];
    let all = [values.clone(), others].concat();
    vec![
        [&place[..], &gap, &all].concat(),
        [&place[..3], &gap[..], &all].concat(),
        all,
        [&place[..3], &gap[..], &values].concat(),
        values,
        short,
    ]
}

/// What happened at the cursor, or with a sign before it, near it: within so many steps.
pub(super) fn happened(ctx: &Ctx<'_>, step: u64, within: u64) -> Option<String> {
    let marks = ctx.app.run.marks.iter();
    let near = marks.filter(|mark| mark.step.abs_diff(step) <= within);
    let near = near.min_by_key(|mark| (mark.kind.is_routine(), mark.step.abs_diff(step)))?;
    let about = if near.step == step {
        ""
    } else {
        ctx.symbols.about
    };
    Some(format!("{about}{}", near.kind.words()))
}
