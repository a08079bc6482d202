//! The rows at the top: name, phase and progress of the run, remaining time, and the tabs of the pages.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::Ctx;
use super::paint::{Piece, first_fit, gauge, piece, put_pieces, put_right, width_of};
use crate::event::{Outcome, Phase};
use crate::run::clock;
use crate::tui::action::Action;
use crate::tui::app::App;
use crate::tui::page::{Page, Pane};
use crate::tui::text::{count, outside, short_percent};
use crate::tui::theme::Role;

/// Columns between the tabs.
const TAB_GAP: u16 = 2;
/// Columns reserved for the number of warnings, next to the panes that do not fit.
const WARNINGS: u16 = 8;

/// A part of a row; parts with a higher rank are dropped first.
struct Part {
    rank: u8,
    pieces: Vec<Piece>,
}

fn part(rank: u8, pieces: Vec<Piece>) -> Part {
    Part { rank, pieces }
}

/// Draws the header; `left_out` are the panes of the page that do not fit.
pub(super) fn draw(ctx: &Ctx<'_>, left_out: &[Pane], area: Rect, buf: &mut Buffer) {
    if area.width == 0 {
        return;
    }
    let left = join(first_row(ctx), area.width.saturating_sub(1), 3);
    put_pieces(ctx, buf, area, 0, 0, &left);
    let second = join(second_row(ctx, area.width), area.width.saturating_sub(1), 3);
    let end = put_pieces(ctx, buf, area, 0, 1, &second).saturating_add(1);
    let room = area.width.saturating_sub(end);
    let mut right = elsewhere(ctx, left_out, room);
    let gap = [piece("   ", Role::Text)];
    let gap = if right.is_empty() { &[][..] } else { &gap };
    let warnings = warnings(
        ctx,
        room.saturating_sub(width_of(&right) + width_of(gap) + 2),
    );
    if width_of(&warnings) + width_of(gap) + width_of(&right) <= room {
        right.splice(0..0, [&warnings[..], gap].concat());
    }
    put_right(ctx, buf, area, end, 1, &right);
    for tab in tabs(ctx.app, area.width) {
        put_pieces(ctx, buf, area, tab.columns.start, 2, &tab.pieces);
    }
}

/// The panes that do not fit, with the keys that open them.
fn elsewhere(ctx: &Ctx<'_>, left_out: &[Pane], room: u16) -> Vec<Piece> {
    if left_out.is_empty() {
        return Vec::new();
    }
    let keyed = |names: bool, gap: &str| {
        let mut pieces = vec![piece("+", Role::Dim)];
        for pane in left_out {
            let (keymap, page) = (&ctx.app.settings.keymap, ctx.panel(*pane).page);
            // A pane of this page is opened alone by the palette.
            let other = Some(page).filter(|page| *page != ctx.app.ui.page);
            let key = other
                .and_then(|page| keymap.first(Action::Open(page)))
                .or_else(|| keymap.first(Action::Palette));
            let gap = if pieces.len() > 1 { gap } else { "" };
            pieces.push(piece(
                format!("{gap}{}", key.unwrap_or_default()),
                Role::Key,
            ));
            if names {
                pieces.push(piece(format!(" {}", ctx.panel(*pane).title), Role::Dim));
            }
        }
        pieces
    };
    let few = vec![piece("+", Role::Dim)];
    let names = first_fit(vec![keyed(true, " ")], room.saturating_sub(WARNINGS));
    if names.is_empty() {
        return first_fit(vec![keyed(false, " "), keyed(false, ""), few], room);
    }
    names
}

/// The tab of a page in the third row, with its columns.
struct Tab {
    page: Page,
    columns: Range<u16>,
    pieces: Vec<Piece>,
}

/// The pages that have a key, and the current one. If the names do not fit, the other pages are shown by their keys
/// only; if those do not fit either, there are no tabs.
fn tabs(app: &App, width: u16) -> Vec<Tab> {
    let bar = |names: bool| {
        let mut x = 0_u16;
        let tabs = Page::ALL.into_iter().filter_map(|page| {
            let here = page == app.ui.page;
            let keymap = &app.settings.keymap;
            let other = || here.then(|| keymap.first(Action::Palette).unwrap_or_default());
            let key = keymap.first(Action::Open(page)).or_else(other)?;
            let mut pieces = vec![piece(key, Role::Key)];
            if here {
                pieces.push(piece(format!(" {}", page.title()), Role::TitleFocus));
            } else if names {
                pieces.push(piece(format!(" {}", page.title()), Role::Dim));
            }
            let columns = x..x.saturating_add(width_of(&pieces));
            x = columns.end.saturating_add(TAB_GAP);
            Some(Tab {
                page,
                columns,
                pieces,
            })
        });
        tabs.collect::<Vec<Tab>>()
    };
    let fits = |tabs: &Vec<Tab>| tabs.last().is_some_and(|tab| tab.columns.end <= width);
    let found = [bar(true), bar(false)].into_iter().find(fits);
    found.unwrap_or_default()
}

