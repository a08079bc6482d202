//! Screenshots of the screen as SVG, in the colours of its theme, for a README or a report.
//!
//! Letters are text elements, and each text run is fitted to the width of its columns, so that any monospace font can
//! be used. Bars, lines and dots are drawn as paths ([`glyph`]), as with the fonts of a browser they would have gaps.
//! The output is deterministic.

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

/// Default text and background colours of a dark and a light terminal, for themes that do not set them.
const DARK: (Rgb, Rgb) = ([0xd0, 0xd0, 0xd0], [0x16, 0x18, 0x1d]);
const LIGHT: (Rgb, Rgb) = ([0x2a, 0x2c, 0x30], [0xfc, 0xfc, 0xfb]);

/// Space at the sides and below the screen, and above it for the title, in units of the `viewBox`.
const MARGIN: i32 = 24;
const HEAD: i32 = 64;
/// Baseline of the letters in their cell, and their size. Most monospace fonts then have exactly the width of a cell.
const BASELINE: i32 = 25;
const FONT_SIZE: &str = "26.5";
const FONTS: &str = "ui-monospace,SFMono-Regular,Menlo,'Cascadia Mono','DejaVu Sans Mono',Consolas,'Liberation Mono',monospace";
/// Weight of the text colour in dim cells, percent; the rest is the background colour.
const DIM: u32 = 60;

/// The style of a text run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct TextStyle {
    color: Rgb,
    bold: bool,
    italic: bool,
}

/// The style of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CellStyle {
    text: TextStyle,
    /// Set if it differs from the background of the screenshot.
    background: Option<Rgb>,
    underlined: bool,
    crossed_out: bool,
}

/// A run of letters of one style in a row.
#[derive(Debug)]
struct Run {
    style: TextStyle,
    x: i32,
    columns: i32,
    text: String,
    /// Trailing columns of spaces, which are added only if more letters follow.
    gap: i32,
    /// Whether more letters may be added. Letters that any monospace font has are laid out together; others get an
    /// element of their own, as their width may differ.
    grows: bool,
}

/// The elements of the screenshot, grouped by style.
#[derive(Default)]
struct Drawing {
    layers: Layers,
    texts: BTreeMap<TextStyle, String>,
    run: Option<Run>,
}

/// Renders the screen as an SVG document, in a window with this title.
pub fn svg(buffer: &Buffer, theme: &Theme, title: &str) -> String {
    let (text, background) = colors(theme);
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
            let style = cell_style(cell, text, background);
            drawing.cell(&symbol, (x, y), i32::from(columns), style);
            column += columns;
        }
        drawing.end_run(HEAD + i32::from(row) * CELL.1);
    }
    let size = (i32::from(buffer.area.width), i32::from(buffer.area.height));
    assemble(drawing, size, (text, background), title)
}

/// The text and the background colour of a theme.
fn colors(theme: &Theme) -> (Rgb, Rgb) {
    let (text, background) = if theme.is_dark() { DARK } else { LIGHT };
    let (style, screen) = (theme.style(Role::Text), theme.style(Role::Screen));
    (
        style.fg.or(screen.fg).and_then(rgb).unwrap_or(text),
        style.bg.or(screen.bg).and_then(rgb).unwrap_or(background),
    )
}

/// The style of a cell. `text` and `background` are the default colours.
fn cell_style(cell: &Cell, text: Rgb, background: Rgb) -> CellStyle {
    let mut color = rgb(cell.fg).unwrap_or(text);
    let mut behind = rgb(cell.bg).unwrap_or(background);
    if cell.modifier.contains(Modifier::REVERSED) {
        std::mem::swap(&mut color, &mut behind);
    }
    if cell.modifier.contains(Modifier::DIM) {
        color = mix(color, behind, DIM);
    }
    if cell.modifier.contains(Modifier::HIDDEN) {
        color = behind;
    }
    CellStyle {
        text: TextStyle {
            color,
            bold: cell.modifier.contains(Modifier::BOLD),
            italic: cell.modifier.contains(Modifier::ITALIC),
        },
        background: (behind != background).then_some(behind),
        underlined: cell.modifier.contains(Modifier::UNDERLINED),
        crossed_out: cell.modifier.contains(Modifier::CROSSED_OUT),
    }
}

