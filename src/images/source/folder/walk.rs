//! The images below one class directory.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::super::super::DataError;
use super::super::common::stamp_file;
use super::entries::{Entry, Kind, Skipped, Tally, entries};
use super::name::{shown, shown_path};
use super::order::compare_files;
use super::paths::{Paths, below, joined};
use crate::config::ClassOrder;

/// The images of a class in one split.
#[derive(Debug)]
pub(super) struct ClassFiles {
    /// Their paths, in order.
    pub(super) paths: Paths,
    /// Hash of their paths, sizes and modification times.
    pub(super) stamp: blake3::Hash,
    /// Those that lie in subdirectories of the class directory.
    pub(super) nested: Tally,
    /// What is skipped.
    pub(super) skipped: Skipped,
}

/// Lists the images in the class directory at `class`, relative to the data directory, and below it.
///
/// # Errors
/// If a directory cannot be read or a file disappears.
pub(super) fn class_files(
    root: &Path,
    class: &[u8],
    order: ClassOrder,
) -> Result<ClassFiles, DataError> {
    let mut tree = Tree {
        root,
        dirs: Vec::new(),
        files: Vec::new(),
        skipped: Skipped::default(),
    };
    let parent = class.rsplitn(2, |byte| *byte == b'/').nth(1);
    let mut above = vec![identity(&metadata(root)?)];
    if let Some(parent) = parent {
        above.push(identity(&metadata(&below(root, parent))?));
    }
    tree.visit(class.to_owned(), &mut above)?;
    tree.sorted(class, order)
}

/// The images in a directory and below it, whatever their classes.
///
/// # Errors
/// As [`class_files`].
pub(super) fn all_files(root: &Path) -> Result<Paths, DataError> {
    let mut tree = Tree {
        root,
        dirs: Vec::new(),
        files: Vec::new(),
        skipped: Skipped::default(),
    };
    tree.visit(Vec::new(), &mut Vec::new())?;
    Ok(tree.sorted(&[], ClassOrder::Bytes)?.paths)
}

/// Device and inode, which identify a directory whatever its path.
type Identity = (u64, u64);

fn identity(directory: &Metadata) -> Identity {
    (directory.dev(), directory.ino())
}

fn metadata(path: &Path) -> Result<Metadata, DataError> {
    fs::metadata(path).map_err(|error| {
        DataError(format!(
            "{}: cannot be read ({error}); was it changed just now, or is its directory not searchable?",
            shown_path(path)
        ))
    })
}

/// The directories and files below a class directory, before they are sorted.
struct Tree<'a> {
    root: &'a Path,
    dirs: Vec<Vec<u8>>,
    /// The index of the directory, and the name.
    files: Vec<(usize, Box<[u8]>)>,
    skipped: Skipped,
}

impl Tree<'_> {
    /// Reads a directory and those below it. `above` has the identities of the directories on the way to it.
    fn visit(&mut self, dir: Vec<u8>, above: &mut Vec<Identity>) -> Result<(), DataError> {
        let path = below(self.root, &dir);
        let id = identity(&metadata(&path)?);
        if above.contains(&id) {
            self.skipped.loops.add(dir);
            return Ok(());
        }
        let index = self.dirs.len();
        let mut inner = Vec::new();
        for entry in entries(&path)? {
            let Entry { name, kind } = entry?;
            match kind {
                Kind::Image => self.files.push((index, name.into())),
                Kind::Directory => inner.push(joined(&dir, &name)),
                Kind::Other => self.skipped.other.add(joined(&dir, &name)),
                Kind::Hidden => self.skipped.hidden.add(joined(&dir, &name)),
                Kind::BrokenLink => self.skipped.broken.add(joined(&dir, &name)),
            }
        }
        self.dirs.push(dir);
        above.push(id);
        for dir in inner {
            self.visit(dir, above)?;
        }
        above.pop();
        Ok(())
    }

    /// Sorts the files and looks up size and modification time of each.
    fn sorted(self, class: &[u8], order: ClassOrder) -> Result<ClassFiles, DataError> {
        let Self {
            root,
            dirs,
            mut files,
            skipped,
        } = self;
        let dir_of = |index: usize| dirs.get(index).map_or(&[][..], Vec::as_slice);
        files.sort_unstable_by(|a, b| {
            compare_files(order, (dir_of(a.0), &a.1), (dir_of(b.0), &b.1))
        });
        let mut class_files = ClassFiles {
            paths: Paths::default(),
            stamp: blake3::Hash::from_bytes([0; 32]),
            nested: Tally::default(),
            skipped,
        };
        let mut hasher = blake3::Hasher::new();
        for (dir, name) in &files {
            let dir = dir_of(*dir);
            let path = joined(dir, name);
            let file = metadata(&below(root, &path))?;
            stamp_file(&mut hasher, &shown(&path), &file);
            class_files.paths.push(dir, name);
            if dir != class {
                class_files.nested.add(path);
            }
        }
        class_files.stamp = hasher.finalize();
        Ok(class_files)
    }
}
