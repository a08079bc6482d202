//! Boxes over the screen: the help and the question what is to become of the run.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Ctx;
use super::paint::{Piece, piece, put, put_pieces, width_of};
use crate::tui::action::Action;
use crate::tui::text::columns;
use crate::tui::theme::Role;

/// Pages told on a line of the help.
const PAGES: usize = 5;

/// Actions that share a line, for on 80x24 there is none to spare.
const PAIRS: [(Action, Action, &str); 3] = [
    (
        Action::NextPane,
        Action::PreviousPane,
        "focus the next or the previous pane",
    ),
    (
        Action::Left,
        Action::Right,
        "panes; gallery: previous or next image",
    ),
    (
        Action::Up,
        Action::Down,
        "scroll, or panes; gallery: previous or next mistake",
    ),
];

/// All actions with their keys.
pub(super) fn help(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let keymap = &ctx.app.settings.keymap;
    let keys = |action| {
        keymap
            .keys(action)
            .map(|key| key.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let pairs = PAIRS
        .iter()
        .map(|(one, other, _)| columns(&keys(*one)) + columns(&keys(*other)) + 1);
    let widest = Action::ALL
        .iter()
        .map(|action| columns(&keys(*action)))
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
    for action in Action::ALL
        .into_iter()
        .filter(|action| action.page().is_none())
    {
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
    // Where each page has a line of its own there is no room for the rest.
    let pages: Vec<(String, String)> = Action::ALL
        .into_iter()
        .filter_map(|action| Some((keys(action), action.page()?.to_lowercase())))
        .collect();
    for row in pages.chunks(PAGES) {
        let (keys, names): (Vec<&str>, Vec<&str>) = row
            .iter()
            .map(|(keys, name)| (keys.as_str(), name.as_str()))
            .unzip();
        line(&keys.join(" "), &names.join(", "));
    }
    lines.push(Vec::new());
    let legend = [
        (ctx.symbols.train, Role::Train, " training, smoothed   "),
        (ctx.symbols.valid, Role::Valid, " validation   "),
        (ctx.symbols.clipped, Role::Clip, " clipped   "),
        (ctx.symbols.bad_point, Role::Error, " not a number"),
    ];
    lines.push(
        legend
            .into_iter()
            .flat_map(|(mark, role, word)| [piece(mark, role), piece(word, Role::Dim)])
            .collect(),
    );
    let words = [
        format!(
            "! weakest class   {} {} right, wrong   T temperature",
            ctx.symbols.right, ctx.symbols.wrong
        ),
        "ECE calibration error; a → b: before and after T".replace('→', ctx.symbols.arrow),
        format!(
            "{} or [a, b]: half, or all, of the 95 % interval",
            ctx.symbols.plus_minus
        ),
    ];
    lines.extend(words.map(|line| vec![piece(line, Role::Dim)]));
    boxed(ctx, area, buf, "Keys", &lines);
}

/// Detach, stop, or stay?
pub(super) fn quit(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let line = |key: &str, words: String| {
        vec![
            piece(format!("{key:<9}"), Role::Key),
            piece(words, Role::Text),
        ]
    };
    let home = &ctx.app.settings.home;
    let detach = if home.same_process {
        "leave the screen; the run goes on here, a line per epoch"
    } else {
        "detach: the run goes on without this screen"
    };
    let mut lines = vec![line("d enter", detach.to_owned())];
    if let Some(command) = &home.come_back {
        lines.push(line("", format!("{command} comes back")));
    }
    lines.extend([
        line(
            "s",
            "stop: finish the step, write a checkpoint, leave".to_owned(),
        ),
        line("esc", "stay: nothing changes".to_owned()),
    ]);
    boxed(ctx, area, buf, "Leave the run?", &lines);
}

/// A box in the middle, as large as its lines need.
fn boxed(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer, title: &str, lines: &[Vec<Piece>]) {
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
    // The box has a ground of its own; text put into it keeps it.
    buf.set_style(
        place.intersection(buf.area),
        ratatui::style::Style {
            fg: None,
            ..ctx.style(Role::Popup)
        },
    );
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
