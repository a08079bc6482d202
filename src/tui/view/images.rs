//! The gallery page: the images of the test set, filtered by their predictions; one of them enlarged.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::ctx::{Ctx, Step};
use super::gallery::draw_pixels;
use super::paint::{self, Piece, bar, piece, put, put_pieces, width_of};
use super::thumbnails::Slots;
use crate::link::{Filter, ImagePage, ImageRow};
use crate::tui::action::Action;
use crate::tui::app::App;
use crate::tui::art;
use crate::tui::layout::{split, top};
use crate::tui::page::{Page, Pane};
use crate::tui::text::{columns, count};
use crate::tui::theme::Role;

/// Width of a thumbnail, and of the gap to the next.
const SMALL: (u16, u16) = (14, 2);
/// Number of rows for the prediction history, including its heading, next to thumbnails.
const EARLIER: usize = 9;
/// Width of the text about the selected image.
const WORDS: u16 = 30;

/// The number of thumbnails across and down.
fn grid(app: &App, area: Rect) -> (u16, u16) {
    let rows = small_rows(app);
    let across = (area.width + SMALL.1) / (SMALL.0 + SMALL.1);
    let down = (area.height + 1) / (rows + 2);
    (across.max(1), down.max(1))
}

fn small_rows(app: &App) -> u16 {
    let gallery = &app.run.gallery;
    let (width, height) = match (gallery.width, gallery.height) {
        (0, _) | (_, 0) => (28, 28),
        (width, height) => (width as usize, height as usize),
    };
    art::rows_for(height, width, usize::from(SMALL.0)).clamp(1, 40) as u16
}

/// The part of the page with the thumbnails, and the part with the text.
fn grid_area(area: Rect) -> (Rect, Rect) {
    split(area, area.width.saturating_sub(WORDS + 2))
}

/// Number of thumbnails in a row.
fn across(app: &App) -> usize {
    let area = app.layout.pane_area(Pane::Images);
    let (small, _) = grid_area(top(area, 1).1);
    usize::from(grid(app, small).0)
}

/// The images on the screen: index of the first, and how many.
pub(in crate::tui) fn window(app: &App) -> (usize, usize) {
    let area = app.layout.pane_area(Pane::Images);
    let (small, _) = grid_area(top(area, 1).1);
    let (across, down) = grid(app, small);
    let page = (usize::from(across) * usize::from(down)).clamp(1, 256);
    (app.ui.panels[Pane::Images] / page * page, page)
}

/// Selects the image whose thumbnail or caption is at this position of the screen.
pub(super) fn click(app: &mut App, area: Rect, at: Position) {
    let (small, _) = grid_area(top(area, 1).1);
    if app.ui.panels.images.large || !small.contains(at) {
        return;
    }
    let (first, page) = window(app);
    let slot = Slots {
        step: (SMALL.0 + SMALL.1, small_rows(app) + 2),
        size: (SMALL.0, small_rows(app) + 1),
        across: grid(app, small).0,
    };
    let slot = slot.at((at.x - small.x, at.y - small.y));
    if let Some(slot) = slot.filter(|slot| *slot < page && first + slot < total(app)) {
        app.ui.panels[Pane::Images] = first + slot;
    }
}

/// Moves the selection; it stops at the ends.
pub(super) fn walk(app: &mut App, by: isize) {
    let last = total(app).saturating_sub(1);
    app.ui.panels.shift(Pane::Images, by, last);
}

/// Moves the selection by a row of thumbnails; if an image is enlarged, by one image.
pub(super) fn scroll(app: &mut App, by: isize) -> Step {
    let row = if app.ui.panels.images.large {
        1
    } else {
        across(app).max(1) as isize
    };
    walk(app, by * row);
    Step::Done
}

/// Enlarges the selected image, or returns to the thumbnails.
pub(super) fn enter(app: &mut App) -> Step {
    let large = &mut app.ui.panels.images.large;
    *large = !*large;
    Step::Done
}

/// Returns from the enlarged image to the thumbnails, or from the images of a pair to the confusion matrix.
pub(super) fn back(app: &mut App) -> Step {
    let images = &mut app.ui.panels.images;
    if std::mem::take(&mut images.large) {
        return Step::Done;
    }
    match images.filter {
        Filter::Confused { .. } => {
            show(app, Filter::All);
            Step::Open(Page::Confusion)
        }
        Filter::All
        | Filter::Mistakes
        | Filter::ConfidentMistakes
        | Filter::Class(_)
        | Filter::LeastCertain => Step::Pass,
    }
}