/// The page whose tab is at this column of the third row.
pub(in crate::tui) fn tab_at(app: &App, column: u16) -> Option<Page> {
    let mut tabs = tabs(app, app.ui.size.0).into_iter();
    tabs.find(|tab| tab.columns.contains(&column))
        .map(|tab| tab.page)
}

/// The parts that fit, in their order, separated by `gap` blanks.
fn join(mut parts: Vec<Part>, width: u16, gap: u16) -> Vec<Piece> {
    let total = |parts: &[Part]| {
        let gaps = gap.saturating_mul(parts.len().saturating_sub(1) as u16);
        parts
            .iter()
            .map(|part| width_of(&part.pieces))
            .fold(gaps, u16::saturating_add)
    };
    while total(&parts) > width && parts.len() > 1 {
        let last = parts
            .iter()
            .enumerate()
            .max_by_key(|(i, part)| (part.rank, *i))
            .map_or(0, |(i, _)| i);
        parts.remove(last);
    }
    let blank = piece(" ".repeat(usize::from(gap)), Role::Text);
    let mut out = Vec::new();
    for part in parts {
        if !out.is_empty() {
            out.push(blank.clone());
        }
        out.extend(part.pieces);
    }
    out
}

fn first_row(ctx: &Ctx<'_>) -> Vec<Part> {
    let run = &ctx.app.run;
    let dash = ctx.symbols.dash;
    let steps = count(run.total_steps());
    let width = steps.len();
    let labelled = |label: &str, value: String| {
        vec![
            piece(format!("{label} "), Role::Dim),
            piece(value, Role::Text),
        ]
    };
    let (elapsed, eta) = (ctx.app.elapsed_ms(), ctx.app.eta_ms());
    // Hours need two more columns. The remaining time may drop below an hour at any moment, so it always has them.
    let time = if elapsed < 3_600_000 { 5 } else { 7 };
    let eta = eta.map_or_else(|| format!("{dash:>7}"), |ms| format!("{:>7}", clock(ms)));
    let speed = run
        .images_per_second
        .value()
        .map(|speed| count(speed.max(0.0) as u64));
    let speed = format!("{:>6}", speed.as_deref().unwrap_or(dash));
    let info = run.info.as_ref();
    let name = info.map_or_else(
        || "waiting for the run".to_owned(),
        |info| outside(&info.run, 28, ctx.symbols),
    );
    let device = info.map_or_else(String::new, |info| {
        let text = format!("{} {}", info.device, info.precision);
        outside(text.trim_end(), 12, ctx.symbols)
    });
    let mut parts = vec![
        part(6, vec![piece("epochtop", Role::Brand)]),
        part(5, vec![piece(name, Role::Title)]),
        part(0, phase(ctx)),
    ];
    if info.is_none() {
        return parts;
    }
    parts.push(part(
        4,
        labelled(
            "step",
            format!("{:>width$}/{steps}", count(run.global_step)),
        ),
    ));
    parts.push(part(
        2,
        labelled("elapsed", format!("{:>time$}", clock(elapsed))),
    ));
    if run.outcome.is_none() {
        parts.push(part(1, labelled("ETA", eta)));
    }
    parts.push(part(
        3,
        vec![piece(speed, Role::Text), piece(" img/s", Role::Dim)],
    ));
    parts.push(part(7, vec![piece(device, Role::Dim)]));
    parts
}

/// Symbol and name of the phase, padded to the longest name.
pub(super) fn phase(ctx: &Ctx<'_>) -> Vec<Piece> {
    let (symbol, word, role) = phase_words(ctx);
    vec![piece(format!("{symbol} {word:<13}"), role)]
}

