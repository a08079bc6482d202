//! What the mouse does: no more than keys do, but to what it points at.

use ratatui::layout::{Position, Rect};

use super::super::app::{App, Popup};
use super::super::page::{Page, Pane};
use super::super::view::layout::{self, Place};
use super::super::view::{gallery, header, images, popup};
use super::navigate::{open, scroll_pane};

/// What a mouse did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MouseKind {
    /// The main button was pressed.
    Click,
    /// The wheel was turned away from the hand.
    WheelUp,
    /// The wheel was turned towards it.
    WheelDown,
}

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
        Some(_) => {}
        None if by == 0 => click(app, at),
        None => turn(app, at, by),
    }
}

fn click(app: &mut App, at: (u16, u16)) {
    let (pane, area) = match layout::place(app, at) {
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
        point(app, pane, area, at);
    }
}

/// Selects what is at this place of a pane.
fn point(app: &mut App, pane: Pane, area: Rect, at: (u16, u16)) {
    let place = Position::from(at);
    match pane {
        Pane::Gallery if app.ui.page == Page::Gallery => {
            app.ui.images.at = images::at(app, area, place).unwrap_or(app.ui.images.at);
        }
        Pane::Gallery => {
            app.ui.gallery = gallery::at(app, area, place).unwrap_or(app.ui.gallery);
        }
        // A click in one of several charts side by side would name a step of another column.
        Pane::Metrics => {}
        chart if chart.is_chart() => {
            let plot = layout::plot(app, area);
            if plot.contains(&at.0) {
                let step = layout::step_at(app, &plot, at.0);
                let extent = app.extent();
                app.ui.charts.put_cursor(extent, step);
            }
        }
        _ => {}
    }
}

/// Scrolls the pane the mouse points at, or shows more or less of the time around the step it points at.
fn turn(app: &mut App, at: (u16, u16), by: isize) {
    let Place::Pane(pane, area) = layout::place(app, at) else {
        return;
    };
    let plot = layout::plot(app, area);
    // The rows of layers scroll by their numbers, where they scroll at all.
    let rows = pane == Pane::Metrics || pane == Pane::Layers && app.alone() && at.0 < plot.start;
    if pane.is_chart() && !rows {
        let step = layout::step_at(app, &plot, at.0);
        let extent = app.extent();
        app.ui.charts.zoom_around(extent, by < 0, step);
    } else {
        scroll_pane(app, pane, by);
    }
}
