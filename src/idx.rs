//! IDX, the file format of MNIST and similar data sets: the magic bytes `00 00 type rank`, one big-endian `u32` per
//! dimension, then the data.
//!
//! The header is not trusted: it is checked against the actual length of the file before it is used.

/// Type code of unsigned bytes, the only type of images and labels.
const UNSIGNED_BYTE: u8 = 0x08;

/// A decoded IDX file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    /// Shape: (images, rows, columns) or (images, channels, rows, columns) for images, (labels,) for labels.
    pub dims: Vec<usize>,
    /// The data in row-major order; its length is the product of `dims`.
    pub data: Vec<u8>,
}

impl Idx {
    /// Channels, height and width of one image; zeros for labels.
    pub fn image_shape(&self) -> (u32, u32, u32) {
        match self.dims.as_slice() {
            [_, c, h, w] => (*c as u32, *h as u32, *w as u32),
            [_, h, w] => (1, *h as u32, *w as u32),
            _ => (0, 0, 0),
        }
    }
}

/// Parses the header at the start of `bytes`; returns the shape and the bytes after the header. The first 4 + 4·4 bytes
/// of a file are sufficient. The length of the data is not checked.
///
/// # Errors
/// What is wrong, where, and what was expected, without the file's name.
pub fn header(bytes: &[u8]) -> Result<(Vec<usize>, &[u8]), String> {
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
    if kind != UNSIGNED_BYTE {
        return Err(format!(
            "has values of type {kind:#04x}; expected {UNSIGNED_BYTE:#04x} (unsigned bytes)"
        ));
    }
    if !matches!(rank, 1 | 3 | 4) {
        return Err(format!(
            "has {rank} dimensions; expected 1 (labels), 3 (grey images) or 4 (images with channels)"
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
    Ok((dims, data))
}

/// Parses the bytes of an uncompressed file.
///
/// # Errors
/// What is wrong, where, and what was expected, without the file's name.
pub fn parse(bytes: &[u8]) -> Result<Idx, String> {
    let (dims, data) = header(bytes)?;
    let expected = dims
        .iter()
        .try_fold(1_u64, |product, &dim| product.checked_mul(dim as u64));
    if expected != Some(data.len() as u64) {
        let claimed = expected.map_or_else(|| "more than 2^64".to_owned(), |n| n.to_string());
        let word = if expected.is_some_and(|n| n < data.len() as u64) {
            "too long"
        } else {
            "truncated"
        };
        return Err(format!(
            "{word}: the header {dims:?} requires {claimed} bytes of data, the file has {}",
            data.len()
        ));
    }
    if dims.contains(&0) {
        return Err(format!("is empty: its shape is {dims:?}"));
    }
    if dims.iter().skip(1).any(|&dim| dim > 4096) {
        return Err(format!(
            "has images of {:?} pixels; at most 4096 per side are supported",
            dims.get(1..).unwrap_or_default()
        ));
    }
    Ok(Idx {
        dims,
        data: data.to_vec(),
    })
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
        assert_eq!(idx.image_shape(), (1, 3, 4));
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

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&bytes);
        }
    }
}
