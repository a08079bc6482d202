//! Box drawing, block, braille and marker characters as paths. Fonts draw them at different heights; as paths they
//! connect from cell to cell.
//!
//! A cell is 16 units wide and 32 tall, so that the braille dots form a square grid with a spacing of a quarter of the
//! height.

use std::collections::BTreeMap;

use super::Rgb;
use super::path::Path;

/// Width and height of a cell, in units of the `viewBox`.
pub(super) const CELL: (i32, i32) = (16, 32);

/// Where light and heavy box-drawing lines meet in a cell. Light lines are aligned to pixels, heavy lines are centred.
const LIGHT: (i32, i32) = (7, 15);
const HEAVY: (i32, i32) = (8, 16);

/// How a path is painted. The variants are in drawing order, from back to front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ink {
    /// The background of cells, filled.
    Background,
    /// Filled with this opacity, percent.
    Shade(u8),
    /// Filled, with axis-parallel edges.
    Block,
    /// Filled, with arbitrary edges.
    Figure,
    /// Stroked with this width.
    Line(u8),
    /// Dots of this diameter.
    Dot(u8),
}

/// The paths of a screenshot: one for each combination of ink and colour.
#[derive(Debug, Default)]
pub(super) struct Layers(BTreeMap<(Ink, Rgb), Path>);

impl Layers {
    /// The path with this ink and colour.
    pub(super) fn path(&mut self, ink: Ink, color: Rgb) -> &mut Path {
        self.0.entry((ink, color)).or_default()
    }

    /// All paths with their data, from back to front.
    pub(super) fn finish(self) -> impl Iterator<Item = (Ink, Rgb, String)> {
        self.0
            .into_iter()
            .map(|((ink, color), path)| (ink, color, path.finish()))
    }
}

/// Widths of light and heavy lines.
const WIDTHS: [u8; 2] = [2, 4];
/// Diameter of a braille dot; adjacent dots almost touch.
const BRAILLE: u8 = 7;

/// Draws a character in the cell at `(x, y)`. Returns false if it is to be drawn as text.
pub(super) fn draw(
    glyph: char,
    (x, y): (i32, i32),
    color: Rgb,
    bold: bool,
    layers: &mut Layers,
) -> bool {
    match glyph {
        '\u{2800}'..='\u{28ff}' => braille(glyph as u32 - 0x2800, (x, y), color, layers),
        '\u{2580}'..='\u{259f}' => block(glyph as u32 - 0x2580, (x, y), color, layers),
        '\u{2571}'..='\u{2573}' => diagonals(glyph as u32 - 0x2570, (x, y), color, layers),
        '\u{256d}'..='\u{2570}' => corner(glyph, (x, y), color, layers),
        '\u{2500}'..='\u{257f}' => {
            if let Some(dashes) = dashes(glyph) {
                dashed(dashes, (x, y), color, layers);
                return true;
            }
            let Some(arms) = arms(glyph as u32 - 0x2500) else {
                return false;
            };
            box_lines(arms, (x, y), color, layers);
        }
        _ => return mark(glyph, (x, y), color, bold, layers),
    }
    true
}

/// The bits of a braille character for each row: left, right.
const DOTS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

fn braille(bits: u32, (x, y): (i32, i32), color: Rgb, layers: &mut Layers) {
    if bits == 0 {
        return;
    }
    let path = layers.path(Ink::Dot(BRAILLE), color);
    for (top, row) in (4..).step_by(8).zip(DOTS) {
        for (left, bit) in (4..).step_by(8).zip(row) {
            if bits & bit != 0 {
                path.dot(x + left, y + top);
            }
        }
    }
}

/// Bit masks of the quadrant characters; from the lowest bit: upper left, upper right, lower left, lower right.
const QUADRANTS: [u8; 10] = [4, 8, 1, 13, 9, 7, 11, 2, 6, 14];

fn block(number: u32, (x, y): (i32, i32), color: Rgb, layers: &mut Layers) {
    let (width, height) = CELL;
    let eighth = number as i32;
    let mut rect = |left, top, wide, tall| {
        layers
            .path(Ink::Block, color)
            .rect(x + left, y + top, wide, tall);
    };
    match number {
        0x00 => rect(0, 0, width, height / 2),
        0x01..=0x08 => rect(0, height - eighth * 4, width, eighth * 4),
        0x09..=0x0f => rect(0, 0, width - (eighth - 8) * 2, height),
        0x10 => rect(width / 2, 0, width / 2, height),
        0x11..=0x13 => {
            let percent = (number as u8).saturating_sub(0x10) * 25;
            layers
                .path(Ink::Shade(percent), color)
                .rect(x, y, width, height);
        }
        0x14 => rect(0, 0, width, height / 8),
        0x15 => rect(width - 2, 0, 2, height),
        _ => {
            let parts = QUADRANTS
                .get(number.saturating_sub(0x16) as usize)
                .copied()
                .unwrap_or(0);
            for part in 0..4 {
                if parts & (1 << part) != 0 {
                    rect(
                        part % 2 * (width / 2),
                        part / 2 * (height / 2),
                        width / 2,
                        height / 2,
                    );
                }
            }
        }
    }
}

