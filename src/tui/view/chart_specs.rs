//! The charts with a panel of their own: loss, accuracy, gradient norm and learning rate.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::axis::TimeAxis;
use super::chart_panel::Part::{
    BestEpoch, BestMeasured, BestNow, Line, Measured, Now, Own, Points, Text,
};
use super::chart_panel::{ChartSpec, Part, ScaleBound, ValueFormat};
use super::ctx::Ctx;
use super::marks;
use super::paint::{Piece, piece, put, put_pieces};
use super::readout;
use crate::event::EpochSummary;

use crate::metrics::{Better, Interval, Measure};
use crate::run::{CLIP_WINDOW, Curve, CurveInfo, RunState, Source};
use crate::tui::page::Pane;
use crate::tui::text::{count, maybe, number, percent, points, score, short_percent};
use crate::tui::theme::Role;

/// All chart specifications.
pub(super) static CHARTS: [ChartSpec; 4] = [LOSS, ACCURACY, GRADIENT, RATE];

/// Training loss by step (with label smoothing), validation NLL by epoch.
pub(super) const LOSS: ChartSpec = ChartSpec {
    pane: Pane::Loss,
    line: Curve::TrainLoss,
    points: Some(Curve::ValidNll),
    roles: (Role::Train, Role::TrainBand),
    noisy: true,
    marks_non_finite: true,
    bound: ScaleBound::Means,
    clip: false,
    best: |run| best_epoch(run, Curve::ValidNll),
    list: |ctx, area, buf| {
        epoch_list(ctx, area, buf, "epoch     train  valid NLL", |row| {
            let loss = |value: f64| number(value, 4, 6);
            format!(
                "    {}     {}",
                loss(row.train_loss.0),
                loss(row.valid_nll.0)
            )
        });
    },
    sign: |symbols| symbols.train,
    word: " train",
    now: |run| run.loss.value(),
    bests: [
        |run| run.lowest_train_loss.map(|loss| loss.0),
        |run| run.lowest_valid_nll.map(|nll| nll.0),
    ],
    format: ValueFormat {
        title: |value, dash| maybe(value, 4, 6, dash),
        cursor: |value| number(value, 4, 6),
        short: |value| number(value, 2, 4),
    },
    titles: |_| {
        const TRAIN: Part = Line("", " train ");
        const VALID: Part = Points("   ", " valid NLL ");
        const BEST: Part = Text(" best ", Role::Dim);
        const SMOOTHED: Part = Text(" label-smoothed", Role::Dim);
        &[
            &[
                TRAIN,
                Now,
                SMOOTHED,
                BEST,
                BestNow,
                VALID,
                Measured,
                BEST,
                BestMeasured,
                BestEpoch,
            ],
            &[
                TRAIN,
                Now,
                BEST,
                BestNow,
                VALID,
                Measured,
                BEST,
                BestMeasured,
                BestEpoch,
            ],
            &[
                TRAIN,
                Now,
                BEST,
                BestNow,
                VALID,
                Measured,
                BEST,
                BestMeasured,
            ],
            &[TRAIN, Now, VALID, Measured],
            &[TRAIN, Now, Points("  ", " valid "), Measured],
            &[Now, Points(" ", " "), Measured],
        ]
    },
    remark: |_, _, _| Vec::new(),
};

/// Training accuracy by step (with the weights before the update), validation accuracy by epoch.
pub(super) const ACCURACY: ChartSpec = ChartSpec {
    pane: Pane::Accuracy,
    line: Curve::TrainAccuracy,
    points: Some(Curve::ValidAccuracy),
    roles: (Role::Train, Role::TrainBand),
    noisy: true,
    // With mixup and CutMix the steps have no accuracy.
    marks_non_finite: false,
    bound: ScaleBound::Means,
    clip: false,
    best: |run| {
        run.best
            .map(|best| (best.epoch, best.global_step, best.accuracy.0))
    },
    list: |ctx, area, buf| {
        epoch_list(ctx, area, buf, "epoch    train   valid     F1", |row| {
            let share = |share: f64| percent(Some(share), ctx.symbols.dash);
            // With mixup and CutMix there is no training accuracy.
            let train = Some(row.train_accuracy.0).filter(|share| share.is_finite());
            let train = percent(train, ctx.symbols.dash);
            let valid = share(row.valid_accuracy.0);
            format!("  {train} {valid}   {}", score(row.valid_macro_f1.0))
        });
    },
    sign: |symbols| symbols.train,
    word: " train",
    now: |run| run.accuracy.value(),
    bests: [
        |run| {
            let shares = run.history.iter().map(|row| row.train_accuracy.0);
            shares.filter(|share| share.is_finite()).reduce(f64::max)
        },
        |run| run.best.map(|best| best.accuracy.0),
    ],
    format: ValueFormat {
        title: percent,
        cursor: |share| percent(Some(share), ""),
        short: short_percent,
    },
    titles: |_| {
        const TRAIN: Part = Line("", " train");
        const VALID: Part = Points("   ", " valid");
        const BEST: Part = Text(" best", Role::Dim);
        const MARGIN: Part = Own(|ctx| margin(ctx, latest_accuracy_interval(&ctx.app.run)));
        const BEST_MARGIN: Part =
            Own(|ctx| margin(ctx, ctx.app.run.best.and_then(|best| best.measured())));
        &[
            &[
                TRAIN,
                Now,
                BEST,
                BestNow,
                VALID,
                Measured,
                MARGIN,
                BEST,
                BestMeasured,
                BEST_MARGIN,
                BestEpoch,
            ],
            &[
                TRAIN,
                Now,
                VALID,
                Measured,
                MARGIN,
                BEST,
                BestMeasured,
                BestEpoch,
            ],
            &[TRAIN, Now, VALID, Measured, MARGIN, BEST, BestMeasured],
            &[TRAIN, Now, VALID, Measured, MARGIN],
            &[Line("", ""), Now, Points("  ", " valid"), Measured, MARGIN],
            &[Line("", ""), Now, Points("  ", ""), Measured, MARGIN],
            &[Now, Points(" ", ""), Measured],
        ]
    },
    remark: |_, _, _| Vec::new(),
};

