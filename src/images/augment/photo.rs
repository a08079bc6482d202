//! The photo stage: from a packed image to the bytes of a training image.

use super::operation::Operation;
use crate::config::Resize;
use crate::images::Bitmap;
use crate::images::fit::{Fitter, Target};

/// A part of an image, pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Number of columns.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
}

/// Parameters of the photo stage for one image.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PhotoParams {
    /// The part of the packed image that is used; `None`: all of it.
    pub crop: Option<Region>,
    /// What is done afterwards, in this order.
    pub operations: Vec<Operation>,
}

/// Applies the photo stage. It keeps its buffers, for many images.
#[derive(Debug, Default)]
pub struct Photographer {
    fitter: Fitter,
    cropped: Vec<u8>,
}

impl Photographer {
    /// One without buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Crops, resizes and changes an image whose pixels are in the order (channel, row, column). `shape` is (channels, height,
    /// width) in training, `packed` height and width of `pixels`.
    pub fn apply(
        &mut self,
        params: &PhotoParams,
        (pixels, packed): (&[u8], [usize; 2]),
        shape: [usize; 3],
        out: &mut Vec<u8>,
    ) {
        let [channels, height, width] = shape;
        let whole = Region {
            left: 0,
            top: 0,
            width: packed[1],
            height: packed[0],
        };
        let crop = params.crop.unwrap_or(whole);
        if crop == whole && packed == [height, width] {
            out.clear();
            out.extend_from_slice(pixels);
        } else {
            self.crop(pixels, packed, channels, crop);
            let bitmap = Bitmap {
                width: crop.width as u32,
                height: crop.height as u32,
                channels: channels as u32,
                pixels: std::mem::take(&mut self.cropped),
            };
            let target = Target {
                channels: channels as u32,
                height: height as u32,
                width: width as u32,
                resize: Resize::Squash,
            };
            self.fitter.fit_into(&bitmap, target, out);
            self.cropped = bitmap.pixels;
        }
        for operation in &params.operations {
            operation.apply(out, shape);
        }
    }

    /// The region in the order (row, column, channel).
    fn crop(&mut self, pixels: &[u8], [_, across]: [usize; 2], channels: usize, crop: Region) {
        self.cropped.clear();
        self.cropped.resize(crop.width * crop.height * channels, 0);
        let area = pixels.len() / channels.max(1);
        for (channel, plane) in pixels.chunks_exact(area.max(1)).enumerate() {
            let rows = plane
                .chunks_exact(across.max(1))
                .skip(crop.top)
                .take(crop.height);
            let places = self
                .cropped
                .chunks_exact_mut((crop.width * channels).max(1));
            for (row, place) in rows.zip(places) {
                let row = row.get(crop.left..).unwrap_or_default();
                let levels = place.iter_mut().skip(channel).step_by(channels);
                levels.zip(row).for_each(|(to, level)| *to = *level);
            }
        }
    }
}
