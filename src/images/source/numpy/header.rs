//! The header of an `.npy` file: magic bytes, version, length, and a Python dictionary with type, order and shape.
//!
//! The format is described in NumPy's documentation (`numpy.lib.format`). NumPy writes the dictionary itself, so that only
//! its own spelling is read; nothing is evaluated.

use std::io::Read;

/// The first bytes of a file.
const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest dictionary, bytes: NumPy refuses longer ones as unsafe.
const LONGEST: u32 = 10_000;
/// Most dimensions of an array in NumPy 2.
const MOST_DIMENSIONS: usize = 64;

/// Type, order and shape of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// The type in NumPy's notation: byte order, kind and bytes, such as "|u1" or "<i8".
    pub(super) dtype: String,
    /// Whether the first index varies fastest.
    pub(super) fortran: bool,
    /// The shape.
    pub(super) shape: Vec<u64>,
    /// Length of the header, which is where the values begin.
    pub(super) offset: u64,
}

/// Reads the header at the start of an array.
///
/// # Errors
/// What is wrong and what was expected, without the name of the array.
pub(super) fn header(reader: &mut impl Read) -> Result<Header, String> {
    let ended = |error: std::io::Error| format!("ends inside its header ({error})");
    let mut start = [0; 8];
    reader.read_exact(&mut start).map_err(ended)?;
    let Some([major, _]) = start.strip_prefix(MAGIC) else {
        return Err("not an .npy array: it does not start with \\x93NUMPY".to_owned());
    };
    let (length, before) = match major {
        1 => {
            let mut length = [0; 2];
            reader.read_exact(&mut length).map_err(ended)?;
            (u32::from(u16::from_le_bytes(length)), 10)
        }
        2 | 3 => {
            let mut length = [0; 4];
            reader.read_exact(&mut length).map_err(ended)?;
            (u32::from_le_bytes(length), 12)
        }
        _ => {
            return Err(format!(
                "version {major} of the .npy format; expected 1 to 3"
            ));
        }
    };
    if length > LONGEST {
        return Err(format!(
            "a header of {length} bytes; expected at most {LONGEST}"
        ));
    }
    let mut text = Vec::new();
    let read = reader.take(u64::from(length)).read_to_end(&mut text);
    read.map_err(ended)?;
    if text.len() as u64 != u64::from(length) {
        return Err("ends inside its header".to_owned());
    }
    let text = String::from_utf8_lossy(&text);
    parse(&text, before + u64::from(length)).ok_or_else(|| {
        format!(
            "its header is {:?}; expected {{'descr': …, 'fortran_order': …, 'shape': …}}",
            text.trim()
        )
    })
}

fn parse(text: &str, offset: u64) -> Option<Header> {
    let value = |key: &str| {
        let (_, rest) = text.split_once(key)?;
        Some(rest.trim_start().strip_prefix(':')?.trim_start())
    };
    let descr = value("'descr'")?;
    // The type of records is a list of fields, not a word.
    let dtype = match descr.strip_prefix('\'') {
        Some(word) => word.split_once('\'')?.0.to_owned(),
        None if descr.starts_with('[') => "V".to_owned(),
        None => return None,
    };
    let order = value("'fortran_order'")?;
    let fortran = order.starts_with("True");
    if !fortran && !order.starts_with("False") {
        return None;
    }
    let (shape, _) = value("'shape'")?.strip_prefix('(')?.split_once(')')?;
    // Python 2 writes long integers with an L.
    let words = shape
        .split(',')
        .map(|word| word.trim().trim_end_matches('L'));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    if words.len() > MOST_DIMENSIONS {
        return None;
    }
    let shape = words.iter().map(|word| word.parse::<u64>().ok());
    Some(Header {
        dtype,
        fortran,
        shape: shape.collect::<Option<Vec<u64>>>()?,
        offset,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use proptest::prelude::*;

    fn file(version: u8, text: &str) -> Vec<u8> {
        let length = text.len() as u32;
        let length = match version {
            1 => (length as u16).to_le_bytes().to_vec(),
            _ => length.to_le_bytes().to_vec(),
        };
        [MAGIC, &[version, 0], &length, text.as_bytes()].concat()
    }

    fn read(version: u8, text: &str) -> Result<Header, String> {
        header(&mut file(version, text).as_slice())
    }

    #[test]
    fn headers_of_all_versions_are_read() {
        for version in 1..=3 {
            let text = "{'descr': '<i8', 'fortran_order': False, 'shape': (7, 1), }      \n";
            let found = read(version, text).unwrap();
            assert_eq!(found.dtype, "<i8");
            assert_eq!((found.fortran, found.shape), (false, vec![7, 1]));
            assert_eq!(found.offset as usize, file(version, text).len());
        }
        let found = read(
            1,
            "{'descr': '|u1', 'fortran_order': True, 'shape': (3L,), }",
        )
        .unwrap();
        assert_eq!((found.fortran, found.shape), (true, vec![3]));
        let found = read(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (), }").unwrap();
        assert_eq!(found.shape, Vec::<u64>::new());
        let records = "{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (2,), }";
        assert_eq!(read(1, records).unwrap().dtype, "V");
    }

    #[test]
    fn damaged_headers_are_refused() {
        for text in [
            "{}",
            "{'descr': '|u1', 'fortran_order': None, 'shape': (3,), }",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (3, -1), }",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,), }",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (3,",
            "{'descr': __import__('os'), 'fortran_order': False, 'shape': (3,), }",
        ] {
            assert!(
                read(1, text).unwrap_err().contains("its header is"),
                "{text}"
            );
        }
        assert!(read(4, "").unwrap_err().contains("version 4"));
        assert!(
            header(&mut &b"PK\x03\x04aaaaaaaaa"[..])
                .unwrap_err()
                .contains("NUMPY")
        );
        let endless = [MAGIC, &[2, 0, 255, 255, 255, 255]].concat();
        assert!(
            header(&mut endless.as_slice())
                .unwrap_err()
                .contains("4294967295")
        );
        let complete = file(
            1,
            "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }",
        );
        for length in 0..complete.len() {
            assert!(header(&mut &complete[..length]).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..99), text in "[ ('descrfoatnhp_,:)LTue0-9}]*") {
            let _ = header(&mut bytes.as_slice());
            let _ = header(&mut [MAGIC, &[1, 0], &bytes].concat().as_slice());
            let _ = read(1, &text);
        }
    }
}
