//! Images as characters: brightness is mapped to ink, the share of a cell that the strokes of a character cover.
//!
//! The ink of the characters in the ramp was measured on `DejaVu` Sans Mono at 64 points (cell = advance × line
//! height). Other fonts have different values but nearly the same order. A cell gets the character whose ink is nearest
//! to its brightness, so ink is linear in brightness.

use ratatui::style::Color;

/// Characters and their ink, in ascending order.
const RAMP: [(char, f32); 18] = [
    (' ', 0.0),
    ('.', 0.0266),
    (',', 0.0418),
    (':', 0.0532),
    (';', 0.0684),
    ('*', 0.0927),
    ('+', 0.1054),
    ('c', 0.1271),
    ('x', 0.1417),
    ('n', 0.1586),
    ('o', 0.1752),
    ('a', 0.1901),
    ('$', 0.2055),
    ('d', 0.2135),
    ('&', 0.2268),
    ('#', 0.2386),
    ('@', 0.2599),
    ('M', 0.2681),
];
/// The ink of the last character of the ramp.
const MOST_INK: f32 = 0.2681;
/// Images with a smaller brightness range (0 to 255) are not contrast-stretched, which would only amplify noise.
const LEAST_RANGE: f32 = 16.0;

/// The ink of a character of the ramp, 0 to 1; 0 for any other character.
pub fn ink(glyph: char) -> f32 {
    RAMP.iter()
        .find(|(known, _)| *known == glyph)
        .map_or(0.0, |(_, ink)| *ink)
}

/// The number of rows that preserves the aspect ratio of an image at this many columns, as cells are twice as tall as
/// wide; at least one.
pub fn rows_for(height: usize, width: usize, columns: usize) -> usize {
    ((columns * height) as f64 / (width.max(1) * 2) as f64)
        .round()
        .max(1.0) as usize
}

/// The mean brightness (0 to 255) of the image area that each cell covers; `rows` × `columns` values, row by row.
///
/// Pixels on the border of a cell are weighted with their share inside. Missing pixels are black.
pub fn resample(
    pixels: &[u8],
    height: usize,
    width: usize,
    columns: usize,
    rows: usize,
) -> Vec<f32> {
    let across = weights(width, columns);
    let down = weights(height, rows);
    let mut cells = Vec::with_capacity(columns * rows);
    for vertical in &down {
        for horizontal in &across {
            let (mut sum, mut area) = (0.0, 0.0);
            for (y, h) in vertical {
                for (x, w) in horizontal {
                    let pixel = pixels.get(y * width + x).copied().unwrap_or(0);
                    sum += f32::from(pixel) * h * w;
                    area += h * w;
                }
            }
            cells.push(if area > 0.0 { sum / area } else { 0.0 });
        }
    }
    cells
}

/// For each of `cells` equal parts of `0..pixels`: the pixels it overlaps, and the overlap with each (0 to 1).
fn weights(pixels: usize, cells: usize) -> Vec<Vec<(usize, f32)>> {
    let span = pixels as f64 / cells.max(1) as f64;
    (0..cells)
        .map(|cell| {
            let (from, to) = (cell as f64 * span, (cell + 1) as f64 * span);
            (from as usize..(to.ceil() as usize).min(pixels))
                .map(|pixel| {
                    let inside = (to.min(pixel as f64 + 1.0) - from.max(pixel as f64)).max(0.0);
                    (pixel, inside as f32)
                })
                .filter(|(_, inside)| *inside > 0.0)
                .collect()
        })
        .collect()
}

/// An image as a grid of cells, ready to be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Cells {
    /// The mean brightness (0 to 255) of each cell, row by row: of one channel, or of red, green and blue.
    channels: Vec<Vec<f32>>,
    columns: usize,
    rows: usize,
}

impl Cells {
    /// Scales an image of shape (1 or 3 channels, height, width) to a grid; with fewer pixels, as a damaged file may have, it
    /// is black.
    pub fn new(pixels: &[u8], height: usize, width: usize, columns: usize, rows: usize) -> Self {
        let area = height.checked_mul(width);
        let area = area.filter(|area| *area <= pixels.len()).unwrap_or(0);
        let (height, width) = if area > 0 { (height, width) } else { (0, 0) };
        let is_colour = area > 0 && pixels.len() / 3 >= area;
        let count = if is_colour { 3 } else { 1 };
        let plane = |channel: usize| pixels.get(channel * area..).unwrap_or_default();
        let scaled = |channel| resample(plane(channel), height, width, columns, rows);
        Self {
            channels: (0..count).map(scaled).collect(),
            columns,
            rows,
        }
    }

