//! TIFF files.

use std::io::Cursor;

use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};

use super::super::Bitmap;
use super::{MOST_MEMORY, pixels, truncated, unreadable};

/// Decodes the first page.
pub(super) fn decode(bytes: &[u8]) -> Result<Bitmap, String> {
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MOST_MEMORY as usize;
    limits.intermediate_buffer_size = MOST_MEMORY as usize;
    let mut decoder = Decoder::new(Cursor::new(bytes))
        .map_err(wrong)?
        .with_limits(limits);
    let size = decoder.dimensions().map_err(wrong)?;
    let colour = decoder.colortype().map_err(wrong)?;
    let bits = match colour {
        ColorType::Gray(bits @ (1 | 2 | 4 | 8 | 16))
        | ColorType::GrayA(bits @ (8 | 16))
        | ColorType::RGB(bits @ (8 | 16))
        | ColorType::RGBA(bits @ (8 | 16))
        | ColorType::CMYK(bits @ (8 | 16)) => bits,
        other => {
            return Err(format!(
                "unsupported TIFF pixels {other:?}; expected grey, RGB or CMYK of 8 or 16 bits"
            ));
        }
    };
    let channels = usize::from(colour.num_samples());
    // Planes one after the other: only the first would be read.
    let layout = decoder.image_buffer_layout().map_err(wrong)?;
    if layout.planes > 1 {
        return Err(
            "unsupported TIFF file with its channels in separate planes; expected interleaved"
                .to_owned(),
        );
    }
    let mut samples = match decoder.read_image().map_err(wrong)? {
        DecodingResult::U8(samples) => samples,
        DecodingResult::U16(samples) => samples.into_iter().map(pixels::to_8_bits).collect(),
        _ => return Err("unsupported TIFF file: its samples are no integers".to_owned()),
    };
    if bits < 8 {
        samples = unpacked(&samples, size.0 as usize, bits);
    }
    if samples.len() != size.0 as usize * size.1 as usize * channels {
        return Err("cannot be read: the decoder returned a wrong number of pixels".to_owned());
    }
    match colour {
        ColorType::CMYK(_) => {
            let (inks, _) = samples.as_chunks::<4>();
            let rgb = inks.iter().flat_map(|ink| pixels::rgb_of_cmyk(*ink));
            Ok(pixels::bitmap(size, 3, rgb.collect()))
        }
        ColorType::Gray(bits @ 1..8) => {
            let most = (1 << bits) - 1;
            let grey = |level: u8| (u16::from(level) * 255 / most) as u8;
            Ok(pixels::bitmap(
                size,
                1,
                samples.into_iter().map(grey).collect(),
            ))
        }
        _ => Ok(pixels::bitmap(size, channels, samples)),
    }
}

/// Samples of less than 8 bits; each row begins with a new byte.
fn unpacked(packed: &[u8], width: usize, bits: u8) -> Vec<u8> {
    let per_byte = usize::from(8 / bits);
    let rows = packed.chunks_exact(width.div_ceil(per_byte).max(1));
    rows.flat_map(|row| {
        let samples = row.iter().flat_map(|byte| {
            (1..=8 / bits).map(move |number| (byte >> (8 - number * bits)) & ((1 << bits) - 1))
        });
        samples.take(width)
    })
    .collect()
}

fn wrong(error: tiff::TiffError) -> String {
    match error {
        tiff::TiffError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            truncated()
        }
        other => unreadable(other),
    }
}
