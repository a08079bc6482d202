//! `predictions.npy`: the logits of an evaluation whose `predictions.csv` would be too large with them.
//!
//! The array has the type `<f4` and the shape (rows, classes); its rows are those of the CSV file. The format is described in
//! NumPy's documentation (`numpy.lib.format`, version 1.0).

use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use fs_err::File;

use super::Predictions;
use crate::files::Dir;
use crate::limits::check_classes;

/// Name of the file with the logits of a run's result.
pub const LOGITS: &str = "predictions.npy";
/// Most logits in `predictions.csv`: 100 MB of 32-bit numbers, which take about three times as much as text.
const MOST_IN_CSV: usize = 25_000_000;
/// Length of the header, bytes.
const HEADER: u64 = 128;
/// Bytes of a logit.
const BYTES: u64 = 4;

/// Whether the logits of these splits are too many for a CSV file.
pub(super) fn is_too_large_for_csv(splits: &[&Predictions]) -> bool {
    let logits = splits.iter().map(|split| split.logits.len());
    logits.sum::<usize>() > MOST_IN_CSV
}

/// The bytes of the file.
pub(super) fn logits_file(splits: &[&Predictions]) -> Vec<u8> {
    let classes = splits.first().map_or(0, |split| split.classes);
    let logits = || splits.iter().flat_map(|split| &split.logits);
    let rows = logits().count() / classes.max(1);
    let mut bytes = header(rows as u64, classes as u64);
    bytes.extend(logits().flat_map(|logit| logit.to_le_bytes()));
    bytes
}

fn header(rows: u64, classes: u64) -> Vec<u8> {
    let length = HEADER as usize;
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    let text =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {classes}), }}");
    bytes.extend(text.as_bytes());
    bytes.resize(length - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// Such a file, open for reading.
#[derive(Debug)]
pub struct LogitsFile {
    file: File,
    rows: u64,
    classes: usize,
}

impl LogitsFile {
    /// Opens the file and checks its header and its length.
    ///
    /// # Errors
    /// The path and what is wrong.
    pub fn open(dir: &Dir, name: &str) -> io::Result<Self> {
        let mut file = dir.open_read(name)?;
        let mut start = Vec::new();
        (&mut file).take(HEADER).read_to_end(&mut start)?;
        let length = file.metadata()?.len();
        let shape = shape(&start).filter(|&(rows, classes)| {
            let logits = rows.checked_mul(classes);
            let bytes = logits.and_then(|logits| logits.checked_mul(BYTES)?.checked_add(HEADER));
            bytes == Some(length) && start == header(rows, classes)
        });
        let bad = |what: &str| {
            let text = format!("{}: {what}", dir.path().join(name).display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        let (rows, classes) = shape.ok_or_else(|| bad("not a complete file of logits"))?;
        let classes = usize::try_from(classes).unwrap_or(usize::MAX);
        check_classes(classes).map_err(|what| bad(&what))?;
        Ok(Self {
            file,
            rows,
            classes,
        })
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The logits of `count` rows from row `from` on.
    ///
    /// # Errors
    /// If the file has no such rows or cannot be read.
    pub fn read(&self, from: u64, count: usize) -> io::Result<Vec<f32>> {
        let end = from.checked_add(count as u64);
        if end.is_none_or(|end| end > self.rows) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; count * self.classes * BYTES as usize];
        let place = HEADER + from * self.classes as u64 * BYTES;
        self.file.file().read_exact_at(&mut bytes, place)?;
        let (logits, _) = bytes.as_chunks();
        Ok(logits.iter().copied().map(f32::from_le_bytes).collect())
    }
}

/// The shape in a header.
fn shape(header: &[u8]) -> Option<(u64, u64)> {
    let text = String::from_utf8_lossy(header);
    let (_, rest) = text.split_once("'shape': (")?;
    let (rows, classes) = rest.split_once(')')?.0.split_once(", ")?;
    Some((rows.parse().ok()?, classes.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use crate::event::Split;

    fn split(split: Split, logits: &[f32]) -> Predictions {
        Predictions {
            split,
            logits: logits.to_vec(),
            labels: vec![0; logits.len() / 3],
            classes: 3,
        }
    }

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
    fn logits_round_trip_bit_for_bit_and_damaged_files_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        let valid = split(Split::Valid, &[1.0, -0.0, f32::NEG_INFINITY]);
        let test = split(Split::Test, &[0.1, 1e-30, 3.4e38, 4.0, 5.0, 6.0]);
        let bytes = logits_file(&[&valid, &test]);
        std::fs::write(place.path().join("a"), &bytes).unwrap();
        let file = LogitsFile::open(&dir, "a").unwrap();
        assert_eq!((file.rows(), file.classes()), (3, 3));
        assert_eq!(file.read(1, 2).unwrap(), test.logits);
        let first = file.read(0, 1).unwrap();
        assert!(first[1].is_sign_negative() && first[2] == f32::NEG_INFINITY);
        assert!(file.read(2, 2).is_err() && file.read(u64::MAX, 2).is_err());
        let mut other = bytes.clone();
        other[22] = b'8';
        let mut huge = header(1 << 62, 16);
        huge.extend([0; 4]);
        for damaged in [&bytes[..bytes.len() - 1], &bytes[..60], &[], &other, &huge] {
            std::fs::write(place.path().join("b"), damaged).unwrap();
            let error = LogitsFile::open(&dir, "b").unwrap_err().to_string();
            assert!(
                error.ends_with("/b: not a complete file of logits"),
                "{error}"
            );
        }
    }
}
