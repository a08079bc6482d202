//! Tables of 32-bit numbers as `.npy` files: type `<f4`, shape (rows, columns). The format is described in NumPy's
//! documentation (`numpy.lib.format`, version 1.0).

use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use fs_err::File;

use super::Dir;

/// Length of the header, bytes.
const HEADER: u64 = 128;
/// Bytes of a number.
const BYTES: u64 = 4;
/// Most columns: a row of a hostile file must fit into memory.
const MOST_COLUMNS: u64 = 1 << 16;

/// The bytes of a file with the table of these numbers, row by row.
pub fn array<'a>(numbers: impl Iterator<Item = &'a f32> + Clone, columns: usize) -> Vec<u8> {
    let count = numbers.clone().count();
    let mut bytes = header((count / columns.max(1)) as u64, columns as u64);
    bytes.reserve_exact(count * BYTES as usize);
    bytes.extend(numbers.flat_map(|number| number.to_le_bytes()));
    bytes
}

fn header(rows: u64, columns: u64) -> Vec<u8> {
    let length = HEADER as usize;
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    let text =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    bytes.extend(text.as_bytes());
    bytes.resize(length - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// Such a file, open for reading.
#[derive(Debug)]
pub struct ArrayFile {
    file: File,
    rows: u64,
    columns: usize,
}

impl ArrayFile {
    /// Opens the file and checks its header and its length.
    ///
    /// # Errors
    /// The path and what is wrong.
    pub fn open(dir: &Dir, name: &str) -> io::Result<Self> {
        let mut file = dir.open_read(name)?;
        let mut start = Vec::new();
        (&mut file).take(HEADER).read_to_end(&mut start)?;
        let length = file.metadata()?.len();
        let shape = shape(&start).filter(|&(rows, columns)| {
            let numbers = rows.checked_mul(columns);
            let bytes = numbers.and_then(|numbers| numbers.checked_mul(BYTES)?.checked_add(HEADER));
            bytes == Some(length) && columns <= MOST_COLUMNS && start == header(rows, columns)
        });
        let (rows, columns) = shape.ok_or_else(|| {
            let path = dir.path().join(name);
            let text = format!("{}: not a complete table of numbers (.npy)", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        let columns = usize::try_from(columns).map_err(io::Error::other)?;
        Ok(Self {
            file,
            rows,
            columns,
        })
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The numbers of `count` rows from row `from` on.
    ///
    /// # Errors
    /// If the file has no such rows or cannot be read.
    pub fn read(&self, from: u64, count: usize) -> io::Result<Vec<f32>> {
        let end = from.checked_add(count as u64);
        if end.is_none_or(|end| end > self.rows) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut row = vec![0; self.columns * BYTES as usize];
        let mut numbers = Vec::with_capacity(count * self.columns);
        for number in from..from + count as u64 {
            let place = HEADER + number * row.len() as u64;
            self.file.file().read_exact_at(&mut row, place)?;
            numbers.extend(row.as_chunks().0.iter().copied().map(f32::from_le_bytes));
        }
        Ok(numbers)
    }
}

/// The shape in a header.
fn shape(header: &[u8]) -> Option<(u64, u64)> {
    let text = String::from_utf8_lossy(header);
    let (_, rest) = text.split_once("'shape': (")?;
    let (rows, columns) = rest.split_once(')')?.0.split_once(", ")?;
    Some((rows.parse().ok()?, columns.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    /// `io.BytesIO` with `numpy.save(file, numpy.zeros((3, 3), "<f4"))` begins with these bytes.
    #[test]
    fn header_is_that_of_numpy() {
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }";
        let expected = format!("\x01\0v\0{text}{}\n", " ".repeat(117 - text.len()));
        let found = header(3, 3);
        assert_eq!(found.len(), 128);
        assert_eq!(&found[..6], b"\x93NUMPY");
        assert_eq!(&found[6..], expected.as_bytes());
    }

    #[test]
    fn tables_round_trip_bit_for_bit_and_damaged_files_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        let numbers = [
            1.0,
            -0.0,
            f32::NEG_INFINITY,
            0.1,
            1e-30,
            3.4e38,
            4.0,
            5.0,
            6.0,
        ];
        let bytes = array(numbers.iter(), 3);
        std::fs::write(place.path().join("a"), &bytes).unwrap();
        let file = ArrayFile::open(&dir, "a").unwrap();
        assert_eq!((file.rows(), file.columns()), (3, 3));
        assert_eq!(file.read(1, 2).unwrap(), numbers[3..]);
        let first = file.read(0, 1).unwrap();
        assert!(first[1].is_sign_negative() && first[2] == f32::NEG_INFINITY);
        assert!(file.read(2, 2).is_err() && file.read(u64::MAX, 2).is_err());
        let mut other = bytes.clone();
        other[22] = b'8';
        let mut huge = header(1 << 62, 16);
        huge.extend([0; 4]);
        let wide = array(vec![0.0; 70_000].iter(), 70_000);
        for damaged in [
            &bytes[..bytes.len() - 1],
            &bytes[..60],
            &[],
            &other,
            &huge,
            &wide,
        ] {
            std::fs::write(place.path().join("b"), damaged).unwrap();
            let error = ArrayFile::open(&dir, "b").unwrap_err().to_string();
            assert!(
                error.ends_with("/b: not a complete table of numbers (.npy)"),
                "{error}"
            );
        }
    }
}
