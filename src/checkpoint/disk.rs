//! The few things done to a disk here, each flushed, and each a place where a test can let it fail.

use std::io::{self, Write};
use std::path::Path;

use fs_err::{self as fs, File, OpenOptions};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::fault;

/// Bytes written between two updates of the hash.
const CHUNK: usize = 1 << 20;

/// Names the path of an error that a system call gave without one.
fn at(path: &Path) -> impl Fn(io::Error) -> io::Error + '_ {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Makes a directory that is not there.
pub(super) fn create_dir(path: &Path) -> io::Result<()> {
    fault::before("mkdir").map_err(at(path))?;
    fs::create_dir(path)
}

/// Writes a file that is not there, to the disk; returns the hash of its bytes.
pub(super) fn create(path: &Path, bytes: &[u8]) -> io::Result<blake3::Hash> {
    fault::before("create").map_err(at(path))?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    fill(&mut file, path, bytes)
}

/// Writes `bytes` to `path` by way of `temporary` beside it: readers see the old file or the new one.
pub(super) fn replace(temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fault::before("create").map_err(at(path))?;
    let mut file = File::create(temporary)?;
    fill(&mut file, path, bytes)?;
    rename(temporary, path)
}

fn fill(file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    for chunk in bytes.chunks(CHUNK) {
        fault::before("write").map_err(at(path))?;
        file.write_all(chunk)?;
        hasher.update(chunk);
    }
    fault::before("fsync").map_err(at(path))?;
    file.sync_all()?;
    Ok(hasher.finalize())
}

/// Flushes a directory: the names in it.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    fault::before("fsync").map_err(at(dir))?;
    File::open(dir).and_then(|dir| dir.sync_all())
}

/// Renames; what had the new name is gone.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fault::before("rename").map_err(at(to))?;
    fs::rename(from, to)
}

/// Renames unless the new name is taken (`AlreadyExists` then).
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    fault::before("rename").map_err(at(to))?;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // Some file systems cannot promise that; between the look and the rename nobody else writes here: the run is locked.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if !to.exists() => fs::rename(from, to),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            Err(at(to)(io::ErrorKind::AlreadyExists.into()))
        }
        Err(error) => Err(at(to)(error.into())),
    }
}

/// Lets two names change places, so that there is no moment without either. Where a file system cannot do that, the old one
/// has the name `spare` for a moment, which the next start gives back.
pub(super) fn exchange(one: &Path, other: &Path, spare: &Path) -> io::Result<()> {
    fault::before("rename").map_err(at(other))?;
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            fs::rename(other, spare)?;
            if let Err(error) = fs::rename(one, other) {
                fs::rename(spare, other)?;
                return Err(error);
            }
            fs::rename(spare, one)
        }
        Err(error) => Err(at(other)(error.into())),
    }
}

/// Removes a directory and what is in it.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    fault::before("remove").map_err(at(dir))?;
    fs::remove_dir_all(dir)
}
