//! A canvas of dots: each cell has 2 × 4 dots in braille and 1 × 2 in half blocks; in ASCII it has one character.
//!
//! A cell shows only the topmost layer that has a dot in it, so a thin line stays thin where it crosses a band, even
//! without colours.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::ctx::Ctx;
use super::paint::put;
use crate::tui::dots::Dots;
use crate::tui::theme::Role;

/// Layers of a chart, in drawing order: later ones cover earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    Empty,
    Band,
    /// A compared run, counted from 0.
    Compared(u8),
    /// A further curve of the same chart, counted from 0.
    Member(u8),
    Line,
    Points,
}

/// Bits of the braille characters, by column and row; half blocks use the first two.
const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// How far outside the scale a value is still drawn at its edge: about one row of a typical chart.
const SLACK: f64 = 0.15;

/// Whether a position on the scale (0: lower edge, 1: upper edge) is on the canvas, within [`SLACK`].
pub(super) fn is_shown(place: f64) -> bool {
    (-SLACK..=1.0 + SLACK).contains(&place)
}

/// A grid of dots.
pub(super) struct Canvas {
    dots: Dots,
    columns: usize,
    rows: usize,
    cells: Vec<(Layer, u8)>,
}

impl Canvas {
    /// Creates an empty canvas of this many cells.
    pub(super) fn new(columns: u16, rows: u16, dots: Dots) -> Self {
        let (columns, rows) = (usize::from(columns), usize::from(rows));
        Self {
            dots,
            columns,
            rows,
            cells: vec![(Layer::Empty, 0); columns * rows],
        }
    }

    /// Width in dots.
    pub(super) fn width(&self) -> usize {
        self.columns * self.dots.across()
    }

    /// Height in dots.
    pub(super) fn height(&self) -> usize {
        self.rows * self.dots.down()
    }

    /// The cell (column, row) that contains a dot.
    pub(super) fn cell(&self, (x, y): (usize, usize)) -> (u16, u16) {
        ((x / self.dots.across()) as u16, self.row(y))
    }

    /// The row of cells that contains a row of dots.
    pub(super) fn row(&self, y: usize) -> u16 {
        (y / self.dots.down()) as u16
    }

    /// The row of dots for a position between 0 (lower edge) and 1 (upper edge), clamped to the canvas.
    pub(super) fn dot_row(&self, place: f64) -> usize {
        let last = self.height().saturating_sub(1);
        ((1.0 - place.clamp(0.0, 1.0)) * last as f64).round() as usize
    }

