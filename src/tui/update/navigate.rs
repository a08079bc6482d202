//! What the user looks at: pages, panels, the stretch of time.

use ratatui::layout::Rect;

use super::replay;
use crate::tui::app::App;
use crate::tui::page::{Page, Pane};
use crate::tui::view::ctx::{Scroll, Step};
use crate::tui::view::{self, gallery, images, panel};

/// Lays the screen out for what is shown now.
pub(super) fn arrange(app: &mut App) {
    let (width, height) = app.ui.size;
    app.layout = view::arrange(app, Rect::new(0, 0, width, height));
}

/// Opens a page; the focus stays where the page has that panel, or goes to the one that stands there for the page before.
pub(super) fn open(app: &mut App, page: Page) {
    let before = std::mem::replace(&mut app.ui.page, page);
    app.ui.zoom = false;
    let panes = page.panes();
    if !panes.contains(&app.ui.focus) {
        let stands_for = |pane: &&Pane| panel(**pane).page == before;
        let next = panes.iter().find(stands_for).or(panes.first());
        app.ui.focus = next.copied().unwrap_or(app.ui.focus);
    }
    arrange(app);
    let there = there(app);
    if let Some(first) = there.first()
        && !there.contains(&app.ui.focus)
    {
        app.ui.focus = *first;
    }
}

/// The next pane of the page; after its last, the next page's first. A zoomed pane makes way for the next.
pub(super) fn focus(app: &mut App, by: isize) {
    let there = there(app);
    let at = there.iter().position(|pane| *pane == app.ui.focus);
    let next = at.and_then(|at| at.checked_add_signed(by));
    if let Some(pane) = next.and_then(|next| there.get(next)) {
        app.ui.focus = *pane;
        return;
    }
    let pages = &Page::ALL;
    let here = pages.iter().position(|page| *page == app.ui.page);
    let next = (here.unwrap_or(0) as isize + by).rem_euclid(pages.len() as isize);
    if let Some(page) = pages.get(next as usize) {
        open(app, *page);
        let there = self::there(app);
        let end = if by > 0 { there.first() } else { there.last() };
        if let Some(pane) = end {
            app.ui.focus = *pane;
        }
    }
}

/// The panes the focus can be on: those on the screen, or where one has it alone, all of the page.
fn there(app: &App) -> Vec<Pane> {
    if app.ui.zoom {
        app.ui.page.panes().to_vec()
    } else {
        app.layout.visible()
    }
}

/// The pane above or below on this page, round the end.
fn neighbour(app: &mut App, by: isize) {
    let there = there(app);
    let count = there.len() as isize;
    let at = there.iter().position(|pane| *pane == app.ui.focus);
    let next = at.map_or(0, |at| (at as isize + by).rem_euclid(count.max(1)));
    if let Some(pane) = there.get(next as usize) {
        app.ui.focus = *pane;
    }
}

/// Opens the page of all test images; there, the next filter.
pub(super) fn next_filter(app: &mut App) {
    if app.ui.page == Page::Gallery {
        images::next_filter(app);
    } else {
        open(app, Page::Gallery);
    }
}

/// The next mistake among the images that are shown.
pub(super) fn next_mistake(app: &mut App) {
    if app.ui.page == Page::Gallery {
        images::next_mistake(app);
    } else {
        gallery::next_mistake(app, 1);
    }
}

/// What the focused panel does with it; else that panel alone, or with the others again.
pub(super) fn enter(app: &mut App) {
    match (panel(app.ui.focus).enter)(app) {
        Step::Pass if app.ui.page.panes().len() > 1 => app.ui.zoom = !app.ui.zoom,
        Step::Pass | Step::Done => {}
        Step::Open(target) => open(app, target),
    }
}

/// One step back: the cursor, the stretch of time, the zoomed panel, a step of the panel's own, the page, the replay.
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

/// Sideways: what the focused panel does with it; else from panel to panel.
pub(super) fn walk(app: &mut App, by: isize) {
    match panel(app.ui.focus).walk {
        Some(walk) => walk(app, by),
        None => focus(app, by),
    }
}

pub(super) fn scroll(app: &mut App, by: isize) {
    scroll_pane(app, app.ui.focus, by);
}

/// Scrolls a panel, wherever the focus is. One that cannot be scrolled passes the key to its neighbour.
pub(super) fn scroll_pane(app: &mut App, pane: Pane, by: isize) {
    let panel = panel(pane);
    match panel.scroll {
        Scroll::List if !panel.time_axis || app.alone() => {
            let last = (panel.last)(app);
            app.ui.panels.shift(pane, by, last);
        }
        Scroll::Own(scroll) => match scroll(app, by) {
            Step::Pass => neighbour(app, by),
            Step::Done => {}
            Step::Open(target) => open(app, target),
        },
        Scroll::List | Scroll::No => neighbour(app, by),
    }
    keep_in_range(app);
}

/// Charts along the next of epochs, steps and time.
pub(super) fn next_axis(app: &mut App) {
    app.ui.charts.axis = app.ui.charts.axis.next();
    app.notify(format!("charts along the {}", app.ui.charts.axis.name()));
}

/// Charts with more smoothing, or with none again.
pub(super) fn smooth(app: &mut App) {
    app.ui.charts.smooth_more();
    app.notify(match app.ui.charts.smoothing() {
        0.0 => "charts: no smoothing".to_owned(),
        keep => format!("charts: {keep} of the past kept per step"),
    });
}

/// The focused chart in equal ratios, or in equal steps again.
pub(super) fn log_scale(app: &mut App) {
    if !app.ui.charts.flip(app.ui.focus) {
        let words = "this pane has one scale; focus the loss, the rate or the gradient norm";
        app.notify(words.to_owned());
    }
}

/// Charts with half, or twice, as much of the time.
pub(super) fn zoom(app: &mut App, closer: bool) {
    let extent = app.extent();
    app.ui.charts.zoom(extent, closer);
}

/// Charts with what was before, or came after.
pub(super) fn pan(app: &mut App, later: bool) {
    let extent = app.extent();
    app.ui.charts.pan(extent, later);
}

/// Keeps every panel's position among what there is.
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
