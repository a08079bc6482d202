//! IDX, the file format of MNIST and similar data sets: the magic bytes `00 00 type rank`, one big-endian `u32` per
//! dimension, then the data.
//!
//! The header is not trusted: it is checked against the actual length of the file before it is used.

use std::path::{Path, PathBuf};

use crate::limits::{CHANNELS, check_image, class_index};

/// Names of the four files, without an optional `.gz`.
pub const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// Type codes: unsigned and signed bytes, 16-bit and 32-bit signed integers. Images must be unsigned bytes.
const UNSIGNED_BYTE: u8 = 0x08;
const SIGNED_BYTE: u8 = 0x09;
const SHORT: u8 = 0x0b;
const INT: u8 = 0x0c;
/// Floats, which are refused.
const FLOAT: u8 = 0x0d;
const DOUBLE: u8 = 0x0e;

/// A decoded IDX file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    /// Type code of the values.
    pub kind: u8,
    /// Shape: (images, rows, columns) or (images, channels, rows, columns) for images, (labels,) for labels, (labels, 8) for
    /// the labels of QMNIST, whose first column is the class.
    pub dims: Vec<usize>,
    /// The values in row-major order, big-endian.
    pub data: Vec<u8>,
}

impl Idx {
    /// Channels, height and width of one image.
    ///
    /// # Errors
    /// What is wrong and what was expected, without the file's name.
    pub fn image_shape(&self) -> Result<(u32, u32, u32), String> {
        let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let shape = match self.dims.as_slice() {
            [_, c, h, w] => (side(*c), side(*h), side(*w)),
            [_, h, w] => (1, side(*h), side(*w)),
            _ => return Err("contains labels, expected images".to_owned()),
        };
        let Err(wrong) = check_image(shape) else {
            return Ok(shape);
        };
        let last = self.dims.last().copied().unwrap_or(0);
        // Files made from NumPy arrays of images often have the channels last.
        let hint = if self.dims.len() == 4 && !CHANNELS.contains(&shape.0) {
            let seen = if (1..=4).contains(&last) {
                format!(
                    "; the channels seem to be last (N×H×W×{last}): in NumPy, images.transpose(0, 3, 1, 2) puts them first"
                )
            } else {
                String::new()
            };
            format!(", in the layout N×C×H×W (images, channels, height, width){seen}")
        } else {
            String::new()
        };
        Err(format!("has {wrong}{hint}"))
    }

    /// The class index of each image.
    ///
    /// # Errors
    /// The first label that is negative or too large, without the file's name.
    pub fn labels(&self) -> Result<Vec<u16>, String> {
        let size = value_size(self.kind).unwrap_or(1);
        let columns: usize = self.dims.iter().skip(1).product();
        let values = self.data.chunks_exact(size).step_by(columns.max(1));
        let label = |(image, bytes): (usize, &[u8])| {
            let negative = self.kind != UNSIGNED_BYTE && bytes.first().is_some_and(|b| *b > 0x7f);
            let start = if negative { -1 } else { 0 };
            let value = bytes
                .iter()
                .fold(start, |value: i64, &byte| value << 8 | i64::from(byte));
            class_index(value, image)
        };
        values.enumerate().map(label).collect()
    }
}

/// The file `name` in a directory, plain or compressed (`name.gz`). If both exist, the one that was modified last: the
/// other may be out of date.
pub fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    let files = [dir.join(format!("{name}.gz")), dir.join(name)].into_iter();
    let files = files.filter(|path| path.is_file());
    files.max_by_key(|path| path.metadata().and_then(|file| file.modified()).ok())
}

/// Bytes of a value; `None` if the type is not supported.
fn value_size(kind: u8) -> Option<usize> {
    match kind {
        UNSIGNED_BYTE | SIGNED_BYTE => Some(1),
        SHORT => Some(2),
        INT => Some(4),
        _ => None,
    }
}

/// What values of a type that is not supported everywhere are.
fn type_name(kind: u8) -> Option<&'static str> {
    match kind {
        SIGNED_BYTE => Some("signed bytes"),
        SHORT => Some("16-bit integers"),
        INT => Some("32-bit integers"),
        FLOAT => Some("32-bit floats"),
        DOUBLE => Some("64-bit floats"),
        _ => None,
    }
}

