//! WebP, BMP and GIF files.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::webp::WebPDecoder;
use image::{ImageDecoder, ImageError, ImageResult, Limits};

use super::super::Bitmap;
use super::format::Format;
use super::{LONGEST, MOST_MEMORY, pixels, truncated, unreadable};

/// Decodes the image, or the first one of an animation.
pub(super) fn decode(bytes: &[u8], format: Format) -> Result<Bitmap, String> {
    let file = Cursor::new(bytes);
    match format {
        Format::WebP => read(WebPDecoder::new(file)),
        Format::Gif => read(GifDecoder::new(file)),
        _ => read(BmpDecoder::new(file)),
    }
}

fn read(decoder: ImageResult<impl ImageDecoder>) -> Result<Bitmap, String> {
    let mut decoder = decoder.map_err(wrong)?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LONGEST), Some(LONGEST));
    limits.max_alloc = Some(MOST_MEMORY);
    decoder.set_limits(limits).map_err(wrong)?;
    if decoder.total_bytes() > MOST_MEMORY {
        return Err("cannot be read: the image is too large".to_owned());
    }
    let (size, colour) = (decoder.dimensions(), decoder.color_type());
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut samples).map_err(wrong)?;
    let channels = usize::from(colour.channel_count());
    if colour.bytes_per_pixel() != colour.channel_count() {
        return Err(format!("unsupported pixels {colour:?}; expected 8 bits"));
    }
    Ok(pixels::bitmap(size, channels, samples))
}

fn wrong(error: ImageError) -> String {
    match error {
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            truncated()
        }
        other => unreadable(other),
    }
}
