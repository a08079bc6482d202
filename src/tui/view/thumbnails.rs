//! All images of the gallery: as a row of marks, and as thumbnails.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::Ctx;
use super::gallery::{Image, draw_art};
use super::paint::put;
use crate::tui::app::App;
use crate::tui::art;
use crate::tui::page::Pane;
use crate::tui::theme::Role;

/// Width of a thumbnail.
const THUMBNAIL: u16 = 14;

/// A grid of slots of equal size.
pub(super) struct Slots {
    /// Columns and rows from one slot to the next.
    pub(super) step: (u16, u16),
    /// Columns and rows of a slot.
    pub(super) size: (u16, u16),
    /// Number of slots in a row.
    pub(super) across: u16,
}

impl Slots {
    /// The index of the slot at this column and row; `None` in the gaps.
    pub(super) fn at(&self, (x, y): (u16, u16)) -> Option<usize> {
        let (step_x, step_y) = (self.step.0.max(1), self.step.1.max(1));
        let (column, row) = (x / step_x, y / step_y);
        let inside = column < self.across && x % step_x < self.size.0 && y % step_y < self.size.1;
        inside.then(|| usize::from(row) * usize::from(self.across) + usize::from(column))
    }
}

/// The images that have a mark in a row of `width` columns.
fn images_with_mark(app: &App, width: u16) -> Range<usize> {
    if app.run.predictions.is_none() {
        return 0..0;
    }
    let count = app.run.gallery.labels.len();
    let room = usize::from(width).max(1);
    let first =
        (app.ui.panels[Pane::Gallery].saturating_sub(room / 2)).min(count.saturating_sub(room));
    first..count.min(first + room)
}

/// The image whose mark is at column `x` of the row.
pub(super) fn mark_at(app: &App, width: u16, x: u16) -> Option<usize> {
    images_with_mark(app, width).nth(usize::from(x))
}

/// Draws a mark for each image: correct, wrong, or without prediction. The current one is reversed; the row scrolls so
/// that it is visible.
pub(super) fn strip(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let current = ctx.app.ui.panels[Pane::Gallery];
    for (x, index) in images_with_mark(ctx.app, area.width).enumerate() {
        let (mark, role) = mark(ctx, index);
        let style = ctx.style(role);
        let style = if index == current {
            style.patch(ctx.style(Role::Selected))
        } else {
            style
        };
        put(buf, area, x as u16, 0, mark, style);
    }
}

fn mark(ctx: &Ctx<'_>, index: usize) -> (&'static str, Role) {
    match Image::at(ctx, index).and_then(|image| image.is_correct()) {
        Some(true) => (ctx.symbols.right_small, Role::Dim),
        Some(false) => (ctx.symbols.wrong, Role::Bad),
        None => (ctx.symbols.dash, Role::Faint),
    }
}

/// The grid of thumbnails in this area, and the images in it.
fn placed(app: &App, area: Rect) -> (Slots, Range<usize>) {
    let gallery = &app.run.gallery;
    let (width, height) = (gallery.width as usize, gallery.height as usize);
    let rows = art::rows_for(height, width, usize::from(THUMBNAIL)).min(100) as u16;
    let step = (THUMBNAIL + 2, rows + 2);
    let (across, down) = ((area.width + 2) / step.0, (area.height + 1) / step.1);
    let slots = Slots {
        step,
        size: (THUMBNAIL, rows + 1),
        across,
    };
    let page = usize::from(across) * usize::from(down);
    let first = app.ui.panels[Pane::Gallery] / page.max(1) * page;
    let last = gallery.labels.len().min(first + page);
    (slots, first..last)
}

/// The image whose thumbnail is at this column and row of the area.
pub(super) fn image_at(app: &App, area: Rect, at: (u16, u16)) -> Option<usize> {
    let (slots, mut images) = placed(app, area);
    images.nth(slots.at(at)?)
}

/// Draws as many thumbnails as fit; the current image is always among them.
pub(super) fn grid(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let current = ctx.app.ui.panels[Pane::Gallery];
    let (slots, images) = placed(ctx.app, area);
    let ((step_x, step_y), across, rows) = (slots.step, slots.across, slots.size.1 - 1);
    for (slot, index) in images.enumerate() {
        let Some(image) = Image::at(ctx, index) else {
            return;
        };
        let (x, y) = (slot as u16 % across * step_x, slot as u16 / across * step_y);
        let place = Rect {
            x: area.x + x,
            y: area.y + y,
            width: THUMBNAIL,
            height: rows,
        };
        draw_art(ctx, place, buf, image.pixels);
        let (mark, role) = mark(ctx, index);
        let style = ctx.style(role);
        let style = if index == current {
            style.patch(ctx.style(Role::Selected))
        } else {
            style
        };
        put(
            buf,
            area,
            x,
            y + rows,
            &format!("{:>3} {mark} ", index + 1),
            style,
        );
    }
}
