//! What several data formats share: stamps of files, class names in `classes.txt`, names of splits, and checks of labels.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Display;
use std::fs::Metadata;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::super::{Counts, DataError};
use crate::limits::{LONGEST_NAME, MOST_CLASSES, check_classes};

/// Longest `classes.txt`, bytes: room for the longest names with up to four bytes a character.
const LONGEST_LIST: u64 = 4 << 20;

/// An error with a file.
pub(super) fn wrong(file: impl AsRef<Path>, what: impl Display) -> DataError {
    DataError(format!("{}: {what}", file.as_ref().display()))
}

/// Adds a file to the stamp of a source: its name, its length in bytes and its modification time in nanoseconds.
pub(super) fn stamp_file(hasher: &mut blake3::Hasher, name: &str, meta: &Metadata) {
    stamp_text(hasher, name);
    hasher.update(&meta.len().to_le_bytes());
    let time = meta.modified().ok();
    // A file from before 1970 is as far from the epoch as one after it; the sign keeps them apart.
    let time = time.map_or(0, |time| match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    });
    hasher.update(&time.to_le_bytes());
}

/// Adds the file at `path` to the stamp, under its name without directories.
///
/// # Errors
/// If the properties of the file cannot be read.
pub(super) fn stamp_path(hasher: &mut blake3::Hasher, path: &Path) -> Result<(), DataError> {
    let meta = path.metadata().map_err(|error| wrong(path, error))?;
    stamp_file(hasher, &file_name(path), &meta);
    Ok(())
}

/// Adds class names and labels to the stamp.
pub(super) fn stamp_labels(hasher: &mut blake3::Hasher, classes: &[String], labels: &[u16]) {
    classes.iter().for_each(|name| stamp_text(hasher, name));
    hasher.update(&(labels.len() as u64).to_le_bytes());
    let bytes: Vec<u8> = labels
        .iter()
        .flat_map(|label| label.to_le_bytes())
        .collect();
    hasher.update(&bytes);
}

/// The length goes first, so that "ab" and "c" differ from "a" and "bc".
fn stamp_text(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

/// The name of a file without its directories, for messages.
pub(super) fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The class names in `classes.txt` in a directory, one per line, indexed by label; `None` if there is no such file.
///
/// # Errors
/// If the file cannot be read, is not UTF-8, has too many or too long names, an empty line or a duplicate.
pub(super) fn listed_classes(dir: &Path) -> Result<Option<Vec<String>>, DataError> {
    let list = dir.join("classes.txt");
    match read_list(&list) {
        Ok(bytes) => listed_names(&list, &bytes).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(&list, error)),
    }
}