/// Parses the header at the start of `bytes`; returns the file without its data, and the bytes after the header. The
/// first 4 + 4·4 bytes of a file are sufficient. The length of the data is not checked.
///
/// # Errors
/// What is wrong, where, and what was expected, without the file's name.
pub fn header(bytes: &[u8]) -> Result<(Idx, &[u8]), String> {
    let Some((&[zero_a, zero_b, kind, rank], rest)) = bytes.split_first_chunk::<4>() else {
        return Err(format!(
            "has {} bytes: too short for an IDX file, whose header has at least 8",
            bytes.len()
        ));
    };
    if zero_a != 0 || zero_b != 0 {
        return Err(format!(
            "starts with the bytes {zero_a:02x} {zero_b:02x}; expected 00 00 (IDX)"
        ));
    }
    let is_labels = rank == 1 || rank == 2 && kind == INT;
    if !is_labels && !matches!(rank, 3 | 4) {
        return Err(format!(
            "has {rank} dimensions; expected 1 (labels), 3 (grey images) or 4 (images with channels)"
        ));
    }
    if kind != UNSIGNED_BYTE && (!is_labels || value_size(kind).is_none()) {
        let integers = if is_labels {
            ", 0x09, 0x0b or 0x0c (signed integers of 1, 2 or 4 bytes)"
        } else {
            ""
        };
        let name = type_name(kind).map_or_else(String::new, |name| format!(" ({name})"));
        return Err(format!(
            "has values of type {kind:#04x}{name}; expected {UNSIGNED_BYTE:#04x} (unsigned bytes){integers}"
        ));
    }
    let header = 4 * rank as usize;
    let Some((sizes, data)) = rest.split_at_checked(header) else {
        return Err(format!(
            "ends inside its header: {} bytes, expected at least {}",
            bytes.len(),
            header + 4
        ));
    };
    let dims = sizes
        .chunks_exact(4)
        .map(|size| {
            size.iter()
                .fold(0, |sum, &byte| sum << 8 | usize::from(byte))
        })
        .collect();
    let data_less = Idx {
        kind,
        dims,
        data: Vec::new(),
    };
    Ok((data_less, data))
}

/// Parses the bytes of an uncompressed file.
///
/// # Errors
/// What is wrong, where, and what was expected, without the file's name.
pub fn parse(bytes: &[u8]) -> Result<Idx, String> {
    let (mut idx, data) = header(bytes)?;
    check_length(&idx, data.len() as u64)?;
    idx.data = data.to_vec();
    Ok(idx)
}

