//! Reading of IDX files, gzip-compressed or not. Compression is detected by the gzip magic number. [`crate::idx`]
//! checks the contents.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::DataError;
use crate::idx::{Idx, parse};

/// Size limit for a file, compressed or not, in bytes. No valid dataset is larger.
const LIMIT: u64 = 8 << 30;

/// Reads and checks an IDX file, compressed or not.
pub(super) fn read(path: &Path) -> Result<Idx, DataError> {
    parse(&unpacked(path)?).map_err(|what| DataError(format!("{}: {what}", path.display())))
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
pub(super) fn read_pair(images: &Path, labels: &Path) -> Result<(Idx, Idx), DataError> {
    let (image_file, label_file) = (read(images)?, read(labels)?);
    if image_file.dims.len() < 3 {
        return Err(DataError(format!(
            "{}: contains labels, expected images",
            images.display()
        )));
    }
    if label_file.dims.len() != 1 {
        return Err(DataError(format!(
            "{}: contains images, expected labels",
            labels.display()
        )));
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
    Ok((image_file, label_file))
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
