//! Upsampling of reduced colour components, and conversion to RGB.
//!
//! The triangle filter is that of libjpeg ("fancy upsampling"), with the same rounding and the same edges.

use super::frame::Component;

/// One component of an image, row by row in full size.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    component: &'a Component,
    /// How many pixels of the image a sample covers.
    across: usize,
    down: usize,
    /// Weighted sums of two rows.
    sums: Vec<u16>,
    row: Vec<u8>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(component: &'a Component, across: usize, down: usize) -> Self {
        Self {
            component,
            across,
            down,
            sums: Vec::new(),
            row: vec![0; component.width * across],
        }
    }

    /// Row `y` of the image; it may be longer than the image is wide.
    #[inline(always)]
    pub(super) fn row(&mut self, y: usize) -> &[u8] {
        let at = y / self.down;
        let near = self.component.row(at);
        // libjpeg replicates components of up to two columns.
        let is_smooth = near.len() > 2;
        match (self.across, self.down) {
            (1, 1) => return near,
            (2, 1) if is_smooth => double(near, &mut self.row),
            (2, 2) if is_smooth => {
                let far = self.component.row(neighbour(y));
                let sums = near.iter().zip(far);
                self.sums.clear();
                self.sums
                    .extend(sums.map(|(near, far)| 3 * u16::from(*near) + u16::from(*far)));
                double_sums(&self.sums, &mut self.row);
            }
            (1, 2) => {
                let far = self.component.row(neighbour(y));
                let rounding = if y.is_multiple_of(2) { 1 } else { 2 };
                let sums = near.iter().zip(far);
                let sums =
                    sums.map(|(near, far)| 3 * u16::from(*near) + u16::from(*far) + rounding);
                self.row
                    .iter_mut()
                    .zip(sums)
                    .for_each(|(out, sum)| *out = (sum >> 2) as u8);
            }
            (across, _) => {
                for (out, level) in self.row.chunks_exact_mut(across).zip(near) {
                    out.fill(*level);
                }
            }
        }
        &self.row
    }
}

/// The row of samples on the other side of row `y` of the image: above an even one, below an odd one. The first and the last
/// row are their own neighbours.
fn neighbour(y: usize) -> usize {
    if y.is_multiple_of(2) {
        (y / 2).saturating_sub(1)
    } else {
        y / 2 + 1
    }
}

/// Doubles a row: three quarters of the near sample and one quarter of the far one.
#[inline(always)]
fn double(samples: &[u8], out: &mut [u8]) {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return;
    };
    let [start, middle @ .., end] = out else {
        return;
    };
    (*start, *end) = (*first, *last);
    // Between two samples lie the right half of the one and the left half of the other.
    for (out, pair) in middle
        .as_chunks_mut::<2>()
        .0
        .iter_mut()
        .zip(samples.windows(2))
    {
        if let [left, right] = *pair {
            let (left, right) = (u16::from(left), u16::from(right));
            *out = [
                ((3 * left + right + 2) >> 2) as u8,
                ((3 * right + left + 1) >> 2) as u8,
            ];
        }
    }
}

/// Doubles a row of sums of four samples.
#[inline(always)]
fn double_sums(sums: &[u16], out: &mut [u8]) {
    let (Some(first), Some(last)) = (sums.first(), sums.last()) else {
        return;
    };
    let [start, middle @ .., end] = out else {
        return;
    };
    (*start, *end) = (((4 * first + 8) >> 4) as u8, ((4 * last + 7) >> 4) as u8);
    for (out, pair) in middle
        .as_chunks_mut::<2>()
        .0
        .iter_mut()
        .zip(sums.windows(2))
    {
        if let [left, right] = *pair {
            *out = [
                ((3 * left + right + 7) >> 4) as u8,
                ((3 * right + left + 8) >> 4) as u8,
            ];
        }
    }
}

/// RGB from YCbCr, with the fixed-point numbers of libjpeg.
#[inline(always)]
pub(super) fn rgb_of_ycbcr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let level = |chroma: i32| (y + ((chroma + (1 << 15)) >> 16)).clamp(0, 255) as u8;
    [
        level(91_881 * cr),
        level(-22_554 * cb - 46_802 * cr),
        level(116_130 * cb),
    ]
}

/// Converts a row to RGB. `planes` are buffers: with its own loop for each step, the compiler generates vector instructions.
#[inline(always)]
pub(super) fn rgb_row([y, cb, cr]: [&[u8]; 3], planes: &mut [Vec<u8>; 3], out: &mut [u8]) {
    for plane in planes.iter_mut() {
        plane.resize(y.len(), 0);
    }
    let [red, green, blue] = planes;
    let samples = y.iter().zip(cb).zip(cr);
    let levels = red.iter_mut().zip(green.iter_mut()).zip(blue.iter_mut());
    for (((red, green), blue), ((y, cb), cr)) in levels.zip(samples) {
        [*red, *green, *blue] = rgb_of_ycbcr([*y, *cb, *cr]);
    }
    interleave([red, green, blue], out);
}

/// Pixels from three rows of levels.
#[inline(always)]
pub(super) fn interleave([first, second, third]: [&[u8]; 3], out: &mut [u8]) {
    let levels = first.iter().zip(second).zip(third);
    for (out, ((first, second), third)) in out.as_chunks_mut::<3>().0.iter_mut().zip(levels) {
        *out = [*first, *second, *third];
    }
}