/// Applies a filter and selects the first image.
pub(in crate::tui) fn show(app: &mut App, filter: Filter) {
    app.ui.panels.images.filter = filter;
    app.ui.panels[Pane::Images] = 0;
}

/// Applies the next filter; the filter by class uses the label of the selected image.
pub(in crate::tui) fn next_filter(app: &mut App) {
    let label = row(app, app.ui.panels[Pane::Images]).map_or(0, |image| image.label);
    let next = match app.ui.panels.images.filter {
        Filter::All => Filter::Mistakes,
        Filter::Mistakes => Filter::ConfidentMistakes,
        Filter::ConfidentMistakes => Filter::LeastCertain,
        Filter::LeastCertain => Filter::Class(label),
        Filter::Class(_) | Filter::Confused { .. } => Filter::All,
    };
    show(app, next);
}

/// Selects the next mistake; if the filter also lists correct images, switches to the filter of mistakes.
pub(in crate::tui) fn next_mistake(app: &mut App) {
    match app.ui.panels.images.filter {
        Filter::Mistakes | Filter::ConfidentMistakes | Filter::Confused { .. } => walk(app, 1),
        Filter::All | Filter::LeastCertain | Filter::Class(_) => show(app, Filter::Mistakes),
    }
}

/// The images that match the filter, if they have been loaded.
fn known(app: &App) -> Option<&ImagePage> {
    let (filter, page) = app.lookups.page()?;
    (filter == app.ui.panels.images.filter && app.test_predictions_available()).then_some(page)
}

/// Whether the gallery sample replaces the full test set: before its first evaluation and, in a replay, before the last
/// evaluation, because predictions are available for that one only.
fn shows_sample(app: &App) -> bool {
    (app.lookups.page().is_none() || !app.test_predictions_available())
        && app.ui.panels.images.filter == Filter::All
}

/// The image at a position of the list, if loaded; before the first test-set evaluation, an image of the gallery
/// sample.
fn row(app: &App, at: usize) -> Option<ImageRow> {
    if !shows_sample(app) {
        known(app)?;
        return app.lookups.image(at).cloned();
    }
    let gallery = &app.run.gallery;
    let predictions = app.run.predictions.as_ref();
    Some(ImageRow {
        index: at as u32,
        label: *gallery.labels.get(at)?,
        top: predictions
            .and_then(|predictions| predictions.top.get(at))
            .cloned()
            .unwrap_or_default(),
        size: (gallery.height, gallery.width),
        pixels: crate::event::Pixels(gallery.image(at)?.to_vec()),
        earlier: Vec::new(),
    })
}

/// Number of images that match the filter; 0 if they have not been loaded.
pub(super) fn total(app: &App) -> usize {
    match known(app) {
        Some(page) => page.total as usize,
        None if shows_sample(app) => app.run.gallery.labels.len(),
        None => 0,
    }
}

/// Draws the page.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let app = ctx.app;
    let note = filter_words(ctx, app.ui.panels.images.filter);
    let body = paint::title(ctx, buf, area, Pane::Images, &note, legends(ctx));
    let total = total(app);
    if total == 0 {
        let key = app.settings.keymap.first(Action::Filter);
        let filter_key = |what: &str| {
            key.as_ref()
                .map_or_else(String::new, |key| format!("{key}: {what}"))
        };
        let none_matches = format!(
            "no image matches this filter; {}",
            filter_key("next filter")
        );
        let later = format!(
            "test-set predictions are from the last evaluation, later in this replay; {}",
            filter_key("filters, one of them the gallery sample")
        );
        let no_test = format!(
            "the data have no test split, so there is no list of its images; {}",
            filter_key("filters, one of them the gallery sample")
        );
        let words = match (known(app), app.lookups.no_images()) {
            (Some(_), _) => none_matches.as_str(),
            _ if !app.run.has_test_split() && !shows_sample(app) => no_test.as_str(),
            (None, Some(reason)) => reason,
            (None, None) if !app.test_predictions_available() && !shows_sample(app) => {
                later.as_str()
            }
            (None, None) if !shows_sample(app) => "loading",
            (None, None) => ctx.panel(Pane::Images).empty,
        };
        paint::empty(ctx, buf, body, words);
        return;
    }
    let Some(image) = row(app, app.ui.panels[Pane::Images]) else {
        paint::empty(ctx, buf, body, "loading");
        return;
    };
    if app.ui.panels.images.large {
        large(ctx, body, buf, &image);
        return;
    }
    let (small, words) = grid_area(body);
    thumbnails(ctx, small, buf);
    details(ctx, words, buf, &image, true);
}

