//! The values of the charts at the cursor.

use super::axis::TimeAxis;
use super::compare;
use super::ctx::Ctx;
use super::paint::{Piece, piece};
use crate::run::{Bucket, CurveId, RunState, Sample, Series, Source, clock};
use crate::tui::text::count;
use crate::tui::theme::Role;

/// The value of a curve at the cursor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CursorValue {
    /// The value.
    pub(super) value: f64,
    /// Whether it is the value of this step, or the mean of several steps around it.
    pub(super) exact: bool,
}

/// The value of a curve at a step: exact if known, else the mean of its bucket.
pub(super) fn at(ctx: &Ctx<'_>, curve: &CurveId, step: u64) -> Option<CursorValue> {
    let run = &ctx.app.run;
    if let Some(value) = exact(ctx, curve, step) {
        return Some(CursorValue { value, exact: true });
    }
    let series = run.curves.of(curve);
    let bucket = series.bucket_at(step)?;
    if bucket.non_finite > 0 && bucket.count == 0 {
        let value = f64::NAN;
        return Some(CursorValue { value, exact: true });
    }
    Some(CursorValue {
        value: bucket.mean()?,
        exact: bucket.count == 1 && series.stride() == 1,
    })
}

/// The exact value of a curve at a step: from the latest steps, or from an answer of the session.
fn exact(ctx: &Ctx<'_>, curve: &CurveId, step: u64) -> Option<f64> {
    let run = &ctx.app.run;
    let known = match curve {
        CurveId::Known(curve) => recent(run, step).and_then(|sample| sample.value(*curve)),
        CurveId::Named(_) => None,
    };
    let answered = || {
        // After seeking back, a replay must not show the value of a later step.
        let answer = ctx.app.lookups.step(step);
        answer
            .filter(|answer| answer.step == step && step <= run.global_step)?
            .value(curve)
    };
    known.map(|value| value.0.into()).or_else(answered)
}

/// The value at the cursor: that of the step or, for a curve without a value for each step, its latest value up to the
/// step.
pub(super) fn cursor_value(ctx: &Ctx<'_>, curve: &CurveId, step: u64) -> Option<CursorValue> {
    let source = match curve {
        CurveId::Known(curve) => Some(curve.info().source),
        CurveId::Named(_) => None,
    };
    let shared = matches!(source, Some(Source::Shared(_)));
    if shared || matches!(source, Some(Source::Steps(_))) {
        let value = at(ctx, curve, step);
        if value.is_some() || !shared {
            return value;
        }
    }
    if let Some(value) = exact(ctx, curve, step) {
        return Some(CursorValue { value, exact: true });
    }
    let (_, bucket) = before(ctx.app.run.curves.of(curve), step)?;
    Some(CursorValue {
        value: bucket.mean()?,
        // In records of older versions, only the last step of a window has a value of a shared curve.
        exact: bucket.count == 1 && !shared,
    })
}

fn recent(run: &RunState, step: u64) -> Option<&Sample> {
    let first = run.recent.front()?.step;
    let guess = run.recent.get(step.checked_sub(first)? as usize);
    guess.filter(|sample| sample.step == step)
}

/// Step and value of the latest measurement up to a step.
pub(super) fn measured(series: &Series, step: u64) -> Option<(u64, f64)> {
    let (at, bucket) = before(series, step)?;
    Some((at, bucket.mean()?))
}

fn before(series: &Series, step: u64) -> Option<(u64, Bucket)> {
    series.filled().take_while(|(at, _)| *at <= step).last()
}

/// The position of the cursor: step, epoch, elapsed time.
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

/// A value as text; a mean is marked with a sign.
pub(super) fn value(
    ctx: &Ctx<'_>,
    at_cursor: Option<CursorValue>,
    format: impl Fn(f64) -> String,
) -> Vec<Piece> {
    match at_cursor {
        Some(CursorValue { value, exact }) => vec![
            piece(if exact { " " } else { ctx.symbols.about }, Role::Dim),
            piece(format(value), Role::Strong),
        ],
        None => vec![piece(format!(" {}", ctx.symbols.dash), Role::Dim)],
    }
}

/// The values of the compared runs at the corresponding step, each with the letter of its run. A mean of several steps
/// is marked with a sign.
pub(super) fn others(
    ctx: &Ctx<'_>,
    step: u64,
    curve: &CurveId,
    format: impl Fn(f64) -> String,
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
        Some(format!("{sign}{}", format(bucket.mean()?).trim_start()))
    };
    let pieces = ctx.app.others.iter().zip(1..).flat_map(|(other, at)| {
        let value = read(&other.state).unwrap_or_else(|| ctx.symbols.dash.to_owned());
        [
            piece(format!("  {} ", compare::letter(at)), compare::run_role(at)),
            piece(value, Role::Text),
        ]
    });
    pieces.collect()
}

/// Training and validation values in as few columns as possible, for a narrow pane.
pub(super) fn short(
    ctx: &Ctx<'_>,
    train: Option<CursorValue>,
    valid: Option<f64>,
    format: impl Fn(f64) -> String,
) -> Vec<Piece> {
    let measured = valid.map_or_else(|| ctx.symbols.dash.to_owned(), &format);
    let mut pieces = value(ctx, train, format);
    pieces.push(piece(format!(" {} ", ctx.symbols.valid), Role::Valid));
    pieces.push(piece(measured.trim_start(), Role::Strong));
    pieces
}

/// Variants of the title of a chart: values, values of the compared runs and cursor position, then fewer of them;
/// `short` is the shortest, for a narrow pane.
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

/// The event at the cursor, or one within `within` steps of it, which is marked with a sign.
pub(super) fn event_near(ctx: &Ctx<'_>, step: u64, within: u64) -> Option<String> {
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
