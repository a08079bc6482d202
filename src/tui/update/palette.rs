//! Keys and mouse wheel while the palette is open.

use super::navigate::open;
use crate::tui::action::Action;
use crate::tui::app::{App, Palette, Popup};
use crate::tui::keymap::Key;
use crate::tui::view::PANELS;
use crate::tui::view::palette::palette_entries;

/// Maximum length of the search text; no name is longer.
const MAX_LEN: usize = 40;

/// Handles a key: characters filter the list, arrows select, enter opens the selection, esc closes the palette.
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

/// Moves the selection with the mouse wheel.
pub(super) fn wheel(app: &mut App, by: isize) {
    if let Some(Popup::Palette(palette)) = &mut app.ui.popup {
        select(palette, by);
    }
}

fn select(palette: &mut Palette, by: isize) {
    let last = palette_entries(&PANELS, &palette.typed)
        .len()
        .saturating_sub(1);
    palette.at = palette.at.saturating_add_signed(by).min(last);
}

/// Inserts pasted text.
pub(super) fn insert(palette: &mut Palette, text: &str) {
    text.chars().for_each(|c| add(palette, c));
}

fn add(palette: &mut Palette, c: char) {
    if !c.is_control() && palette.typed.chars().count() < MAX_LEN {
        palette.typed.push(c);
        palette.at = 0;
    }
}

/// Opens the selection. A panel that does not fit on its page is maximized.
fn go(app: &mut App, palette: &Palette) {
    let Some(goal) = palette_entries(&PANELS, &palette.typed)
        .into_iter()
        .nth(palette.at)
    else {
        return;
    };
    open(app, goal.page);
    if let Some(pane) = goal.pane {
        app.ui.focus = pane;
        app.ui.zoom = !app.layout.visible().contains(&pane);
    }
}
