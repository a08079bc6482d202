//! Keys and the wheel while the palette is open.

use super::navigate::open;
use crate::tui::action::Action;
use crate::tui::app::{App, Palette, Popup};
use crate::tui::keymap::Key;
use crate::tui::view::PANELS;
use crate::tui::view::palette::goals;

/// Characters of a name, and more than any has.
const TYPED: usize = 40;

/// A key: what is typed narrows the list, the arrows choose, enter goes there, esc closes it.
pub(super) fn press(app: &mut App, key: Key, action: Option<Action>) {
    let Some(Popup::Palette(mut palette)) = app.ui.popup.take() else {
        return;
    };
    if key.is_enter() {
        return go(app, &palette);
    }
    if key.is_erase() {
        palette.typed.pop();
        palette.at = 0;
    } else if let Some(c) = key.plain() {
        add(&mut palette, c);
    } else if key.is_interrupt() || matches!(action, Some(Action::Back | Action::Quit)) {
        return;
    } else if let Some(Action::Up | Action::PreviousPane) = action {
        select(&mut palette, -1);
    } else if let Some(Action::Down | Action::NextPane) = action {
        select(&mut palette, 1);
    }
    app.ui.popup = Some(Popup::Palette(palette));
}

/// The wheel selects like the arrows.
pub(super) fn turn(app: &mut App, by: isize) {
    if let Some(Popup::Palette(palette)) = &mut app.ui.popup {
        select(palette, by);
    }
}

fn select(palette: &mut Palette, by: isize) {
    let last = goals(&PANELS, &palette.typed).len().saturating_sub(1);
    palette.at = palette.at.saturating_add_signed(by).min(last);
}

/// Text that was pasted, as if it were typed.
pub(super) fn insert(palette: &mut Palette, text: &str) {
    text.chars().for_each(|c| add(palette, c));
}

fn add(palette: &mut Palette, c: char) {
    if !c.is_control() && palette.typed.chars().count() < TYPED {
        palette.typed.push(c);
        palette.at = 0;
    }
}

/// Opens what is selected; a panel without room on its page has the screen alone.
fn go(app: &mut App, palette: &Palette) {
    let Some(goal) = goals(&PANELS, &palette.typed).into_iter().nth(palette.at) else {
        return;
    };
    open(app, goal.page);
    if let Some(pane) = goal.pane {
        app.ui.focus = pane;
        app.ui.zoom = !app.layout.visible().contains(&pane);
    }
}
