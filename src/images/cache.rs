//! The list of packed images in a cache directory, and their deletion.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::Pack;
use crate::files::Dir;

/// Characters of the hash that names a file, in hex.
pub const KEY: usize = 32;
/// The ending of the list of duplicates.
pub const DUPLICATES: &str = "duplicates.csv";

/// A file in the directory of packed images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it is.
    pub kind: CachedKind,
}

/// What a file in the directory of packed images is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CachedKind {
    /// Packed images: the data directory, their number, and height and width.
    Pack {
        /// The data directory.
        dir: String,
        /// Number of images.
        images: usize,
        /// Height and width in pixels.
        size: (u32, u32),
    },
    /// Left by an interrupted packing, which would continue with it.
    Unfinished,
    /// The list of duplicates that `data check` has found.
    Duplicates,
    /// A damaged or outdated file, which is not used.
    Damaged,
}

/// The packed images in a directory and what interrupted packing has left, except what a process is packing now. Other
/// files are not listed.
///
/// # Errors
/// If the directory cannot be read; a missing one is empty.
pub fn cached_files(dir: &Path) -> io::Result<Vec<CachedFile>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let handle = Dir::open(dir)?;
    let mut names = handle.names()?;
    names.sort();
    let known = names.iter().filter_map(|name| {
        let (key, ending) = name.split_once('.')?;
        let is_key = key.len() == KEY && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_key.then_some((name, key, ending))
    });
    let mut files = Vec::new();
    for (name, key, ending) in known {
        let path = dir.join(name);
        let kind = match ending {
            "pack" => Pack::open(&path).map_or(CachedKind::Damaged, |pack| CachedKind::Pack {
                dir: pack.info().dir.clone(),
                images: pack.len(),
                size: (pack.info().height, pack.info().width),
            }),
            DUPLICATES => CachedKind::Duplicates,
            "part" | "part.list" if !is_being_packed(&handle, key) => CachedKind::Unfinished,
            _ => continue,
        };
        let bytes = path.symlink_metadata().map_or(0, |meta| meta.len());
        files.push(CachedFile { path, bytes, kind });
    }
    Ok(files)
}

fn is_being_packed(dir: &Dir, key: &str) -> bool {
    let list = dir.open_read(&format!("{key}.part.list"));
    list.is_ok_and(|list| flock(&list, FlockOperation::NonBlockingLockShared).is_err())
}

impl CachedFile {
    /// Deletes the file.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn remove(&self) -> io::Result<()> {
        fs_err::remove_file(&self.path)
    }
}