fn phase_words(ctx: &Ctx<'_>) -> (&'static str, &'static str, Role) {
    let (app, symbols) = (ctx.app, ctx.symbols);
    match &app.run.outcome {
        Some(Outcome::Completed) => return (symbols.right, "completed", Role::Good),
        Some(Outcome::Stopped) => return (symbols.stopping, "stopped", Role::Warn),
        Some(Outcome::Failed { .. }) => return (symbols.wrong, "failed", Role::Error),
        None => {}
    }
    if app.lost() {
        let word = match (app.trainer_died(), app.live) {
            (true, _) => "crashed",
            (false, true) => "no contact",
            (false, false) => "no end",
        };
        return (symbols.wrong, word, Role::Error);
    }
    if app.ui.leaving {
        return (symbols.stopping, "stopping", Role::Warn);
    }
    if app.changing_pause() {
        let word = match (app.wants_pause(), symbols.unicode) {
            (true, true) => "pausing…",
            (true, false) => "pausing...",
            (false, true) => "resuming…",
            (false, false) => "resuming...",
        };
        return (symbols.paused, word, Role::Warn);
    }
    let phase = app.run.phase;
    let (symbol, role) = match phase {
        Phase::Starting => (symbols.starting, Role::Dim),
        Phase::Training => (symbols.training, Role::Good),
        Phase::Validating | Phase::Testing => (symbols.measuring, Role::Valid),
        Phase::Checkpointing => (symbols.saving, Role::Train),
        Phase::Paused => (symbols.paused, Role::Warn),
        Phase::Stopping => (symbols.stopping, Role::Warn),
    };
    (symbol, phase.name(), role)
}

fn second_row(ctx: &Ctx<'_>, width: u16) -> Vec<Part> {
    let run = &ctx.app.run;
    let Some(info) = &run.info else {
        return vec![part(0, Vec::new())];
    };
    // On the narrowest screens the text at the ends of this row is more important than long gauges.
    let length = if width < 64 { 6 } else { width / 8 }.min(24);
    // During an evaluation its progress replaces that of the epoch.
    let (label, done, of) = match run.eval_progress {
        Some((split, done, total)) => (split.name().to_owned(), done, total),
        None => (
            format!("epoch {}/{}", run.epoch, run.epochs),
            run.epoch_step,
            run.epoch_steps,
        ),
    };
    let wide = format!("epoch {0}/{0}", run.epochs).len();
    let bar = |label: String, share: f64| {
        let mut pieces = vec![piece(format!("{label} "), Role::Dim)];
        pieces.extend(gauge(ctx, share, length));
        pieces.push(piece(format!(" {}", short_percent(share)), Role::Text));
        pieces
    };
    let share = if of == 0 {
        0.0
    } else {
        done as f64 / of as f64
    };
    let data = &info.dataset;
    let sizes = format!(
        " {}+{}+{}",
        count(data.train),
        count(data.valid),
        count(data.test)
    );
    let mut parts = vec![
        part(0, bar(format!("{label:<wide$}"), share)),
        part(2, bar("run".to_owned(), run.progress())),
        part(
            3,
            vec![
                piece("lr ", Role::Dim),
                piece(format!("{:<8}", format!("{:.2e}", run.lr.0)), Role::Text),
            ],
        ),
        part(
            4,
            vec![
                piece(outside(&data.name, 20, ctx.symbols), Role::Text),
                piece(sizes, Role::Dim),
            ],
        ),
    ];
    if run.stop_after_epoch.is_some() && run.outcome.is_none() {
        let words = format!("stops after epoch {}", run.last_epoch());
        parts.insert(1, part(1, vec![piece(words, Role::Warn)]));
    }
    parts
}

/// The number of warnings, and the newest one if there is room.
fn warnings(ctx: &Ctx<'_>, room: u16) -> Vec<Piece> {
    let run = &ctx.app.run;
    let logged = run
        .log
        .iter()
        .filter(|line| line.level >= crate::event::Level::Warn);
    let first = run.info.iter().flat_map(|info| &info.warnings);
    let count = first.clone().count() + logged.clone().count();
    let Some(newest) = logged.map(|line| &line.text).next_back().or(first.last()) else {
        return Vec::new();
    };
    let mark = format!("{} {count}", ctx.symbols.warning);
    let rest = usize::from(room).saturating_sub(mark.len() + 2);
    if rest < 12 {
        return vec![piece(mark, Role::Warn)];
    }
    vec![
        piece(mark, Role::Warn),
        piece(
            format!(" {}", outside(newest, rest, ctx.symbols)),
            Role::Dim,
        ),
    ]
}
