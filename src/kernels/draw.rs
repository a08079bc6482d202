//! Images as training sees them: taken by index, moved, erased in part and normalised, in one pass.

use crate::native::for_chunks;

/// What is done to one image. A pixel (x, y) of the result is read at M·(x, y) + t, measured from the middle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Draw {
    /// M, row by row: from (x, y) of the result to (x, y) of the source.
    pub(crate) matrix: [f32; 4],
    /// t, (x, y) in pixels.
    pub(crate) shift: [f32; 2],
    /// Left, top, width and height of a rectangle that is filled, and the brightness it gets.
    pub(crate) erase: Option<([usize; 4], u8)>,
}

impl Default for Draw {
    fn default() -> Self {
        Self {
            matrix: [1.0, 0.0, 0.0, 1.0],
            shift: [0.0, 0.0],
            erase: None,
        }
    }
}

impl Draw {
    /// Whether pixels fall on pixels: mirrored and moved by whole ones at most.
    pub(crate) fn is_exact(&self) -> bool {
        let [a, b, c, d] = self.matrix;
        a.abs() == 1.0
            && b == 0.0
            && c == 0.0
            && d == 1.0
            && self.shift.iter().all(|t| t.fract() == 0.0)
    }
}

/// Brightness 0 to 255 as the network gets it: `ToTensor`, then `Normalize(0.5, 0.5)`.
#[inline]
pub(crate) fn normalised(byte: f32) -> f32 {
    byte * (2.0 / 255.0) - 1.0
}

/// Writes the images at `indices` of `pixels` (N, C, H, W), each as its draw says, to `out` (n, H, W, C). What comes in
/// from outside is black. An index that is not there gives black.
pub(crate) fn apply(
    pixels: &[u8],
    [channels, height, width]: [usize; 3],
    indices: &[i64],
    draws: &[Draw],
    out: &mut [f32],
) {
    let size = channels * height * width;
    for_chunks(indices.len(), out, &mut [(); 0], |i, out, _| {
        let index = indices
            .get(i)
            .and_then(|&index| usize::try_from(index).ok());
        let image = index
            .and_then(|index| pixels.get(index * size..(index + 1) * size))
            .unwrap_or_default();
        let draw = draws.get(i).copied().unwrap_or_default();
        for channel in 0..channels {
            let plane = image
                .get(channel * height * width..(channel + 1) * height * width)
                .unwrap_or_default();
            let out = out.iter_mut().skip(channel).step_by(channels);
            apply_plane(plane, (height, width), &draw, out);
        }
    });
}

fn apply_plane<'a>(
    plane: &[u8],
    (height, width): (usize, usize),
    draw: &Draw,
    mut out: impl Iterator<Item = &'a mut f32>,
) {
    let at = |x: i64, y: i64| -> f32 {
        let inside = (0..width as i64).contains(&x) && (0..height as i64).contains(&y);
        let offset = y * width as i64 + x;
        inside
            .then(|| plane.get(offset as usize).copied().unwrap_or(0))
            .map_or(0.0, f32::from)
    };
    let exact = draw.is_exact();
    let [a, b, c, d] = draw.matrix;
    let (middle_x, middle_y) = ((width as f32 - 1.0) / 2.0, (height as f32 - 1.0) / 2.0);
    for y in 0..height {
        for x in 0..width {
            let Some(out) = out.next() else { return };
            if let Some(([left, top, w, h], fill)) = draw.erase
                && (left..left + w).contains(&x)
                && (top..top + h).contains(&y)
            {
                *out = normalised(fill.into());
                continue;
            }
            let (dx, dy) = (x as f32 - middle_x, y as f32 - middle_y);
            let sx = a * dx + b * dy + middle_x + draw.shift[0];
            let sy = c * dx + d * dy + middle_y + draw.shift[1];
            let byte = if exact {
                at(sx.round() as i64, sy.round() as i64)
            } else {
                let (x0, y0) = (sx.floor(), sy.floor());
                let (fx, fy) = (sx - x0, sy - y0);
                let (x0, y0) = (x0 as i64, y0 as i64);
                let upper = at(x0, y0) * (1.0 - fx) + at(x0 + 1, y0) * fx;
                let lower = at(x0, y0 + 1) * (1.0 - fx) + at(x0 + 1, y0 + 1) * fx;
                upper * (1.0 - fy) + lower * fy
            };
            *out = normalised(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 3 by 4 image whose bytes tell their place.
    fn image() -> Vec<u8> {
        (0..12).map(|i| (i / 4) * 10 + i % 4 + 1).collect()
    }

    fn bytes(draw: Draw) -> Vec<i32> {
        let mut out = vec![0.0; 12];
        apply(&image(), [1, 3, 4], &[0], &[draw], &mut out);
        out.iter()
            .map(|v| ((v + 1.0) * 127.5 * 10.0).round() as i32)
            .collect()
    }

    #[test]
    fn untouched_mirrored_and_shifted() {
        let tenths = |v: [i32; 12]| v.map(|v| v * 10).to_vec();
        assert_eq!(
            bytes(Draw::default()),
            tenths([1, 2, 3, 4, 11, 12, 13, 14, 21, 22, 23, 24])
        );
        let mirrored = Draw {
            matrix: [-1.0, 0.0, 0.0, 1.0],
            ..Draw::default()
        };
        assert_eq!(
            bytes(mirrored),
            tenths([4, 3, 2, 1, 14, 13, 12, 11, 24, 23, 22, 21])
        );
        let shifted = Draw {
            shift: [1.0, -1.0],
            ..Draw::default()
        };
        assert_eq!(
            bytes(shifted),
            tenths([0, 0, 0, 0, 2, 3, 4, 0, 12, 13, 14, 0])
        );
    }

    #[test]
    fn a_rectangle_is_filled_and_half_a_pixel_is_interpolated() {
        let erased = Draw {
            erase: Some(([1, 0, 2, 2], 200)),
            ..Draw::default()
        };
        assert_eq!(&bytes(erased)[..6], [10, 2000, 2000, 40, 110, 2000]);
        let half = Draw {
            shift: [0.5, 0.0],
            ..Draw::default()
        };
        assert_eq!(
            &bytes(half)[..4],
            [15, 25, 35, 20],
            "the right neighbour of the last is black"
        );
    }

    #[test]
    fn channels_come_out_side_by_side() {
        let mut out = vec![0.0; 4];
        apply(
            &[0, 255, 255, 0],
            [2, 1, 2],
            &[0],
            &[Draw::default()],
            &mut out,
        );
        assert_eq!(out, [-1.0, 1.0, 1.0, -1.0]);
    }
}
