//! Operations on the bytes of an image, with the results of torchvision on Pillow images.

use crate::images::fit::grey_level;

/// Bins of a histogram of byte values.
const LEVELS: usize = 256;

/// A change of an image with given parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operation {
    /// No change.
    Identity,
    /// Factor: 0 is black, 1 no change.
    Brightness(f32),
    /// Factor: 0 is the mean grey level, 1 no change.
    Contrast(f32),
    /// Factor: 0 is grey, 1 no change.
    Saturation(f32),
    /// Shift of the hue, −0.5 to 0.5 of the colour circle.
    Hue(f64),
    /// Factor: 0 is smoothed, 1 no change.
    Sharpness(f32),
    /// The point (x, y) of the result is (a·x + b·y + c, d·x + e·y + f) of the source; interpolated, black outside.
    Affine([f64; 6]),
    /// Number of bits that are kept of each byte.
    Posterize(u32),
    /// Bytes of at least this value are inverted.
    Solarize(f64),
    /// Stretches each channel to 0–255.
    AutoContrast,
    /// Equalizes the histogram of each channel.
    Equalize,
}

impl Operation {
    /// Shear by these slopes, from the upper left corner.
    pub fn shear(across: f64, down: f64) -> Self {
        // torchvision takes degrees; this rounds as it does.
        let angle = |slope: f64| slope.atan().to_degrees().to_radians();
        let (sine, cosine) = angle(down).sin_cos();
        Self::Affine([1.0, angle(across).tan(), 0.0, sine / cosine, 1.0, 0.0])
    }

    /// Shift by this many pixels to the right and down.
    pub fn shift(right: f64, down: f64) -> Self {
        Self::Affine([1.0, 0.0, -right, 0.0, 1.0, -down])
    }

    /// Counter-clockwise rotation about the centre, degrees.
    pub fn rotate(degrees: f64, [height, width]: [usize; 2]) -> Self {
        // Pillow rounds the elements to 15 decimals, so that a quarter turn is exact. A multiplication would round twice.
        let rounded = |value: f64| format!("{value:.15}").parse().unwrap_or(value);
        let (sine, cosine) = (-degrees.rem_euclid(360.0).to_radians()).sin_cos();
        let (sine, cosine) = (rounded(sine), rounded(cosine));
        let (x, y) = (width as f64 / 2.0, height as f64 / 2.0);
        let (right, down) = (cosine * -x + sine * -y, -sine * -x + cosine * -y);
        Self::Affine([cosine, sine, right + x, -sine, cosine, down + y])
    }

    /// Whether the operation changes nothing in a grey image.
    pub fn needs_colour(&self) -> bool {
        matches!(self, Self::Saturation(_) | Self::Hue(_))
    }

    /// Changes an image whose bytes are in the order (channel, row, column).
    pub fn apply(&self, pixels: &mut [u8], [channels, height, width]: [usize; 3]) {
        let area = height * width;
        let planes = |pixels: &mut [u8], change: &dyn Fn(&mut [u8])| {
            pixels.chunks_exact_mut(area.max(1)).for_each(change);
        };
        match *self {
            Self::Identity => {}
            Self::Brightness(factor) => pixels
                .iter_mut()
                .for_each(|byte| *byte = blend(0, *byte, factor)),
            Self::Contrast(factor) => {
                let grey = grey_levels(pixels, channels, area);
                let sum: u64 = grey.iter().map(|level| u64::from(*level)).sum();
                let mean = (sum as f64 / area.max(1) as f64 + 0.5) as u8;
                pixels
                    .iter_mut()
                    .for_each(|byte| *byte = blend(mean, *byte, factor));
            }
            Self::Saturation(factor) => {
                let grey = grey_levels(pixels, channels, area);
                for plane in pixels.chunks_exact_mut(area.max(1)) {
                    let pairs = plane.iter_mut().zip(&grey);
                    pairs.for_each(|(byte, grey)| *byte = blend(*grey, *byte, factor));
                }
            }
            Self::Hue(shift) => turn_hue(pixels, area, shift),
            Self::Sharpness(factor) => planes(pixels, &|plane| {
                let smooth = smoothed(plane, width);
                let pairs = plane.iter_mut().zip(&smooth);
                pairs.for_each(|(byte, smooth)| *byte = blend(*smooth, *byte, factor));
            }),
            Self::Affine(matrix) => planes(pixels, &|plane| {
                let source = plane.to_vec();
                warp(&source, plane, [height, width], matrix);
            }),
            Self::Posterize(bits) => {
                let mask = 0xff_u8.checked_shl(8_u32.saturating_sub(bits)).unwrap_or(0);
                pixels.iter_mut().for_each(|byte| *byte &= mask);
            }
            Self::Solarize(threshold) => {
                let bytes = pixels
                    .iter_mut()
                    .filter(|byte| f64::from(**byte) >= threshold);
                bytes.for_each(|byte| *byte = 255 - *byte);
            }
            Self::AutoContrast => planes(pixels, &|plane| look_up(plane, stretching)),
            Self::Equalize => planes(pixels, &|plane| look_up(plane, equalizing)),
        }
    }
}

