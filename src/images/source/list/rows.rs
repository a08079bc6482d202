//! The rows of a list.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::super::super::DataError;
use super::super::common::Split;
use super::super::folder::name::{SPLIT_WORDS, shown, shown_path, title};
use super::super::folder::paths::Paths;
use super::tables::{Table, reader};
use crate::limits::{MOST_CLASSES, check_classes};

/// Longest cell, bytes: the longest path of Linux. A quote that is not closed makes one cell of the rest of the file.
const LONGEST_CELL: usize = 4096;

/// The rows of all tables.
#[derive(Debug, Default)]
pub(super) struct Rows {
    paths: Paths,
    entries: Vec<Row>,
    /// The different texts in the column of labels, with the first row of each, in order of appearance.
    pub(super) texts: Vec<(Vec<u8>, usize)>,
    numbers: HashMap<Vec<u8>, u16>,
    /// The tables, with the number of their first row.
    tables: Vec<(usize, PathBuf)>,
}

#[derive(Debug)]
struct Row {
    /// Offset in the table, bytes.
    offset: u64,
    /// Index into `texts`.
    text: u16,
    split: Split,
}

/// The rows to use.
#[derive(Debug, Default)]
pub(super) struct Images {
    /// Their numbers, in the order training, validation, test.
    pub(super) rows: Vec<usize>,
    /// Number of rows that repeat another.
    pub(super) repeated: usize,
    /// Where the first of them is, and where it first appears.
    pub(super) first_repeated: String,
}

impl Rows {
    /// Appends the rows of a table. `whole` is the split of all rows if the file is a split.
    ///
    /// # Errors
    /// The first row that is wrong, with its line.
    pub(super) fn read(&mut self, table: &Table, whole: Option<Split>) -> Result<(), DataError> {
        self.tables.push((self.entries.len(), table.file.clone()));
        let wrong = |offset: u64, what: String| {
            let line = line_at(&table.file, offset);
            DataError(format!("{}:{line}: {what}", shown_path(&table.file)))
        };
        let failed = |error: &csv::Error| match error.kind() {
            csv::ErrorKind::UnequalLengths {
                pos,
                expected_len,
                len,
            } => wrong(
                pos.as_ref().map_or(0, csv::Position::byte),
                format!(
                    "the row has {len} cells, the header has {expected_len}; a cell that contains the delimiter needs quotes, and each quote needs its end"
                ),
            ),
            _ => DataError(format!(
                "{}: cannot be read: {error}",
                shown_path(&table.file)
            )),
        };
        let mut reader = reader(table.delimiter)
            .from_path(&table.file)
            .map_err(|error| failed(&error))?;
        let mut record = csv::ByteRecord::new();
        while reader
            .read_byte_record(&mut record)
            .map_err(|error| failed(&error))?
        {
            let offset = record.position().map_or(0, csv::Position::byte);
            let cell = |column: usize| record.get(column).unwrap_or_default().trim_ascii();
            let path = normal(cell(table.path));
            let text = table.label.map(cell).unwrap_or_default();
            let used = [Some(table.path), table.label, table.split];
            if (used.into_iter().flatten()).any(|column| cell(column).len() > LONGEST_CELL) {
                return Err(wrong(
                    offset,
                    format!("a cell has more than {LONGEST_CELL} bytes; is a quote not closed?"),
                ));
            }
            if path.is_empty() || text.is_empty() {
                let column = if path.is_empty() { "path" } else { "label" };
                return Err(wrong(
                    offset,
                    format!("the {column} is empty; expected one in each row"),
                ));
            }
            let split = match (whole, table.split.map(cell)) {
                (Some(split), _) => split,
                (None, None) => Split::Train,
                (None, Some(word)) => str::from_utf8(word)
                    .ok()
                    .and_then(Split::named)
                    .ok_or_else(|| {
                        wrong(
                            offset,
                            format!("unknown split \"{}\"; expected {SPLIT_WORDS}", shown(word)),
                        )
                    })?,
            };
            let text = self.number(text).map_err(|what| wrong(offset, what))?;
            self.paths.push(b"", &path);
            self.entries.push(Row {
                offset,
                text,
                split,
            });
        }
        Ok(())
    }

    /// The number of a text in the column of labels.
    fn number(&mut self, text: &[u8]) -> Result<u16, String> {
        if let Some(&number) = self.numbers.get(text) {
            return Ok(number);
        }
        check_classes(self.texts.len() + 1).map_err(|_| {
            format!("there are more than {MOST_CLASSES} different labels up to here; expected the names of at most {MOST_CLASSES} classes")
        })?;
        let number = self.texts.len() as u16;
        self.texts.push((text.to_owned(), self.entries.len()));
        self.numbers.insert(text.to_owned(), number);
        Ok(number)
    }