/// Checks that data of this length, in bytes, belong to a header.
///
/// # Errors
/// The length that the header requires; a shape without values.
pub fn check_length(idx: &Idx, length: u64) -> Result<(), String> {
    let (dims, size) = (&idx.dims, value_size(idx.kind).unwrap_or(1) as u64);
    let expected = dims
        .iter()
        .try_fold(size, |product, &dim| product.checked_mul(dim as u64));
    if expected != Some(length) {
        let claimed = expected.map_or_else(|| "more than 2^64".to_owned(), |n| n.to_string());
        let word = if expected.is_some_and(|n| n < length) {
            "too long"
        } else {
            "truncated"
        };
        return Err(format!(
            "{word}: the header {dims:?} requires {claimed} bytes of data, the file has {length}"
        ));
    }
    if dims.contains(&0) {
        return Err(format!("is empty: its shape is {dims:?}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use proptest::prelude::*;

    fn images() -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4];
        bytes.extend(0..24);
        bytes
    }

    #[test]
    fn valid_file_is_parsed() {
        let idx = parse(&images()).unwrap();
        assert_eq!(idx.dims, [2, 3, 4]);
        assert_eq!(idx.image_shape(), Ok((1, 3, 4)));
        assert_eq!(idx.data, (0..24).collect::<Vec<u8>>());
    }

    #[test]
    fn every_truncation_is_an_error() {
        let complete = images();
        for length in 0..complete.len() {
            assert!(
                parse(&complete[..length]).is_err(),
                "{length} bytes were accepted as a complete file"
            );
        }
        assert!(
            parse(&[complete, vec![0]].concat())
                .unwrap_err()
                .contains("too long")
        );
    }

    #[test]
    fn oversized_header_allocates_nothing() {
        let bytes = [
            0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        ];
        assert!(parse(&bytes).unwrap_err().contains("truncated"));
    }

    #[test]
    fn wrong_magic_type_and_rank_are_reported() {
        assert!(
            parse(&[1, 0, 8, 1, 0, 0, 0, 0])
                .unwrap_err()
                .contains("00 00")
        );
        assert!(
            parse(&[0, 0, 13, 1, 0, 0, 0, 0])
                .unwrap_err()
                .contains("type 0x0d")
        );
        assert!(
            parse(&[0, 0, 8, 2, 0, 0, 0, 0])
                .unwrap_err()
                .contains("2 dimensions")
        );
    }

    fn of_shape(dims: &[usize]) -> Idx {
        Idx {
            kind: UNSIGNED_BYTE,
            dims: dims.to_vec(),
            data: Vec::new(),
        }
    }

    #[test]
    fn images_of_one_or_three_channels_are_accepted_and_channels_last_is_named() {
        assert_eq!(of_shape(&[9, 1, 28, 30]).image_shape(), Ok((1, 28, 30)));
        assert_eq!(of_shape(&[9, 3, 32, 3]).image_shape(), Ok((3, 32, 3)));
        assert_eq!(of_shape(&[9, 4096, 1]).image_shape(), Ok((1, 4096, 1)));
        for dims in [[9, 5, 28, 28], [9, 4, 28, 28], [9, 2, 8, 8]] {
            let error = of_shape(&dims).image_shape().unwrap_err();
            assert!(error.contains("N×C×H×W"), "{error}");
            assert!(!error.contains("transpose"), "{error}");
        }
        for dims in [[9, 32, 32, 3], [9, 28, 28, 1], [9, 32, 32, 4]] {
            let error = of_shape(&dims).image_shape().unwrap_err();
            assert!(error.contains("N×C×H×W"), "{error}");
            assert!(error.contains("transpose(0, 3, 1, 2)"), "{error}");
        }
        assert!(of_shape(&[9, 4097, 3]).image_shape().is_err());
        assert!(of_shape(&[9]).image_shape().is_err());
    }

    #[test]
    fn labels_of_each_integer_type_are_read() {
        let file = |kind: u8, count: u8, data: &[u8]| {
            parse(&[&[0, 0, kind, 1, 0, 0, 0, count], data].concat()).unwrap()
        };
        assert_eq!(file(8, 2, &[0, 255]).labels(), Ok(vec![0, 255]));
        assert_eq!(file(9, 2, &[0, 127]).labels(), Ok(vec![0, 127]));
        assert_eq!(file(0x0b, 2, &[1, 44, 0, 7]).labels(), Ok(vec![300, 7]));
        assert_eq!(file(0x0c, 1, &[0, 0, 15, 255]).labels(), Ok(vec![4095]));
        for (idx, label) in [
            (file(9, 1, &[255]), "label -1 of image 0"),
            (file(0x0b, 2, &[0, 1, 255, 254]), "label -2 of image 1"),
            (file(0x0c, 1, &[0, 0, 16, 0]), "label 4096 of image 0"),
        ] {
            let error = idx.labels().unwrap_err();
            assert!(
                error.contains(label) && error.contains("0 to 4095"),
                "{error}"
            );
        }
        let floats = parse(&[0, 0, 13, 1, 0, 0, 0, 1, 0, 0, 0, 0]).unwrap_err();
        assert!(floats.contains("0x0d (32-bit floats)"), "{floats}");
        assert!(floats.contains("0x0b"), "{floats}");
        let images = parse(&[&[0, 0, 14, 3][..], &[0, 0, 0, 1].repeat(3)].concat()).unwrap_err();
        assert!(
            images.contains("0x0e (64-bit floats); expected 0x08"),
            "{images}"
        );
        let images = [&[0, 0, 0x0b, 3][..], &[0, 0, 0, 1].repeat(3), &[0, 9]].concat();
        let error = parse(&images).unwrap_err();
        assert!(
            error.contains("type 0x0b (16-bit integers); expected 0x08"),
            "{error}"
        );
    }

    #[test]
    fn the_first_column_of_qmnist_labels_is_the_class() {
        let rows = [[7, 0, 1, 2, 3, 4, 5, 6], [2, 1, 9, 9, 9, 9, 9, 9]];
        let values = rows
            .as_flattened()
            .iter()
            .flat_map(|n: &u32| n.to_be_bytes());
        let header = [0, 0, 0x0c, 2, 0, 0, 0, 2, 0, 0, 0, 8];
        let file: Vec<u8> = header.into_iter().chain(values).collect();
        assert_eq!(parse(&file).unwrap().labels(), Ok(vec![7, 2]));
        assert!(parse(&file).unwrap().image_shape().is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&bytes);
        }
    }
}
