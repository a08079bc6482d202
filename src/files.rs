//! The files of a run, reached through a handle of their directory.
//!
//! [`Dir`] is opened once; everything in it is named relative to that handle, so that no directory above can be exchanged in
//! between. Below it no symbolic link is followed, and what is read is a regular file of a bounded size, never a pipe. A file
//! is replaced by way of a temporary name that nobody can foresee, and the data and the name are flushed to the disk: readers
//! see the old content or the new one, after a power cut too.

use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use fs_err::File;
use rustix::fd::OwnedFd;
use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::fault;

/// How the name of a file begins that has not been renamed to its final name yet.
pub const TEMPORARY: &str = ".tmp-";
/// Bytes of one write, before each of which a test can inject an error.
const CHUNK: usize = 1 << 20;

/// An open directory.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
    faults: bool,
}

impl Dir {
    /// Opens a directory that the caller names. This is the only place where a symbolic link is followed: a person may keep
    /// a run on another disk.
    ///
    /// # Errors
    /// The path and why it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let fd = fs::openat(CWD, path, directory_flags(), Mode::empty());
        Ok(Self {
            fd: fd.map_err(|error| naming(path, error))?,
            path: path.to_owned(),
            faults: false,
        })
    }

    /// Makes each operation, here and in subdirectories opened from here, a place where a test can inject a failure
    /// ([`crate::fault`]).
    #[must_use]
    pub fn with_faults(self) -> Self {
        Self {
            faults: true,
            ..self
        }
    }

    /// The path it was opened at.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a subdirectory.
    ///
    /// # Errors
    /// The path and why it cannot be opened; a symbolic link is refused.
    pub fn subdir(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = self.plain(name.as_ref())?;
        let flags = directory_flags() | OFlags::NOFOLLOW;
        let path = self.path.join(name);
        let fd = fs::openat(&self.fd, name, flags, Mode::empty());
        Ok(Self {
            fd: fd.map_err(|error| naming(&path, error))?,
            path,
            faults: self.faults,
        })
    }

    /// Makes a subdirectory and opens it.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; otherwise the path and why it cannot be made.
    pub fn make_subdir(&self, name: &str) -> io::Result<Self> {
        self.plain(name)?;
        self.before("mkdir", name)?;
        let made = fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o777));
        made.map_err(self.wrong(name))?;
        self.subdir(name)
    }

    /// Opens a subdirectory, which is made and flushed to the disk if it does not exist.
    ///
    /// # Errors
    /// The path and why it cannot be made or opened.
    pub fn ensure_subdir(&self, name: &str) -> io::Result<Self> {
        match self.subdir(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = self.make_subdir(name)?;
                self.sync()?;
                Ok(made)
            }
            opened => opened,
        }
    }

    /// Opens a regular file for reading. Nothing else is opened: a pipe would be waited for, a device may have side effects.
    ///
    /// # Errors
    /// `InvalidInput` if it is no regular file; otherwise the path and why it cannot be opened.
    pub fn open_read(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDONLY)
    }

    /// Reads a regular file of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Dir::open_read`]; `InvalidData` if it is larger.
    pub fn read(&self, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = self.open_read(name)?.take(limit.saturating_add(1));
        file.read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            let text = format!("larger than {limit} bytes");
            let error = io::Error::new(io::ErrorKind::InvalidData, text);
            return Err(self.wrong(name)(error));
        }
        Ok(bytes)
    }

    /// Reads a regular file of at most `limit` bytes of UTF-8.
    ///
    /// # Errors
    /// As [`Dir::read`]; `InvalidData` if it is no UTF-8.
    pub fn read_text(&self, name: &str, limit: u64) -> io::Result<String> {
        String::from_utf8(self.read(name, limit)?)
            .map_err(|error| self.wrong(name)(io::Error::new(io::ErrorKind::InvalidData, error)))
    }

    /// Opens a regular file for reading and appending; it is made if it does not exist.
    ///
    /// # Errors
    /// As [`Dir::open_read`].
    pub fn append(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE)
    }

    /// Opens a regular file that exists for reading and appending.
    ///
    /// # Errors
    /// As [`Dir::open_read`].
    pub fn append_existing(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR | OFlags::APPEND)
    }

    /// Makes a file and opens it for writing.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; otherwise the path and why it cannot be made.
    pub fn create_new(&self, name: &str) -> io::Result<File> {
        self.before("create", name)?;
        self.open_file(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
    }

    /// Makes a file with this content and flushes it to the disk.
    ///
    /// # Errors
    /// As [`Dir::create_new`], or why it cannot be written.
    pub fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.create_new(name)?;
        for chunk in bytes.chunks(CHUNK) {
            self.before("write", name)?;
            file.write_all(chunk)?;
        }
        self.before("fsync", name)?;
        file.sync_all()
    }

    /// Writes a file under a temporary name; [`Staged::commit`] gives it its own.
    ///
    /// # Errors
    /// The path and why it cannot be written; nothing is left behind then.
    pub fn stage(&self, name: &str, bytes: &[u8]) -> io::Result<Staged<'_>> {
        self.plain(name)?;
        // The keys of a new hasher come from the system's random numbers.
        let random = RandomState::new().hash_one(name);
        let staged = Staged {
            dir: self,
            temporary: format!("{TEMPORARY}{name}-{random:016x}"),
            name: name.to_owned(),
        };
        self.write_new(&staged.temporary, bytes)?;
        Ok(staged)
    }

    /// Replaces a file, or makes it: readers see the old content or the new one at any moment.
    ///
    /// # Errors
    /// The path and what failed. The old content is there then, unless only the last flush of the directory failed.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.stage(name, bytes)?.commit()?;
        self.sync()
    }

    /// Renames within the directory; what had the new name is gone.
    ///
    /// # Errors
    /// The new path and why it cannot have the name.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.plain(to)?;
        self.before("rename", to)?;
        fs::renameat(&self.fd, from, &self.fd, to).map_err(self.wrong(to))
    }

    /// Renames unless the new name is taken.
    ///
    /// # Errors
    /// `AlreadyExists` if it is taken; otherwise the new path and why it cannot have the name.
    pub fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        self.before("rename", to)?;
        match fs::renameat_with(&self.fd, from, &self.fd, to, RenameFlags::NOREPLACE) {
            // Some file systems do not offer that. Nobody else writes here between look and rename: the run is locked.
            Err(error) if is_not_offered(error) && self.exists(to) => {
                Err(self.wrong(to)(Errno::EXIST))
            }
            Err(error) if is_not_offered(error) => {
                fs::renameat(&self.fd, from, &self.fd, to).map_err(self.wrong(to))
            }
            result => result.map_err(self.wrong(to)),
        }
    }

    /// Exchanges two names, without a moment in which either is missing. Where a file system does not offer that, `other` is
    /// called `spare` for a moment.
    ///
    /// # Errors
    /// The path of `other` and why they cannot be exchanged; both have their old names then.
    pub fn exchange(&self, one: &str, other: &str, spare: &str) -> io::Result<()> {
        self.before("rename", other)?;
        let rename = |from: &str, to: &str| {
            fs::renameat(&self.fd, from, &self.fd, to).map_err(self.wrong(to))
        };
        match fs::renameat_with(&self.fd, one, &self.fd, other, RenameFlags::EXCHANGE) {
            Err(error) if is_not_offered(error) => {
                rename(other, spare)?;
                if let Err(error) = rename(one, other) {
                    rename(spare, other)?;
                    return Err(error);
                }
                rename(spare, one)
            }
            result => result.map_err(self.wrong(other)),
        }
    }

    /// Removes a file, or a directory with all that is in it. A link is removed, not what it leads to.
    ///
    /// # Errors
    /// The path and why it cannot be removed.
    pub fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        let name = self.plain(name.as_ref())?;
        self.before("remove", name)?;
        self.remove_below(name)
    }

    /// Removes what can be removed of a leftover. This is no place for a test's failure: it happens after one.
    pub fn discard(&self, name: &str) {
        let _ = self.remove_below(OsStr::new(name));
    }

    fn remove_below(&self, name: &OsStr) -> io::Result<()> {
        match fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            // A directory; macOS calls it PERM.
            Err(Errno::ISDIR | Errno::PERM) => {}
            result => return result.map_err(self.wrong(name)),
        }
        let inner = self.subdir(name)?;
        for entry in inner.entries()? {
            inner.remove_below(&entry)?;
        }
        fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR).map_err(self.wrong(name))
    }

    /// Whether there is anything of this name; a link counts, wherever it leads.
    pub fn exists(&self, name: &str) -> bool {
        fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// The names in it, sorted; a name that is no UTF-8 has replacement characters.
    ///
    /// # Errors
    /// The path and why it cannot be read.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let entries = self.entries()?.into_iter();
        let mut names: Vec<String> = entries
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    fn entries(&self) -> io::Result<Vec<std::ffi::OsString>> {
        use std::os::unix::ffi::OsStrExt;
        let wrong = |error: Errno| naming(&self.path, error);
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.fd).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Flushes the names in it to the disk, where the file system offers that for directories.
    ///
    /// # Errors
    /// The path and what failed.
    pub fn sync(&self) -> io::Result<()> {
        self.before("fsync", "")?;
        match fs::fsync(&self.fd) {
            Err(error) if !is_not_offered(error) => Err(naming(&self.path, error)),
            _ => Ok(()),
        }
    }

    fn open_file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        self.plain(name)?;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let irregular = || io::Error::new(io::ErrorKind::InvalidInput, "is no regular file");
        let path = self.path.join(name);
        let opened = fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o666));
        let fd = opened.map_err(|error| match error {
            // A link; a socket, or a pipe that nobody reads; a directory.
            Errno::LOOP | Errno::NXIO | Errno::ISDIR => naming(&path, irregular()),
            error => naming(&path, error),
        })?;
        let stat = fs::fstat(&fd).map_err(|error| naming(&path, error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(naming(&path, irregular()));
        }
        Ok(File::from_parts(fd.into(), path))
    }

    /// Refuses a name that leads out of the directory.
    fn plain<'a>(&self, name: &'a (impl AsRef<OsStr> + ?Sized)) -> io::Result<&'a OsStr> {
        let name = name.as_ref();
        let mut parts = Path::new(name).components();
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(only)), None) if only == name => Ok(name),
            _ => {
                let error = io::Error::new(io::ErrorKind::InvalidInput, "is no plain file name");
                Err(self.wrong(name)(error))
            }
        }
    }

    fn before(&self, operation: &str, name: impl AsRef<OsStr>) -> io::Result<()> {
        if self.faults {
            fault::before(operation).map_err(self.wrong(name))?;
        }
        Ok(())
    }

    /// Names the path of an error.
    fn wrong<E: Into<io::Error>>(&self, name: impl AsRef<OsStr>) -> impl Fn(E) -> io::Error {
        let path = self.path.join(name.as_ref());
        move |error| naming(&path, error)
    }
}

/// A file that is complete but has only a temporary name. It is removed when it is dropped without having been committed.
#[derive(Debug)]
#[must_use = "without `commit` it is removed"]
pub struct Staged<'a> {
    dir: &'a Dir,
    temporary: String,
    name: String,
}

impl Staged<'_> {
    /// Gives it its name; [`Dir::sync`] flushes that.
    ///
    /// # Errors
    /// The path and why it cannot have the name; the file is removed then.
    pub fn commit(self) -> io::Result<()> {
        self.dir.rename(&self.temporary, &self.name)
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // After a commit there is nothing of that name.
        self.dir.discard(&self.temporary);
    }
}

/// Opens a regular file for reading, by a handle of the directory it is in.
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

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

/// Whether a file system does not offer an operation.
fn is_not_offered(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::NOTSUP)
}

/// An error with the path it is about.
fn naming(path: &Path, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
