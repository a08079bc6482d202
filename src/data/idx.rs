//! Reading of IDX files, gzip-compressed or not. Compression is detected by the gzip magic number. [`crate::idx`]
//! checks the contents.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use flate2::Crc;
use flate2::read::MultiGzDecoder;

use super::DataError;
use crate::idx::{Idx, parse};

/// Size limit for a file, compressed or not, in bytes. No valid dataset is larger.
const LIMIT: u64 = 8 << 30;

/// Images with their labels.
pub(super) struct Pair {
    /// The image file.
    pub(super) images: Idx,
    /// Channels, height and width of an image.
    pub(super) shape: (u32, u32, u32),
    /// The label file.
    pub(super) label_file: Idx,
    /// The class index of each image.
    pub(super) labels: Vec<u16>,
}

/// Reads and checks an IDX file, compressed or not. Adds a warning if it also exists in the other form, with other
/// contents.
fn read(path: &Path, warnings: &mut Vec<String>) -> Result<Idx, DataError> {
    let bytes = unpacked(path)?;
    let other = if path.extension().is_some_and(|extension| extension == "gz") {
        path.with_extension("")
    } else {
        path.with_extension("gz")
    };
    if other.is_file() && !has_contents(&other, &bytes) {
        warnings.push(format!(
            "{} and {} have different contents: using {}, which is newer; delete the other one",
            path.display(),
            other.display(),
            path.file_name().unwrap_or_default().display()
        ));
    }
    parse(&bytes).map_err(|what| wrong(path, what))
}

fn wrong(path: &Path, what: impl std::fmt::Display) -> DataError {
    DataError(format!("{}: {what}", path.display()))
}

/// Whether the file, decompressed if it is compressed, has these contents. The checksum and the length at the end of a
/// gzip file usually answer this without decompression.
fn has_contents(path: &Path, contents: &[u8]) -> bool {
    let mut crc = Crc::new();
    crc.update(contents);
    let trailer = [crc.sum(), crc.amount()].map(u32::to_le_bytes).concat();
    let mut last = [0; 8];
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::End(-8))?;
        file.read_exact(&mut last)
    });
    read.is_ok() && last == *trailer || unpacked(path).is_ok_and(|bytes| bytes == contents)
}

/// The bytes of a file, decompressed if it is compressed.
pub(super) fn unpacked(path: &Path) -> Result<Vec<u8>, DataError> {
    let fail = |what: String| DataError(format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(|error| fail(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(LIMIT)
        .read_to_end(&mut bytes)
        .map_err(|error| fail(error.to_string()))?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        bytes = gunzip(&bytes).map_err(fail)?;
    }
    Ok(bytes)
}

fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let read = MultiGzDecoder::new(bytes).take(LIMIT).read_to_end(&mut out);
    match read {
        Err(error) => Err(format!(
            "damaged gzip data after {} bytes ({error}): download the file again",
            out.len()
        )),
        Ok(_) if out.len() as u64 >= LIMIT => {
            Err(format!("decompresses to over {} GiB", LIMIT >> 30))
        }
        Ok(_) => Ok(out),
    }
}

/// Reads an image file and its label file and checks that they match.
pub(super) fn read_pair(
    images: &Path,
    labels: &Path,
    warnings: &mut Vec<String>,
) -> Result<Pair, DataError> {
    let (image_file, label_file) = (read(images, warnings)?, read(labels, warnings)?);
    let shape = image_file
        .image_shape()
        .map_err(|what| wrong(images, what))?;
    if label_file.dims.len() != 1 {
        return Err(wrong(labels, "contains images, expected labels"));
    }
    let (count, label_count) = (image_file.dims.first(), label_file.dims.first());
    if count != label_count {
        return Err(DataError(format!(
            "{} has {} images, but {} has {} labels: the files do not match",
            images.display(),
            count.unwrap_or(&0),
            labels.display(),
            label_count.unwrap_or(&0)
        )));
    }
    Ok(Pair {
        labels: label_file.labels().map_err(|what| wrong(labels, what))?,
        images: image_file,
        shape,
        label_file,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = gunzip(&bytes);
            let _ = gunzip(&[&[0x1f, 0x8b, 8, 0], bytes.as_slice()].concat());
        }
    }
}
