//! What the mouse does: no more than keys do, but to what it points at.

use ratatui::layout::Position;

use super::navigate::{open, scroll_pane};
use super::palette;
use crate::tui::app::{App, Popup};
use crate::tui::layout::Place;
use crate::tui::msg::MouseKind;
use crate::tui::view::ctx::Scroll;
use crate::tui::view::{header, panel, pointer, popup};

/// A click or a turn of the wheel at this column and row. What lies over the screen takes the wheel, and hides all else.
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
        Some(Popup::Palette(_)) => palette::turn(app, by),
        Some(Popup::Quit | Popup::Prompt(_)) => {}
        None if by == 0 => click(app, at),
        None => turn(app, at, by),
    }
}

fn click(app: &mut App, at: (u16, u16)) {
    let (pane, area) = match app.layout.place(at) {
        Place::Pane(pane, area) => (pane, area),
        Place::Pages => {
            if let Some(page) = header::page_at(app, at.0) {
                open(app, page);
            }
            return;
        }
        Place::Nothing => return,
    };
    app.ui.focus = pane;
    // The title only takes the focus.
    if at.1 > area.y {
        (panel(pane).click)(app, area, Position::from(at));
    }
}

/// Scrolls the pane the mouse points at, or shows more or less of the time around the step it points at.
fn turn(app: &mut App, at: (u16, u16), by: isize) {
    let Place::Pane(pane, area) = app.layout.place(at) else {
        return;
    };
    let panel = panel(pane);
    let plot = pointer::plot(app, area);
    // Where a chart has a list that scrolls, it does so beside the plot.
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