/// Weights of the lines from the centre of a cell up, right, down and left: 0 none, 1 light, 2 heavy.
type Arms = [u8; 4];

/// U+2500 to U+254B, a hexadecimal digit for each arm; 0 for dashed lines.
const ARMS: [u16; 76] = [
    0x0101, 0x0202, 0x1010, 0x2020, 0, 0, 0, 0, 0, 0, 0, 0, //
    0x0110, 0x0210, 0x0120, 0x0220, 0x0011, 0x0012, 0x0021, 0x0022, // ┌ ┐
    0x1100, 0x1200, 0x2100, 0x2200, 0x1001, 0x1002, 0x2001, 0x2002, // └ ┘
    0x1110, 0x1210, 0x2110, 0x1120, 0x2120, 0x2210, 0x1220, 0x2220, // ├
    0x1011, 0x1012, 0x2011, 0x1021, 0x2021, 0x2012, 0x1022, 0x2022, // ┤
    0x0111, 0x0112, 0x0211, 0x0212, 0x0121, 0x0122, 0x0221, 0x0222, // ┬
    0x1101, 0x1102, 0x1201, 0x1202, 0x2101, 0x2102, 0x2201, 0x2202, // ┴
    0x1111, 0x1112, 0x1211, 0x1212, 0x2111, 0x1121, 0x2121, 0x2112, // ┼
    0x2211, 0x1122, 0x1221, 0x2212, 0x1222, 0x2122, 0x2221, 0x2222,
];
/// U+2574 to U+257F: half lines.
const HALVES: [u16; 12] = [
    0x0001, 0x1000, 0x0100, 0x0010, 0x0002, 0x2000, 0x0200, 0x0020, 0x0201, 0x1020, 0x0102, 0x2010,
];

fn arms(number: u32) -> Option<Arms> {
    let digits = match number {
        0x74.. => HALVES.get(number as usize - 0x74),
        _ => ARMS.get(number as usize),
    };
    let digits = *digits?;
    let arms = [12, 8, 4, 0].map(|shift| (digits >> shift & 0xf) as u8);
    // Double lines are drawn as text.
    (digits != 0).then_some(arms)
}

fn middle(weight: u8) -> (i32, i32) {
    if weight == 1 { LIGHT } else { HEAVY }
}

fn line(weight: u8) -> Ink {
    let width = WIDTHS.get(usize::from(weight).saturating_sub(1));
    Ink::Line(width.copied().unwrap_or(2))
}

/// Where the two lines of one direction end if they meet lines of these weights: at the far edge of those lines, so
/// that the corner is filled. Returns the start of the line on the far side and the end of the line on the near side.
fn meeting(others: [u8; 2], half: i32, light: i32) -> (i32, i32) {
    match others.into_iter().max().unwrap_or(0) {
        0 => (half, half),
        1 => (light - 1, light + 1),
        _ => (half - 2, half + 2),
    }
}

fn box_lines([up, right, down, left]: Arms, (x, y): (i32, i32), color: Rgb, layers: &mut Layers) {
    let (width, height) = CELL;
    let level = |weight, from, to, layers: &mut Layers| {
        if weight > 0 {
            let path = layers.path(line(weight), color);
            path.level(x + from, y + middle(weight).1, to - from);
        }
    };
    if left == right {
        level(left, 0, width, layers);
    } else {
        let (near, far) = meeting([up, down], HEAVY.0, LIGHT.0);
        level(left, 0, far, layers);
        level(right, near, width, layers);
    }
    let upright = |weight, from, to, layers: &mut Layers| {
        if weight > 0 {
            let path = layers.path(line(weight), color);
            path.upright(x + middle(weight).0, y + from, to - from);
        }
    };
    if up == down {
        upright(up, 0, height, layers);
    } else {
        let (near, far) = meeting([left, right], HEAVY.1, LIGHT.1);
        upright(up, 0, far, layers);
        upright(down, near, height, layers);
    }
}

