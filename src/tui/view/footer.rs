//! The last row: the keys that apply now, and the status of the newest request.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::{Arrows, Ctx};
use super::log::command_words;
use super::paint::{Piece, piece, put_pieces, width_of};
use crate::event::Answer;
use crate::run::resume_effect;
use crate::tui::action::Action;
use crate::tui::app::{App, Control, Popup};
use crate::tui::page::Page;
use crate::tui::text::{columns, outside};
use crate::tui::theme::Role;

/// Minimum width reserved for the keys, however long the status is.
const KEYS: u16 = 24;
/// How long a completed request is shown, in ms.
const NEWS_MS: u64 = 20_000;

/// Draws the footer.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let room = usize::from(area.width.saturating_sub(KEYS + 3));
    let status = status(ctx.app).map(|(text, role)| piece(outside(&text, room, ctx.symbols), role));
    let status_width = status.as_ref().map_or(0, |(text, _)| columns(text) + 3);
    let mut x = 0;
    for pieces in keys(ctx) {
        let width = width_of(&pieces);
        if x + width + status_width > area.width {
            break;
        }
        x = put_pieces(ctx, buf, area, x, 0, &pieces) + 2;
    }
    if let Some(status) = status {
        let x = area.width.saturating_sub(columns(&status.0) + 1);
        put_pieces(ctx, buf, area, x, 0, &[status]);
    }
}

/// Hints for keys, the most important first.
fn keys(ctx: &Ctx<'_>) -> Vec<Vec<Piece>> {
    let app = ctx.app;
    let mut hints: Vec<(Action, &str)> = Vec::new();
    if app.ui.popup == Some(Popup::Quit) {
        return Vec::new();
    }
    hints.push((Action::Quit, "quit"));
    // Before the keys that act on the run: all other keys can be found in the help, however little space there is.
    if app.live && !app.over() {
        hints.push((Action::Help, "help"));
        hints.push((Action::Detach, "detach"));
    }
    if app.live && !app.over() && app.control == Control::CanRequest {
        hints.push((Action::Control, "control"));
    }
    if app.live && !app.over() && app.control == Control::HasControl {
        hints.push((
            Action::Pause,
            if app.wants_pause() { "resume" } else { "pause" },
        ));
        hints.push((Action::Checkpoint, "checkpoint"));
        hints.push((Action::Evaluate, "evaluate"));
    }
    if !app.live && app.replay.is_none() {
        hints.push((Action::Pause, "replay"));
    }
    if app.replay.is_none() && (!app.live || app.over()) {
        hints.push((Action::Help, "help"));
    }
    hints.push((Action::NextPane, "pane"));
    let chart = ctx.panel(app.ui.focus).time_axis;
    let looked = chart && (app.ui.charts.cursor.is_some() || app.ui.charts.window.is_some());
    if app.ui.zoom || looked || app.ui.page != Page::Overview {
        hints.push((Action::Back, "back"));
    }
    if chart && app.ui.page != Page::Overview {
        hints.push((Action::Axis, "axis"));
        hints.push((Action::Closer, "zoom in"));
    }
    if app.ui.page.panes().len() > 1 && !app.ui.zoom {
        hints.push((Action::Zoom, "zoom"));
    }
    let mut lines: Vec<Vec<Piece>> = hints
        .into_iter()
        .filter_map(|(action, word)| hint(ctx, action, word))
        .collect();
    // Keys for other pages follow the keys that act on the run.
    let at = match (app.live && !app.over(), &app.replay) {
        (true, _) => 6,
        (false, Some(_)) => 1,
        (false, None) => 2 + usize::from(!app.live),
    };
    let at = at.min(lines.len());
    let replay = replay(ctx);
    lines.splice(at..at, pages(ctx));
    lines.splice(at..at, replay);
    lines.extend(ctx.panel(app.ui.focus).hint.map(|(arrows, word)| {
        let keys = match arrows {
            Arrows::All => ctx.symbols.keys_move,
            Arrows::Vertical => ctx.symbols.keys_scroll,
        };
        vec![piece(keys, Role::Key), piece(format!(" {word}"), Role::Dim)]
    }));
    lines
}