/// Reads `classes.txt`, at most one byte more than the longest list. A pipe or a device is not read.
fn read_list(list: &Path) -> std::io::Result<Vec<u8>> {
    if !std::fs::metadata(list)?.is_file() {
        return Err(std::io::Error::new(
            ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(list)?
        .take(LONGEST_LIST + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The class names in the bytes of a list: one per line, without duplicates. A byte-order mark, which some editors write,
/// and empty lines at the end are ignored.
///
/// # Errors
/// See [`listed_classes`].
pub(super) fn listed_names(list: &Path, bytes: &[u8]) -> Result<Vec<String>, DataError> {
    if bytes.len() as u64 > LONGEST_LIST {
        return Err(wrong(
            list,
            format!(
                "larger than {LONGEST_LIST} bytes; expected at most {MOST_CLASSES} class names, one per line"
            ),
        ));
    }
    let words = std::str::from_utf8(bytes).map_err(|_| {
        wrong(
            list,
            "not UTF-8; expected UTF-8 text, one class name per line",
        )
    })?;
    let words = words.strip_prefix('\u{feff}').unwrap_or(words);
    let lines = words.trim_end().lines().map(str::trim);
    // Counted first: a list that is far too long is refused before its names are compared.
    check_classes(lines.clone().count()).map_err(|what| wrong(list, what))?;
    let names: Vec<String> = lines.map(str::to_owned).collect();
    match faulty_name(&names) {
        None => Ok(names),
        Some((index, fault)) => Err(DataError(format!(
            "{}:{}: {:?}: {fault}",
            list.display(),
            index + 1,
            names.get(index).map_or("", String::as_str)
        ))),
    }
}

/// Checks class names that come from the data themselves.
///
/// # Errors
/// If there are too many, one is empty or too long, or two are equal.
pub(super) fn check_names(file: &Path, names: &[String]) -> Result<(), DataError> {
    check_classes(names.len()).map_err(|what| wrong(file, what))?;
    match faulty_name(names) {
        None => Ok(()),
        Some((index, fault)) => Err(wrong(
            file,
            format!(
                "class {index}, {:?}: {}",
                names.get(index).map_or("", String::as_str),
                fault.replace("line", "name")
            ),
        )),
    }
}

/// The index of the first name that cannot be used, and why.
fn faulty_name(names: &[String]) -> Option<(usize, &'static str)> {
    let mut known = HashSet::new();
    names.iter().enumerate().find_map(|(index, name)| {
        let fault = if name.is_empty() {
            "empty line, expected a class name"
        } else if name.chars().count() > LONGEST_NAME {
            "class name of more than 200 characters"
        } else if !known.insert(name) {
            "duplicate class name"
        } else {
            return None;
        };
        Some((index, fault))
    })
}

/// A split of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Split {
    /// Training images.
    Train,
    /// Validation images.
    Valid,
    /// Test images.
    Test,
}

impl Split {
    /// All splits, in the order of a listing.
    pub(super) const ALL: [Self; 3] = [Self::Train, Self::Valid, Self::Test];

    /// The split with this name, in any of the usual spellings.
    pub(super) fn named(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" | "dev" => Some(Self::Valid),
            "test" | "testing" | "eval" | "evaluation" => Some(Self::Test),
            _ => None,
        }
    }
}

/// The labels of one split, and the file that messages name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Labels {
    /// Which split.
    pub(super) split: Split,
    /// The file (or the array in a file) with the labels.
    pub(super) file: String,
    /// The class index of each image.
    pub(super) classes: Vec<u16>,
}

/// Checks the labels of all splits against the number of classes, and joins them in the order training, validation, test.
/// `groups` are in this order; a split may have several.
///
/// # Errors
/// The first label out of range, with its file and image; a split without images; training images of fewer than two
/// classes.
pub(super) fn join_labels(
    groups: &[Labels],
    classes: usize,
) -> Result<(Vec<u16>, Counts), DataError> {
    let count = |split: Split| {
        let groups = groups.iter().filter(|group| group.split == split);
        groups
            .map(|group| group.classes.len())
            .reduce(|sum, count| sum + count)
    };
    for group in groups {
        if let Some((index, label)) =
            (group.classes.iter().enumerate()).find(|(_, label)| usize::from(**label) >= classes)
        {
            return Err(wrong(
                &group.file,
                format!(
                    "label {label} of image {index} is out of range: expected {classes} classes, 0 to {}",
                    classes.saturating_sub(1)
                ),
            ));
        }
        if count(group.split) == Some(0) {
            return Err(wrong(&group.file, "has no images"));
        }
    }
    let train = groups.iter().filter(|group| group.split == Split::Train);
    let present: BTreeSet<u16> = train
        .flat_map(|group| group.classes.iter().copied())
        .collect();
    if present.len() < 2 {
        let file = groups.first().map_or("", |group| &group.file);
        return Err(wrong(
            file,
            "all images have the same label, expected at least two classes",
        ));
    }
    let labels = groups
        .iter()
        .flat_map(|group| group.classes.iter().copied());
    let counts = Counts {
        train: count(Split::Train).unwrap_or(0),
        valid: count(Split::Valid),
        test: count(Split::Test),
    };
    Ok((labels.collect(), counts))
}

/// The labels as class names, "0" to the highest label of the training images.
pub(super) fn numbered_classes(groups: &[Labels]) -> Vec<String> {
    let train = groups.iter().filter(|group| group.split == Split::Train);
    let highest = train.flat_map(|group| group.classes.iter()).max();
    let classes = highest.map_or(0, |&label| usize::from(label) + 1);
    (0..classes).map(|label| label.to_string()).collect()
}

/// Names in a message: "a", "a and b", "a, b and c".
pub(super) fn list_of(names: &[String]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => names.join(", "),
    }
}

/// A name without case and punctuation, to compare `data.name` with the names of files.
pub(super) fn plain_name(name: &str) -> String {
    let letters = name.chars().filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
pub(super) mod fixtures;
#[cfg(test)]
mod tests;
