//! A screen as a screenshot in SVG, with the colours of its theme, for a README or a report.
//!
//! Letters are text, each run of them held to its columns, so that any monospace font will do. Bars, lines and dots are
//! figures of the grid ([`glyph`]): in a browser's fonts they would have gaps. The same screen gives the same bytes.

mod glyph;
mod path;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::Modifier;
use unicode_width::UnicodeWidthStr;

use super::color::rgb;
use super::text::{clean, fit};
use super::theme::{Role, Theme};
use glyph::{CELL, Ink, Layers};

/// Red, green, blue.
type Rgb = [u8; 3];

/// What themes leave to the terminal: letters and ground of a dark one and of a light one.
const DARK: (Rgb, Rgb) = ([0xd0, 0xd0, 0xd0], [0x16, 0x18, 0x1d]);
const LIGHT: (Rgb, Rgb) = ([0x2a, 0x2c, 0x30], [0xfc, 0xfc, 0xfb]);

/// Around the screen: at the sides and below, and above, where the title is.
const MARGIN: i32 = 24;
const HEAD: i32 = 64;
/// Where letters stand in their cell, and how large they are; most monospace fonts then have a cell's width by themselves.
const BASELINE: i32 = 25;
const FONT_SIZE: &str = "26.5";
const FONTS: &str = "ui-monospace,SFMono-Regular,Menlo,'Cascadia Mono','DejaVu Sans Mono',Consolas,'Liberation Mono',monospace";
/// Letters of a dim cell: this much of their colour, the rest is the ground's.
const DIM: u32 = 60;

/// Letters of one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Face {
    color: Rgb,
    bold: bool,
    italic: bool,
}

/// A cell's look, with all that its style says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    face: Face,
    /// Where it is not the screenshot's.
    ground: Option<Rgb>,
    underlined: bool,
    crossed_out: bool,
}

/// A run of letters in a row.
#[derive(Debug)]
struct Run {
    face: Face,
    x: i32,
    columns: i32,
    text: String,
    /// Spaces after it, which count once more letters follow.
    gap: i32,
    /// Whether more letters may follow: those that any monospace font has keep their columns in company, others only alone.
    grows: bool,
}

/// Everything on the screen, sorted by look.
#[derive(Default)]
struct Drawing {
    layers: Layers,
    texts: BTreeMap<Face, String>,
    run: Option<Run>,
}

/// The screen as a screenshot, in a window that bears the title.
pub fn svg(buffer: &Buffer, theme: &Theme, title: &str) -> String {
    let (text, ground) = colors(theme);
    let mut drawing = Drawing::default();
    for row in 0..buffer.area.height {
        let mut column = 0;
        while column < buffer.area.width {
            let place = (buffer.area.x + column, buffer.area.y + row);
            let Some(cell) = buffer.cell(place) else {
                break;
            };
            let symbol = safe(cell.symbol());
            let left = buffer.area.width - column;
            let columns = (symbol.width() as u16).clamp(1, left);
            let x = MARGIN + i32::from(column) * CELL.0;
            let y = HEAD + i32::from(row) * CELL.1;
            let look = look(cell, text, ground);
            drawing.cell(&symbol, (x, y), i32::from(columns), look);
            column += columns;
        }
        drawing.end_run(HEAD + i32::from(row) * CELL.1);
    }
    let size = (i32::from(buffer.area.width), i32::from(buffer.area.height));
    assemble(drawing, size, (text, ground), title)
}

/// The theme's letters and ground.
fn colors(theme: &Theme) -> (Rgb, Rgb) {
    let (text, ground) = if theme.is_dark() { DARK } else { LIGHT };
    let (style, screen) = (theme.style(Role::Text), theme.style(Role::Screen));
    (
        style.fg.or(screen.fg).and_then(rgb).unwrap_or(text),
        style.bg.or(screen.bg).and_then(rgb).unwrap_or(ground),
    )
}

fn look(cell: &Cell, text: Rgb, ground: Rgb) -> Look {
    let (mut color, mut behind) = (rgb(cell.fg).unwrap_or(text), rgb(cell.bg).unwrap_or(ground));
    if cell.modifier.contains(Modifier::REVERSED) {
        std::mem::swap(&mut color, &mut behind);
    }
    if cell.modifier.contains(Modifier::DIM) {
        color = mix(color, behind, DIM);
    }
    if cell.modifier.contains(Modifier::HIDDEN) {
        color = behind;
    }
    Look {
        face: Face {
            color,
            bold: cell.modifier.contains(Modifier::BOLD),
            italic: cell.modifier.contains(Modifier::ITALIC),
        },
        ground: (behind != ground).then_some(behind),
        underlined: cell.modifier.contains(Modifier::UNDERLINED),
        crossed_out: cell.modifier.contains(Modifier::CROSSED_OUT),
    }
}

/// So many hundredths of one colour, the rest of another.
fn mix(a: Rgb, b: Rgb, percent: u32) -> Rgb {
    let part = |i: usize| {
        let (a, b) = (
            a.get(i).copied().unwrap_or(0),
            b.get(i).copied().unwrap_or(0),
        );
        ((u32::from(a) * percent + u32::from(b) * (100 - percent)) / 100) as u8
    };
    [part(0), part(1), part(2)]
}

/// What XML may hold.
fn safe(text: &str) -> String {
    let mut text = clean(text);
    text.retain(|c| !matches!(c, '\u{fffe}' | '\u{ffff}'));
    text
}

