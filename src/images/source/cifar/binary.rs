//! The binary files of CIFAR: records of labels and an image.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::super::super::DataError;
use super::super::arrays::{Layout, Part, Store, skip};
use super::super::common::{file_name, listed_names, wrong};
use super::{Batch, IMAGE, Kind};
use crate::limits::class_index;

/// Longest list of class names, bytes.
const LONGEST_LIST: u64 = 64 << 10;

/// Bytes of labels before an image: one, or a coarse and a fine one.
fn lead(kind: Kind) -> u64 {
    1 + u64::from(kind.is_fine())
}

/// Bytes of a record.
pub(super) fn record(kind: Kind) -> u64 {
    lead(kind) + IMAGE
}

/// Reads the labels of a file.
pub(super) fn batch(path: &Path, kind: Kind) -> Result<Batch, DataError> {
    let (lead, record) = (lead(kind), record(kind));
    let file = File::open(path).map_err(|error| wrong(path, error))?;
    let length = file.metadata().map_err(|error| wrong(path, error))?.len();
    if length % record != 0 {
        return Err(wrong(
            path,
            format!(
                "truncated: {length} bytes are {} records of {record} bytes ({}) and {} bytes more",
                length / record,
                kind.title(),
                length % record
            ),
        ));
    }
    let images = usize::try_from(length / record).unwrap_or(usize::MAX);
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let mut labels = Vec::new();
    for image in 0..images {
        let mut bytes = [0; 2];
        let read = reader
            .read_exact(bytes.get_mut(..lead as usize).unwrap_or_default())
            .and_then(|()| skip(&mut reader, IMAGE));
        read.map_err(|error| wrong(path, format!("image {image}: {error}")))?;
        // The fine label comes after the coarse one.
        let [first, second] = bytes;
        let label = if kind.is_fine() { second } else { first };
        let label = class_index(i64::from(label), image);
        labels.push(label.map_err(|what| wrong(path, what))?);
    }
    Ok(Batch {
        part: Part {
            path: path.to_owned(),
            name: file_name(path),
            images,
            store: Store::Plain,
            offset: 0,
            lead: lead as usize,
            layout: Layout::ChannelsFirst,
            fortran: None,
        },
        labels,
    })
}

/// Class names, one per line.
pub(super) fn names(path: &Path) -> Result<Vec<String>, DataError> {
    let fail = |error: std::io::Error| wrong(path, error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(fail)?;
    file.take(LONGEST_LIST)
        .read_to_end(&mut bytes)
        .map_err(fail)?;
    listed_names(path, &bytes)
}