/// Pillow's `Image.blend`: `from + factor · (to − from)` in f32, towards zero.
fn blend(from: u8, to: u8, factor: f32) -> u8 {
    let (from, to) = (f32::from(from), f32::from(to));
    // The conversion of a float to an integer saturates.
    (from + factor * (to - from)) as u8
}

/// Grey levels of an image.
fn grey_levels(pixels: &[u8], channels: usize, area: usize) -> Vec<u8> {
    let plane = |channel: usize| {
        pixels
            .get(channel * area..(channel + 1) * area)
            .unwrap_or_default()
    };
    if channels < 3 {
        return plane(0).to_vec();
    }
    let levels = plane(0).iter().zip(plane(1)).zip(plane(2));
    let grey = levels.map(|((r, g), b)| grey_level([*r, *g, *b]));
    grey.collect()
}

/// Adds to the hue of each pixel, in Pillow's HSV space of bytes.
fn turn_hue(pixels: &mut [u8], area: usize, shift: f64) {
    let turn = ((shift * 255.0) as i32).rem_euclid(256) as u8;
    let Some((red, rest)) = pixels.split_at_mut_checked(area) else {
        return;
    };
    let Some((green, blue)) = rest.split_at_mut_checked(area) else {
        return;
    };
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let [hue, saturation, value] = hsv([*r, *g, *b]);
        [*r, *g, *b] = rgb([hue.wrapping_add(turn), saturation, value]);
    }
}

/// Hue, saturation and value of a colour, as Pillow computes them in f32.
fn hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    if most == least {
        return [0, 0, most];
    }
    let range = f32::from(most - least);
    let saturation = range / f32::from(most);
    let part = |level: u8| f32::from(most - level) / range;
    let (rc, gc, bc) = (part(r), part(g), part(b));
    let sector = if r == most {
        bc - gc
    } else if g == most {
        (2.0 + f64::from(rc) - f64::from(bc)) as f32
    } else {
        (4.0 + f64::from(gc) - f64::from(rc)) as f32
    };
    let hue = ((f64::from(sector) / 6.0 + 1.0) % 1.0) as f32;
    let byte = |share: f32| (f64::from(share) * 255.0) as u8;
    [byte(hue), byte(saturation), most]
}

/// The colour of hue, saturation and value, as Pillow computes it.
fn rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let position = f64::from(hue) * 6.0 / 255.0;
    let sector = position.floor();
    let (fraction, saturation) = (
        (position - sector) as f32,
        (f64::from(saturation) / 255.0) as f32,
    );
    let (fraction, saturation) = (f64::from(fraction), f64::from(saturation));
    let level = |part: f64| (f64::from(value) * (1.0 - part)).round() as u8;
    let p = level(saturation);
    let q = level(saturation * fraction);
    let t = level(saturation * (1.0 - fraction));
    match sector as u32 % 6 {
        0 => [value, t, p],
        1 => [q, value, p],
        2 => [p, value, t],
        3 => [p, q, value],
        4 => [t, p, value],
        _ => [value, p, q],
    }
}

