//! Mouse events. They do the same as keys, but act on the panel under the pointer.

use ratatui::layout::Position;

use super::navigate::{open, scroll_pane};
use super::palette;
use crate::tui::app::{App, Popup};
use crate::tui::layout::Place;
use crate::tui::msg::MouseKind;
use crate::tui::view::ctx::Scroll;
use crate::tui::view::{header, panel, pointer, popup};

/// Handles a click or wheel event at this column and row. An open popup receives the wheel and blocks clicks.
pub(super) fn take(app: &mut App, at: (u16, u16), kind: MouseKind) {
    app.ui.notice = None;
    let by = match kind {
        MouseKind::Click => 0,
        MouseKind::WheelUp => -1,
        MouseKind::WheelDown => 1,
    };
    match app.ui.popup {
        Some(Popup::Help(from)) => {
            let line = from.saturating_add_signed(by).min(popup::help_most(app));
            app.ui.popup = Some(Popup::Help(line));
        }
        Some(Popup::Palette(_)) => palette::wheel(app, by),
        Some(Popup::Quit | Popup::Prompt(_)) => {}
        None if by == 0 => click(app, at),
        None => wheel(app, at, by),
    }
}

fn click(app: &mut App, at: (u16, u16)) {
    let (pane, area) = match app.layout.place(at) {
        Place::Pane(pane, area) => (pane, area),
        Place::Pages => {
            if let Some(page) = header::tab_at(app, at.0) {
                open(app, page);
            }
            return;
        }
        Place::Nothing => return,
    };
    app.ui.focus = pane;
    // A click on the title row only sets the focus.
    if at.1 > area.y {
        (panel(pane).click)(app, area, Position::from(at));
    }
}

/// Scrolls the list under the pointer, or zooms the charts around the step under the pointer.
fn wheel(app: &mut App, at: (u16, u16), by: isize) {
    let Place::Pane(pane, area) = app.layout.place(at) else {
        return;
    };
    let panel = panel(pane);
    let plot = pointer::plot(app, area);
    // A maximized chart with a scrollable list has the list to the left of the plot.
    let list = match panel.scroll {
        Scroll::No => false,
        Scroll::List => app.alone() && at.0 < plot.start,
        Scroll::Own(_) => true,
    };
    if panel.time_axis && !list {
        let step = pointer::step_at(app, &plot, at.0);
        let extent = app.extent();
        app.ui.charts.zoom_around(extent, by < 0, step);
    } else {
        scroll_pane(app, pane, by);
    }
}
