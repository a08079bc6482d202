//! Boxes over the screen: the help, the quit dialog, and the prompt for a number.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::Ctx;
use super::paint::{Piece, more, piece, put, put_pieces, width_of};
use crate::event::Phase;
use crate::tui::action::Action;
use crate::tui::app::{App, Prompt};
use crate::tui::symbols::{Symbols, symbols};
use crate::tui::text::columns;
use crate::tui::theme::Role;

/// Number of pages on a line of the help.
const PAGES: usize = 4;
/// Minimum width for a help in two columns.
const TWO_COLUMNS: u16 = 150;

/// Actions that share a line, because the help must fit on 80x24.
const PAIRS: [(Action, Action, &str); 9] = [
    (
        Action::Evaluate,
        Action::EvaluateTest,
        "evaluate validation / test (counted) now",
    ),
    (
        Action::RateHalf,
        Action::RateDouble,
        "halve / double the learning rate",
    ),
    (
        Action::NextPane,
        Action::PreviousPane,
        "next / previous pane, then next page",
    ),
    (
        Action::Left,
        Action::Right,
        "charts: cursor; gallery: image; else pane, page",
    ),
    (
        Action::Up,
        Action::Down,
        "scroll, or change pane; gallery: row up / down",
    ),
    (Action::Closer, Action::Farther, "charts: zoom in / out"),
    (Action::Earlier, Action::Later, "charts: pan back / forward"),
    (
        Action::SliderBack,
        Action::SliderForward,
        "replay: back / forward 2 % of the run",
    ),
    (Action::Slower, Action::Faster, "replay: slower / faster"),
];

/// Draws the help: all actions with their keys, starting at line `from`.
pub(super) fn help(ctx: &Ctx<'_>, from: usize, area: Rect, buf: &mut Buffer) {
    let lines = help_lines(ctx.app, ctx.symbols);
    if area.width >= TWO_COLUMNS && lines.len() > 2 {
        // The legend stays in one block, in the right half.
        let (left, right) = lines.split_at(lines.len().div_ceil(2));
        let widest = left.iter().map(|line| width_of(line)).max().unwrap_or(0) + 3;
        let both: Vec<Vec<Piece>> = left
            .iter()
            .enumerate()
            .map(|(i, line)| {
                let pad = " ".repeat(usize::from(widest - width_of(line)));
                let right = right.get(i).map_or(&[][..], Vec::as_slice);
                [&line[..], &[piece(pad, Role::Text)], right].concat()
            })
            .collect();
        boxed(ctx, area, buf, "Keys", &both);
        return;
    }
    let most = lines.len().saturating_sub(help_room(area.height));
    let shown = lines.get(from.min(most)..).unwrap_or_default();
    let inner = boxed(ctx, area, buf, "Keys", shown);
    let below = shown.len().saturating_sub(usize::from(inner.height));
    more(ctx, buf, inner, (from.min(most), below));
}

/// The last line at which the help can start on this screen.
pub(in crate::tui) fn help_most(app: &App) -> usize {
    let (width, height) = app.ui.size;
    if width >= TWO_COLUMNS {
        return 0;
    }
    let lines = help_lines(app, symbols(app.settings.ascii)).len();
    lines.saturating_sub(help_room(height))
}

fn help_room(height: u16) -> usize {
    usize::from(height.saturating_sub(2)).max(1)
}

fn help_lines(app: &App, symbols: &Symbols) -> Vec<Vec<Piece>> {
    let keymap = &app.settings.keymap;
    let keys = |action| {
        let keys = keymap.keys(action).map(|key| key.to_string());
        keys.collect::<Vec<_>>().join(" ")
    };
    let pairs = PAIRS
        .iter()
        .map(|(one, other, _)| columns(&keys(*one)) + columns(&keys(*other)) + 1);
    let widest = Action::all()
        .map(|action| columns(&keys(action)))
        .chain(pairs)
        .max()
        .unwrap_or(0)
        .max(2 * PAGES as u16 - 1);
    let mut lines: Vec<Vec<Piece>> = Vec::new();
    let mut line = |keys: &str, words: &str| {
        let pad = " ".repeat(usize::from((widest + 2).saturating_sub(columns(keys))));
        lines.push(vec![
            piece(keys, Role::Key),
            piece(pad, Role::Text),
            piece(words, Role::Text),
        ]);
    };
    // There is no room for a line per page.
    let pages: Vec<(String, String)> = Action::all()
        .filter_map(|action| Some((keys(action), action.page()?.title().to_lowercase())))
        .filter(|(keys, _)| !keys.is_empty())
        .collect();
    for row in pages.chunks(PAGES) {
        let (keys, names): (Vec<&str>, Vec<&str>) = row
            .iter()
            .map(|(keys, name)| (keys.as_str(), name.as_str()))
            .unzip();
        line(&keys.join(" "), &names.join(", "));
    }
    for action in Action::all().filter(|action| action.page().is_none()) {
        let pair = PAIRS
            .iter()
            .find(|(one, other, _)| action == *one || action == *other);
        match pair {
            Some((one, other, words)) if action == *one => {
                line(&format!("{} {}", keys(action), keys(*other)), words);
            }
            Some(_) => {}
            None => line(&keys(action), action.doc()),
        }
    }
    lines.push(Vec::new());
    lines.extend(legend(symbols));
    lines
}