/// Mixes `percent` of colour `a` with colour `b`.
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

/// The text without characters that XML does not allow.
fn safe(text: &str) -> String {
    let mut text = clean(text);
    text.retain(|c| !matches!(c, '\u{fffe}' | '\u{ffff}'));
    text
}

/// Whether every monospace font has this letter, one cell wide.
fn is_plain(symbol: &str) -> bool {
    let mut chars = symbol.chars();
    let plain = |c: char| matches!(c, '!'..='~' | '\u{a1}'..='\u{17f}' | '\u{391}'..='\u{3c9}' | '\u{410}'..='\u{44f}' | '–' | '—' | '…');
    matches!((chars.next(), chars.next()), (Some(c), None) if plain(c))
}

impl Drawing {
    /// Adds a cell at this position.
    fn cell(&mut self, symbol: &str, (x, y): (i32, i32), columns: i32, style: CellStyle) {
        let width = columns * CELL.0;
        let color = style.text.color;
        if let Some(background) = style.background {
            self.layers
                .path(Ink::Background, background)
                .rect(x, y, width, CELL.1);
        }
        if style.underlined {
            self.layers
                .path(Ink::Line(2), color)
                .level(x, y + 29, width);
        }
        if style.crossed_out {
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
            && glyph::draw(glyph, (x, y), color, style.text.bold, &mut self.layers)
        {
            self.end_run(y);
            return;
        }
        self.letter(symbol, (x, y), columns, style.text);
    }

    /// Adds a letter to the current run, or starts a new run.
    fn letter(&mut self, symbol: &str, (x, y): (i32, i32), columns: i32, style: TextStyle) {
        let plain = is_plain(symbol);
        match &mut self.run {
            // Words more than one space apart become separate runs.
            Some(run) if plain && run.grows && run.style == style && run.gap <= 1 => {
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
                    style,
                    x,
                    columns,
                    text: escaped(symbol),
                    gap: 0,
                    grows: plain,
                });
            }
        }
    }

    /// Writes the current run as a text element.
    fn end_run(&mut self, y: i32) {
        let Some(run) = self.run.take() else { return };
        let _ = write!(
            self.texts.entry(run.style).or_default(),
            r#"<text x="{}" y="{}" textLength="{}" lengthAdjust="spacingAndGlyphs">{}</text>"#,
            run.x,
            y + BASELINE,
            run.columns * CELL.0,
            run.text
        );
    }
}

/// Escapes text for use between XML tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn hex([r, g, b]: Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Assembles the document: the window, then its content from back to front.
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
        let attributes = match ink {
            // With anti-aliased edges a seam between adjacent cells would be visible when the screenshot is scaled.
            Ink::Background | Ink::Block => {
                format!(r#"fill="{color}" shape-rendering="crispEdges""#)
            }
            Ink::Shade(percent) => format!(r#"fill="{color}" fill-opacity=".{percent}""#),
            Ink::Figure => format!(r#"fill="{color}""#),
            Ink::Line(width) => format!(r#"fill="none" stroke="{color}" stroke-width="{width}""#),
            Ink::Dot(width) => format!(
                r#"fill="none" stroke="{color}" stroke-width="{width}" stroke-linecap="round""#
            ),
        };
        let _ = writeln!(out, r#"<path {attributes} d="{data}"/>"#);
    }
    for (text, elements) in drawing.texts {
        let weight = if text.bold {
            r#" font-weight="bold""#
        } else {
            ""
        };
        let style = if text.italic {
            r#" font-style="italic""#
        } else {
            ""
        };
        let _ = writeln!(
            out,
            r#"<g fill="{}"{weight}{style}>{elements}</g>"#,
            hex(text.color)
        );
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// The start of the document: a window frame with the title, and an open group for its content.
fn window((width, height): (i32, i32), (text, background): (Rgb, Rgb), title: &str) -> String {
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
        hex(background),
        hex(mix(text, background, 20)),
        hex(mix(text, background, 20)),
    );
    if !shown.is_empty() {
        let _ = writeln!(
            out,
            r#"<text x="{}" y="42" fill="{}" text-anchor="middle">{shown}</text>"#,
            width / 2,
            hex(mix(text, background, DIM)),
        );
    }
    out
}

#[cfg(test)]
mod tests;