    /// Whether `count` cells of a row, from `column` on, have no dot.
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
        let (across, down) = (self.dots.across(), self.dots.down());
        let bit = BITS
            .get(x % across)
            .and_then(|column| column.get(y % down))
            .copied()
            .unwrap_or(0);
        let cell = y / down * self.columns + x / across;
        if let Some((above, dots)) = self.cells.get_mut(cell) {
            if layer > *above {
                (*above, *dots) = (layer, bit);
            } else if layer == *above {
                *dots |= bit;
            }
        }
    }

    /// Sets the dots of a column between two rows.
    pub(super) fn column(&mut self, x: usize, from: usize, to: usize, layer: Layer) {
        for y in from.min(to)..=from.max(to) {
            self.dot(x, y, layer);
        }
    }

    /// Draws a line without gaps: each column gets all the rows that the line crosses in it.
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

    /// Draws a line between two positions on the scale (0: lower edge, 1: upper edge), clipped to the scale and
    /// [`SLACK`]. The parts outside are not drawn along the edge.
    pub(super) fn segment(&mut self, from: (usize, f64), to: (usize, f64), layer: Layer) {
        let (from, to) = if from.0 <= to.0 {
            (from, to)
        } else {
            (to, from)
        };
        if !from.1.is_finite() || !to.1.is_finite() {
            return;
        }
        let (low, high) = (-SLACK, 1.0 + SLACK);
        let rise = to.1 - from.1;
        // Fractions of the line at which it enters and leaves the scale.
        let (mut enters, mut leaves) = (0.0_f64, 1.0_f64);
        if rise == 0.0 {
            if !is_shown(from.1) {
                return;
            }
        } else {
            let (a, b) = ((low - from.1) / rise, (high - from.1) / rise);
            (enters, leaves) = (enters.max(a.min(b)), leaves.min(a.max(b)));
        }
        if enters <= leaves {
            let span = (to.0 - from.0) as f64;
            let at = |share: f64| {
                let x = from.0 + (span * share).round() as usize;
                (x, self.dot_row(from.1 + rise * share))
            };
            let (a, b) = (at(enters), at(leaves));
            self.line(a, b, layer);
        }
    }

    /// Draws the cells that have dots; `role` gives the role of each layer.
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
            let glyph = match self.dots {
                Dots::Braille => braille(*dots),
                Dots::HalfBlock => half_block(*layer, *dots),
                Dots::Ascii => ascii(*layer, *dots),
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

/// A half cell is too coarse for the spread: a shade keeps it distinguishable from a line, even without colours.
fn half_block(layer: Layer, dots: u8) -> char {
    match (layer, dots) {
        (Layer::Band, _) => '░',
        (_, 0x01) => '▀',
        (_, 0x02) => '▄',
        _ => '█',
    }
}

/// Bands use light characters; the character of a line shows its height inside the cell.
fn ascii(layer: Layer, dots: u8) -> char {
    let rows: Vec<usize> = (0..4)
        .filter(|row| {
            BITS.iter()
                .any(|column| column.get(*row).is_some_and(|bit| dots & bit != 0))
        })
        .collect();
    match (layer, rows.as_slice()) {
        (Layer::Band, _) => ':',
        (Layer::Compared(_), _) => '~',
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
    fn the_topmost_layer_is_drawn() {
        let mut canvas = Canvas::new(1, 1, Dots::Braille);
        canvas.column(0, 0, 3, Layer::Band);
        canvas.dot(1, 2, Layer::Line);
        canvas.dot(0, 0, Layer::Band);
        assert_eq!(canvas.cells, [(Layer::Line, 0x20)]);
        let mut canvas = Canvas::new(1, 1, Dots::HalfBlock);
        canvas.column(0, 0, 1, Layer::Band);
        assert_eq!(half_block(canvas.cells[0].0, canvas.cells[0].1), '░');
        canvas.dot(0, 1, Layer::Line);
        assert_eq!(canvas.cells, [(Layer::Line, 0x02)]);
    }

    #[test]
    fn each_dot_is_drawn_in_its_cell() {
        for (dots, grid) in [
            (Dots::Braille, (6, 8)),
            (Dots::HalfBlock, (3, 4)),
            (Dots::Ascii, (6, 8)),
        ] {
            let fresh = || Canvas::new(3, 2, dots);
            assert_eq!((fresh().width(), fresh().height()), grid);
            assert_eq!(fresh().dot_row(1.0), 0);
            assert_eq!(fresh().dot_row(0.0), grid.1 - 1);
            for (x, y) in (0..grid.0).flat_map(|x| (0..grid.1).map(move |y| (x, y))) {
                let mut canvas = fresh();
                canvas.dot(x, y, Layer::Line);
                let (column, row) = canvas.cell((x, y));
                let drawn = |i: usize| canvas.cells[i].0 == Layer::Line;
                let only = usize::from(row) * 3 + usize::from(column);
                assert!((0..6).all(|i| drawn(i) == (i == only)), "{dots:?} {x} {y}");
            }
        }
    }

    #[test]
    fn half_blocks_show_the_half_of_the_dot() {
        let mut canvas = Canvas::new(3, 1, Dots::HalfBlock);
        canvas.dot(0, 0, Layer::Line);
        canvas.dot(1, 1, Layer::Line);
        canvas.column(2, 0, 1, Layer::Line);
        let glyphs: String = (canvas.cells.iter())
            .map(|(layer, dots)| half_block(*layer, *dots))
            .collect();
        assert_eq!(glyphs, "▀▄█");
    }

    #[test]
    fn a_line_that_leaves_the_scale_is_clipped() {
        let rows = |from, to| -> Vec<Vec<usize>> {
            let mut canvas = Canvas::new(11, 10, Dots::HalfBlock);
            canvas.segment(from, to, Layer::Line);
            let has = |x: usize, y: usize| {
                let (layer, dots) = canvas.cells[y / 2 * 11 + x];
                layer == Layer::Line && dots & BITS[0][y % 2] != 0
            };
            let column = |x| (0..20).filter(|y| has(x, *y)).collect();
            (0..11).map(column).collect()
        };
        // Up and out: on the scale for the first half, then only within the slack.
        let out = rows((0, 0.0), (10, 2.0));
        assert!(out[..6].iter().all(|column| !column.is_empty()), "{out:?}");
        assert!(out[7..].iter().all(Vec::is_empty), "{out:?}");
        // The same from the other side, and from the right.
        assert_eq!(rows((10, 2.0), (0, 0.0)), out);
        for (from, to) in [
            ((0, 1.5), (10, 3.0)),
            ((0, -1.0), (10, -1.0)),
            ((0, f64::NAN), (10, 0.5)),
        ] {
            assert!(rows(from, to).iter().all(Vec::is_empty), "{from:?} {to:?}");
        }
        // A line that crosses the entire scale.
        let through = rows((0, -1.0), (10, 2.0));
        assert!(through[0].is_empty() && through[10].is_empty() && !through[5].is_empty());
    }

    #[test]
    fn lines_have_no_gaps_and_stay_inside() {
        for dots in [Dots::Braille, Dots::HalfBlock, Dots::Ascii] {
            let mut canvas = Canvas::new(10, 5, dots);
            let (right, low) = (canvas.width() - 1, canvas.height() - 1);
            canvas.line((0, low), (right, 0), Layer::Line);
            canvas.line((5, 3), (500, 900), Layer::Line);
            canvas.line((3, 3), (3, 3), Layer::Line);
            for x in 0..10 {
                assert!(
                    (0..5).any(|y| canvas.cells[y * 10 + x].0 == Layer::Line),
                    "column {x} in {dots:?}"
                );
            }
            Canvas::new(0, 0, dots).line((0, 0), (9, 9), Layer::Line);
        }
    }
}
