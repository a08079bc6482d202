//! The gallery panel: one test image enlarged, with its label and prediction.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Style};

use super::ctx::Ctx;
use super::paint::{self, Piece, bar, piece, put, put_pieces};
use super::thumbnails;
use crate::config::Art;
use crate::tui::app::App;
use crate::tui::art;
use crate::tui::color::ColorDepth;
use crate::tui::layout::{bottom, split, top};
use crate::tui::page::Pane;
use crate::tui::text::columns;
use crate::tui::theme::Role;

/// Minimum and maximum width of the text next to the image.
const WORDS: (u16, u16) = (15, 30);
/// Placeholder until there are images.
pub(super) const EMPTY: &str =
    "test images appear here once the data are loaded, predictions after the first validation";
/// Number of predictions shown.
const TOP: usize = 3;

/// An image of the gallery with its label and prediction.
pub(super) struct Image<'a> {
    pub(super) pixels: &'a [u8],
    pub(super) label: usize,
    /// Classes with their calibrated probabilities, best first.
    pub(super) top: &'a [(u32, crate::event::F32)],
}

impl<'a> Image<'a> {
    /// The image at this index.
    pub(super) fn at(ctx: &Ctx<'a>, index: usize) -> Option<Self> {
        let run = &ctx.app.run;
        let pixels = run.gallery.image(index)?;
        let label = *run.gallery.labels.get(index)? as usize;
        let top = run
            .predictions
            .as_ref()
            .and_then(|predictions| predictions.top.get(index))
            .map_or(&[][..], Vec::as_slice);
        Some(Self { pixels, label, top })
    }

    /// Whether the prediction is correct; `None` without a prediction.
    pub(super) fn is_correct(&self) -> Option<bool> {
        self.top
            .first()
            .map(|(label, _)| *label as usize == self.label)
    }
}

/// Draws the pane.
pub(super) fn draw(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer) {
    let Some(image) = Image::at(ctx, ctx.app.ui.panels[Pane::Gallery]) else {
        let body = paint::title(ctx, buf, area, Pane::Gallery, "", Vec::new());
        paint::empty(ctx, buf, body, EMPTY);
        return;
    };
    // Without a count of correct images: it would be a test-set evaluation after every epoch.
    let title = if ctx.app.run.has_test_split() {
        "test samples"
    } else {
        "validation samples"
    };
    let body = paint::title(ctx, buf, area, Pane::Gallery, title, Vec::new());
    let Parts { body, grid, strip } = parts(ctx.app, body);
    thumbnails::grid(ctx, grid, buf);
    thumbnails::strip(ctx, strip, buf);
    let (across, rows) = size(ctx, body);
    let (grid, words) = split(body, across);
    draw_art(
        ctx,
        Rect {
            height: rows,
            ..grid
        },
        buf,
        image.pixels,
    );
    draw_words(
        ctx,
        Rect {
            height: words.height.min(rows.max(13)),
            ..words
        },
        buf,
        &image,
    );
}

/// The areas of the pane below its title.
struct Parts {
    /// The image and its text.
    body: Rect,
    /// Thumbnails of all images; empty unless the pane is zoomed.
    grid: Rect,
    /// A mark for each image, if the pane is not zoomed and is high enough.
    strip: Rect,
}

fn parts(app: &App, body: Rect) -> Parts {
    if app.alone() {
        let (body, grid) = split(body, body.width / 2);
        return Parts {
            body,
            grid,
            strip: Rect::ZERO,
        };
    }
    let (strip, body) = bottom(body, u16::from(body.height > 5));
    Parts {
        body,
        grid: Rect::ZERO,
        strip,
    }
}

/// Selects the image whose thumbnail or mark is at this position of the screen, in a panel with this area.
pub(super) fn click(app: &mut App, area: Rect, at: Position) {
    let Parts { grid, strip, .. } = parts(app, top(area, 1).1);
    let image = if grid.contains(at) {
        thumbnails::image_at(app, grid, (at.x - grid.x, at.y - grid.y))
    } else if strip.contains(at) {
        thumbnails::mark_at(app, strip.width, at.x - strip.x)
    } else {
        None
    };
    if let Some(image) = image {
        app.ui.panels[Pane::Gallery] = image;
    }
}