/// The gradient norm before clipping, the threshold, and the clipped steps.
pub(super) const GRADIENT: ChartSpec = ChartSpec {
    pane: Pane::Gradient,
    line: Curve::GradNorm,
    points: None,
    roles: (Role::Gradient, Role::GradientBand),
    noisy: true,
    marks_non_finite: true,
    bound: ScaleBound::Spread,
    clip: true,
    best: |_| None,
    list: clipped_steps,
    sign: |symbols| symbols.train,
    word: "",
    now: |run| run.curves[Curve::GradNorm].last(),
    bests: [|_| None; 2],
    format: ValueFormat {
        title: |value, dash| maybe(value, 3, 6, dash),
        cursor: |value| number(value, 3, 7),
        short: |value| number(value, 2, 5),
    },
    titles: |run| {
        const NOW: Part = Line("", " ");
        const SKIPPED: Part = Own(skipped);
        const CLIPPED: Part = Text("  clipped", Role::Clip);
        const RECENT: Part = Own(|ctx| {
            vec![piece(
                short_percent(ctx.app.run.recent_clip_share()),
                Role::Strong,
            )]
        });
        const WINDOW: Part = Own(|_| vec![piece(format!(" of last {CLIP_WINDOW}"), Role::Dim)]);
        const EPOCH: Part = Own(|ctx| {
            vec![piece(
                short_percent(ctx.app.run.clip.epoch_share()),
                Role::Strong,
            )]
        });
        const OF_EPOCH: Part = Text(" of epoch", Role::Dim);
        const COMMA: Part = Text(",", Role::Dim);
        const TOTAL: Part = Own(|ctx| {
            let total = count(ctx.app.run.clip.total);
            vec![piece(format!(", {total} total"), Role::Dim)]
        });
        if run.clip_norm() <= 0.0 {
            return &[
                &[NOW, Now, Text("  clipping off", Role::Dim), SKIPPED],
                &[NOW, Now],
            ];
        }
        &[
            &[
                NOW, Now, CLIPPED, RECENT, WINDOW, COMMA, EPOCH, OF_EPOCH, TOTAL, SKIPPED,
            ],
            &[
                NOW, Now, CLIPPED, RECENT, WINDOW, COMMA, EPOCH, OF_EPOCH, SKIPPED,
            ],
            &[NOW, Now, CLIPPED, RECENT, WINDOW, COMMA, EPOCH, OF_EPOCH],
            &[NOW, Now, CLIPPED, RECENT, WINDOW],
            &[NOW, Now, CLIPPED, RECENT],
            &[NOW, Now],
        ]
    },
    remark: |ctx, _, norm| {
        let clip = f64::from(ctx.app.run.clip_norm());
        let above = norm.filter(|norm| norm.exact && clip > 0.0 && norm.value > clip);
        let factor = above.map(|norm| format!("  clipped x{:.3}", clip / norm.value));
        factor
            .map(|factor| piece(factor, Role::Clip))
            .into_iter()
            .collect()
    },
};