    /// Whether the image has three channels.
    pub fn is_colour(&self) -> bool {
        self.channels.len() == 3
    }

    /// Lines of characters. `dark`: the terminal background is dark, so bright areas get more ink, else less.
    pub fn lines(&self, dark: bool) -> Vec<String> {
        let bright = stretch(self.grey());
        let ink = |bright: &f32| glyph(if dark { *bright } else { 1.0 - bright });
        let line = |line: &[f32]| line.iter().map(ink).collect();
        let mut lines: Vec<String> = bright.chunks(self.columns.max(1)).map(line).collect();
        lines.resize(self.rows, String::new());
        lines
    }

    /// The colours of the characters of [`Cells::lines`], whose ink has the brightness: as strong as the background permits.
    /// Empty for a grey image.
    pub fn hues(&self, dark: bool) -> Vec<Vec<Color>> {
        let strong = |rgb: [f32; 3]| {
            let far = |level: f32| if dark { level } else { 255.0 - level };
            let most = rgb.map(far).into_iter().fold(1.0, f32::max);
            let [r, g, b] = rgb.map(|level| far(far(level) * 255.0 / most).round() as u8);
            Color::Rgb(r, g, b)
        };
        self.in_rows(
            &self
                .colours()
                .into_iter()
                .flatten()
                .map(strong)
                .collect::<Vec<_>>(),
        )
    }

    /// The grid as half blocks: for each two cells above each other the colours of the upper and of the lower one.
    pub fn halves(&self) -> Vec<Vec<(Color, Color)>> {
        let levels: Vec<Color> = match self.colours() {
            Some(colours) => colours
                .map(|rgb| rgb.map(|level| level.round() as u8))
                .map(|[r, g, b]| Color::Rgb(r, g, b))
                .collect(),
            // The 24 greys of the fixed palette are enough for a thumbnail and take few bytes.
            None => stretch(self.grey())
                .into_iter()
                .map(|bright| 232 + (bright * 23.0).round().clamp(0.0, 23.0) as u8)
                .map(Color::Indexed)
                .collect(),
        };
        let rows = self.in_rows(&levels);
        let pairs = rows.as_chunks().0.iter();
        pairs
            .map(|[upper, lower]| upper.iter().copied().zip(lower.iter().copied()).collect())
            .collect()
    }

    /// Red, green and blue of each cell; `None` for a grey image.
    fn colours(&self) -> Option<impl Iterator<Item = [f32; 3]> + '_> {
        let [red, green, blue] = self.channels.as_slice() else {
            return None;
        };
        let cells = red.iter().zip(green).zip(blue);
        Some(cells.map(|((r, g), b)| [*r, *g, *b]))
    }

    /// The brightness of each cell, 0 to 255.
    fn grey(&self) -> Vec<f32> {
        match self.colours() {
            Some(colours) => colours.map(|[r, g, b]| (r + g + b) / 3.0).collect(),
            None => self.channels.concat(),
        }
    }

    fn in_rows<T: Clone>(&self, cells: &[T]) -> Vec<Vec<T>> {
        cells
            .chunks(self.columns.max(1))
            .map(<[T]>::to_vec)
            .collect()
    }
}

/// Scales brightness from 0 to 255 to the full range of 0 to 1. Monotonic.
fn stretch(mut cells: Vec<f32>) -> Vec<f32> {
    let low = cells.iter().copied().fold(f32::INFINITY, f32::min);
    let high = cells.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (low, range) = if high - low < LEAST_RANGE {
        (0.0, 255.0)
    } else {
        (low, high - low)
    };
    for cell in &mut cells {
        *cell = (*cell - low) / range;
    }
    cells
}

