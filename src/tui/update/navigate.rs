//! What the user looks at: pages, panes, the stretch of time, images.

use super::super::action::Action;
use super::super::app::App;
use super::super::page::{Page, Pane};
use super::super::view::{compare, confusions, images, layout, named};
use super::{notify, replay};
use crate::link::Filter;

/// Opens a page; the focus stays where the page has that pane.
pub(super) fn open(app: &mut App, page: Page) {
    app.ui.page = page;
    app.ui.zoom = false;
    if let Some(first) = page.panes().first()
        && !page.panes().contains(&app.ui.focus)
    {
        app.ui.focus = *first;
    }
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
        layout::visible(app)
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

/// Walks over the images of the gallery page, from end to end.
fn step_images(app: &mut App, by: isize) {
    let last = images::total(app).saturating_sub(1);
    let at = app.ui.images.at.saturating_add_signed(by);
    app.ui.images.at = at.min(last);
}

/// Shows images by another filter, from the first on.
fn filter(app: &mut App, filter: Filter) {
    app.ui.images.filter = filter;
    app.ui.images.at = 0;
}

/// The next filter; that of a class takes the class of the selected image.
pub(super) fn next_filter(app: &mut App) {
    if app.ui.page != Page::Gallery {
        open(app, Page::Gallery);
        return;
    }
    let label = images::label(app).unwrap_or(0);
    let next = match app.ui.images.filter {
        Filter::All => Filter::Mistakes,
        Filter::Mistakes => Filter::ConfidentMistakes,
        Filter::ConfidentMistakes => Filter::LeastCertain,
        Filter::LeastCertain => Filter::Class(label),
        Filter::Class(_) | Filter::Confused { .. } => Filter::All,
    };
    filter(app, next);
}

/// The next mistake: of those that the gallery page shows, the first where it shows others too.
pub(super) fn mistakes(app: &mut App) {
    if app.ui.page != Page::Gallery {
        next_mistake(app, 1);
        return;
    }
    match app.ui.images.filter {
        Filter::Mistakes | Filter::ConfidentMistakes | Filter::Confused { .. } => {
            let last = images::total(app).saturating_sub(1);
            app.ui.images.at = app.ui.images.at.saturating_add(1).min(last);
        }
        Filter::All | Filter::LeastCertain | Filter::Class(_) => filter(app, Filter::Mistakes),
    }
}

/// The images of the selected pair.
fn open_pair(app: &mut App) {
    let Some(pair) = confusions::selected(app) else {
        return;
    };
    let (truth, said) = (pair.label as u32, pair.predicted as u32);
    open(app, Page::Gallery);
    filter(app, Filter::Confused { truth, said });
}

/// The focused pane alone, or with the others again; the images of a pair; an image large.
pub(super) fn enter(app: &mut App) {
    match app.ui.page {
        Page::Confusion => return open_pair(app),
        Page::Gallery => {
            app.ui.images.large = !app.ui.images.large;
            return;
        }
        _ => {}
    }
    if app.ui.page.panes().len() > 1 {
        app.ui.zoom = !app.ui.zoom;
    }
}

/// One step back: the cursor, the stretch of time, the zoomed pane, the page, the replay.
pub(super) fn back(app: &mut App) {
    let chart = app.ui.focus.is_chart();
    if chart && app.ui.charts.cursor.take().is_some() {
        return;
    }
    if chart && app.ui.charts.window.take().is_some() {
        return;
    }
    if app.ui.zoom {
        app.ui.zoom = false;
    } else if app.ui.page == Page::Gallery && app.ui.images.large {
        app.ui.images.large = false;
    } else if let (Page::Gallery, Filter::Confused { .. }) = (app.ui.page, app.ui.images.filter) {
        // Back to the table it was entered from.
        filter(app, Filter::All);
        open(app, Page::Confusion);
    } else if app.ui.page == Page::Overview && replay::leave(app) {
        keep_in_range(app);
    } else {
        open(app, Page::Overview);
    }
}

/// Sideways: the cursor on charts, from image to image in the gallery, from pane to pane elsewhere.
pub(super) fn walk(app: &mut App, by: isize) {
    let count = app.run.gallery.labels.len();
    if app.ui.page == Page::Gallery {
        step_images(app, by);
    } else if app.ui.focus.is_chart() {
        let columns = layout::plot_columns(app);
        let extent = app.extent();
        app.ui.charts.move_cursor(extent, by as i64, columns);
    } else if app.ui.focus != Pane::Gallery {
        focus(app, by);
    } else if count > 0 {
        app.ui.gallery = (app.ui.gallery as isize + by).rem_euclid(count as isize) as usize;
    }
}

pub(super) fn scroll(app: &mut App, by: isize) {
    scroll_pane(app, app.ui.focus, by);
}

/// Scrolls a pane, wherever the focus is.
pub(super) fn scroll_pane(app: &mut App, pane: Pane, by: isize) {
    match pane {
        Pane::Gallery if app.ui.page == Page::Gallery => {
            let across = images::across(app).max(1) as isize;
            let row = if app.ui.images.large { 1 } else { across };
            step_images(app, by * row);
        }
        Pane::Gallery => next_mistake(app, by),
        Pane::Confusion => app.ui.pair = app.ui.pair.saturating_add_signed(by),
        Pane::Classes => {
            app.ui.class_scroll = app.ui.class_scroll.saturating_add_signed(by);
        }
        Pane::Log => app.ui.log_scroll = app.ui.log_scroll.saturating_add_signed(-by),
        Pane::Layers if app.alone() => {
            app.ui.layer_scroll = app.ui.layer_scroll.saturating_add_signed(by);
        }
        Pane::Metrics => {
            let last = named::last_scroll(app);
            let at = app.ui.metrics_scroll.min(last);
            if at.saturating_add_signed(by).min(last) == at {
                return neighbour(app, by);
            }
            app.ui.metrics_scroll = at.saturating_add_signed(by).min(last);
        }
        Pane::Compare => {
            let last = compare::last_scroll(app);
            let at = app.ui.compare_scroll.min(last).saturating_add_signed(by);
            app.ui.compare_scroll = at.min(last);
        }
        // A chart has nothing to scroll, so the key goes to its neighbour.
        _ => neighbour(app, by),
    }
    keep_in_range(app);
}

/// How charts look at time.
pub(super) fn look(app: &mut App, action: Action) {
    let extent = app.extent();
    let charts = &mut app.ui.charts;
    match action {
        Action::Axis => {
            charts.axis = charts.axis.next();
            let words = format!("charts along the {}", charts.axis.name());
            notify(app, words);
        }
        Action::Smooth => {
            charts.smooth_more();
            let words = match charts.smoothing() {
                0.0 => "charts: no smoothing".to_owned(),
                keep => format!("charts: {keep} of the past kept per step"),
            };
            notify(app, words);
        }
        Action::LogScale => {
            if !charts.flip(app.ui.focus) {
                let words =
                    "this pane has one scale; focus the loss, the rate or the gradient norm";
                notify(app, words.to_owned());
            }
        }
        Action::Closer => charts.zoom(extent, true),
        Action::Farther => charts.zoom(extent, false),
        Action::Earlier => charts.pan(extent, false),
        Action::Later => charts.pan(extent, true),
        _ => charts.fit(),
    }
}

/// Walks to the next image that was told wrong, round the end.
pub(super) fn next_mistake(app: &mut App, by: isize) {
    let labels = &app.run.gallery.labels;
    let Some(predictions) = &app.run.predictions else {
        return;
    };
    let wrong = |at: usize| {
        let said = predictions
            .top
            .get(at)
            .and_then(|top| top.first())
            .map(|(label, _)| *label);
        said.is_some() && said != labels.get(at).copied()
    };
    let count = labels.len() as isize;
    let here = app.ui.gallery as isize;
    let found = (1..count)
        .map(|i| (here + by * i).rem_euclid(count) as usize)
        .find(|at| wrong(*at));
    match found {
        Some(at) => app.ui.gallery = at,
        None => notify(
            app,
            "no other image of the gallery is told wrong".to_owned(),
        ),
    }
}

pub(super) fn keep_in_range(app: &mut App) {
    let classes = app
        .run
        .info
        .as_ref()
        .map_or(0, |info| info.dataset.classes.len());
    // Classes, or pairs of them, whichever the page scrolls; what is drawn ends where they do.
    let pairs = classes.saturating_mul(classes.saturating_sub(1));
    let most = if app.alone() { pairs } else { classes };
    app.ui.class_scroll = app.ui.class_scroll.min(most.saturating_sub(1));
    app.ui.layer_scroll = (app.ui.layer_scroll).min(app.run.layers.names.len().saturating_sub(1));
    app.ui.log_scroll = app
        .ui
        .log_scroll
        .min((app.run.log.len() + app.run.commands.len()).saturating_sub(1));
    app.ui.pair = app.ui.pair.min(pairs.saturating_sub(1));
    app.ui.images.at = (app.ui.images.at).min(images::total(app).saturating_sub(1));
    app.ui.gallery = app
        .ui
        .gallery
        .min(app.run.gallery.labels.len().saturating_sub(1));
}

pub(super) fn next_theme(app: &mut App) {
    let count = app.settings.themes.len();
    if count == 0 {
        return;
    }
    app.ui.theme = (app.ui.theme + 1) % count;
    if let Some(name) = app.settings.themes.get(app.ui.theme) {
        notify(app, format!("theme: {name}"));
    }
}
