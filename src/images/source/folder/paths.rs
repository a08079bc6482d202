//! Image files as [`Items`], stored compactly: a million paths take little more than the bytes of their file names.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::super::super::{DataError, Item, Items};
use super::name::shown;

/// Relative paths in a given order. Consecutive files of one directory form a run and share the directory's path.
#[derive(Debug, Default)]
pub(in crate::images::source) struct Paths {
    runs: Vec<Run>,
    /// The file names without separators.
    names: Vec<u8>,
    /// Where each file name ends in `names`, counted from the start of its run.
    ends: Vec<u32>,
}

#[derive(Debug)]
struct Run {
    /// Directory, relative to the data directory.
    dir: Box<[u8]>,
    /// Number of its first file.
    first: usize,
    /// Where its names start in `names`.
    start: usize,
}

impl Paths {
    /// Number of paths.
    pub(in crate::images::source) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Appends a file by its directory (empty for the data directory itself) and its name or path in it.
    pub(in crate::images::source) fn push(&mut self, dir: &[u8], name: &[u8]) {
        let last = self.runs.last().filter(|run| *run.dir == *dir);
        let end = |start: usize| u32::try_from(self.names.len() + name.len() - start).ok();
        let end = last.and_then(|run| end(run.start)).unwrap_or_else(|| {
            self.runs.push(Run {
                dir: dir.into(),
                first: self.ends.len(),
                start: self.names.len(),
            });
            // No file system has names of 4 GiB.
            name.len() as u32
        });
        self.names.extend_from_slice(name);
        self.ends.push(end);
    }

    /// Appends other paths.
    pub(super) fn append(&mut self, other: &Self) {
        let (first, start) = (self.ends.len(), self.names.len());
        self.runs.extend(other.runs.iter().map(|run| Run {
            dir: run.dir.clone(),
            first: first + run.first,
            start: start + run.start,
        }));
        self.names.extend_from_slice(&other.names);
        self.ends.extend_from_slice(&other.ends);
    }

    /// Releases memory that was reserved for more paths.
    pub(in crate::images::source) fn shrink(&mut self) {
        self.runs.shrink_to_fit();
        self.names.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// Directory and name of file `index`; empty if there are fewer.
    pub(in crate::images::source) fn parts(&self, index: usize) -> (&[u8], &[u8]) {
        let run = self.runs.partition_point(|run| run.first <= index);
        let run = run.checked_sub(1).and_then(|run| self.runs.get(run));
        let (Some(run), Some(end)) = (run, self.ends.get(index)) else {
            return (&[], &[]);
        };
        let before = index.checked_sub(1).filter(|before| *before >= run.first);
        let start = before.and_then(|before| self.ends.get(before)).copied();
        let start = run.start + start.unwrap_or(0) as usize;
        let name = self.names.get(start..run.start + *end as usize);
        (&run.dir, name.unwrap_or_default())
    }

    /// Path of file `index`, relative to the data directory.
    pub(in crate::images::source) fn relative(&self, index: usize) -> Vec<u8> {
        let (dir, name) = self.parts(index);
        joined(dir, name)
    }
}

/// A path of a directory and a name in it.
pub(in crate::images::source) fn joined(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let separator: &[u8] = if dir.is_empty() { b"" } else { b"/" };
    [dir, separator, name].concat()
}

/// A path below a directory; an absolute path stays as it is.
pub(in crate::images::source) fn below(root: &Path, relative: &[u8]) -> PathBuf {
    if relative.is_empty() {
        return root.to_owned();
    }
    root.join(OsStr::from_bytes(relative))
}

/// The images of a source whose images are files.
#[derive(Debug)]
pub(in crate::images::source) struct Files {
    /// The data directory.
    pub(in crate::images::source) root: PathBuf,
    /// Paths relative to it, or absolute.
    pub(in crate::images::source) paths: Paths,
}

impl Files {
    fn item(&self, index: usize) -> Item {
        Item::File(below(&self.root, &self.paths.relative(index)))
    }
}

impl Items for Files {
    fn stream(
        &self,
        start: usize,
    ) -> Result<Box<dyn Iterator<Item = Result<Item, DataError>> + Send + '_>, DataError> {
        Ok(Box::new(
            (start..self.paths.len()).map(|index| Ok(self.item(index))),
        ))
    }

    fn sample(&self, count: usize) -> Result<Vec<Item>, DataError> {
        let len = self.paths.len();
        let count = count.min(len);
        let spaced = (0..count).map(|i| (i as u128 * len as u128 / count as u128) as usize);
        Ok(spaced.map(|index| self.item(index)).collect())
    }

    fn name(&self, index: usize) -> String {
        shown(&self.paths.relative(index))
    }
}
