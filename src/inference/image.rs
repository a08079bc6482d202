//! Conversion of an image file of any size to the input format of a network.
//!
//! If the training images were image files, an image is resized as they were. Otherwise the training images had no files, such
//! as those of Fashion-MNIST, and the steps are those by which that was made from photographs (Xiao et al. 2017, section 2):
//! convert to grey, crop the empty border, scale the longer side to the network's size, pad the shorter one, and invert
//! the brightness if the background is light where that of the training images is dark, or the reverse. Then an image that
//! already has the network's size is not cropped or scaled.

use std::borrow::Cow;
use std::path::Path;

use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage, Rgb, RgbImage};

use crate::config::Resize;
use crate::images::decode::decode;
use crate::images::fit::{Fitter, Target};
use crate::images::{Bitmap, Images, read_file};

/// Largest difference in brightness (0–255) from the background at which a pixel is still background.
const BACKGROUND_TOLERANCE: u8 = 13;

/// The input format of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputFormat {
    /// Number of channels: 1 for grey, 3 for colour.
    pub channels: u32,
    /// Height in pixels.
    pub height: u32,
    /// Width in pixels.
    pub width: u32,
    /// Background brightness of the training images, 0–255.
    pub background: u8,
    /// How the training images were resized; `None` if they were not image files.
    pub resize: Option<Resize>,
    /// Height and width to which the training images were resized first; `None`: directly to height and width.
    pub packed: Option<[u32; 2]>,
}

/// An image in the input format of a network, before normalization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputImage {
    /// Brightness 0–255 in the order (channel, row, column).
    pub pixels: Vec<u8>,
    /// Width and height of the image in the file, in pixels.
    pub size: (u32, u32),
    /// Whether the brightness was inverted.
    pub inverted: bool,
    /// Whether the image has only background.
    pub empty: bool,
}

/// Reads an image file. With `invert`, its brightness is inverted if one of its background and the network's is light and
/// the other dark, unless the training images were image files.
///
/// # Errors
/// If the file cannot be read or is not a valid image of a known format; the message names the file.
pub fn read_image(path: &Path, expected: InputFormat, invert: bool) -> Result<InputImage, String> {
    let decoded = read_file(path).and_then(|bytes| decode(&bytes));
    let bitmap = decoded
        .map_err(|what| format!("{}: {what}", path.display()))?
        .bitmap;
    Ok(prepared(bitmap, expected, invert))
}

fn prepared(bitmap: Bitmap, expected: InputFormat, invert: bool) -> InputImage {
    let Some(resize) = expected.resize else {
        return fit(&as_image(bitmap), expected, invert);
    };
    let InputFormat {
        channels,
        height,
        width,
        packed,
        ..
    } = expected;
    let [packed_height, packed_width] = packed.unwrap_or([height, width]);
    let target = Target {
        channels,
        height: packed_height,
        width: packed_width,
        resize,
    };
    let stored = Images::in_memory(Fitter::new().fit(&bitmap, target), &[0]);
    let side = |[height, width]: [u32; 2]| [height as usize, width as usize];
    let images = stored.resized(
        channels as usize,
        side([packed_height, packed_width]),
        side([height, width]),
    );
    InputImage {
        size: (bitmap.width, bitmap.height),
        pixels: images.image(0).map(Cow::into_owned).unwrap_or_default(),
        inverted: false,
        empty: false,
    }
}

fn as_image(bitmap: Bitmap) -> DynamicImage {
    let Bitmap {
        width,
        height,
        channels,
        pixels,
    } = bitmap;
    // A bitmap has as many bytes as its size says.
    if channels == 1 {
        GrayImage::from_raw(width, height, pixels)
            .unwrap_or_default()
            .into()
    } else {
        RgbImage::from_raw(width, height, pixels)
            .unwrap_or_default()
            .into()
    }
}

