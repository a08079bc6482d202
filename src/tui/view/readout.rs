//! The values under the cursor of the charts.

use super::axis::TimeAxis;
use super::compare;
use super::ctx::Ctx;
use super::paint::{Piece, piece};
use crate::run::{Bucket, CurveId, RunState, Sample, Series, Source, clock};
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

/// The value of a curve at a step: exactly where that is known, else the mean of its bucket.
pub(super) fn at(ctx: &Ctx<'_>, curve: &CurveId, step: u64) -> Option<Reading> {
    let run = &ctx.app.run;
    if let Some(value) = exact(ctx, curve, step) {
        return Some(Reading { value, exact: true });
    }
    let series = run.curves.of(curve);
    let bucket = series.bucket_at(step)?;
    if bucket.non_finite > 0 && bucket.count == 0 {
        let value = f64::NAN;
        return Some(Reading { value, exact: true });
    }
    Some(Reading {
        value: bucket.mean()?,
        exact: bucket.count == 1 && series.stride() == 1,
    })
}

/// The very value of a curve at a step: of the latest steps, or as the session told it.
fn exact(ctx: &Ctx<'_>, curve: &CurveId, step: u64) -> Option<f64> {
    let run = &ctx.app.run;
    let known = match curve {
        CurveId::Known(curve) => recent(run, step).and_then(|sample| sample.value(*curve)),
        CurveId::Named(_) => None,
    };
    let told = || {
        // A replay that has gone back does not know yet what was told of a later step.
        let told = ctx.app.lookups.step(step);
        told.filter(|told| told.step == step && step <= run.global_step)?
            .value(curve)
    };
    known.map(|value| value.0.into()).or_else(told)
}

/// The value under the cursor: that of the step, or of a curve without one for each step, the last one by then.
pub(super) fn reading(ctx: &Ctx<'_>, curve: &CurveId, step: u64) -> Option<Reading> {
    let by_step = match curve {
        CurveId::Known(curve) => matches!(curve.info().source, Source::Steps(_)),
        CurveId::Named(_) => false,
    };
    if by_step {
        return at(ctx, curve, step);
    }
    if let Some(value) = exact(ctx, curve, step) {
        return Some(Reading { value, exact: true });
    }
    let (_, bucket) = before(ctx.app.run.curves.of(curve), step)?;
    Some(Reading {
        value: bucket.mean()?,
        exact: bucket.count == 1,
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
    curve: &CurveId,
    written: impl Fn(f64) -> String,
) -> Vec<Piece> {
    let axis = TimeAxis::of(ctx.app);
    let read = |state: &RunState| {
        let there = axis.step_of(state, step)?;
        let (_, bucket) = before(state.curves.of(curve), there)?;
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
