//! A file under a temporary name, until it is complete.

use std::ffi::OsString;
use std::io;

use rustix::fs::{self, AtFlags, FileType, Mode, Stat};

use super::Dir;

/// A complete file with a temporary name. It is removed on drop unless it has been committed.
#[derive(Debug)]
#[must_use = "the file is removed unless `commit` is called"]
pub struct StagedFile<'a> {
    pub(super) dir: &'a Dir,
    pub(super) temporary: String,
    pub(super) name: OsString,
}

impl StagedFile<'_> {
    /// Renames the file to its final name. Call [`Dir::sync`] to flush the name to the disk.
    ///
    /// # Errors
    /// The path and why the rename failed. The file is removed then.
    pub fn commit(self) -> io::Result<()> {
        self.dir.rename(&self.temporary, &self.name)
    }

    /// As [`StagedFile::commit`], unless the final name exists.
    ///
    /// # Errors
    /// `AlreadyExists` if it exists, also as a link; otherwise as [`StagedFile::commit`].
    pub fn commit_new(self) -> io::Result<()> {
        self.dir.rename_new(&self.temporary, &self.name)
    }

    /// Gives the file the permissions of the regular file that it will replace, if there is one.
    pub fn keep_permissions(&self) {
        let old = fs::statat(&self.dir.fd, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        let is_file = |old: &Stat| FileType::from_raw_mode(old.st_mode) == FileType::RegularFile;
        if let Some(old) = old.ok().filter(is_file) {
            let mode = Mode::from_raw_mode(old.st_mode & 0o777);
            // The file is complete without them too.
            let _ = fs::chmodat(&self.dir.fd, &self.temporary, mode, AtFlags::empty());
        }
    }
}

impl Drop for StagedFile<'_> {
    fn drop(&mut self) {
        // After a commit the temporary name does not exist.
        self.dir.discard(&self.temporary);
    }
}