/// Pillow's `ImageFilter.SMOOTH`: weights of 1/13, in the middle 5/13; the border is kept.
fn smoothed(plane: &[u8], width: usize) -> Vec<u8> {
    let mut out = plane.to_vec();
    let (edge, middle) = (1.0_f32 / 13.0, 5.0_f32 / 13.0);
    let rows: Vec<&[u8]> = plane.chunks_exact(width.max(1)).collect();
    for (rows, out) in rows
        .windows(3)
        .zip(out.chunks_exact_mut(width.max(1)).skip(1))
    {
        let &[above, this, below] = rows else {
            continue;
        };
        let windows = above.windows(3).zip(this.windows(3)).zip(below.windows(3));
        for (((above, this), below), out) in windows.zip(out.iter_mut().skip(1)) {
            let row = |row: &[u8], [a, b, c]: [f32; 3]| match *row {
                [x, y, z] => f32::from(x) * a + f32::from(y) * b + f32::from(z) * c,
                _ => 0.0,
            };
            let edges = [edge; 3];
            let sum = 0.5 + row(below, edges) + row(this, [edge, middle, edge]) + row(above, edges);
            *out = sum as u8;
        }
    }
    out
}

/// Pillow's affine transform with bilinear interpolation: coordinates are those of pixel centres, points outside the image
/// are black.
fn warp(source: &[u8], out: &mut [u8], [height, width]: [usize; 2], matrix: [f64; 6]) {
    let [xx, xy, x0, yx, yy, y0] = matrix;
    let (h, w) = (height as f64, width as f64);
    for (row, out) in out.chunks_exact_mut(width.max(1)).enumerate() {
        let y = row as f64 + 0.5;
        for (column, out) in out.iter_mut().enumerate() {
            let x = column as f64 + 0.5;
            let (sx, sy) = (xx * x + xy * y + x0, yx * x + yy * y + y0);
            if sx < 0.0 || sx >= w || sy < 0.0 || sy >= h {
                *out = 0;
                continue;
            }
            let (sx, sy) = (sx - 0.5, sy - 0.5);
            let (left, top) = (sx.floor(), sy.floor());
            let (dx, dy) = (sx - left, sy - top);
            let at = |x: f64, y: f64| {
                let (x, y) = (
                    x.clamp(0.0, w - 1.0) as usize,
                    y.clamp(0.0, h - 1.0) as usize,
                );
                f64::from(source.get(y * width + x).copied().unwrap_or(0))
            };
            let between = |from: f64, to: f64, part: f64| from + (to - from) * part;
            let row = |y: f64| between(at(left, y), at(left + 1.0, y), dx);
            *out = between(row(top), row(top + 1.0), dy) as u8;
        }
    }
}

/// Replaces each byte by its value in the table for the histogram of the plane, if there is one.
fn look_up(plane: &mut [u8], table: fn(&[u64; LEVELS]) -> Option<[u8; LEVELS]>) {
    let mut histogram = [0; LEVELS];
    for byte in &*plane {
        if let Some(count) = histogram.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let Some(table) = table(&histogram) else {
        return;
    };
    for byte in plane {
        *byte = table.get(usize::from(*byte)).copied().unwrap_or(*byte);
    }
}

/// The table of Pillow's `ImageOps.autocontrast`.
fn stretching(histogram: &[u64; LEVELS]) -> Option<[u8; LEVELS]> {
    let lowest = histogram.iter().position(|count| *count > 0)?;
    let highest = histogram.iter().rposition(|count| *count > 0)?;
    let scale = (highest > lowest).then(|| 255.0 / (highest - lowest) as f64)?;
    let offset = -(lowest as f64) * scale;
    Some(std::array::from_fn(|level| {
        (level as f64 * scale + offset) as u8
    }))
}

/// The table of Pillow's `ImageOps.equalize`.
fn equalizing(histogram: &[u64; LEVELS]) -> Option<[u8; LEVELS]> {
    let used = || histogram.iter().filter(|count| **count > 0);
    let step = (used().sum::<u64>() - used().next_back()?) / 255;
    if used().count() < 2 || step == 0 {
        return None;
    }
    let mut sum = step / 2;
    let mut table = [0; LEVELS];
    for (place, count) in table.iter_mut().zip(histogram) {
        *place = (sum / step).min(255) as u8;
        sum += count;
    }
    Some(table)
}