fn fit(image: &DynamicImage, expected: InputFormat, invert: bool) -> InputImage {
    let size = (image.width(), image.height());
    let flat = image.to_rgb8();
    let background = background(&flat);
    let empty = !flat.pixels().any(|pixel| is_foreground(*pixel, background));
    let inverted = invert && is_light(background) != is_light(grey_of(expected.background));
    let mut flat = flat;
    if inverted {
        imageops::invert(&mut flat);
    }
    if size != (expected.width, expected.height) {
        let background = if inverted {
            Rgb(background.0.map(|c| 255 - c))
        } else {
            background
        };
        flat = scaled(&trimmed(&flat, background), expected);
    }
    let pixels = if expected.channels == 1 {
        DynamicImage::from(flat).into_luma8().into_raw()
    } else {
        let plane = |channel: usize| {
            flat.pixels()
                .map(move |pixel| pixel.0.get(channel).copied().unwrap_or(0))
        };
        (0..expected.channels as usize).flat_map(plane).collect()
    };
    InputImage {
        pixels,
        size,
        inverted,
        empty,
    }
}

fn grey_of(level: u8) -> Rgb<u8> {
    Rgb([level; 3])
}

fn is_light(colour: Rgb<u8>) -> bool {
    colour.0.iter().map(|&c| u32::from(c)).sum::<u32>() > 3 * 127
}

/// The background colour: the median of each channel over the four corners. It is correct for all 60,000 images of
/// Fashion-MNIST, although many garments touch the border.
fn background(image: &RgbImage) -> Rgb<u8> {
    let (width, height) = image.dimensions();
    let side = (width.min(height) / 10).max(1);
    let ends = |whole: u32| (0..side).chain(whole - side..whole);
    let corners = ends(height).flat_map(|y| ends(width).map(move |x| (x, y)));
    let pixels: Vec<Rgb<u8>> = corners.map(|(x, y)| *image.get_pixel(x, y)).collect();
    let median = |channel: usize| {
        let mut values: Vec<u8> = pixels
            .iter()
            .filter_map(|pixel| pixel.0.get(channel).copied())
            .collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or(0)
    };
    Rgb([median(0), median(1), median(2)])
}

fn is_foreground(pixel: Rgb<u8>, background: Rgb<u8>) -> bool {
    let mut channels = pixel.0.iter().zip(background.0);
    channels.any(|(&c, background)| c.abs_diff(background) > BACKGROUND_TOLERANCE)
}

/// The image cropped to its foreground. An image without foreground is returned unchanged.
fn trimmed(image: &RgbImage, background: Rgb<u8>) -> RgbImage {
    let mut foreground = image
        .enumerate_pixels()
        .filter(|(_, _, pixel)| is_foreground(**pixel, background));
    let Some((x, y, _)) = foreground.next() else {
        return image.clone();
    };
    let (left, top, right, bottom) = foreground.fold((x, y, x, y), |(l, t, r, b), (x, y, _)| {
        (l.min(x), t.min(y), r.max(x), b.max(y))
    });
    imageops::crop_imm(image, left, top, right - left + 1, bottom - top + 1).to_image()
}

/// The image scaled to the network's size with its aspect ratio preserved, centred on the background of the training
/// images.
fn scaled(image: &RgbImage, expected: InputFormat) -> RgbImage {
    let InputFormat {
        width,
        height,
        background,
        ..
    } = expected;
    let (from_width, from_height) = image.dimensions();
    let scale =
        (f64::from(width) / f64::from(from_width)).min(f64::from(height) / f64::from(from_height));
    let side =
        |from: u32, most: u32| ((f64::from(from) * scale).round() as u32).clamp(1, most.max(1));
    let (across, down) = (side(from_width, width), side(from_height, height));
    // When shrinking, the triangle filter averages over all source pixels of a target pixel.
    let small = imageops::resize(image, across, down, FilterType::Triangle);
    let mut out = RgbImage::from_pixel(width, height, grey_of(background));
    let middle = |whole: u32, part: u32| i64::from((whole - part.min(whole)) / 2);
    imageops::overlay(
        &mut out,
        &small,
        middle(width, across),
        middle(height, down),
    );
    out
}

#[cfg(test)]
mod tests;
