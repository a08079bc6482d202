//! Parses the rows of `predictions.csv`: `split,index,label,predicted,confidence,logit_0,logit_1,…`. If there were too many
//! logits, they are in a file of their own ([`ArrayFile`]).

use std::io::{self, BufReader};

use crate::files::{ArrayFile, Dir, read_line};
use crate::limits::check_classes;
use crate::metrics::argmax;

/// Longest row, bytes: a logit has at most 16 characters. Longer lines are not rows.
pub(super) const LONGEST_ROW: u64 = 4 << 20;
/// Most logits in memory (1 GiB).
const MOST_LOGITS: usize = 1 << 28;
/// Name of the file with the logits of a run's result, if they are not in its table.
pub(super) const ARRAY: &str = "predictions.npy";

/// The prediction in a test-set row, without the logits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Prediction {
    pub(super) index: u32,
    pub(super) label: u32,
    pub(super) predicted: u32,
    pub(super) confidence: f32,
}

impl Prediction {
    /// Parses a line. Also returns the unparsed cells of the logits. `None` if it is not a test-set row.
    pub(super) fn parse(line: &str) -> Option<(Self, &str)> {
        let mut cells = line.strip_prefix("test,")?.trim_end().splitn(5, ',');
        let prediction = Self {
            index: cells.next()?.parse().ok()?,
            label: cells.next()?.parse().ok()?,
            predicted: cells.next()?.parse().ok()?,
            confidence: cells.next()?.parse().ok()?,
        };
        Some((prediction, cells.next().unwrap_or_default()))
    }
}

/// Parses comma-separated logits. `None` if a cell is not a number.
pub(super) fn logits(cells: &str) -> Option<Vec<f32>> {
    if cells.is_empty() {
        return Some(Vec::new());
    }
    cells.split(',').map(|cell| cell.parse().ok()).collect()
}

/// The logits and labels of the test set.
#[derive(Debug, PartialEq)]
pub(super) struct Rows {
    /// Row-major, shape (n, classes).
    pub(super) logits: Vec<f32>,
    pub(super) labels: Vec<u32>,
    pub(super) classes: usize,
}