/// The learning rate of each step.
pub(super) const RATE: ChartSpec = ChartSpec {
    pane: Pane::Rate,
    line: Curve::LearningRate,
    points: None,
    roles: (Role::Key, Role::Key),
    noisy: false,
    marks_non_finite: true,
    bound: ScaleBound::FromZero,
    clip: false,
    best: |_| None,
    list: changes,
    sign: |symbols| symbols.rate,
    word: "",
    now: |run| Some(run.lr.0),
    bests: [|_| None; 2],
    format: ValueFormat {
        title: |value, dash| {
            let rate = value.map_or_else(|| dash.to_owned(), |rate| format!("{rate:.2e}"));
            format!("{rate:<8}")
        },
        cursor: |rate| format!("{rate:.2e}"),
        short: |rate| format!("{rate:.2e}"),
    },
    titles: |_| {
        const BASE: Part = Own(|ctx| {
            let base = ctx.app.run.base_lr;
            let pieces = base.map(|lr| {
                let rate = piece(format!("{:.2e}", lr.0), Role::Text);
                vec![piece("  base ", Role::Dim), rate]
            });
            pieces.unwrap_or_default()
        });
        &[&[Line("", " "), Now, BASE], &[Line("", " "), Now]]
    },
    remark: |ctx, step, _| {
        let (from, to) = TimeAxis::of(ctx.app).steps();
        let within = (to - from) / u64::from(ctx.app.ui.size.0.max(1));
        let words = readout::event_near(ctx, step, within);
        words
            .map(|words| piece(format!("  {words}"), Role::Key))
            .into_iter()
            .collect()
    },
};

/// The interval of the accuracy at the end of the last epoch, which is the last point of the curve. Evaluations on
/// request between two epochs are not on the curve.
pub(super) fn latest_accuracy_interval(run: &RunState) -> Option<(f64, Interval)> {
    let row = run.history.back()?;
    let mut known = run.valid.latest.iter().chain(&run.valid.previous);
    let own =
        known.find(|report| (report.epoch, report.global_step) == (row.epoch, row.global_step));
    own?.measured(Measure::Accuracy)
}

/// The epoch with the best value of a curve: its number, its last step and the value.
fn best_epoch(run: &RunState, curve: Curve) -> Option<(u32, u64, f64)> {
    let CurveInfo { better, source, .. } = curve.info();
    let Source::Epoch(value) = source else {
        return None;
    };
    let rows = run.history.iter();
    let rows = rows.map(|row| (row.epoch, row.global_step, value(row).0));
    let finite = rows.filter(|(_, _, value)| value.is_finite());
    match (*better)? {
        Better::Lower => finite.min_by(|a, b| a.2.total_cmp(&b.2)),
        // Of equal values the first is taken.
        Better::Higher => finite.min_by(|a, b| b.2.total_cmp(&a.2)),
    }
}

fn margin(ctx: &Ctx<'_>, measured: Option<(f64, Interval)>) -> Vec<Piece> {
    let margin = points(measured, ctx.symbols);
    let gap = if margin.is_empty() { "" } else { " " };
    vec![piece(format!("{gap}{margin}"), Role::Dim)]
}

fn skipped(ctx: &Ctx<'_>) -> Vec<Piece> {
    let skipped = ctx.app.run.skipped;
    let (words, number) = if skipped > 0 {
        (Role::Warn, Role::Warn)
    } else {
        (Role::Dim, Role::Text)
    };
    vec![piece("  skipped ", words), piece(count(skipped), number)]
}

/// Draws the latest epochs, newest first, below a heading.
fn epoch_list(
    ctx: &Ctx<'_>,
    area: Rect,
    buf: &mut Buffer,
    heading: &str,
    row: impl Fn(&EpochSummary) -> String,
) {
    put(buf, area, 0, 0, heading, ctx.style(Role::Dim));
    let best = ctx.app.run.best.map(|best| best.epoch);
    for (summary, y) in ctx.app.run.history.iter().rev().zip(1..area.height) {
        let role = if best == Some(summary.epoch) {
            Role::Strong
        } else {
            Role::Text
        };
        put(
            buf,
            area,
            0,
            y,
            &format!("{:>5}{}", summary.epoch, row(summary)),
            ctx.style(role),
        );
    }
}

/// Draws the latest clipped steps, newest first.
fn clipped_steps(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
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

/// Draws the changes a user made to the run, newest first.
fn changes(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let mut row = 1;
    put(buf, area, 0, 0, " at step  event", ctx.style(Role::Dim));
    let marks = ctx.app.run.marks.iter().rev();
    for mark in marks.filter(|mark| !mark.kind.is_routine()) {
        if row >= area.height {
            return;
        }
        let (sign, role) = marks::sign(mark.kind, ctx.symbols);
        let pieces = [
            piece(format!("{:>8}  ", count(mark.step)), Role::Text),
            piece(format!("{sign} "), role),
            piece(mark.kind.words(), Role::Text),
        ];
        put_pieces(ctx, buf, area, 0, row, &pieces);
        row += 1;
    }
    if row == 1 {
        let words = "no changes";
        put(buf, area, 0, 1, words, ctx.style(Role::Dim));
    }
}