/// Number of dashes, whether vertical, weight.
type Dashes = (i32, bool, u8);

fn dashes(glyph: char) -> Option<Dashes> {
    Some(match glyph {
        '┄' => (3, false, 1),
        '┅' => (3, false, 2),
        '┆' => (3, true, 1),
        '┇' => (3, true, 2),
        '┈' => (4, false, 1),
        '┉' => (4, false, 2),
        '┊' => (4, true, 1),
        '┋' => (4, true, 2),
        '╌' => (2, false, 1),
        '╍' => (2, false, 2),
        '╎' => (2, true, 1),
        '╏' => (2, true, 2),
        _ => return None,
    })
}

fn dashed((count, upright, weight): Dashes, (x, y): (i32, i32), color: Rgb, layers: &mut Layers) {
    let (across, along) = (middle(weight), if upright { CELL.1 } else { CELL.0 });
    let path = layers.path(line(weight), color);
    for i in 0..count {
        let (from, next) = (along * i / count, along * (i + 1) / count);
        // A dash takes half of its share, with a quarter as a gap on either side.
        let length = (next - from).div_euclid(2).max(1);
        let from = from + (next - from - length) / 2;
        if upright {
            path.upright(x + across.0, y + from, length);
        } else {
            path.level(x + from, y + across.1, length);
        }
    }
}

fn corner(glyph: char, (x, y): (i32, i32), color: Rgb, layers: &mut Layers) {
    const TURN: i32 = 8;
    let (width, height) = CELL;
    let (across, down) = LIGHT;
    let path = layers.path(line(1), color);
    let below = matches!(glyph, '╭' | '╮');
    let right = matches!(glyph, '╭' | '╰');
    let (edge, knee) = if below {
        (height, down + TURN)
    } else {
        (0, down - TURN)
    };
    path.line((x + across, y + edge), (x + across, y + knee));
    let (side, end) = if right {
        (width, across + TURN)
    } else {
        (0, across - TURN)
    };
    let end = if right { end.min(side) } else { end.max(side) };
    path.turn((x + across, y + knee), (x + end, y + down), true);
    if end != side {
        path.line((x + end, y + down), (x + side, y + down));
    }
}

fn diagonals(bits: u32, (x, y): (i32, i32), color: Rgb, layers: &mut Layers) {
    let (width, height) = CELL;
    let path = layers.path(line(1), color);
    if bits & 1 != 0 {
        path.line((x, y + height), (x + width, y));
    }
    if bits & 2 != 0 {
        path.line((x, y), (x + width, y + height));
    }
}

/// Markers of charts. They are drawn as paths, as they must be exactly at the position of their point.
fn mark(glyph: char, (x, y): (i32, i32), color: Rgb, bold: bool, layers: &mut Layers) -> bool {
    let mut figure = |places: &[(i32, i32)]| {
        let moved: Vec<(i32, i32)> = places.iter().map(|(a, b)| (x + a, y + b)).collect();
        layers.path(Ink::Figure, color).polygon(&moved);
    };
    match glyph {
        '■' => figure(&[(2, 10), (14, 10), (14, 22), (2, 22)]),
        '◆' => figure(&[(8, 8), (15, 16), (8, 24), (1, 16)]),
        '▲' => figure(&[(8, 8), (15, 23), (1, 23)]),
        '▼' => figure(&[(1, 9), (15, 9), (8, 24)]),
        '▶' => figure(&[(2, 8), (15, 16), (2, 24)]),
        '◀' => figure(&[(14, 8), (1, 16), (14, 24)]),
        '▸' => figure(&[(4, 10), (13, 16), (4, 22)]),
        '◂' => figure(&[(12, 10), (3, 16), (12, 22)]),
        '●' => layers.path(Ink::Dot(13), color).dot(x + 8, y + 16),
        '•' => layers.path(Ink::Dot(8), color).dot(x + 8, y + 16),
        '○' => {
            let width = if bold { 3 } else { 2 };
            let path = layers.path(Ink::Line(width), color);
            path.circle(x + 8, y + 16, 5);
        }
        '◇' => {
            let path = layers.path(Ink::Line(2), color);
            path.polygon(&[
                (x + 8, y + 9),
                (x + 14, y + 16),
                (x + 8, y + 23),
                (x + 2, y + 16),
            ]);
        }
        '□' => {
            let path = layers.path(Ink::Line(2), color);
            path.polygon(&[
                (x + 3, y + 11),
                (x + 13, y + 11),
                (x + 13, y + 21),
                (x + 3, y + 21),
            ]);
        }
        _ => return false,
    }
    true
}
