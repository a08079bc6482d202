//! Decoding of image files.
//!
//! The format is recognised from the content, never from the name. [`peek`] reads size and colour from the first bytes of a
//! file; [`decode`] checks them against the limits before it allocates the pixels. Pixels equal Pillow's: exactly for
//! lossless formats and JPEG, within 2 levels for lossy WebP. Transparent pixels are composited onto white, 16-bit samples are
//! scaled to 8 bits, and images are turned upright by their EXIF orientation.

use super::Bitmap;

mod bitmaps;
mod format;
mod headers;
mod jpeg;
mod pixels;
mod png;
mod reader;
mod tiff;
mod turn;

use format::Format;

/// Longest side of an image file, pixels. It also bounds what an image of 1 pixel in height costs to resize.
pub const LONGEST: u32 = 20_000;
/// Most pixels of an image file. A few bytes of a header can claim gigabytes, and photographs for training have less: an
/// image of 100 megapixels is refused from its header.
pub const MOST_PIXELS: u64 = 64_000_000;
/// Most bytes that the decoder of a format may allocate.
const MOST_MEMORY: u64 = 512 << 20;

/// A decoded image and what was noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The image, upright, without alpha channel.
    pub bitmap: Bitmap,
    /// Whether the file contains an ICC profile, which is ignored.
    pub has_icc: bool,
}

/// Size and colour of an image, from its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels, upright.
    pub width: u32,
    /// Height in pixels, upright.
    pub height: u32,
    /// 1 if the image is grey, 3 if it has colours.
    pub channels: u32,
}

/// What the header of an image file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Info {
    format: Format,
    /// Width and height of the stored image, before it is turned upright.
    size: (u32, u32),
    /// 1 or 3.
    channels: u32,
    /// EXIF orientation, 1 to 8.
    orientation: u8,
    has_icc: bool,
}

/// Decodes an image file.
///
/// # Errors
/// What is wrong and what was expected, without the file's name.
pub fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let info = checked(bytes)?.ok_or_else(truncated)?;
    let bitmap = match info.format {
        Format::Jpeg => jpeg::decode(bytes)?,
        Format::Png => png::decode(bytes, info.size)?,
        Format::Tiff => tiff::decode(bytes)?,
        Format::WebP | Format::Bmp | Format::Gif => bitmaps::decode(bytes, info.format)?,
    };
    if (bitmap.width, bitmap.height) != info.size {
        return Err("cannot be read: two parts of the file give different sizes".to_owned());
    }
    let bitmap = pixels::with_channels(bitmap, info.channels);
    Ok(Decoded {
        bitmap: turn::upright(bitmap, info.orientation),
        has_icc: info.has_icc,
    })
}

/// Reads the header of an image file.
///
/// # Errors
/// As [`decode`].
pub fn header(bytes: &[u8]) -> Result<Header, String> {
    peek(bytes)?.ok_or_else(truncated)
}

/// Reads the header of an image file of which only the first bytes are given. The result is `None` if the header is longer
/// than that: the caller then reads the whole file. 64 KiB suffice for nearly all files.
///
/// A PNG file may have its EXIF orientation after the pixels; it is not found in the first bytes.
///
/// # Errors
/// As [`decode`].
pub fn peek(bytes: &[u8]) -> Result<Option<Header>, String> {
    Ok(checked(bytes)?.map(|info| {
        let (mut width, mut height) = info.size;
        if turn::swaps(info.orientation) {
            (width, height) = (height, width);
        }
        Header {
            width,
            height,
            channels: info.channels,
        }
    }))
}

fn checked(bytes: &[u8]) -> Result<Option<Info>, String> {
    let format = format::recognise(bytes)?;
    let Some(info) = headers::read(format, bytes)? else {
        return Ok(None);
    };
    let (width, height) = info.size;
    if width == 0 || height == 0 {
        return Err("has no pixels".to_owned());
    }
    if width.max(height) > LONGEST {
        return Err(format!(
            "has {width}×{height} pixels; the limit is {LONGEST} a side"
        ));
    }
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(format!(
            "has {width}×{height} pixels; the limit is {} million",
            MOST_PIXELS / 1_000_000
        ));
    }
    Ok(Some(info))
}

fn truncated() -> String {
    "cannot be read: the file is truncated".to_owned()
}

fn unreadable(error: impl std::fmt::Display) -> String {
    format!("cannot be read: {error}")
}

#[cfg(test)]
mod tests;
