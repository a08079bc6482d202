//! Which tables of a directory are the list, and what their columns are.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::super::super::DataError;
use super::super::common::Split;
use super::super::folder::name::{SPLIT_WORDS, few, first_few, is_hidden, shown_path, title};

/// Names of the columns, in order of preference.
const PATH: &[&str] = &["path", "file_name", "filename", "image", "filepath", "file"];
const LABEL: &[&str] = &["label", "class", "category", "target"];
const SPLIT: &[&str] = &["split", "subset", "set"];

/// File names of a list, without extension, in order of preference. The name of the data set comes before the last one.
const NAMES: [&str; 4] = ["list", "labels", "data", "metadata"];

/// Bytes at the start of a file in which its header must end.
const LONGEST_HEADER: u64 = 64 << 10;

/// Most tables of a directory that are examined: a directory of logs is no data set.
const MOST_TABLES: usize = 64;

/// A CSV file with a column of paths.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// The file.
    pub(super) file: PathBuf,
    /// Its name, for messages.
    pub(super) name: String,
    /// Comma, semicolon or tab.
    pub(super) delimiter: u8,
    /// Index of the column of paths.
    pub(super) path: usize,
    /// Index of the column of labels.
    pub(super) label: Option<usize>,
    /// Index of the column of splits.
    pub(super) split: Option<usize>,
    /// The names of all columns.
    header: Vec<String>,
}

impl Table {
    /// Reads the header of a file; `None` if it has no column of paths.
    fn read(file: &Path) -> Result<Option<Self>, DataError> {
        let wrong = |what: String| DataError(format!("{}: {what}", shown_path(file)));
        let head = head(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            return Err(wrong(
                "is UTF-16; expected UTF-8 (in a spreadsheet program: save as \"CSV UTF-8\")"
                    .to_owned(),
            ));
        }
        let tables = [b',', b';', b'\t'].map(|delimiter| Self::of_header(file, &head, delimiter));
        let mut tables: Vec<_> = tables.into_iter().flatten().collect();
        tables.sort_by_key(|table| table.label.is_none());
        let Some(table) = tables.into_iter().next() else {
            return Ok(None);
        };
        let mut known = HashSet::new();
        let is_role = |index| [Some(table.path), table.label, table.split].contains(&Some(index));
        for (index, column) in table.header.iter().enumerate() {
            if !known.insert(column)
                && table
                    .header
                    .iter()
                    .position(|c| c == column)
                    .is_some_and(is_role)
            {
                return Err(wrong(format!(
                    "column {} has the same name as an earlier one, {column}; expected one path and one label per row (several \
                     labels per image are not supported)",
                    index + 1
                )));
            }
        }
        Ok(Some(table))
    }

    fn of_header(file: &Path, head: &[u8], delimiter: u8) -> Option<Self> {
        let mut reader = reader(delimiter).has_headers(false).from_reader(head);
        let record = reader.byte_records().next()?.ok()?;
        let header: Vec<_> = record
            .iter()
            .map(|name| String::from_utf8_lossy(name).trim().to_lowercase())
            .collect();
        let find = |names: &[&str]| {
            let position = |name: &&str| header.iter().position(|column| column == name);
            names.iter().find_map(position)
        };
        Some(Self {
            file: file.to_owned(),
            name: file
                .file_name()
                .map_or_else(String::new, |name| shown_path(name.as_ref())),
            delimiter,
            path: find(PATH)?,
            label: find(LABEL),
            split: find(SPLIT),
            header,
        })
    }

    /// The file name without extension, in lower case.
    fn stem(&self) -> String {
        let stem = self.file.file_stem().unwrap_or_default();
        stem.to_string_lossy().to_lowercase()
    }

    fn named_split(&self) -> Option<Split> {
        Split::named(&self.stem())
    }

    /// The columns that have no meaning for a list. `split` is one of them if the file is a split as a whole.
    fn ignored(&self, is_split: bool) -> Option<String> {
        let split = self.split.filter(|_| !is_split);
        let used = [Some(self.path), self.label, split];
        let columns = self.header.iter().enumerate();
        let others = columns.filter(|(index, _)| !used.contains(&Some(*index)));
        let others: Vec<_> = others.map(|(_, name)| name.as_bytes()).collect();
        (!others.is_empty()).then(|| {
            format!(
                "Columns of {} that are not used: {}.",
                self.name,
                few(others)
            )
        })
    }
}

/// A reader of tables with this delimiter.
pub(super) fn reader(delimiter: u8) -> csv::ReaderBuilder {
    let mut reader = csv::ReaderBuilder::new();
    reader.delimiter(delimiter);
    reader
}

/// The start of a regular file.
fn head(file: &Path) -> std::io::Result<Vec<u8>> {
    // Opening a pipe would wait for a writer.
    if !fs::metadata(file)?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(file)?
        .take(LONGEST_HEADER)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The tables in a directory that have a column of paths, by name.
///
/// # Errors
/// If the directory cannot be read, or no such table was found and one cannot be read.
pub(super) fn tables(dir: &Path) -> Result<Vec<Table>, DataError> {
    let unreadable = |error| DataError(format!("{}: cannot be read: {error}", shown_path(dir)));
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let extension = Path::new(&name).extension();
        let is_table = ["csv", "tsv"]
            .iter()
            .any(|known| extension.is_some_and(|found| found.eq_ignore_ascii_case(known)));
        if is_table && !is_hidden(name.as_encoded_bytes()) {
            files.push(dir.join(name));
        }
    }
    files.sort_unstable();
    let mut tables = Vec::new();
    let mut error = None;
    for file in files.iter().take(MOST_TABLES) {
        match Table::read(file) {
            Ok(table) => tables.extend(table),
            Err(failure) => error = error.or(Some(failure)),
        }
    }
    match error {
        Some(error) if tables.is_empty() => Err(error),
        _ => Ok(tables),
    }
}