/// The legend of the symbols on the screen.
fn legend(symbols: &Symbols) -> Vec<Vec<Piece>> {
    let signs = |signs: &[(&str, Role, &str)]| -> Vec<Piece> {
        let pieces = signs.iter().flat_map(|(sign, role, word)| {
            [piece(*sign, *role), piece(format!(" {word}   "), Role::Dim)]
        });
        pieces.collect()
    };
    let words = [
        format!(
            "! weakest class   {} {} correct, wrong   T temperature",
            symbols.right, symbols.wrong
        ),
        "ECE calibration error; a → b: before and after T".replace('→', symbols.arrow),
        format!(
            "{} or [a, b]: half-width, or ends, of the 95 % interval",
            symbols.plus_minus
        ),
        "+ in the header: panes that do not fit; press their key".to_owned(),
    ];
    let mut lines = vec![
        signs(&[
            (symbols.train, Role::Train, "training, smoothed"),
            (symbols.valid, Role::Valid, "validation"),
            (symbols.best, Role::Good, "best"),
        ]),
        signs(&[
            (symbols.clipped, Role::Clip, "clipped"),
            (symbols.bad_point, Role::Error, "not finite"),
            (symbols.about, Role::Dim, "mean of steps"),
        ]),
        signs(&[
            (symbols.rate, Role::Key, "learning rate"),
            (symbols.saving, Role::Dim, "checkpoint"),
            (symbols.requested, Role::Good, "on request"),
            ("T", Role::Valid, "test"),
        ]),
        signs(&[
            (symbols.paused, Role::Warn, "paused"),
            (symbols.resumed, Role::Good, "resumed"),
            ("R", Role::Warn, "restored"),
            ("E", Role::Key, "epochs"),
        ]),
    ];
    lines.extend(words.map(|line| vec![piece(line, Role::Dim)]));
    lines
}

/// Draws the prompt for a number.
pub(super) fn prompt(ctx: &Ctx<'_>, prompt: &Prompt, area: Rect, buf: &mut Buffer) {
    let wanted = prompt.wanted;
    let now = wanted.now(ctx.app);
    let now = now.as_deref().unwrap_or(ctx.symbols.dash);
    let words = match &prompt.problem {
        Some(problem) => piece(problem.clone(), Role::Bad),
        None => piece(wanted.rule(), Role::Dim),
    };
    let lines = [
        vec![piece("now  ", Role::Dim), piece(now, Role::Text)],
        vec![
            piece("new  ", Role::Dim),
            piece(prompt.typed.clone(), Role::Strong),
            piece("_", Role::Key),
        ],
        vec![words],
        Vec::new(),
        vec![
            piece("enter", Role::Key),
            piece(": apply   ", Role::Dim),
            piece("esc", Role::Key),
            piece(": cancel", Role::Dim),
        ],
    ];
    boxed(ctx, area, buf, wanted.title(), &lines);
}

/// Draws the quit dialog: detach, stop, or cancel.
pub(super) fn quit(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let line = |key: &str, words: String| {
        vec![
            piece(format!("{key:<9}"), Role::Key),
            piece(words, Role::Text),
        ]
    };
    let home = &ctx.app.settings.attachment;
    let detach = if home.same_process {
        "detach: training continues here, a line per epoch"
    } else if ctx.app.run.phase == Phase::Paused {
        "detach: the run stays paused in the background"
    } else {
        "detach: the run continues in the background"
    };
    let mut lines = vec![line("d enter", detach.to_owned())];
    if let Some(command) = &home.reattach {
        lines.push(line("", format!("reattach: {command}")));
    }
    lines.extend([
        line(
            "s",
            "stop: finish the step, save a checkpoint, quit".to_owned(),
        ),
        line("esc", "cancel: keep watching the run".to_owned()),
    ]);
    boxed(ctx, area, buf, "Detach or stop?", &lines);
}

/// Draws a box in the middle of the area, as large as its lines need; returns the area inside.
pub(super) fn boxed(
    ctx: &Ctx<'_>,
    area: Rect,
    buf: &mut Buffer,
    title: &str,
    lines: &[Vec<Piece>],
) -> Rect {
    let widest = lines.iter().map(|line| width_of(line)).max().unwrap_or(0);
    let (width, height) = (
        (widest + 4).min(area.width),
        (lines.len() as u16 + 2).min(area.height),
    );
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    frame(ctx, place, buf, title);
    let inner = Rect {
        x: place.x.saturating_add(2),
        y: place.y.saturating_add(1),
        width: place.width.saturating_sub(4),
        height: place.height.saturating_sub(2),
    };
    for (y, line) in lines.iter().enumerate().take(usize::from(inner.height)) {
        put_pieces(ctx, buf, inner, 0, y as u16, line);
    }
    // The box has its own background, which also applies to the text inside.
    buf.set_style(
        place.intersection(buf.area),
        ratatui::style::Style {
            fg: None,
            ..ctx.style(Role::Popup)
        },
    );
    inner
}

fn frame(ctx: &Ctx<'_>, place: Rect, buf: &mut Buffer, title: &str) {
    let [top_left, top_right, bottom_left, bottom_right] = ctx.symbols.corners;
    let inside = usize::from(place.width.saturating_sub(2));
    let style = ctx.style(Role::RuleFocus);
    let line =
        |left: &str, middle: &str, right: &str| format!("{left}{}{right}", middle.repeat(inside));
    let last = place.height.saturating_sub(1);
    for y in 0..place.height {
        let (left, middle, right) = match y {
            0 => (top_left, ctx.symbols.rule, top_right),
            y if y == last => (bottom_left, ctx.symbols.rule, bottom_right),
            _ => (ctx.symbols.side, " ", ctx.symbols.side),
        };
        put(buf, place, 0, y, &line(left, middle, right), style);
    }
    put(
        buf,
        place,
        2,
        0,
        &format!(" {title} "),
        ctx.style(Role::TitleFocus),
    );
}