/// Hints for the keys of a replay.
fn replay(ctx: &Ctx<'_>) -> Vec<Vec<Piece>> {
    let Some(view) = &ctx.app.replay else {
        return Vec::new();
    };
    let word = match (view.playing, view.at_end()) {
        (true, _) => "pause",
        (false, true) => "restart",
        (false, false) => "play",
    };
    let both = |one: Action, other: Action, word: &str| {
        let key = |action| ctx.app.settings.keymap.first(action);
        let keys = format!("{} {}", key(one)?, key(other)?);
        Some(vec![
            piece(keys, Role::Key),
            piece(format!(" {word}"), Role::Dim),
        ])
    };
    [
        hint(ctx, Action::Pause, word),
        both(Action::SliderBack, Action::SliderForward, "seek"),
        both(Action::Slower, Action::Faster, "speed"),
        hint(ctx, Action::ReplayEnd, "final state"),
        hint(ctx, Action::Help, "help"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The first and the last key of the pages, and the key of the palette, which lists all of them.
fn pages(ctx: &Ctx<'_>) -> Option<Vec<Piece>> {
    let keymap = &ctx.app.settings.keymap;
    let pages = Page::ALL.into_iter();
    let mut keys = pages.filter_map(|page| keymap.first(Action::Open(page)));
    let first = keys.next()?;
    let last = keys.next_back().unwrap_or_else(|| first.clone());
    let palette = keymap.first(Action::Palette);
    let palette = palette.map_or_else(String::new, |key| format!(" {key}"));
    let keys = format!("{first}{}{last}{palette}", ctx.symbols.dash);
    Some(vec![piece(keys, Role::Key), piece(" pages", Role::Dim)])
}

fn hint(ctx: &Ctx<'_>, action: Action, word: &str) -> Option<Vec<Piece>> {
    let key = ctx.app.settings.keymap.first(action)?;
    Some(vec![
        piece(key, Role::Key),
        piece(format!(" {word}"), Role::Dim),
    ])
}

/// The notice if there is one, else the status of the newest request, else the outcome of the run.
fn status(app: &App) -> Option<(String, Role)> {
    if let Some(notice) = &app.ui.notice {
        return Some((notice.text.clone(), Role::Warn));
    }
    if let Some(outcome) = &app.run.outcome {
        let key = app
            .settings
            .keymap
            .first(Action::Quit)
            .unwrap_or_else(|| "ctrl-c".to_owned());
        return Some((format!("run {}: {key} quits", outcome.name()), Role::Strong));
    }
    if app.lost() && app.trainer_died() {
        let text = format!("trainer killed: --resume {}", resume_effect(&app.run));
        return Some((text, Role::Error));
    }
    if app.lost() {
        let reason = app.loss.as_ref().map(|loss| loss.reason.clone());
        let words = "lost contact with the trainer; it may still be running";
        return Some((reason.unwrap_or_else(|| words.to_owned()), Role::Warn));
    }
    let known = |id: u64| app.run.commands.iter().find(|line| line.id == id);
    if let Some(request) = app
        .ui
        .requested
        .last()
        .filter(|request| known(request.id).is_none())
    {
        return Some((format!("{} requested", request.command.name()), Role::Dim));
    }
    let newest = app
        .ui
        .requested
        .last()
        .and_then(|request| known(request.id));
    let line = newest.or_else(|| app.run.commands.iter().max_by_key(|line| line.t_ms))?;
    // A completed request is shown only for a while; the log retains it.
    let age = app.clock_ms().saturating_sub(line.t_ms);
    if line.answer != Answer::Accepted && age > NEWS_MS {
        return None;
    }
    let role = match line.answer {
        Answer::Accepted => Role::Text,
        Answer::Done { .. } => Role::Good,
        Answer::Refused { .. } => Role::Bad,
    };
    Some((command_words(line), role))
}
