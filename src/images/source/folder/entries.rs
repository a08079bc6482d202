//! The entries of one directory, sorted into what can be used and what is skipped.

use std::fs::{self, DirEntry};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::super::super::DataError;
use super::name::{is_hidden, is_image, plural, shown, shown_path};
use super::paths::{below, joined};

/// What an entry of a directory is. Links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    Image,
    /// A file that is no image, or a pipe, socket or device.
    Other,
    Hidden,
    /// A link whose target cannot be reached.
    BrokenLink,
}

/// An entry of a directory.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its name in the directory.
    pub(super) name: Vec<u8>,
    /// What it is.
    pub(super) kind: Kind,
}

/// The entries of a directory, in the order of the file system.
///
/// # Errors
/// If the directory cannot be read.
pub(super) fn entries(
    dir: &Path,
) -> Result<impl Iterator<Item = Result<Entry, DataError>>, DataError> {
    let unreadable = |error: &std::io::Error| {
        DataError(format!(
            "{}: cannot be read ({error}); make the directory readable, or move it out of the data directory",
            shown_path(dir)
        ))
    };
    let entries = fs::read_dir(dir).map_err(|error| unreadable(&error))?;
    Ok(entries.map(move |entry| {
        let entry = entry.map_err(|error| unreadable(&error))?;
        Ok(Entry {
            kind: kind(&entry),
            name: entry.file_name().into_vec(),
        })
    }))
}

fn kind(entry: &DirEntry) -> Kind {
    let name = entry.file_name().into_vec();
    if is_hidden(&name) {
        return Kind::Hidden;
    }
    let file_type = entry.file_type().and_then(|found| {
        if found.is_symlink() {
            fs::metadata(entry.path()).map(|target| target.file_type())
        } else {
            Ok(found)
        }
    });
    match file_type {
        Ok(found) if found.is_dir() => Kind::Directory,
        Ok(found) if found.is_file() && is_image(&name) => Kind::Image,
        Ok(_) => Kind::Other,
        Err(_) => Kind::BrokenLink,
    }
}

/// How many paths were met, and the first of them in byte order, so that it does not depend on the file system.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Their number.
    pub(super) count: usize,
    /// The first one.
    pub(super) first: Vec<u8>,
}

impl Tally {
    /// Counts a path.
    pub(super) fn add(&mut self, path: Vec<u8>) {
        self.merge(Self {
            count: 1,
            first: path,
        });
    }

    /// Adds another tally.
    pub(super) fn merge(&mut self, other: Self) {
        if self.count == 0 || (other.count > 0 && other.first < self.first) {
            self.first = other.first;
        }
        self.count += other.count;
    }
}

/// What is not used.
#[derive(Debug, Default)]
pub(super) struct Skipped {
    /// Hidden files and directories.
    pub(super) hidden: Tally,
    /// Files that are no images.
    pub(super) other: Tally,
    /// Links whose target cannot be reached.
    pub(super) broken: Tally,
    /// Links to a directory above them.
    pub(super) loops: Tally,
}

impl Skipped {
    /// Adds another count.
    pub(super) fn merge(&mut self, other: Self) {
        self.hidden.merge(other.hidden);
        self.other.merge(other.other);
        self.broken.merge(other.broken);
        self.loops.merge(other.loops);
    }

    /// Sentences for the notes of a listing.
    pub(super) fn notes(&self) -> Vec<String> {
        let hidden = sentence(&self.hidden, "hidden entry", "hidden entries", "skipped");
        let other = sentence(
            &self.other,
            "file that is not an image",
            "files that are not images",
            "skipped",
        );
        hidden.into_iter().chain(other).collect()
    }

    /// Sentences for the warnings of a listing.
    pub(super) fn warnings(&self) -> Vec<String> {
        let broken = sentence(&self.broken, "broken link", "broken links", "skipped");
        let loops = sentence(
            &self.loops,
            "link to a directory above itself",
            "links to a directory above themselves",
            "not followed",
        );
        broken.into_iter().chain(loops).collect()
    }
}

fn sentence(tally: &Tally, one: &str, several: &str, verb: &str) -> Option<String> {
    let first = shown(&tally.first);
    let count = plural(tally.count, one, several);
    match tally.count {
        0 => None,
        1 => Some(format!("{count} {verb}: {first}.")),
        _ => Some(format!("{count} {verb}, such as {first}.")),
    }
}
/// A directory that is expected to contain directories.
#[derive(Debug, Default)]
pub(super) struct Level {
    /// Its path, relative to the data directory.
    pub(super) path: Vec<u8>,
    /// The names of the directories in it, in byte order.
    pub(super) dirs: Vec<Vec<u8>>,
    /// The images directly in it.
    pub(super) images: Tally,
    /// What is skipped.
    pub(super) skipped: Skipped,
}

impl Level {
    /// Reads a directory given by its path relative to the data directory.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(super) fn read(root: &Path, path: &[u8]) -> Result<Self, DataError> {
        let mut level = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        for entry in entries(&below(root, path))? {
            let Entry { name, kind } = entry?;
            let place = || joined(path, &name);
            match kind {
                Kind::Directory => level.dirs.push(name),
                Kind::Image => level.images.add(place()),
                Kind::Other => level.skipped.other.add(place()),
                Kind::Hidden => level.skipped.hidden.add(place()),
                Kind::BrokenLink => level.skipped.broken.add(place()),
            }
        }
        level.dirs.sort_unstable();
        Ok(level)
    }

    /// "12 images directly in train": for messages.
    pub(super) fn direct_images(&self) -> String {
        let place = if self.path.is_empty() {
            "the data directory".to_owned()
        } else {
            shown(&self.path)
        };
        format!(
            "{} directly in {place}",
            plural(self.images.count, "image", "images")
        )
    }
}
