//! Reading a file by its path, through a handle of its directory.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use fs_err::File;

use super::Dir;

/// Opens a regular file for reading, through a handle of its directory.
///
/// # Errors
/// As [`Dir::open_read`].
pub fn open_read(path: &Path) -> io::Result<File> {
    let (dir, name) = split(path)?;
    dir.open_read(name)
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// As [`Dir::read`].
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let (dir, name) = split(path)?;
    dir.read(name, limit)
}

/// Reads a regular file of at most `limit` bytes of UTF-8.
///
/// # Errors
/// As [`Dir::read_text`].
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let (dir, name) = split(path)?;
    dir.read_text(name, limit)
}

fn split(path: &Path) -> io::Result<(Dir, &str)> {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    Ok((Dir::open(parent.unwrap_or(Path::new(".")))?, name))
}
