//! Mirror, shift, rotation, scale, shear and random erasing, in one pass with the normalization.

/// Augmentation parameters of one image. A pixel (x, y) of the result is read from M·(x, y) + t in the source, relative
/// to the image centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AugmentParams {
    /// M, row-major: maps (x, y) of the result to (x, y) of the source.
    pub matrix: [f32; 4],
    /// t = (x, y) in pixels.
    pub shift: [f32; 2],
    /// Left, top, width and height of the erased rectangle in pixels, and the brightness that fills it.
    pub erase: Option<([usize; 4], u8)>,
}

impl Default for AugmentParams {
    fn default() -> Self {
        Self {
            matrix: [1.0, 0.0, 0.0, 1.0],
            shift: [0.0, 0.0],
            erase: None,
        }
    }
}

impl AugmentParams {
    /// Whether no interpolation is needed: the image is at most mirrored and shifted by whole pixels.
    pub fn is_exact(&self) -> bool {
        let [a, b, c, d] = self.matrix;
        a.abs() == 1.0
            && b == 0.0
            && c == 0.0
            && d == 1.0
            && self.shift.iter().all(|t| t.fract() == 0.0)
    }

    /// Whether the image is not changed.
    fn is_identity(&self) -> bool {
        *self == Self::default()
    }
}

/// Normalization: factor and offset of each channel; the normalized value is `byte * factor + offset`.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale(pub Vec<[f32; 2]>);

/// Writes an image (channel, row, column) of this shape (channels, height, width), augmented and normalized, to `out` (row,
/// column, channel). Pixels from outside the source are black, and so is an image without bytes.
pub fn apply(
    image: &[u8],
    ([channels, height, width], scale): ([usize; 3], &Scale),
    draw: &AugmentParams,
    out: &mut [f32],
) {
    for channel in 0..channels {
        let plane = image
            .get(channel * height * width..(channel + 1) * height * width)
            .unwrap_or_default();
        let out = out.iter_mut().skip(channel).step_by(channels);
        let scale = scale.0.get(channel).copied().unwrap_or([1.0, 0.0]);
        apply_plane(plane, (height, width), draw, scale, out);
    }
}

fn apply_plane<'a>(
    plane: &[u8],
    (height, width): (usize, usize),
    draw: &AugmentParams,
    [factor, offset]: [f32; 2],
    mut out: impl Iterator<Item = &'a mut f32>,
) {
    let normalized = |byte: f32| byte * factor + offset;
    if draw.is_identity() && plane.len() == height * width {
        for (out, byte) in out.zip(plane) {
            *out = normalized(f32::from(*byte));
        }
        return;
    }
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
                *out = normalized(fill.into());
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
            *out = normalized(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half(channels: usize) -> Scale {
        Scale(vec![[2.0 / 255.0, -1.0]; channels])
    }

    /// A 3×4 image in which every pixel encodes its position.
    fn image() -> Vec<u8> {
        (0..12).map(|i| (i / 4) * 10 + i % 4 + 1).collect()
    }

    fn bytes(draw: AugmentParams) -> Vec<i32> {
        let mut out = vec![0.0; 12];
        apply(&image(), ([1, 3, 4], &half(1)), &draw, &mut out);
        out.iter()
            .map(|v| ((v + 1.0) * 127.5 * 10.0).round() as i32)
            .collect()
    }

    #[test]
    fn identity_mirror_and_shift() {
        let tenths = |v: [i32; 12]| v.map(|v| v * 10).to_vec();
        assert_eq!(
            bytes(AugmentParams::default()),
            tenths([1, 2, 3, 4, 11, 12, 13, 14, 21, 22, 23, 24])
        );
        let mirrored = AugmentParams {
            matrix: [-1.0, 0.0, 0.0, 1.0],
            ..AugmentParams::default()
        };
        assert_eq!(
            bytes(mirrored),
            tenths([4, 3, 2, 1, 14, 13, 12, 11, 24, 23, 22, 21])
        );
        let shifted = AugmentParams {
            shift: [1.0, -1.0],
            ..AugmentParams::default()
        };
        assert_eq!(
            bytes(shifted),
            tenths([0, 0, 0, 0, 2, 3, 4, 0, 12, 13, 14, 0])
        );
    }

    #[test]
    fn rectangle_is_filled_and_half_pixel_shift_is_interpolated() {
        let erased = AugmentParams {
            erase: Some(([1, 0, 2, 2], 200)),
            ..AugmentParams::default()
        };
        assert_eq!(&bytes(erased)[..6], [10, 2000, 2000, 40, 110, 2000]);
        let half = AugmentParams {
            shift: [0.5, 0.0],
            ..AugmentParams::default()
        };
        assert_eq!(
            &bytes(half)[..4],
            [15, 25, 35, 20],
            "beyond the last pixel is black"
        );
    }

    #[test]
    fn output_is_channels_last() {
        let mut out = vec![0.0; 4];
        apply(
            &[0, 255, 255, 0],
            ([2, 1, 2], &half(2)),
            &AugmentParams::default(),
            &mut out,
        );
        assert_eq!(out, [-1.0, 1.0, 1.0, -1.0]);
    }
}
