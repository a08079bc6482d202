//! Navigation: pages, panels, focus, scrolling, and the chart settings.

use ratatui::layout::Rect;

use super::replay;
use crate::tui::app::App;
use crate::tui::page::{Page, Pane};
use crate::tui::view::ctx::{Scroll, Step};
use crate::tui::view::{self, gallery, images, panel};

/// Computes the layout for the current state.
pub(super) fn arrange(app: &mut App) {
    let (width, height) = app.ui.size;
    app.layout = view::arrange(app, Rect::new(0, 0, width, height));
}

/// Opens a page. The focus stays on its panel if the page has it. Otherwise it moves to the panel whose detail page is
/// the previous page, or to the first one.
pub(super) fn open(app: &mut App, page: Page) {
    let before = std::mem::replace(&mut app.ui.page, page);
    app.ui.zoom = false;
    let panes = page.panes();
    if !panes.contains(&app.ui.focus) {
        let leads_to_previous = |pane: &&Pane| panel(**pane).page == before;
        let next = panes.iter().find(leads_to_previous).or(panes.first());
        app.ui.focus = next.copied().unwrap_or(app.ui.focus);
    }
    arrange(app);
    let panes = focusable(app);
    if let Some(first) = panes.first()
        && !panes.contains(&app.ui.focus)
    {
        app.ui.focus = *first;
    }
}

/// Focuses the next or previous pane of the page; beyond its ends, a pane of the next or previous page.
pub(super) fn focus(app: &mut App, by: isize) {
    let panes = focusable(app);
    let at = panes.iter().position(|pane| *pane == app.ui.focus);
    let next = at.and_then(|at| at.checked_add_signed(by));
    if let Some(pane) = next.and_then(|next| panes.get(next)) {
        app.ui.focus = *pane;
        return;
    }
    let here = Page::ALL.iter().position(|page| *page == app.ui.page);
    let next = (here.unwrap_or(0) as isize + by).rem_euclid(Page::ALL.len() as isize);
    if let Some(page) = Page::ALL.get(next as usize) {
        open(app, *page);
        let panes = focusable(app);
        let end = if by > 0 { panes.first() } else { panes.last() };
        if let Some(pane) = end {
            app.ui.focus = *pane;
        }
    }
}

/// The panes that can be focused: the visible ones, or all of the page if one is maximized.
fn focusable(app: &App) -> Vec<Pane> {
    if app.ui.zoom {
        app.ui.page.panes().to_vec()
    } else {
        app.layout.visible()
    }
}

/// Focuses the next or previous pane of this page, wrapping around.
fn focus_on_page(app: &mut App, by: isize) {
    let panes = focusable(app);
    let count = panes.len() as isize;
    let at = panes.iter().position(|pane| *pane == app.ui.focus);
    let next = at.map_or(0, |at| (at as isize + by).rem_euclid(count.max(1)));
    if let Some(pane) = panes.get(next as usize) {
        app.ui.focus = *pane;
    }
}

/// Opens the gallery page. On it, selects the next filter.
pub(super) fn next_filter(app: &mut App) {
    if app.ui.page == Page::Gallery {
        images::next_filter(app);
    } else {
        open(app, Page::Gallery);
    }
}

/// Selects the next mistake among the images.
pub(super) fn next_mistake(app: &mut App) {
    if app.ui.page == Page::Gallery {
        images::next_mistake(app);
    } else {
        gallery::next_mistake(app, 1);
    }
}

/// Performs the enter action of the focused panel. Without one, maximizes or restores the panel.
pub(super) fn enter(app: &mut App) {
    match (panel(app.ui.focus).enter)(app) {
        Step::Pass if app.ui.page.panes().len() > 1 => app.ui.zoom = !app.ui.zoom,
        Step::Pass | Step::Done => {}
        Step::Open(target) => open(app, target),
    }
}

/// Goes back one step, in this order: removes the cursor, resets the chart zoom, restores a maximized panel, performs
/// the back action of the panel, returns to the overview, leaves the replay.
pub(super) fn back(app: &mut App) {
    let chart = panel(app.ui.focus).time_axis;
    if chart && app.ui.charts.cursor.take().is_some() {
        return;
    }
    if chart && app.ui.charts.window.take().is_some() {
        return;
    }
    if app.ui.zoom {
        app.ui.zoom = false;
        return;
    }
    match (panel(app.ui.focus).back)(app) {
        Step::Done => {}
        Step::Open(target) => open(app, target),
        Step::Pass if app.ui.page == Page::Overview && replay::leave(app) => keep_in_range(app),
        Step::Pass => open(app, Page::Overview),
    }
}

/// Left or right: the panel's own action; without one, moves the focus.
pub(super) fn walk(app: &mut App, by: isize) {
    match panel(app.ui.focus).walk {
        Some(walk) => walk(app, by),
        None => focus(app, by),
    }
}

pub(super) fn scroll(app: &mut App, by: isize) {
    scroll_pane(app, app.ui.focus, by);
}

/// Scrolls a panel, which need not be focused. If it does not scroll, moves the focus on this page.
pub(super) fn scroll_pane(app: &mut App, pane: Pane, by: isize) {
    let panel = panel(pane);
    match panel.scroll {
        Scroll::List if !panel.time_axis || app.alone() => {
            let last = (panel.last)(app);
            app.ui.panels.shift(pane, by, last);
        }
        Scroll::Own(scroll) => match scroll(app, by) {
            Step::Pass => focus_on_page(app, by),
            Step::Done => {}
            Step::Open(target) => open(app, target),
        },
        Scroll::List | Scroll::No => focus_on_page(app, by),
    }
    keep_in_range(app);
}

/// Cycles the x-axis through epochs, steps and time.
pub(super) fn next_axis(app: &mut App) {
    app.ui.charts.axis = app.ui.charts.axis.next();
    app.notify(format!("charts: x-axis {}", app.ui.charts.axis.name()));
}

/// Cycles through the smoothing levels.
pub(super) fn smooth(app: &mut App) {
    app.ui.charts.smooth_more();
    app.notify(match app.ui.charts.smoothing() {
        0.0 => "charts: no smoothing".to_owned(),
        weight => format!("charts: smoothing {weight} (EMA)"),
    });
}

/// Switches the y-axis of the focused chart between log and linear.
pub(super) fn log_scale(app: &mut App) {
    if !app.ui.charts.toggle_log(app.ui.focus) {
        let text = "no log scale here; focus the loss, learning rate or gradient norm";
        app.notify(text.to_owned());
    }
}

/// Halves or doubles the range of steps that the charts show.
pub(super) fn zoom(app: &mut App, closer: bool) {
    let extent = app.extent();
    app.ui.charts.zoom(extent, closer);
}

/// Scrolls the charts to later or earlier steps.
pub(super) fn pan(app: &mut App, later: bool) {
    let extent = app.extent();
    app.ui.charts.pan(extent, later);
}

/// Clamps the position of every panel to its items.
pub(super) fn keep_in_range(app: &mut App) {
    for pane in Pane::ALL {
        let at = app.ui.panels[pane];
        if at > 0 {
            app.ui.panels[pane] = at.min((panel(pane).last)(app));
        }
    }
}

pub(super) fn next_theme(app: &mut App) {
    let count = app.settings.themes.len();
    if count == 0 {
        return;
    }
    app.ui.theme = (app.ui.theme + 1) % count;
    if let Some(name) = app.settings.themes.get(app.ui.theme) {
        app.notify(format!("theme: {name}"));
    }
}
