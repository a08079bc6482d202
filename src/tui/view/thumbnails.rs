//! All images of the gallery at once: as a row of marks, and as small pictures.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Ctx;
use super::gallery::{Image, draw_art};
use super::paint::put;
use crate::tui::art;
use crate::tui::theme::Role;

/// Columns of a small picture.
const THUMBNAIL: u16 = 14;

/// A mark for each image: right, wrong, not yet said; the current one is reversed. Scrolls so that it is seen.
pub(super) fn strip(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    if ctx.app.run.predictions.is_none() {
        return;
    }
    let count = ctx.app.run.gallery.labels.len();
    let room = usize::from(area.width).max(1);
    let current = ctx.app.ui.gallery;
    let first = (current.saturating_sub(room / 2)).min(count.saturating_sub(room));
    for (x, index) in (first..count).take(room).enumerate() {
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
    match Image::at(ctx, index).and_then(|image| image.right()) {
        Some(true) => (ctx.symbols.right_small, Role::Dim),
        Some(false) => (ctx.symbols.wrong, Role::Bad),
        None => (ctx.symbols.dash, Role::Faint),
    }
}

/// As many small pictures as fit, with the current one among them.
pub(super) fn grid(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let gallery = &ctx.app.run.gallery;
    let (width, height) = (gallery.width as usize, gallery.height as usize);
    let rows = art::rows_for(height, width, usize::from(THUMBNAIL)).min(100) as u16;
    let (step_x, step_y) = (THUMBNAIL + 2, rows + 2);
    let (across, down) = ((area.width + 2) / step_x, (area.height + 1) / step_y);
    let page = usize::from(across) * usize::from(down);
    if page == 0 {
        return;
    }
    let current = ctx.app.ui.gallery;
    let first = current / page * page;
    for (slot, index) in (first..gallery.labels.len()).take(page).enumerate() {
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
