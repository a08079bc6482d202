//! Conversion of an image file of any size to the input format of a network.
//!
//! The steps are those by which Fashion-MNIST was made from photographs (Xiao et al. 2017, section 2): convert to grey,
//! crop the empty border, scale the longer side to the network's size, pad the shorter one, and invert the brightness
//! if the background is light where that of the training images is dark, or the reverse. An image that already has the
//! network's size is not cropped or scaled.

use std::io::Cursor;
use std::path::Path;

use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage, Rgba};

/// Limits for image files, as a few bytes of a header can claim gigabytes: side in pixels, pixels, and bytes.
const LONGEST: u32 = 20_000;
const MOST_PIXELS: u64 = 64_000_000;
const MOST_MEMORY: u64 = 512 << 20;
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
}

/// An image in the input format of a network, before normalisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputImage {
    /// Brightness 0–255 in the order (channel, row, column).
    pub pixels: Vec<u8>,
    /// Grey brightness 0–255 in the order (row, column), for display.
    pub grey: Vec<u8>,
    /// Width and height of the image in the file, in pixels.
    pub size: (u32, u32),
    /// Whether the brightness was inverted.
    pub inverted: bool,
    /// Whether the image has only background.
    pub empty: bool,
}

/// Reads a PNG or JPEG file. With `invert`, its brightness is inverted if one of its background and the network's is
/// light and the other dark.
///
/// # Errors
/// If the file cannot be read or is not a valid PNG or JPEG image; the message names the file.
pub fn read_image(path: &Path, expected: InputFormat, invert: bool) -> Result<InputImage, String> {
    let wrong = |what: String| format!("{}: {what}", path.display());
    // Reading a pipe or a device might never end.
    let meta = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if !meta.is_file() {
        return Err(wrong("not a file; expected a PNG or JPEG image".to_owned()));
    }
    if meta.len() > MOST_MEMORY {
        return Err(wrong(format!(
            "has {} bytes; the limit is {MOST_MEMORY}",
            meta.len()
        )));
    }
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    decode(bytes)
        .map(|image| fit(&image, expected, invert))
        .map_err(wrong)
}

fn decode(bytes: Vec<u8>) -> Result<DynamicImage, String> {
    if bytes.is_empty() {
        return Err("is empty; expected a PNG or JPEG image".to_owned());
    }
    let complete = is_complete(&bytes);
    let mut reader = ImageReader::new(Cursor::new(bytes));
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LONGEST), Some(LONGEST));
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let reader = reader
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    match reader.format() {
        Some(ImageFormat::Png) => {}
        Some(ImageFormat::Jpeg) if complete => {}
        Some(ImageFormat::Jpeg) => return Err("cannot be read: the file is truncated".to_owned()),
        Some(other) => {
            return Err(format!(
                "unsupported image format {other:?}; expected PNG or JPEG"
            ));
        }
        None => return Err("unsupported image format; expected PNG or JPEG".to_owned()),
    }
    let unreadable = |error: image::ImageError| format!("cannot be read: {error}");
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let (across, down) = decoder.dimensions();
    let pixels = u64::from(across) * u64::from(down);
    if pixels > MOST_PIXELS {
        return Err(format!("has {pixels} pixels; the limit is {MOST_PIXELS}"));
    }
    // Phones store rotated images with an EXIF orientation.
    let upright = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    image.apply_orientation(upright);
    if image.width() == 0 || image.height() == 0 {
        return Err("has no pixels".to_owned());
    }
    Ok(image)
}

/// Whether the segments of a JPEG file lead to its end marker. The decoder fills missing parts with grey and reports no
/// error. What follows the end marker, such as the video of a motion photo, does not belong to the image.
fn is_complete(bytes: &[u8]) -> bool {
    // In compressed data, FF is followed by 00 or by a restart marker (D0 to D7); FF before a marker is padding. These
    // and the start marker (D8) have no length.
    let is_segment = |pair: &[u8]| {
        pair.first() == Some(&0xff)
            && !matches!(pair.last(), Some(0x00 | 0x01 | 0xd0..=0xd8 | 0xff))
    };
    let mut rest = bytes;
    while let Some(at) = rest.windows(2).position(is_segment) {
        let Some([_, marker, length @ ..]) = rest.get(at..) else {
            return false;
        };
        if *marker == 0xd9 {
            return true;
        }
        let size = length
            .first_chunk()
            .map_or(0, |size| u16::from_be_bytes(*size));
        rest = length.get(usize::from(size)..).unwrap_or_default();
    }
    false
}

fn fit(image: &DynamicImage, expected: InputFormat, invert: bool) -> InputImage {
    let size = (image.width(), image.height());
    let flat = opaque(image);
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
    let grey = DynamicImage::from(flat.clone()).into_luma8().into_raw();
    let pixels = if expected.channels == 1 {
        grey.clone()
    } else {
        let plane = |channel: usize| {
            flat.pixels()
                .map(move |pixel| pixel.0.get(channel).copied().unwrap_or(0))
        };
        (0..expected.channels as usize).flat_map(plane).collect()
    };
    InputImage {
        pixels,
        grey,
        size,
        inverted,
        empty,
    }
}

/// The image on a white background, if it is transparent, as image viewers show it.
fn opaque(image: &DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.to_rgb8();
    }
    let rgba = image.to_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let Rgba([r, g, b, alpha]) = *rgba.get_pixel(x, y);
        let over = |c: u8| {
            let (c, alpha) = (u32::from(c), u32::from(alpha));
            ((c * alpha + 255 * (255 - alpha)) / 255) as u8
        };
        Rgb([over(r), over(g), over(b)])
    })
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
