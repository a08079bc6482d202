//! What an array contains: pixels or labels.

use std::io::Read;

use super::super::super::DataError;
use super::super::arrays::Layout;
use super::super::numbers::{integer_size, integers, type_in_words};
use super::entry::Entry;
use super::header::{Header, header};
use crate::limits::class_index;
use crate::limits::{CHANNELS, check_image};

/// Size limit for labels, bytes.
const LABEL_LIMIT: u64 = 1 << 30;

/// An array of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pixels {
    /// Number of images.
    pub(super) count: usize,
    /// Channels, height and width of an image.
    pub(super) shape: (u32, u32, u32),
    /// Order of the values of an image.
    pub(super) layout: Layout,
    /// The shape of the array if it is in Fortran order.
    pub(super) fortran: Option<[usize; 4]>,
    /// Where the values begin in the array.
    pub(super) offset: u64,
    /// How an ambiguous shape was read.
    pub(super) note: Option<String>,
}

/// "60000×28×28".
fn in_words(shape: &[u64]) -> String {
    let sides: Vec<String> = shape.iter().map(u64::to_string).collect();
    sides.join("×")
}

/// Checks that the array has as many bytes as its header says.
fn check_length(entry: &Entry, header: &Header, size: u64) -> Result<u64, DataError> {
    let values = header
        .shape
        .iter()
        .try_fold(size, |product, side| product.checked_mul(*side));
    let expected = values.and_then(|values| values.checked_add(header.offset));
    let shape = in_words(&header.shape);
    match expected {
        Some(expected) if expected == entry.length => Ok(expected - header.offset),
        Some(expected) => Err(entry.wrong(format!(
            "{}: the shape {shape} requires {expected} bytes, the array has {}",
            if expected > entry.length {
                "truncated"
            } else {
                "too long"
            },
            entry.length
        ))),
        None => Err(entry.wrong(format!("its shape {shape} exceeds 2^64 bytes"))),
    }
}

/// Reads the header of an array of images.
pub(super) fn pixels(entry: &Entry) -> Result<Pixels, DataError> {
    let header = header(&mut entry.open()?).map_err(|what| entry.wrong(what))?;
    if !matches!(header.dtype.as_str(), "|u1" | "<u1" | ">u1" | "u1") {
        let hint = if header.dtype.contains('f') {
            "; floats of 0 to 1 become bytes with (images * 255).round().astype(numpy.uint8)"
        } else {
            ""
        };
        return Err(entry.wrong(format!(
            "images of {}; expected bytes (uint8){hint}",
            type_in_words(&header.dtype)
        )));
    }
    check_length(entry, &header, 1)?;
    let dims = in_words(&header.shape);
    let is_colour = |side: u64| CHANNELS.iter().any(|channels| u64::from(*channels) == side);
    let (count, channels, height, width, layout, note) = match *header.shape.as_slice() {
        [count, height, width] => (count, 1, height, width, Layout::ChannelsLast, None),
        [count, height, width, channels] if is_colour(channels) => {
            let note = is_colour(height).then(|| {
                format!(
                    "{}: the shape {dims} is read as N×H×W×C (channels last)",
                    entry.title()
                )
            });
            (count, channels, height, width, Layout::ChannelsLast, note)
        }
        [count, channels, height, width] if is_colour(channels) => {
            (count, channels, height, width, Layout::ChannelsFirst, None)
        }
        [_, _] => {
            return Err(entry.wrong(format!(
                "images of the shape {dims}: flattened; expected N×H×W, which images.reshape(-1, height, width) makes"
            )));
        }
        _ => {
            return Err(entry.wrong(format!(
                "images of the shape {dims}; expected N×H×W, N×H×W×C or N×C×H×W of 1 or 3 channels"
            )));
        }
    };
    let side = |side: u64| u32::try_from(side).unwrap_or(u32::MAX);
    let shape = (side(channels), side(height), side(width));
    check_image(shape).map_err(|what| entry.wrong(format!("has {what}")))?;
    let count = usize::try_from(count).map_err(|_| entry.wrong("too many images"))?;
    let sides = [count, height as usize, width as usize, channels as usize];
    let [images, height, width, channels] = sides;
    let in_order = match layout {
        Layout::ChannelsFirst => [images, channels, height, width],
        Layout::ChannelsLast | Layout::Transposed => sides,
    };
    Ok(Pixels {
        count,
        shape,
        layout,
        fortran: header.fortran.then_some(in_order),
        offset: header.offset,
        note,
    })
}

/// Reads an array of labels.
pub(super) fn label_values(entry: &Entry) -> Result<Vec<u16>, DataError> {
    let mut reader = entry.open()?;
    let header = header(&mut reader).map_err(|what| entry.wrong(what))?;
    let dims = in_words(&header.shape);
    match header.shape.as_slice() {
        [_] | [_, 1] => {}
        [_, columns] => {
            return Err(entry.wrong(format!(
                "labels of the shape {dims}: {columns} columns are a multi-label or one-hot data set; expected one class \
                 number for each image, which labels.argmax(axis=1) makes from one-hot labels"
            )));
        }
        _ => {
            return Err(entry.wrong(format!(
                "labels of the shape {dims}; expected N or N×1, one class number for each image"
            )));
        }
    }
    let words = || {
        format!(
            "labels of {}; expected integers",
            type_in_words(&header.dtype)
        )
    };
    let size = integer_size(&header.dtype).ok_or_else(|| entry.wrong(words()))?;
    let length = check_length(entry, &header, size as u64)?;
    if length > LABEL_LIMIT {
        return Err(entry.wrong(format!(
            "{length} bytes of labels; expected at most {LABEL_LIMIT}"
        )));
    }
    let mut bytes = Vec::new();
    // To the end, so that the checksum of a member is checked.
    let read = reader.take(length + 1).read_to_end(&mut bytes);
    read.map_err(|error| entry.wrong(error))?;
    if bytes.len() as u64 != length {
        return Err(entry.wrong(format!(
            "truncated: {} of {length} bytes of labels",
            bytes.len()
        )));
    }
    let values = integers(&header.dtype, &bytes).map_err(|what| entry.wrong(what))?;
    let values = values.iter().enumerate();
    let labels = values.map(|(image, value)| class_index(*value, image));
    let labels: Result<Vec<u16>, String> = labels.collect();
    labels.map_err(|what| entry.wrong(what))
}