fn glyph(bright: f32) -> char {
    let wanted = bright.clamp(0.0, 1.0) * MOST_INK;
    RAMP.iter()
        .min_by(|a, b| (a.1 - wanted).abs().total_cmp(&(b.1 - wanted).abs()))
        .map_or(' ', |(glyph, _)| *glyph)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pearson's correlation coefficient r.
    fn correlation(a: &[f32], b: &[f32]) -> f32 {
        let n = a.len() as f32;
        let mean = |v: &[f32]| v.iter().sum::<f32>() / n;
        let (ma, mb) = (mean(a), mean(b));
        let cov: f32 = a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb)).sum();
        let var = |v: &[f32], m: f32| v.iter().map(|x| (x - m).powi(2)).sum::<f32>();
        cov / (var(a, ma) * var(b, mb)).sqrt()
    }

    /// Test images: a gradient, a blob, stripes, a shape, and an image of low contrast.
    fn image(kind: usize, x: usize, y: usize) -> u8 {
        let (fx, fy) = (x as f32 - 13.5, y as f32 - 13.5);
        match kind {
            0 => (x * 9) as u8,
            1 => (255.0 * (-(fx * fx + fy * fy * 0.4) / 60.0).exp()) as u8,
            2 => {
                if x % 7 < 3 && (4..24).contains(&y) {
                    220
                } else {
                    10
                }
            }
            3 => {
                if (8..20).contains(&x) && y > 3 {
                    90 + (y * 5) as u8
                } else {
                    0
                }
            }
            _ => 60 + ((x + 2 * y) % 31) as u8,
        }
    }

    #[test]
    fn ink_correlates_with_brightness_on_both_backgrounds() {
        for kind in 0..5 {
            let pixels: Vec<u8> = (0..28 * 28).map(|i| image(kind, i % 28, i / 28)).collect();
            for (columns, rows) in [(28, 14), (18, 9), (56, 28), (13, 7)] {
                let cells = resample(&pixels, 28, 28, columns, rows);
                for dark in [true, false] {
                    let art = Cells::new(&pixels, 28, 28, columns, rows).lines(dark);
                    assert_eq!(
                        (art.len(), art.iter().all(|line| line.len() == columns)),
                        (rows, true)
                    );
                    let inks: Vec<f32> =
                        art.iter().flat_map(|line| line.chars()).map(ink).collect();
                    let r = correlation(&inks, &cells) * if dark { 1.0 } else { -1.0 };
                    assert!(
                        r >= 0.97,
                        "image {kind} at {columns}x{rows}, dark {dark}: r = {r}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_ramp_is_ascending() {
        assert!(RAMP.windows(2).all(|pair| pair[0].1 < pair[1].1));
        assert_eq!(RAMP[RAMP.len() - 1].1, MOST_INK);
    }

    #[test]
    fn resampling_averages_pixels() {
        assert_eq!(resample(&[0, 100, 200, 100], 2, 2, 1, 1), [100.0]);
        assert_eq!(
            resample(&[10, 20, 30], 1, 3, 2, 1),
            [40.0 / 3.0, 80.0 / 3.0]
        );
        assert_eq!(resample(&[7], 1, 1, 2, 2), [7.0; 4]);
    }

    #[test]
    fn empty_images_and_sizes_are_handled() {
        assert!(resample(&[], 0, 0, 0, 0).is_empty());
        assert_eq!(Cells::new(&[], 0, 0, 3, 1).lines(true), ["   "]);
        assert_eq!(Cells::new(&[], 5, 5, 0, 2).lines(true), ["", ""]);
        let huge = u32::MAX as usize;
        assert_eq!(Cells::new(&[9; 9], huge, huge, 2, 1).lines(true), ["  "]);
        assert_eq!(
            Cells::new(&[255; 4], 2, 2, 1, 2).halves(),
            [[(Color::Indexed(255), Color::Indexed(255))]]
        );
        assert!(Cells::new(&[], 0, 0, 0, 6).halves().is_empty());
    }

    /// Two pixels above each other: dark red and white.
    #[test]
    fn colour_images_have_colours() {
        let pixels = [128, 255, 0, 255, 0, 255];
        let cells = Cells::new(&pixels, 2, 1, 1, 2);
        let (red, white) = (Color::Rgb(128, 0, 0), Color::Rgb(255, 255, 255));
        assert_eq!(cells.halves(), [[(red, white)]]);
        assert_eq!(cells.hues(true), [[Color::Rgb(255, 0, 0)], [white]]);
        // On a light background white is no ink, so its colour does not matter.
        assert_eq!(cells.hues(false)[0], [Color::Rgb(128, 0, 0)]);
        assert_eq!(cells.lines(true)[1], "M");
        assert!(Cells::new(&pixels[..2], 2, 1, 1, 2).hues(true).is_empty());
    }
}
