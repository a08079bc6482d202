//! What is known of the published Fashion-MNIST.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use md5::{Digest, Md5};

use super::DataError;
use super::idx::{FILES, find};
use crate::config::FASHION;

/// [`super::Dataset::idx_fingerprint`] of the published Fashion-MNIST.
const FASHION_FINGERPRINT: &str =
    "7cefeef614751bd02956982773e9dc8a2926bf09f92917d2b001adf207d3b02d";

/// MD5 of the uncompressed files of Fashion-MNIST, in the order of [`FILES`]. Its authors publish checksums of the
/// compressed files, but distributions compress the same bytes again, with other gzip headers.
const FASHION_MD5: [&str; 4] = [
    "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "9018921c3c673c538a1fc5bad174d6f9",
    "8181f5470baa50b63fa0f6fddb340f0a",
    "15d484375f8d13e6eb1aabb0c3f46965",
];

/// MD5 of the uncompressed contents of a file, in hex.
pub fn md5_unpacked(path: &Path) -> Result<String, DataError> {
    let wrong = |error: io::Error| DataError(format!("{}: {error}", path.display()));
    let mut reader = BufReader::new(File::open(path).map_err(wrong)?);
    let is_gzip = reader.fill_buf().map_err(wrong)?.starts_with(&[0x1f, 0x8b]);
    let mut reader: Box<dyn Read> = if is_gzip {
        Box::new(MultiGzDecoder::new(reader))
    } else {
        Box::new(reader)
    };
    let mut digest = Md5::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = reader.read(&mut buffer).map_err(wrong)?;
        if count == 0 {
            break;
        }
        digest.update(buffer.get(..count).unwrap_or_default());
    }
    let digest = digest.finalize();
    let bytes: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(bytes.concat())
}

/// Whether the labels in a directory are those of Fashion-MNIST, so that its class names are right.
pub(super) fn has_fashion_labels(dir: &Path) -> bool {
    let labels = FILES.iter().zip(FASHION_MD5).skip(1).step_by(2);
    labels.into_iter().all(|(file, known)| {
        find(dir, file).is_some_and(|path| md5_unpacked(&path).is_ok_and(|sum| sum == known))
    })
}

/// The published MD5 of the uncompressed file `index` of [`FILES`], for datasets with built-in checksums.
pub fn known_md5(name: &str, index: usize) -> Option<&'static str> {
    (name == FASHION)
        .then(|| FASHION_MD5.get(index).copied())
        .flatten()
}

/// A warning if the data set of this name differs from the published files.
pub(super) fn known_data_warning(name: &str, fingerprint: Option<&str>) -> Option<String> {
    let fingerprint = fingerprint?;
    (name == FASHION && fingerprint != FASHION_FINGERPRINT).then(|| {
        "not the published images of fashion-mnist; run `epochtop data check`, or set data.name"
            .to_owned()
    })
}