/// Letters that every monospace font has, at one width.
fn is_plain(symbol: &str) -> bool {
    let mut chars = symbol.chars();
    let plain = |c: char| matches!(c, '!'..='~' | '\u{a1}'..='\u{17f}' | '\u{391}'..='\u{3c9}' | '\u{410}'..='\u{44f}' | '–' | '—' | '…');
    matches!((chars.next(), chars.next()), (Some(c), None) if plain(c))
}

impl Drawing {
    /// Takes in the cell at this place.
    fn cell(&mut self, symbol: &str, (x, y): (i32, i32), columns: i32, look: Look) {
        let width = columns * CELL.0;
        let color = look.face.color;
        if let Some(ground) = look.ground {
            self.layers
                .path(Ink::Ground, ground)
                .rect(x, y, width, CELL.1);
        }
        if look.underlined {
            self.layers
                .path(Ink::Line(2), color)
                .level(x, y + 29, width);
        }
        if look.crossed_out {
            self.layers
                .path(Ink::Line(2), color)
                .level(x, y + 17, width);
        }
        if symbol.trim().is_empty() {
            if let Some(run) = &mut self.run {
                run.gap += columns;
            }
            return;
        }
        let mut chars = symbol.chars();
        if let (Some(glyph), None) = (chars.next(), chars.next())
            && glyph::draw(glyph, (x, y), color, look.face.bold, &mut self.layers)
        {
            self.end_run(y);
            return;
        }
        self.letter(symbol, (x, y), columns, look.face);
    }

    /// Adds to the run, or begins another.
    fn letter(&mut self, symbol: &str, (x, y): (i32, i32), columns: i32, face: Face) {
        let plain = is_plain(symbol);
        match &mut self.run {
            // Words further apart are placed on their own.
            Some(run) if plain && run.grows && run.face == face && run.gap <= 1 => {
                if run.gap == 1 {
                    run.text.push(' ');
                }
                run.text.push_str(&escaped(symbol));
                run.columns += run.gap + columns;
                run.gap = 0;
            }
            _ => {
                self.end_run(y);
                self.run = Some(Run {
                    face,
                    x,
                    columns,
                    text: escaped(symbol),
                    gap: 0,
                    grows: plain,
                });
            }
        }
    }

    /// Writes the run down.
    fn end_run(&mut self, y: i32) {
        let Some(run) = self.run.take() else { return };
        let _ = write!(
            self.texts.entry(run.face).or_default(),
            r#"<text x="{}" y="{}" textLength="{}" lengthAdjust="spacingAndGlyphs">{}</text>"#,
            run.x,
            y + BASELINE,
            run.columns * CELL.0,
            run.text
        );
    }
}

/// A text between tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn hex([r, g, b]: Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// The window, then everything in it, from the back to the front.
fn assemble(
    drawing: Drawing,
    (columns, rows): (i32, i32),
    colors: (Rgb, Rgb),
    title: &str,
) -> String {
    let (width, height) = (columns * CELL.0 + 2 * MARGIN, rows * CELL.1 + HEAD + MARGIN);
    let mut out = window((width, height), colors, title);
    for (ink, color, data) in drawing.layers.finish() {
        let color = hex(color);
        let look = match ink {
            // Neighbours of different colours would show a seam where the screenshot is scaled.
            Ink::Ground | Ink::Block => format!(r#"fill="{color}" shape-rendering="crispEdges""#),
            Ink::Shade(percent) => format!(r#"fill="{color}" fill-opacity=".{percent}""#),
            Ink::Figure => format!(r#"fill="{color}""#),
            Ink::Line(width) => format!(r#"fill="none" stroke="{color}" stroke-width="{width}""#),
            Ink::Dot(width) => format!(
                r#"fill="none" stroke="{color}" stroke-width="{width}" stroke-linecap="round""#
            ),
        };
        let _ = writeln!(out, r#"<path {look} d="{data}"/>"#);
    }
    for (face, texts) in drawing.texts {
        let weight = if face.bold {
            r#" font-weight="bold""#
        } else {
            ""
        };
        let style = if face.italic {
            r#" font-style="italic""#
        } else {
            ""
        };
        let _ = writeln!(
            out,
            r#"<g fill="{}"{weight}{style}>{texts}</g>"#,
            hex(face.color)
        );
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// The beginning: a quiet frame with the title, and an open group for what is in it.
fn window((width, height): (i32, i32), (text, ground): (Rgb, Rgb), title: &str) -> String {
    let room = (width - 2 * MARGIN) / CELL.0 - 16;
    let title = safe(title);
    let shown = escaped(&fit(&title, room.max(0) as usize, "…"));
    let title = escaped(&title);
    let mut out = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{}" height="{}" viewBox="0 0 {width} {height}" role="img">
<title>{title}</title>
<rect x="1" y="1" width="{}" height="{}" rx="18" fill="{}" stroke="{}" stroke-width="2"/>
<path fill="none" stroke="{}" stroke-width="20" stroke-linecap="round" d="m36 34h0m32 0h0m32 0h0"/>
<g font-family="{FONTS}" font-size="{FONT_SIZE}" xml:space="preserve">
"#,
        width / 2,
        height / 2,
        width - 2,
        height - 2,
        hex(ground),
        hex(mix(text, ground, 20)),
        hex(mix(text, ground, 20)),
    );
    if !shown.is_empty() {
        let _ = writeln!(
            out,
            r#"<text x="{}" y="42" fill="{}" text-anchor="middle">{shown}</text>"#,
            width / 2,
            hex(mix(text, ground, DIM)),
        );
    }
    out
}

#[cfg(test)]
mod tests;