/// Moves the selection; it wraps around at the ends.
pub(super) fn walk(app: &mut App, by: isize) {
    let count = app.run.gallery.labels.len() as isize;
    if count > 0 {
        let at = &mut app.ui.panels[Pane::Gallery];
        *at = (*at as isize + by).rem_euclid(count) as usize;
    }
}

/// Selects the next misclassified image; the search wraps around at the ends.
pub(in crate::tui) fn next_mistake(app: &mut App, by: isize) {
    let labels = &app.run.gallery.labels;
    let Some(predictions) = &app.run.predictions else {
        return;
    };
    let wrong = |at: usize| {
        let top = predictions.top.get(at).and_then(|top| top.first());
        top.is_some_and(|(label, _)| labels.get(at) != Some(label))
    };
    let count = labels.len() as isize;
    let here = app.ui.panels[Pane::Gallery] as isize;
    let found = (1..count)
        .map(|i| (here + by * i).rem_euclid(count) as usize)
        .find(|at| wrong(*at));
    match found {
        Some(at) => app.ui.panels[Pane::Gallery] = at,
        None => app.notify("the gallery has no other mistake".to_owned()),
    }
}

/// Rows of the panel: title, image (one column per pixel, or two if that fits), the row of marks, and a blank row.
pub(super) fn rows(app: &App, room: Rect) -> u16 {
    let gallery = &app.run.gallery;
    let (width, height) = if gallery.width == 0 {
        (28, 28)
    } else {
        (gallery.width, gallery.height)
    };
    let natural = |scale: u32| (height.saturating_mul(scale) / 2).clamp(1, 400) as u16;
    let wide = |scale: u32| width.saturating_mul(scale).min(400) as u16 + 22;
    let twice = natural(2) <= room.height.saturating_sub(3) && wide(2) <= room.width;
    natural(if twice { 2 } else { 1 }) + 3
}

/// Width and height of the image in cells: as large as the text permits, at most two columns per pixel.
fn size(ctx: &Ctx<'_>, area: Rect) -> (u16, u16) {
    let gallery = &ctx.app.run.gallery;
    let (width, height) = (
        gallery.width.max(1) as usize,
        gallery.height.max(1) as usize,
    );
    let room = usize::from(area.width.saturating_sub(WORDS.0 + 2)).min(width * 2);
    // Images look best with an integer number of columns per pixel, or three columns for two pixels.
    let fits = |columns: usize| {
        columns <= room && art::rows_for(height, width, columns) <= usize::from(area.height)
    };
    let columns = [width * 2, width * 3 / 2, width]
        .into_iter()
        .find(|columns| fits(*columns));
    let columns = columns
        .or_else(|| (1..=room).rev().find(|columns| fits(*columns)))
        .unwrap_or(0);
    (
        columns as u16,
        art::rows_for(height, width, columns).min(usize::from(area.height)) as u16,
    )
}

/// Draws an image of the gallery, scaled to the area.
pub(super) fn draw_art(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer, pixels: &[u8]) {
    let gallery = &ctx.app.run.gallery;
    draw_pixels(ctx, area, buf, pixels, (gallery.height, gallery.width));
}

/// Draws an image of `height` × `width` pixels, in grey or in colour, scaled to the area.
pub(super) fn draw_pixels(
    ctx: &Ctx<'_>,
    area: Rect,
    buf: &mut Buffer,
    pixels: &[u8],
    (height, width): (u32, u32),
) {
    let (height, width) = (height as usize, width as usize);
    let (columns, rows) = (usize::from(area.width), usize::from(area.height));
    let settings = &ctx.app.settings;
    let depth = settings.color;
    let many = matches!(depth, ColorDepth::Ansi256 | ColorDepth::True) && has_colour(ctx);
    let image = art::Cells::new(pixels, height, width, columns, rows);
    let halves = match settings.art {
        Art::Auto => image.is_colour(),
        Art::Ascii => false,
        Art::Halfblock => true,
    };
    if halves && ctx.symbols.unicode && many {
        let halves = art::Cells::new(pixels, height, width, columns, rows * 2);
        for (y, line) in halves.halves().into_iter().enumerate() {
            for (x, (upper, lower)) in line.into_iter().enumerate() {
                let style = Style::new().fg(depth.reduce(upper)).bg(depth.reduce(lower));
                put(buf, area, x as u16, y as u16, "▀", style);
            }
        }
        return;
    }
    let dark = ctx.theme.is_dark();
    for (y, line) in image.lines(dark).iter().enumerate() {
        put(buf, area, 0, y as u16, line, ctx.style(Role::Art));
    }
    if !many {
        return;
    }
    for (y, line) in image.hues(dark).into_iter().enumerate() {
        for (x, hue) in line.into_iter().enumerate() {
            let place = Position::new(area.x + x as u16, area.y + y as u16);
            if let Some(cell) = buf.cell_mut(place) {
                cell.set_fg(depth.reduce(hue));
            }
        }
    }
}

