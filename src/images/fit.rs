//! Conversion of a decoded image to the input format of the network.
//!
//! The order is that of `Image.open(f).convert(mode).resize(size, BILINEAR)`: first the number of channels, then the size.
//! Resizing is bilinear with antialiasing, as Pillow and torchvision do it by default: when an image is reduced, each pixel
//! of the result is a weighted mean of all pixels that it covers.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use super::Bitmap;
use crate::config::Resize;

mod plan;

use plan::Plan;
pub use plan::{Loss, loss};

/// The brightness with which [`Resize::Pad`] fills. Mid-grey is 0 after the default normalisation to −1…1, so that, as in
/// the zero padding of a convolution, the border neither excites nor inhibits.
pub const PADDING: u8 = 128;

/// The format of packed images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// 1 for grey, 3 for colour.
    pub channels: u32,
    /// Height in pixels.
    pub height: u32,
    /// Width in pixels.
    pub width: u32,
    /// How an image of another aspect ratio is fitted.
    pub resize: Resize,
}

/// Converts and resizes images. It keeps its buffers, so that a thread that converts many images allocates them once.
#[derive(Debug, Default)]
pub struct Fitter {
    resizer: Resizer,
    grey: Vec<u8>,
    resized: Vec<u8>,
}

impl Fitter {
    /// A fitter without buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Converts and resizes an image. Returns its pixels in the order (channel, row, column).
    pub fn fit(&mut self, bitmap: &Bitmap, target: Target) -> Vec<u8> {
        let mut out = Vec::new();
        self.fit_into(bitmap, target, &mut out);
        out
    }

    /// As [`fit`](Self::fit), into `out`, whose content is replaced.
    pub fn fit_into(&mut self, bitmap: &Bitmap, target: Target, out: &mut Vec<u8>) {
        out.clear();
        let area = target.width as usize * target.height as usize;
        out.resize(area * target.channels as usize, PADDING);
        let (width, height) = (bitmap.width, bitmap.height);
        let channels = if target.channels == 1 {
            1
        } else {
            bitmap.channels
        };
        let pixels = if channels == bitmap.channels {
            &bitmap.pixels
        } else {
            grey_into(&bitmap.pixels, &mut self.grey);
            &self.grey
        };
        let plan = Plan::new((width, height), target);
        let (across, down) = plan.resized;
        let resized = if plan.is_identity((width, height)) {
            pixels
        } else {
            self.resized.clear();
            self.resized
                .resize(across as usize * down as usize * channels as usize, 0);
            let resized = if channels == 1 {
                resize::<U8>(
                    &mut self.resizer,
                    pixels,
                    (width, height),
                    &mut self.resized,
                    plan,
                )
            } else {
                resize::<U8x3>(
                    &mut self.resizer,
                    pixels,
                    (width, height),
                    &mut self.resized,
                    plan,
                )
            };
            debug_assert!(
                resized.is_some(),
                "a bitmap has as many pixels as its size says"
            );
            &self.resized
        };
        // Copies the part that is visible, channel by channel.
        let channels = channels as usize;
        let row_length = across as usize * channels;
        for (number, plane) in out.chunks_exact_mut(area.max(1)).enumerate() {
            let channel = number.min(channels - 1);
            let rows = resized
                .chunks_exact(row_length.max(1))
                .skip(plan.skip.1 as usize);
            let places = plane
                .chunks_exact_mut(target.width.max(1) as usize)
                .skip(plan.place.1 as usize);
            for (place, row) in places.zip(rows) {
                let start = plan.skip.0 as usize * channels + channel;
                let row = row
                    .get(start..)
                    .unwrap_or_default()
                    .iter()
                    .step_by(channels);
                let place = place.iter_mut().skip(plan.place.0 as usize);
                place.zip(row).for_each(|(place, level)| *place = *level);
            }
        }
    }
}

/// Resizes the region of the plan. Only this function knows the type of the pixels: for each the compiler generates much code.
fn resize<P: PixelTrait>(
    resizer: &mut Resizer,
    pixels: &[u8],
    (width, height): (u32, u32),
    out: &mut [u8],
    plan: Plan,
) -> Option<()> {
    let (across, down) = plan.resized;
    let source = TypedImageRef::<P>::from_buffer(width, height, pixels).ok()?;
    let mut result = TypedImage::<P>::from_buffer(across, down, out).ok()?;
    let (left, top, width, height) = plan.region;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .crop(left, top, width, height);
    resizer.resize_typed(&source, &mut result, &options).ok()
}

/// Converts and resizes one image, as [`Fitter::fit`].
pub fn fit(bitmap: &Bitmap, target: Target) -> Vec<u8> {
    Fitter::new().fit(bitmap, target)
}

/// Grey levels of RGB pixels.
fn grey_into(rgb: &[u8], grey: &mut Vec<u8>) {
    grey.clear();
    let (pixels, _) = rgb.as_chunks::<3>();
    grey.extend(pixels.iter().map(|pixel| grey_level(*pixel)));
}

/// The grey level of a colour by ITU-R 601, with the fixed-point numbers of Pillow.
pub(super) fn grey_level(rgb: [u8; 3]) -> u8 {
    let [r, g, b] = rgb.map(u32::from);
    ((r * 19_595 + g * 38_470 + b * 7_471 + 0x8000) >> 16) as u8
}

#[cfg(test)]
mod tests;
