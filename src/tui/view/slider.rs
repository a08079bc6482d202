//! The slider of a replay: playing or paused, speed, elapsed time, and position in the run.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::Ctx;
use super::marks::sign;
use super::paint::{Piece, first_fit, piece, put, put_pieces, put_right, width_of};
use crate::run::{Replay, clock};
use crate::tui::replay::ReplayView;
use crate::tui::theme::Role;

/// Minimum number of columns between two epoch marks.
const APART: usize = 4;
/// Minimum width of the gauge.
const LEAST: u16 = 8;
/// Minimum width for the legend of the marks.
const WIDE: u16 = 100;

/// Draws the slider, if this is a replay.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let Some(view) = &ctx.app.replay else {
        return;
    };
    if area.height == 0 {
        return;
    }
    let left = words(ctx, view, area.width);
    let from = put_pieces(ctx, buf, area, 0, 0, &left).saturating_add(2);
    let every = every(view.replay.epochs().len(), area.width.saturating_sub(from));
    let legend = if area.width >= WIDE {
        legend(ctx, view, every)
    } else {
        Vec::new()
    };
    let used = from + width_of(&legend) + 1;
    let width = area
        .width
        .saturating_sub(used + u16::from(!legend.is_empty()));
    if width < LEAST {
        return;
    }
    let x = area.x.saturating_add(from);
    gauge(ctx, view, every, Rect { x, width, ..area }, buf);
    put_right(
        ctx,
        buf,
        area,
        from + width,
        0,
        &[&legend[..], &[piece(" ", Role::Dim)]].concat(),
    );
}

/// Playing or paused, speed, and elapsed and total time of the run.
fn words(ctx: &Ctx<'_>, view: &ReplayView, width: u16) -> Vec<Piece> {
    let (symbol, word, role) = match (view.playing, view.at_end()) {
        (true, _) => (ctx.symbols.resumed, "playing", Role::Good),
        (false, false) => (ctx.symbols.paused, "paused ", Role::Warn),
        (false, true) => (ctx.symbols.paused, "at end ", Role::Warn),
    };
    let total = &view.final_state;
    let all = clock(total.worked_ms(total.now_ms));
    let now = format!("{:>1$}", clock(ctx.app.elapsed_ms()), all.len());
    let sign = piece(format!("{symbol} "), role);
    let speed = piece(
        format!("{:<6}", format!("{}{}", ctx.symbols.times, view.speed())),
        Role::Text,
    );
    let time = [
        piece(now, Role::Strong),
        piece(format!("/{all}"), Role::Dim),
    ];
    let gap = || piece("  ", Role::Text);
    let short = [std::slice::from_ref(&sign), &time[..]].concat();
    let speedy = [&[sign.clone(), speed.clone()], &time[..]].concat();
    let long = [&[sign, piece(word, role), gap(), speed, gap()], &time[..]].concat();
    let room = width.saturating_sub(LEAST + 3);
    first_fit(
        vec![long, speedy, short.clone()],
        room.max(width_of(&short)),
    )
}

/// Number of epochs between marks: the first of 1, 2, 5, 10, 20, … that keeps marks apart.
fn every(epochs: usize, width: u16) -> usize {
    let rounds = (0..).flat_map(|power| [1, 2, 5].map(|n| n * 10_usize.saturating_pow(power)));
    let most = (usize::from(width) / APART).max(1);
    let mut fitting = rounds.take(30).filter(|every| epochs / every <= most);
    fitting.next().unwrap_or(usize::MAX)
}

/// The legend of the marks.
fn legend(ctx: &Ctx<'_>, view: &ReplayView, every: usize) -> Vec<Piece> {
    let [_, mark] = ctx.symbols.notches;
    let words = match (view.replay.epochs().len(), every) {
        (0, _) => return Vec::new(),
        (_, 1) => "1 epoch".to_owned(),
        (_, every) => format!("{every} epochs"),
    };
    vec![
        piece(mark, Role::GaugeRest),
        piece(format!(" {words}"), Role::Dim),
    ]
}

/// Draws the gauge from the first record to the last, with marks for epochs and symbols for interruptions.
fn gauge(ctx: &Ctx<'_>, view: &ReplayView, every: usize, area: Rect, buf: &mut Buffer) {
    let story: &Replay = &view.replay;
    let span = story.span().max(1);
    let last = area.width - 1;
    let column =
        |ms: u64| (u128::from(ms) * u128::from(last) / u128::from(span)).min(last.into()) as u16;
    let here = (view.share().clamp(0.0, 1.0) * f64::from(last)).floor() as u16;
    let style = |x: u16| {
        ctx.style(if x < here {
            Role::Gauge
        } else {
            Role::GaugeRest
        })
    };
    for x in 0..=last {
        let line = if x < here {
            ctx.symbols.gauge
        } else {
            ctx.symbols.gauge_rest
        };
        put(buf, area, x, 0, line, style(x));
    }
    for (done, ms) in (1_usize..).zip(story.epochs()) {
        if done.is_multiple_of(every) {
            let x = column(*ms);
            let [before, after] = ctx.symbols.notches;
            put(
                buf,
                area,
                x,
                0,
                if x < here { before } else { after },
                style(x),
            );
        }
    }
    for (ms, kind) in story.breaks() {
        let (symbol, role) = sign(*kind, ctx.symbols);
        put(buf, area, column(*ms), 0, symbol, ctx.style(role));
    }
    put(
        buf,
        area,
        here,
        0,
        ctx.symbols.knob,
        ctx.style(Role::Strong),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_marks_never_touch() {
        for (epochs, width, wanted) in [
            (0, 0, 1),
            (12, 48, 1),
            (12, 40, 2),
            (100, 50, 10),
            (100_000, 50, 10_000),
        ] {
            assert_eq!(every(epochs, width), wanted, "{epochs} in {width}");
        }
    }
}
