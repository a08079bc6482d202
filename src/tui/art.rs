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

/// The image as lines of characters. `dark`: the terminal background is dark, so bright areas get more ink, else less.
pub fn render(
    pixels: &[u8],
    height: usize,
    width: usize,
    columns: usize,
    rows: usize,
    dark: bool,
) -> Vec<String> {
    let cells = stretch(resample(pixels, height, width, columns, rows));
    if columns == 0 {
        return vec![String::new(); rows];
    }
    cells
        .chunks(columns)
        .map(|line| {
            line.iter()
                .map(|bright| glyph(if dark { *bright } else { 1.0 - bright }))
                .collect()
        })
        .collect()
}

/// The image as half blocks: for each cell the grey levels of its upper and lower half.
pub fn halves(
    pixels: &[u8],
    height: usize,
    width: usize,
    columns: usize,
    rows: usize,
) -> Vec<Vec<(Color, Color)>> {
    let cells = stretch(resample(pixels, height, width, columns, rows * 2));
    let grey = |bright: Option<&f32>| {
        // The 24 greys of the fixed palette are enough for a thumbnail and take few bytes.
        Color::Indexed(
            232 + (bright.copied().unwrap_or(0.0) * 23.0)
                .round()
                .clamp(0.0, 23.0) as u8,
        )
    };
    cells
        .chunks(columns.max(1) * 2)
        .map(|pair| {
            let (upper, lower) = pair.split_at(columns.min(pair.len()));
            (0..upper.len())
                .map(|x| (grey(upper.get(x)), grey(lower.get(x))))
                .collect()
        })
        .collect()
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
                    let art = render(&pixels, 28, 28, columns, rows, dark);
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
        assert_eq!(render(&[], 0, 0, 3, 1, true), ["   "]);
        assert_eq!(render(&[], 5, 5, 0, 2, true), ["", ""]);
        assert_eq!(
            halves(&[255; 4], 2, 2, 1, 1),
            [[(Color::Indexed(255), Color::Indexed(255))]]
        );
        assert!(halves(&[], 0, 0, 0, 3).is_empty());
    }
}