/// Whether the theme has any colour; if not, images are drawn without colours too.
fn has_colour(ctx: &Ctx<'_>) -> bool {
    Role::ALL
        .iter()
        .any(|role| !matches!(ctx.style(*role).fg, None | Some(Color::Reset)))
}

fn draw_words(ctx: &Ctx<'_>, area: Rect, buf: &mut Buffer, image: &Image<'_>) {
    let width = area.width.min(WORDS.1);
    let area = Rect { width, ..area };
    let count = ctx.app.run.gallery.labels.len();
    let mut lines: Vec<Vec<Piece>> = vec![vec![
        piece(
            format!("{:>2}", ctx.app.ui.panels[Pane::Gallery] + 1),
            Role::Strong,
        ),
        piece(format!(" of {count}"), Role::Dim),
    ]];
    let spaced = area.height >= 12;
    let (label, predicted) = if width >= 18 {
        ("label ", "pred. ")
    } else {
        ("true ", "pred ")
    };
    let room = width.saturating_sub(columns(label));
    lines.push(vec![
        piece(label, Role::Dim),
        piece(ctx.class(image.label, room), Role::Strong),
    ]);
    match (image.is_correct(), image.top.first()) {
        (Some(right), Some((class, _))) => {
            let (mark, word, role) = if right {
                (ctx.symbols.right, "correct", Role::Good)
            } else {
                (ctx.symbols.wrong, "wrong", Role::Bad)
            };
            lines.push(vec![
                piece(predicted, Role::Dim),
                piece(ctx.class(*class as usize, room), role),
            ]);
            lines.push(vec![piece(format!("{mark} {word}"), role)]);
        }
        _ => lines.push(vec![piece("no prediction yet", Role::Dim)]),
    }
    if spaced {
        lines.insert(1, Vec::new());
        lines.push(Vec::new());
    }
    let room = usize::from(area.height).saturating_sub(lines.len());
    let bars = room >= TOP * 2 && width >= 12;
    for (label, probability) in image
        .top
        .iter()
        .take(if bars { TOP } else { room.min(TOP) })
    {
        lines.extend(prediction(
            ctx,
            image,
            *label as usize,
            f64::from(probability.0),
            width,
            bars,
        ));
    }
    if usize::from(area.height) > lines.len()
        && let Some(predictions) = &ctx.app.run.predictions
    {
        let word = if width >= 18 {
            "calibrated, "
        } else {
            "calib. "
        };
        lines.push(vec![piece(
            format!("{word}T {:.2}", predictions.temperature.0),
            Role::Dim,
        )]);
    }
    for (y, line) in lines.iter().enumerate().take(usize::from(area.height)) {
        put_pieces(ctx, buf, area, 0, y as u16, line);
    }
}

/// A class with its probability, followed by a bar if there is room.
fn prediction(
    ctx: &Ctx<'_>,
    image: &Image<'_>,
    label: usize,
    share: f64,
    width: u16,
    bars: bool,
) -> Vec<Vec<Piece>> {
    // In a narrow pane the decimal is dropped in favour of the name.
    let (digits, columns_of_share) = if width >= 18 { (1, 7) } else { (0, 4) };
    let room = usize::from(width).saturating_sub(columns_of_share);
    let name = ctx.class(label, room as u16);
    let pad = room.saturating_sub(usize::from(columns(&name)));
    let role = if label == image.label {
        Role::Text
    } else {
        Role::Dim
    };
    let text = if share.is_finite() {
        format!("{:.digits$}%", share * 100.0)
    } else {
        "nan".to_owned()
    };
    let percent = format!("{text:>columns_of_share$}");
    let mut lines = vec![vec![
        piece(name, role),
        piece(" ".repeat(pad), role),
        piece(percent, Role::Text),
    ]];
    if bars {
        lines.push(bar(
            ctx,
            share,
            width,
            if label == image.label {
                Role::Good
            } else {
                Role::Bar
            },
        ));
    }
    lines
}