/// Those with a column of labels.
pub(super) fn labelled(tables: &[Table]) -> impl Iterator<Item = &Table> {
    tables.iter().filter(|table| table.label.is_some())
}

/// Tables with the split that they are, if they are one as a whole.
type Tables = Vec<(Table, Option<Split>)>;

/// The tables that are the list of a directory.
#[derive(Debug)]
pub(super) struct Choice {
    /// One table, or one per split, with the split that it is.
    pub(super) tables: Tables,
    /// Notes for the listing.
    pub(super) notes: Vec<String>,
    /// Warnings for the listing.
    pub(super) warnings: Vec<String>,
}

/// Chooses the list of a data set named `name`.
///
/// # Errors
/// If there is no table with paths and labels, or it is not clear which one is the list.
pub(super) fn choose(dir: &Path, name: &str) -> Result<Choice, DataError> {
    let wrong = |what: String| DataError(format!("{}: {what}", shown_path(dir)));
    let all = tables(dir)?;
    let labelled: Vec<_> = labelled(&all).collect();
    let chosen = if let Some(table) = named(&labelled, name) {
        vec![(table.clone(), None)]
    } else if let Some(tables) = per_split(&labelled).map_err(wrong)? {
        tables
    } else {
        match labelled.as_slice() {
            [] => return Err(wrong(without_labels(&all))),
            [only] => vec![((*only).clone(), None)],
            several => {
                return Err(wrong(format!(
                    "there are several lists: {}; expected one, or one of the name list.csv, labels.csv, data.csv, {name}.csv or \
                     metadata.csv, or one per split (train.csv, val.csv, test.csv)",
                    first_few(several.iter().map(|table| table.name.clone()))
                )));
            }
        }
    };
    let is_chosen = |table: &Table| chosen.iter().any(|(used, _)| used.file == table.file);
    let ignored = chosen
        .iter()
        .filter_map(|(table, split)| table.ignored(split.is_some()));
    let mut notes: Vec<_> = ignored.collect();
    let mut warnings = Vec::new();
    let mut others = Vec::new();
    for table in all.iter().filter(|table| !is_chosen(table)) {
        if table.label.is_none() && table.named_split() == Some(Split::Test) {
            warnings.push(format!(
                "{} has no column of labels, so its images are not used as a test split; `epochtop predict` classifies them \
                 after the training.",
                table.name
            ));
        } else {
            others.push(table.name.clone());
        }
    }
    if !others.is_empty() {
        notes.push(format!("Tables that are not used: {}.", first_few(others)));
    }
    Ok(Choice {
        tables: chosen,
        notes,
        warnings,
    })
}

/// The table that has the name of a list.
fn named<'a>(tables: &[&'a Table], name: &str) -> Option<&'a Table> {
    let [list, labels, data, metadata] = NAMES;
    let name = name.to_lowercase();
    [list, labels, data, &name, metadata]
        .iter()
        .find_map(|wanted| tables.iter().find(|table| table.stem() == **wanted))
        .copied()
}

/// The tables `train`, `val` and `test`, if there is a training table and another.
fn per_split(tables: &[&Table]) -> Result<Option<Tables>, String> {
    let mut found = Vec::new();
    for split in Split::ALL {
        let mut named = tables
            .iter()
            .filter(|table| table.named_split() == Some(split));
        let first = named.next();
        if let (Some(a), Some(b)) = (first, named.next()) {
            return Err(format!(
                "{} and {} are both the {} split; expected one",
                a.name,
                b.name,
                title(split)
            ));
        }
        found.extend(first.map(|table| ((*table).clone(), Some(split))));
    }
    let has_train = matches!(found.first(), Some((_, Some(Split::Train))));
    Ok((has_train && found.len() > 1).then_some(found))
}

/// Why there is no list.
fn without_labels(tables: &[Table]) -> String {
    let expected = format!(
        "expected a CSV file with a column of paths ({}) and a column of labels ({}), and optionally a column of splits ({}: \
         {SPLIT_WORDS})",
        PATH.join(", "),
        LABEL.join(", "),
        SPLIT.join(", ")
    );
    if let Some(table) = tables.iter().find(|table| is_one_hot(table)) {
        return format!(
            "{} has no column of labels, but columns of 0 and 1. If each image belongs to one class, write its name into a \
             column label; several labels per image are not supported",
            table.name
        );
    }
    match tables.first() {
        Some(table) => format!("{} has no column of labels; {expected}", table.name),
        None => format!("there is no list; {expected}"),
    }
}

/// Whether two or more columns of the first rows contain only 0 and 1.
fn is_one_hot(table: &Table) -> bool {
    const LOOKED_AT: usize = 100;
    let Ok(mut reader) = reader(table.delimiter).from_path(&table.file) else {
        return false;
    };
    let rows: Vec<_> = reader.byte_records().flatten().take(LOOKED_AT).collect();
    let is_flag = |column: &usize| {
        let flag = |cell: Option<&[u8]>| matches!(cell, Some(b"0" | b"1" | b"0.0" | b"1.0"));
        rows.iter()
            .all(|row| flag(row.get(*column).map(<[u8]>::trim_ascii)))
    };
    !rows.is_empty() && (0..table.header.len()).filter(is_flag).count() > 1
}
