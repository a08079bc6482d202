//! Arrays in `.npz` archives and directories, before they are read.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use zip::{CompressionMethod, ZipArchive};

use super::super::super::DataError;
use super::super::arrays::{Store, unpacked};
use super::super::common::{file_name, wrong};

/// Most members that an archive may have.
const MOST_MEMBERS: usize = 1000;

/// An array: a `.npy` file, or a member of a `.npz` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its name without extension.
    pub(super) name: String,
    /// The file that contains it.
    pub(super) path: PathBuf,
    /// How it is written there.
    pub(super) store: Store,
    /// Its length with its header, uncompressed, in bytes.
    pub(super) length: u64,
}

impl Entry {
    /// Its name in messages.
    pub(super) fn title(&self) -> String {
        let path = self.path.display();
        match self.store {
            Store::Member { .. } => format!("{path}, {}", self.name),
            _ => path.to_string(),
        }
    }

    /// Its name in messages, without directories.
    pub(super) fn short_title(&self) -> String {
        match self.store {
            Store::Member { .. } => format!("{} in {}", self.name, file_name(&self.path)),
            _ => file_name(&self.path),
        }
    }

    /// An error with this array.
    pub(super) fn wrong(&self, what: impl std::fmt::Display) -> DataError {
        DataError(format!("{}: {what}", self.title()))
    }

    /// A reader of the array from its header on.
    pub(super) fn open(&self) -> Result<Box<dyn Read + Send>, DataError> {
        unpacked(&self.path, &self.store, 0).map_err(|error| self.wrong(error))
    }
}

/// The files with an extension in a directory, in the order of their names. Hidden files are left out.
pub(super) fn files_with_extension(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = dir.read_dir() else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut files: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .filter(|path| !file_name(path).starts_with('.') && path.is_file())
        .collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// The `.npy` files in a directory.
pub(super) fn entries_in_directory(dir: &Path) -> Result<Vec<Entry>, DataError> {
    let files = files_with_extension(dir, "npy").into_iter();
    let entry = |path: PathBuf| {
        let meta = path.metadata().map_err(|error| wrong(&path, error))?;
        Ok(Entry {
            name: stem(&path),
            store: Store::Plain,
            length: meta.len(),
            path,
        })
    };
    files.map(entry).collect()
}

/// The arrays in a `.npz` file.
///
/// # Errors
/// If it is not a ZIP file, or has a member that is encrypted or compressed in a way that NumPy does not use.
pub(super) fn entries_in_archive(path: &Path) -> Result<Vec<Entry>, DataError> {
    let file = File::open(path).map_err(|error| wrong(path, error))?;
    let length = file.metadata().map_err(|error| wrong(path, error))?.len();
    let damaged = |error: zip::result::ZipError| {
        wrong(
            path,
            format!("not a complete .npz file ({error}): download or write it again"),
        )
    };
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    if archive.len() > MOST_MEMBERS {
        return Err(wrong(
            path,
            format!("has {} members; expected arrays", archive.len()),
        ));
    }
    let mut entries = Vec::new();
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).map_err(damaged)?;
        let name = String::from_utf8_lossy(member.name_raw()).into_owned();
        let Some(name) = name.strip_suffix(".npy") else {
            continue;
        };
        let method = member.compression();
        let is_known = [CompressionMethod::STORE, CompressionMethod::DEFLATE].contains(&method);
        if member.encrypted() || !is_known {
            let what = format!("{name} is encrypted or compressed with {method}; expected deflate");
            return Err(wrong(path, what));
        }
        let (start, packed) = (member.data_start().unwrap_or(0), member.compressed_size());
        if start.checked_add(packed).is_none_or(|end| end > length) {
            let what = format!("truncated: {name} ends after the {length} bytes of the file");
            return Err(wrong(path, what));
        }
        entries.push(Entry {
            name: name.to_owned(),
            path: path.to_owned(),
            store: Store::Member {
                start,
                packed,
                deflated: method == CompressionMethod::DEFLATE,
                crc: member.crc32(),
            },
            length: member.size(),
        });
    }
    Ok(entries)
}