/// Variants of the legend: number of matching images and the evaluation the predictions are from or, without one, how
/// to get it.
fn legends(ctx: &Ctx<'_>) -> Vec<Vec<Piece>> {
    let app = ctx.app;
    let total = total(app);
    if total == 0 {
        return Vec::new();
    }
    let place = [
        piece(count(app.ui.panels[Pane::Images] as u64 + 1), Role::Strong),
        piece(format!(" of {}", count(total as u64)), Role::Dim),
    ];
    let of = match known(app).map(|page| page.global_step) {
        Some(Some(step)) => format!("   predicted at step {}", count(step)),
        Some(None) => String::new(),
        None if !app.run.has_test_split() => format!("   {total} samples of the validation split"),
        None if app.replay.is_some() => {
            format!("   {total} samples; full test set later in the replay")
        }
        None if app.over() => format!("   {total} samples, not the full test set"),
        None => format!("   {total} samples; full test set after the training"),
    };
    vec![
        [&place[..], &[piece(of, Role::Dim)]].concat(),
        place.to_vec(),
    ]
}

/// The name of a filter.
fn filter_words(ctx: &Ctx<'_>, filter: Filter) -> String {
    let class = |label: u32| ctx.class(label as usize, 16);
    match filter {
        Filter::All => "all".to_owned(),
        Filter::Mistakes => "mistakes".to_owned(),
        Filter::ConfidentMistakes => "mistakes, most confident first".to_owned(),
        Filter::Class(label) => format!("true class {}", class(label)),
        Filter::Confused { truth, predicted } => {
            format!("{} predicted as {}", class(truth), class(predicted))
        }
        Filter::LeastCertain => "least certain first".to_owned(),
    }
}

fn right(image: &ImageRow) -> Option<bool> {
    image.top.first().map(|(label, _)| *label == image.label)
}

fn mark(ctx: &Ctx<'_>, image: &ImageRow) -> (&'static str, Role) {
    match right(image) {
        Some(true) => (ctx.symbols.right, Role::Good),
        Some(false) => (ctx.symbols.wrong, Role::Bad),
        None => (ctx.symbols.dash, Role::Dim),
    }
}

fn thumbnails(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let rows = small_rows(ctx.app);
    let (across, _) = grid(ctx.app, area);
    let (first, page) = window(ctx.app);
    for slot in 0..page {
        let at = first + slot;
        let (x, y) = (slot as u16 % across, slot as u16 / across);
        let (x, y) = (x * (SMALL.0 + SMALL.1), y * (rows + 2));
        if y >= area.height {
            break;
        }
        let Some(image) = row(ctx.app, at) else {
            continue;
        };
        let place = Rect {
            x: area.x + x,
            y: area.y + y,
            width: SMALL.0.min(area.width.saturating_sub(x)),
            height: rows.min(area.height - y),
        };
        draw_pixels(ctx, place, buf, &image.pixels.0, image.size);
        let (sign, role) = mark(ctx, &image);
        let shown = image.top.first().map_or(image.label, |(label, _)| *label);
        let name = ctx.class(shown as usize, SMALL.0 - 2);
        let text = format!("{sign} {name}");
        let pad = usize::from(SMALL.0.saturating_sub(columns(&text)));
        let style = ctx.style(role);
        let style = if at == ctx.app.ui.panels[Pane::Images] {
            style.patch(ctx.style(Role::Selected))
        } else {
            style
        };
        let text = format!("{text}{}", " ".repeat(pad));
        put(buf, area, x, y + rows, &text, style);
    }
}

/// Draws one image as large as possible, with all its text.
fn large(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer, image: &ImageRow) {
    let (grid, words) = grid_area(area);
    let (height, width) = (image.size.0 as usize, image.size.1 as usize);
    let fits = |columns: &usize| {
        art::rows_for(height.max(1), width.max(1), *columns) <= usize::from(grid.height)
    };
    let most = usize::from(grid.width).min(width.saturating_mul(4));
    let across = (1..=most).rev().find(fits).unwrap_or(0);
    let rows = art::rows_for(height.max(1), width.max(1), across);
    let place = Rect {
        width: across as u16,
        height: (rows as u16).min(grid.height),
        ..grid
    };
    draw_pixels(ctx, place, buf, &image.pixels.0, image.size);
    details(ctx, words, buf, image, false);
}

