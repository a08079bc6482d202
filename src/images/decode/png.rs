//! PNG files.

use std::io::{Cursor, ErrorKind};

use png::{BitDepth, DecodingError, Transformations};

use super::super::Bitmap;
use super::reader::Reader;
use super::{pixels, truncated, unreadable};

const END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";

/// Decodes the image, or the first one of an animation. A file that ends behind its pixels is accepted, as Pillow does: only
/// the end marker or texts are missing.
pub(super) fn decode(bytes: &[u8], size: (u32, u32)) -> Result<Bitmap, String> {
    let found = match read(bytes, size) {
        Err(Wrong::Truncated) => {
            let chunks = bytes.get(..end_of_chunks(bytes)).unwrap_or_default();
            read(&[chunks, END].concat(), size).map_err(|_| Wrong::Truncated)
        }
        other => other,
    };
    found.map_err(|wrong| match wrong {
        Wrong::Truncated => truncated(),
        Wrong::Other(error) => unreadable(error),
    })
}

enum Wrong {
    Truncated,
    Other(String),
}

impl From<DecodingError> for Wrong {
    fn from(error: DecodingError) -> Self {
        match error {
            DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Self::Truncated
            }
            other => Self::Other(other.to_string()),
        }
    }
}

/// Where the last complete chunk ends.
fn end_of_chunks(bytes: &[u8]) -> usize {
    let mut at = 8;
    // Length, type and checksum of a chunk have 12 bytes.
    while let Some(length) = Reader::big(bytes).u32(at)
        && let Some(end) = at.checked_add(12 + length as usize)
        && end <= bytes.len()
    {
        at = end;
    }
    at
}

fn read(bytes: &[u8], size: (u32, u32)) -> Result<Bitmap, Wrong> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    // Palettes become RGB, transparent colours an alpha channel, 1 to 4 bits become 8.
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info()?;
    let found = (reader.info().width, reader.info().height);
    let length = reader.output_buffer_size().filter(|_| found == size);
    let length = length.ok_or_else(|| Wrong::Other("two headers of different sizes".to_owned()))?;
    let mut samples = vec![0; length];
    let frame = reader.next_frame(&mut samples)?;
    // The checksum of the last pixels comes behind them.
    reader.finish()?;
    samples.truncate(frame.buffer_size());
    if frame.bit_depth == BitDepth::Sixteen {
        let (pairs, _) = samples.as_chunks::<2>();
        samples = pairs
            .iter()
            .map(|pair| pixels::to_8_bits(u16::from_be_bytes(*pair)))
            .collect();
    }
    Ok(pixels::bitmap(size, frame.color_type.samples(), samples))
}
