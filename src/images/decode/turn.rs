//! EXIF orientation.

use image::metadata::Orientation;

use super::super::Bitmap;

/// The orientation in EXIF data, which begin with the TIFF header or, as some writers have it, with `Exif\0\0`.
pub(super) fn orientation(exif: &[u8]) -> u8 {
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    Orientation::from_exif_chunk(exif).map_or(1, Orientation::to_exif)
}

/// Whether width and height change places.
pub(super) fn swaps(orientation: u8) -> bool {
    (5..=8).contains(&orientation)
}

/// The image turned and mirrored so that its EXIF orientation is 1.
pub(super) fn upright(bitmap: Bitmap, orientation: u8) -> Bitmap {
    if !(2..=8).contains(&orientation) {
        return bitmap;
    }
    let (across, down) = (bitmap.width as usize, bitmap.height as usize);
    let channels = bitmap.channels as usize;
    let (width, height) = if swaps(orientation) {
        (down, across)
    } else {
        (across, down)
    };
    // The stored pixel that is shown at x, y.
    let from = |x: usize, y: usize| match orientation {
        2 => (across - 1 - x, y),
        3 => (across - 1 - x, down - 1 - y),
        4 => (x, down - 1 - y),
        5 => (y, x),
        6 => (y, down - 1 - x),
        7 => (across - 1 - y, down - 1 - x),
        _ => (across - 1 - y, x),
    };
    let mut pixels = Vec::with_capacity(bitmap.pixels.len());
    for y in 0..height {
        for x in 0..width {
            let (x, y) = from(x, y);
            let at = (y * across + x) * channels;
            pixels.extend_from_slice(bitmap.pixels.get(at..at + channels).unwrap_or_default());
        }
    }
    Bitmap {
        width: width as u32,
        height: height as u32,
        channels: bitmap.channels,
        pixels,
    }
}