/// Draws label, prediction, probabilities and prediction history of an image.
fn details(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer, image: &ImageRow, small: bool) {
    let mut lines: Vec<Vec<Piece>> = vec![vec![
        piece("image  ", Role::Dim),
        piece(count(u64::from(image.index)), Role::Strong),
        piece(
            if ctx.app.run.has_test_split() {
                " of the test set"
            } else {
                " of validation"
            },
            Role::Dim,
        ),
    ]];
    let room = area.width.saturating_sub(7);
    lines.push(vec![
        piece("label  ", Role::Dim),
        piece(ctx.class(image.label as usize, room), Role::Strong),
    ]);
    if let Some((class, _)) = image.top.first() {
        let (sign, role) = mark(ctx, image);
        lines.push(vec![
            piece("pred.  ", Role::Dim),
            piece(ctx.class(*class as usize, room.saturating_sub(2)), role),
            piece(format!(" {sign}"), role),
        ]);
    } else {
        lines.push(vec![piece("no prediction yet", Role::Dim)]);
    }
    lines.push(Vec::new());
    for (label, probability) in &image.top {
        let share = f64::from(probability.0);
        let own = *label == image.label;
        let percent = if share.is_finite() {
            format!("{:>6.1}%", share * 100.0)
        } else {
            "   nan".to_owned()
        };
        let name = ctx.class(*label as usize, area.width.saturating_sub(8));
        let pad = area
            .width
            .saturating_sub(columns(&name) + columns(&percent));
        lines.push(vec![
            piece(name, if own { Role::Strong } else { Role::Text }),
            piece(" ".repeat(usize::from(pad)), Role::Text),
            piece(percent, Role::Text),
        ]);
        let role = if own { Role::Good } else { Role::Bar };
        lines.push(bar(ctx, share, area.width, role));
    }
    if !image.top.is_empty() {
        lines.push(vec![piece("calibrated probabilities", Role::Dim)]);
    }
    lines.push(Vec::new());
    let mut before = earlier(ctx, image, area.width);
    let left_out = before.len().saturating_sub(EARLIER);
    if small && left_out > 1 {
        // The heading and the newest entries remain; the other rows are needed for the image.
        before.truncate(EARLIER);
        let key = ctx.app.settings.keymap.first(Action::Zoom);
        let key = key.map_or_else(String::new, |key| format!(": {key}"));
        let words = format!("{left_out} more{key}");
        before.push(vec![piece(words, Role::Dim)]);
    }
    lines.extend(before);
    // In the small view the selected image is drawn once more, larger, if there is room.
    let used = lines.len() as u16 + 1;
    for (y, line) in (0..area.height).zip(&lines) {
        put_pieces(ctx, buf, area, 0, y, line);
    }
    let below = lines.len().saturating_sub(usize::from(area.height));
    paint::more(ctx, buf, area, (0, below));
    if small && area.height > used + 8 {
        let (_, below) = top(area, used);
        let (height, width) = (image.size.0.max(1) as usize, image.size.1.max(1) as usize);
        let fits =
            |columns: &usize| art::rows_for(height, width, *columns) <= usize::from(below.height);
        let most = usize::from(below.width).min(width * 2);
        let across = (1..=most).rev().find(fits).unwrap_or(0);
        let rows = art::rows_for(height, width, across) as u16;
        let place = Rect {
            width: across as u16,
            height: rows.min(below.height),
            ..below
        };
        draw_pixels(ctx, place, buf, &image.pixels.0, image.size);
    }
}

/// The predictions of earlier evaluations, newest first.
fn earlier(ctx: &Ctx<'_>, image: &ImageRow, width: u16) -> Vec<Vec<Piece>> {
    if image.earlier.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![vec![piece("history", Role::Dim)]];
    for past in image.earlier.iter().rev() {
        let right = past.label == image.label;
        let (sign, role) = if right {
            (ctx.symbols.right, Role::Good)
        } else {
            (ctx.symbols.wrong, Role::Bad)
        };
        let epoch = piece(format!("epoch {:>3} ", past.epoch), Role::Dim);
        let share = piece(format!("{:>4.0}%", past.probability.0 * 100.0), Role::Text);
        let room = width.saturating_sub(width_of(&[epoch.clone(), share.clone()]) + 2);
        let name = ctx.class(past.label as usize, room);
        let pad = " ".repeat(usize::from(room.saturating_sub(columns(&name))));
        lines.push(vec![
            epoch,
            piece(format!("{sign} "), role),
            piece(name, Role::Text),
            piece(pad, Role::Text),
            share,
        ]);
    }
    lines
}