    /// The index of the label's text of a row.
    pub(super) fn label(&self, row: usize) -> Option<usize> {
        self.entries.get(row).map(|row| usize::from(row.text))
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The split of a row.
    pub(super) fn split(&self, row: usize) -> Split {
        self.entries.get(row).map_or(Split::Train, |row| row.split)
    }

    /// The path of a row.
    pub(super) fn path(&self, row: usize) -> &[u8] {
        self.paths.parts(row).1
    }

    /// Where a row is: "line 3", with the file if there are several.
    pub(super) fn place(&self, row: usize) -> String {
        let offset = self.entries.get(row).map_or(0, |row| row.offset);
        let table = self.tables.iter().rfind(|(first, _)| *first <= row);
        let Some((_, file)) = table else {
            return String::new();
        };
        let line = line_at(file, offset);
        if self.tables.len() == 1 {
            return format!("line {line}");
        }
        let name = file.file_name().unwrap_or_default();
        format!("line {line} of {}", shown(name.as_bytes()))
    }

    /// An error with the list.
    pub(super) fn wrong(&self, what: &str) -> DataError {
        let files: Vec<_> = self
            .tables
            .iter()
            .map(|(_, file)| shown_path(file))
            .collect();
        DataError(format!("{}: {what}", files.join(", ")))
    }

    /// Finds rows with the same path. `label` is the class index of a row.
    ///
    /// # Errors
    /// If an image has two labels or is in two splits.
    pub(super) fn images(&self, label: &dyn Fn(usize) -> u16) -> Result<Images, DataError> {
        let mut by_path: Vec<usize> = (0..self.entries.len()).collect();
        by_path.sort_unstable_by(|a, b| self.path(*a).cmp(self.path(*b)).then(a.cmp(b)));
        let mut repeated = Vec::new();
        for same in by_path.chunk_by(|a, b| self.path(*a) == self.path(*b)) {
            let [first, others @ ..] = same else { continue };
            for other in others {
                let (a, b) = (self.place(*first), self.place(*other));
                let path = shown(self.path(*first));
                if self.split(*first) != self.split(*other) {
                    return Err(self.wrong(&format!(
                        "{path} is in two splits, {} ({a}) and {} ({b}); expected one: an image that was trained on \
                         must not be evaluated",
                        title(self.split(*first)),
                        title(self.split(*other))
                    )));
                }
                if label(*first) != label(*other) {
                    return Err(self.wrong(&format!(
                        "{path} has two labels, {} ({a}) and {} ({b}); expected one (several labels per image are not supported)",
                        self.text(*first),
                        self.text(*other)
                    )));
                }
                repeated.push((*other, *first));
            }
        }
        repeated.sort_unstable();
        let first_repeated = repeated.first().map_or_else(String::new, |(other, first)| {
            format!(
                "{}, which repeats {}",
                self.place(*other),
                self.place(*first)
            )
        });
        let is_repeated = |row: &usize| {
            repeated
                .binary_search_by_key(row, |(other, _)| *other)
                .is_ok()
        };
        let mut rows: Vec<_> = (0..self.entries.len())
            .filter(|row| !is_repeated(row))
            .collect();
        rows.sort_by_key(|row| self.split(*row));
        Ok(Images {
            rows,
            repeated: repeated.len(),
            first_repeated,
        })
    }

    /// The label of a row as it is written.
    fn text(&self, row: usize) -> String {
        let text = self.label(row).and_then(|text| self.texts.get(text));
        text.map_or_else(String::new, |(text, _)| shown(text))
    }
}

/// The line of the row that the reader found at an offset, from 1. It is counted when a message needs it, because the reader
/// places a row before the empty lines (and the rest of a `\r\n`) that it skips.
fn line_at(file: &Path, offset: u64) -> u64 {
    let Ok(file) = File::open(file) else {
        return 0;
    };
    let mut line = 1;
    for (at, byte) in (0..).zip(BufReader::new(file).bytes()) {
        match byte {
            Ok(b'\n') => line += 1,
            Ok(b'\r') => {}
            Ok(_) if at < offset => {}
            _ => break,
        }
    }
    line
}

/// A path without `.` and repeated separators, so that an image is recognised when it is listed twice.
fn normal(path: &[u8]) -> Vec<u8> {
    let parts = Path::new(OsStr::from_bytes(path)).components();
    let parts = parts.filter(|part| *part != Component::CurDir);
    parts
        .collect::<PathBuf>()
        .into_os_string()
        .into_encoded_bytes()
}