impl Rows {
    /// Reads a file. Its test-set rows must be complete, in the order of their indices, and the last ones. `array` is the file
    /// of the logits, which is used if the table has none.
    ///
    /// # Errors
    /// An error that names the path, the line and the problem.
    pub(super) fn read(dir: &Dir, name: &str, array: io::Result<ArrayFile>) -> io::Result<Self> {
        let bad = |number: usize, what: &str| {
            let text = format!("{}:{number}: {what}", dir.path().join(name).display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        let mut from = BufReader::new(dir.open_read(name)?);
        let mut line = Vec::new();
        read_line(&mut from, LONGEST_ROW, &mut line)?;
        let header = String::from_utf8_lossy(&line);
        let names = header.split(',').filter(|cell| cell.starts_with("logit_"));
        let classes = names.count();
        let array = match array {
            Ok(array) if classes == 0 => Some(array),
            Err(error) if classes == 0 && error.kind() != io::ErrorKind::NotFound => {
                return Err(error);
            }
            Err(_) if classes == 0 => {
                return Err(bad(
                    1,
                    "no logit_* columns, and no .npy file with the logits",
                ));
            }
            Ok(_) | Err(_) => None,
        };
        let (mut before, mut predicted) = (0, Vec::new());
        let mut rows = Self {
            logits: Vec::new(),
            labels: Vec::new(),
            classes,
        };
        for number in 2.. {
            if read_line(&mut from, LONGEST_ROW, &mut line)? == 0 {
                break;
            }
            if line.starts_with(b"test,") {
                let row = std::str::from_utf8(&line).ok();
                let row = row.and_then(|row| rows.push(row));
                let invalid = || bad(number, "invalid or misplaced test-set row");
                predicted.push(row.ok_or_else(invalid)?);
            } else {
                before += 1;
            }
        }
        if rows.labels.is_empty() {
            return Err(bad(1, "no test-set rows"));
        }
        if let Some(array) = array {
            check_classes(array.columns()).map_err(|what| bad(1, &what))?;
            let count = rows.labels.len();
            if count * array.columns() > MOST_LOGITS {
                return Err(bad(1, "more logits than fit into memory (268 million)"));
            }
            let fits = array.rows() == before + count as u64;
            rows.classes = array.columns();
            if fits {
                rows.logits = array.read(before, count)?;
            }
            let logits = rows.logits.chunks_exact(rows.classes.max(1));
            let same = |(logits, predicted): (&[f32], &u32)| argmax(logits) == *predicted as usize;
            if !fits || !logits.zip(&predicted).all(same) {
                let what = "the logits of this evaluation were replaced by those of a later one";
                return Err(bad(1, what));
            }
        }
        Ok(rows)
    }

    /// Adds a row; returns the predicted class. `None` if the row is incomplete or not the next one.
    fn push(&mut self, line: &str) -> Option<u32> {
        let (prediction, cells) = Prediction::parse(line)?;
        let logits = logits(cells)?;
        let is_next = prediction.index as usize == self.labels.len();
        let fits = self.logits.len() < MOST_LOGITS;
        (is_next && fits && logits.len() == self.classes).then_some(())?;
        self.logits.extend(logits);
        self.labels.push(prediction.label);
        Some(prediction.predicted)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use fs_err as fs;

    use super::*;

    fn missing() -> io::Result<ArrayFile> {
        Err(io::ErrorKind::NotFound.into())
    }

    #[test]
    fn test_set_rows_are_read_exactly() {
        let place = tempfile::tempdir().unwrap();
        let (dir, name) = (Dir::open(place.path()).unwrap(), "predictions.csv");
        let path = place.path().join(name);
        let head = "split,index,label,predicted,confidence,logit_0,logit_1\n";
        let text = "valid,0,1,1,0.9,1,2\ntest,0,1,0,0.6,0.1,-1e-30\ntest,1,0,1,NaN,NaN,-inf\n";
        fs::write(&path, format!("{head}{text}")).unwrap();
        let rows = Rows::read(&dir, name, missing()).unwrap();
        assert_eq!((rows.labels, rows.classes), (vec![1, 0], 2));
        assert_eq!(rows.logits[..2], [0.1, -1e-30]);
        assert!(rows.logits[2].is_nan() && rows.logits[3] == f32::NEG_INFINITY);
        for (text, why) in [
            (
                "",
                ":1: no logit_* columns, and no .npy file with the logits",
            ),
            (head, ":1: no test-set rows"),
            (
                &format!("{head}test,1,0,0,0.5,1,2\n"),
                ":2: invalid or misplaced test-set row",
            ),
            (
                &format!("{head}test,0,0,0,0.5,1\n"),
                ":2: invalid or misplaced test-set row",
            ),
            (
                &format!("{head}test,0,0,0,0.5,1,x\n"),
                ":2: invalid or misplaced test-set row",
            ),
        ] {
            fs::write(&path, text).unwrap();
            let error = Rows::read(&dir, name, missing()).unwrap_err().to_string();
            assert!(error.ends_with(why), "{error}");
        }
    }

    #[test]
    fn logits_are_read_from_the_array_if_the_table_has_none() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        let head = "split,index,label,predicted,confidence\n";
        let text = format!("{head}valid,0,1,0,0.9\ntest,0,1,1,0.6\ntest,1,0,1,0.7\n");
        fs::write(place.path().join("a.csv"), text).unwrap();
        let read = |numbers: &[f32]| {
            fs::write(
                place.path().join(ARRAY),
                crate::files::array(numbers.iter(), 2),
            )
            .unwrap();
            Rows::read(&dir, "a.csv", ArrayFile::open(&dir, ARRAY))
        };
        let rows = read(&[9.0, 8.0, 1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(
            (rows.logits, rows.labels, rows.classes),
            (vec![1.0, 2.0, 3.0, 4.0], vec![1, 0], 2)
        );
        let error = read(&[1.0, 2.0, 3.0, 4.0]).unwrap_err().to_string();
        let replaced = "the logits of this evaluation were replaced by those of a later one";
        assert!(error.ends_with(replaced), "{error}");
        let error = read(&[9.0, 8.0, 1.0, 2.0, 4.0, 3.0]).unwrap_err();
        assert!(error.to_string().ends_with(replaced), "{error}");
    }
}
