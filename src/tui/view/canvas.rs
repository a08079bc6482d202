//! Dots on a grid of cells, 2 × 4 to a cell in braille; one character a cell in ASCII.
//!
//! A cell shows one layer only, the uppermost that has a dot in it: a thin line stays thin where it crosses a band, also
//! without colours.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Ctx;
use super::paint::put;
use crate::tui::theme::Role;

/// What lies above what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    Empty,
    Band,
    /// A run beside the one that is shown, counted from 0.
    Beside(u8),
    Line,
    Points,
}

/// Bits of the braille characters, by column and row.
const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// A grid of dots.
pub(super) struct Canvas {
    columns: usize,
    rows: usize,
    cells: Vec<(Layer, u8)>,
}

impl Canvas {
    /// An empty grid for this many cells.
    pub(super) fn new(columns: u16, rows: u16) -> Self {
        let (columns, rows) = (usize::from(columns), usize::from(rows));
        Self {
            columns,
            rows,
            cells: vec![(Layer::Empty, 0); columns * rows],
        }
    }

    /// Dots from side to side.
    pub(super) fn width(&self) -> usize {
        self.columns * 2
    }

    /// Dots from top to bottom.
    pub(super) fn height(&self) -> usize {
        self.rows * 4
    }

    /// The row of dots for a place between 0 (lower edge) and 1 (upper edge), held inside.
    pub(super) fn dot_row(&self, place: f64) -> usize {
        let last = self.height().saturating_sub(1);
        ((1.0 - place.clamp(0.0, 1.0)) * last as f64).round() as usize
    }

    /// Whether this many cells of a row have no dot.
    pub(super) fn is_free(&self, column: usize, count: usize, row: usize) -> bool {
        let from = row * self.columns + column;
        column + count <= self.columns
            && self
                .cells
                .get(from..from + count)
                .is_some_and(|cells| cells.iter().all(|(layer, _)| *layer == Layer::Empty))
    }

    /// Sets a dot.
    pub(super) fn dot(&mut self, x: usize, y: usize, layer: Layer) {
        if x >= self.width() || y >= self.height() {
            return;
        }
        let bit = BITS
            .get(x % 2)
            .and_then(|column| column.get(y % 4))
            .copied()
            .unwrap_or(0);
        if let Some((above, dots)) = self.cells.get_mut(y / 4 * self.columns + x / 2) {
            if layer > *above {
                (*above, *dots) = (layer, bit);
            } else if layer == *above {
                *dots |= bit;
            }
        }
    }

    /// Dots of a column between two rows.
    pub(super) fn column(&mut self, x: usize, from: usize, to: usize, layer: Layer) {
        for y in from.min(to)..=from.max(to) {
            self.dot(x, y, layer);
        }
    }

    /// A line: every column between its ends gets the rows it passes through there.
    pub(super) fn line(&mut self, from: (usize, usize), to: (usize, usize), layer: Layer) {
        let (from, to) = if from.0 <= to.0 {
            (from, to)
        } else {
            (to, from)
        };
        let span = to.0 - from.0;
        if span == 0 {
            self.column(from.0, from.1, to.1, layer);
            return;
        }
        let row = |x: f64| {
            from.1 as f64 + (to.1 as f64 - from.1 as f64) * (x / span as f64).clamp(0.0, 1.0)
        };
        for i in 0..=span {
            let (a, b) = (row(i as f64 - 0.5), row(i as f64 + 0.5));
            let (a, b) = (
                a.min(b).round() as usize,
                (a.max(b) - 1e-9).max(a.min(b)).round() as usize,
            );
            self.column(from.0 + i, a, b, layer);
        }
    }

    /// Draws the cells that have dots; `role` says how a layer looks.
    pub(super) fn draw(
        &self,
        ctx: &Ctx<'_>,
        buf: &mut Buffer,
        area: Rect,
        role: impl Fn(Layer) -> Role,
    ) {
        for (i, (layer, dots)) in self.cells.iter().enumerate() {
            if *layer == Layer::Empty {
                continue;
            }
            let glyph = if ctx.symbols.unicode {
                braille(*dots)
            } else {
                ascii(*layer, *dots)
            };
            let (x, y) = ((i % self.columns) as u16, (i / self.columns) as u16);
            put(
                buf,
                area,
                x,
                y,
                glyph.encode_utf8(&mut [0; 4]),
                ctx.style(role(*layer)),
            );
        }
    }
}

fn braille(dots: u8) -> char {
    char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' ')
}

/// Bands are light, lines say where in the cell they pass.
fn ascii(layer: Layer, dots: u8) -> char {
    let rows: Vec<usize> = (0..4)
        .filter(|row| {
            BITS.iter()
                .any(|column| column.get(*row).is_some_and(|bit| dots & bit != 0))
        })
        .collect();
    match (layer, rows.as_slice()) {
        (Layer::Band, _) => ':',
        (Layer::Beside(_), _) => '~',
        (Layer::Points, _) => '-',
        (_, [0, .., 3] | [0, _, 2] | [1, _, 3]) => '|',
        (_, [0, ..]) => '\'',
        (_, [.., 3]) => '.',
        _ => '-',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uppermost_layer_has_the_cell() {
        let mut canvas = Canvas::new(1, 1);
        canvas.column(0, 0, 3, Layer::Band);
        canvas.dot(1, 2, Layer::Line);
        canvas.dot(0, 0, Layer::Band);
        assert_eq!(canvas.cells, [(Layer::Line, 0x20)]);
    }

    #[test]
    fn lines_have_no_holes_and_stay_inside() {
        let mut canvas = Canvas::new(10, 5);
        canvas.line((0, 19), (19, 0), Layer::Line);
        canvas.line((5, 3), (500, 900), Layer::Line);
        canvas.line((3, 3), (3, 3), Layer::Line);
        for x in 0..10 {
            assert!(
                (0..5).any(|y| canvas.cells[y * 10 + x].0 == Layer::Line),
                "column {x}"
            );
        }
        Canvas::new(0, 0).line((0, 0), (9, 9), Layer::Line);
    }
}
