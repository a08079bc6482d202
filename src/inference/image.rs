//! From a image file of any size to what a network expects.
//!
//! The way Fashion-MNIST itself was made (Xiao et al. 2017, section 2) from photographs: grey, the empty border off, the
//! longer side brought to the network's size, the shorter one filled up, and turned round so that the ground is as dark, or
//! as light, as that of the training images. A image that has the network's size is taken as it is.

use std::io::Cursor;
use std::path::Path;

use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage, Rgba};

/// No side may be longer, and no image take more memory: a few bytes of a file can claim gigabytes.
const LONGEST: u32 = 20_000;
const MOST_PIXELS: u64 = 64_000_000;
const MOST_MEMORY: u64 = 512 << 20;
/// How far a pixel may be from the ground and still be ground, of 255.
const NEAR_GROUND: u8 = 13;

/// What a network expects of a image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// 1 for grey, 3 for colour.
    pub channels: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// Pixels from left to right.
    pub width: u32,
    /// Brightness of the ground in the training images.
    pub background: u8,
}

/// A image as the network will see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputImage {
    /// Channel after channel, row by row.
    pub pixels: Vec<u8>,
    /// Brightness, row by row, for showing.
    pub grey: Vec<u8>,
    /// Width and height of the file.
    pub size: (u32, u32),
    /// Whether light and dark were exchanged.
    pub inverted: bool,
    /// Whether there is nothing on it but ground.
    pub empty: bool,
}

/// Reads a PNG or JPEG file. `invert`: exchange light and dark where the ground is on the other side than the network's.
///
/// # Errors
/// The file and what is wrong with it.
pub fn read_image(path: &Path, expected: Expected, invert: bool) -> Result<InputImage, String> {
    let wrong = |what: String| format!("{}: {what}", path.display());
    // A pipe or a device could go on for ever.
    let meta = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if !meta.is_file() {
        return Err(wrong("is no file; expected a PNG or JPEG image".to_owned()));
    }
    if meta.len() > MOST_MEMORY {
        return Err(wrong(format!(
            "has {} bytes, at most {MOST_MEMORY} are read",
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
    let whole = is_whole(&bytes);
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
        Some(ImageFormat::Jpeg) if whole => {}
        Some(ImageFormat::Jpeg) => return Err("cannot be read: it ends too early".to_owned()),
        Some(other) => {
            return Err(format!(
                "is a image of the kind {other:?}; expected PNG or JPEG"
            ));
        }
        None => return Err("is no image this program reads; expected PNG or JPEG".to_owned()),
    }
    let unreadable = |error: image::ImageError| format!("cannot be read: {error}");
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let (across, down) = decoder.dimensions();
    let pixels = u64::from(across) * u64::from(down);
    if pixels > MOST_PIXELS {
        return Err(format!(
            "has {pixels} pixels, at most {MOST_PIXELS} are read"
        ));
    }
    // Phones write images lying on their side, with a note which way is up.
    let upright = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    image.apply_orientation(upright);
    if image.width() == 0 || image.height() == 0 {
        return Err("has no pixels".to_owned());
    }
    Ok(image)
}

/// Whether a JPEG file has its end: the decoder fills up what is missing with grey and says nothing.
fn is_whole(bytes: &[u8]) -> bool {
    let scan = bytes.windows(2).rposition(|pair| pair == [0xff, 0xda]);
    let after = scan.and_then(|at| bytes.get(at..)).unwrap_or_default();
    after.windows(2).any(|pair| pair == [0xff, 0xd9])
}

fn fit(image: &DynamicImage, expected: Expected, invert: bool) -> InputImage {
    let size = (image.width(), image.height());
    let flat = opaque(image);
    let ground = ground(&flat);
    let empty = !flat.pixels().any(|pixel| is_thing(*pixel, ground));
    let inverted = invert && is_light(ground) != is_light(grey_of(expected.background));
    let mut flat = flat;
    if inverted {
        imageops::invert(&mut flat);
    }
    if size != (expected.width, expected.height) {
        let ground = if inverted {
            Rgb(ground.0.map(|c| 255 - c))
        } else {
            ground
        };
        flat = scaled(&trimmed(&flat, ground), expected);
    }
    let grey = DynamicImage::from(flat.clone()).into_luma8().into_raw();
    let pixels = if expected.channels == 1 {
        grey.clone()
    } else {
        let plane = |channel: usize| {
            flat.pixels()
                .map(move |pixel| pixel.0.get(channel).copied().unwrap_or(0))
        };
        (0..expected.channels.min(3) as usize)
            .flat_map(plane)
            .collect()
    };
    InputImage {
        pixels,
        grey,
        size,
        inverted,
        empty,
    }
}

/// What is transparent shows white paper, as a viewer would show it.
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

/// The median of each channel in the four corners. Of 60,000 garments, which often touch the border, none is misjudged.
fn ground(image: &RgbImage) -> Rgb<u8> {
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

fn is_thing(pixel: Rgb<u8>, ground: Rgb<u8>) -> bool {
    let mut channels = pixel.0.iter().zip(ground.0);
    channels.any(|(&c, ground)| c.abs_diff(ground) > NEAR_GROUND)
}

/// Without rows and columns at the border that hold nothing but ground. A image of ground alone stays whole.
fn trimmed(image: &RgbImage, ground: Rgb<u8>) -> RgbImage {
    let mut things = image
        .enumerate_pixels()
        .filter(|(_, _, pixel)| is_thing(**pixel, ground));
    let Some((x, y, _)) = things.next() else {
        return image.clone();
    };
    let (left, top, right, bottom) = things.fold((x, y, x, y), |(l, t, r, b), (x, y, _)| {
        (l.min(x), t.min(y), r.max(x), b.max(y))
    });
    imageops::crop_imm(image, left, top, right - left + 1, bottom - top + 1).to_image()
}

/// As large as fits, in the middle, on the ground of the training images.
fn scaled(image: &RgbImage, expected: Expected) -> RgbImage {
    let Expected {
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
    // Triangle averages over all pixels a smaller one stands for.
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
