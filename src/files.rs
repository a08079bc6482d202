//! Safe access to the files of a run, through a handle of their directory.
//!
//! A [`Dir`] is opened once, and all names in it are resolved relative to that handle, so renaming it or a directory
//! above it in the meantime has no effect. Symbolic links in it are not followed, and only regular files of bounded size are
//! read, never a pipe. A file that has a second name elsewhere (a hard link) is not written in place. A file is replaced
//! through a temporary file with an unpredictable name; data and name are flushed to the disk. So readers see the old or
//! the new content, even after a power failure.

pub mod any_path;
mod array;
mod by_path;
mod lines;
mod names;
mod staged;

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use fs_err::File;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Stat, StatVfs};
use rustix::io::Errno;

pub use array::{ArrayFile, array};
pub use by_path::{open_read, read, read_text};
pub use lines::read_line;
pub use names::{is_random, is_temporary};
pub use staged::StagedFile;

use crate::fault;

/// Prefix of the temporary name of a file that has not been renamed to its final name yet.
pub const TEMPORARY: &str = ".tmp-";
/// Bytes per write call. Tests can inject an error before each of them.
const CHUNK: usize = 1 << 20;
/// Characters of a file's name in its temporary name.
const NAME_PART: usize = 50;

/// An open directory. Clones share the handle.
#[derive(Debug, Clone)]
pub struct Dir {
    fd: Arc<OwnedFd>,
    path: PathBuf,
    faults: bool,
}

impl Dir {
    /// Opens a directory by path. Only here are symbolic links followed, because users may store a run on another disk.
    ///
    /// # Errors
    /// The path and why it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let fd = fs::openat(CWD, path, directory_flags(), Mode::empty());
        Ok(Self {
            fd: Arc::new(fd.map_err(|error| with_path(path, error))?),
            path: path.to_owned(),
            faults: false,
        })
    }

    /// Enables fault injection ([`crate::fault`]) for the operations in this directory and in subdirectories opened
    /// from it.
    #[must_use]
    pub fn with_faults(self) -> Self {
        Self {
            faults: true,
            ..self
        }
    }

    /// The current path, also if the directory has been renamed; the path with which it was opened if the current one
    /// cannot be determined.
    pub fn path(&self) -> PathBuf {
        self.current_path().unwrap_or_else(|| self.path.clone())
    }

    /// The current path; `None` if the directory has been deleted or its path cannot be determined.
    pub fn current_path(&self) -> Option<PathBuf> {
        let own = fs::fstat(&self.fd).ok()?;
        let is_own = |there: Stat| (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino);
        let leads_here = |path: &PathBuf| fs::stat(path).is_ok_and(is_own);
        let opened = Some(self.path.clone()).filter(leads_here);
        opened.or_else(|| {
            let link = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
            let path = fs::readlink(link, Vec::new()).ok()?;
            Some(PathBuf::from(OsStr::from_bytes(path.as_bytes()))).filter(leads_here)
        })
    }

    /// When an entry was last created, renamed or deleted in it, seconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn modified(&self) -> io::Result<u64> {
        let seconds = fs::fstat(&self.fd)?.st_mtime;
        Ok(u64::try_from(seconds).unwrap_or(0))
    }

    /// Whether the directory has been deleted. Nothing can be created in it then.
    pub fn is_deleted(&self) -> bool {
        fs::fstat(&self.fd).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// The size and the free space of its file system.
    ///
    /// # Errors
    /// The error of the operating system.
    pub fn file_system(&self) -> io::Result<StatVfs> {
        Ok(fs::fstatvfs(&self.fd)?)
    }

    /// Opens a subdirectory.
    ///
    /// # Errors
    /// The path and why it cannot be opened. A symbolic link is rejected.
    pub fn subdir(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = self.check_name(name.as_ref())?;
        let flags = directory_flags() | OFlags::NOFOLLOW;
        let path = self.path().join(name);
        let fd = fs::openat(&self.fd, name, flags, Mode::empty());
        let wrong = |error| match error {
            // The error for a symbolic link depends on the system.
            Errno::NOTDIR | Errno::LOOP if self.type_of(name) == Some(FileType::Symlink) => {
                with_path(&path, link_error())
            }
            error => with_path(&path, error),
        };
        Ok(Self {
            fd: Arc::new(fd.map_err(wrong)?),
            path,
            faults: self.faults,
        })
    }

    /// Creates a subdirectory and opens it.
    ///
    /// # Errors
    /// `AlreadyExists` if the name exists; otherwise the path and why it cannot be created.
    pub fn make_subdir(&self, name: &str) -> io::Result<Self> {
        self.check_name(name)?;
        self.inject_fault("mkdir", name)?;
        let made = fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o777));
        made.map_err(self.error_at(name))?;
        self.subdir(name)
    }

    /// Opens a subdirectory; creates it and flushes it to the disk if it does not exist.
    ///
    /// # Errors
    /// The path and why it cannot be created or opened.
    pub fn ensure_subdir(&self, name: &str) -> io::Result<Self> {
        match self.subdir(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match self.make_subdir(name) {
                // Another process has created it in the meantime.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.subdir(name),
                made => {
                    let made = made?;
                    self.sync()?;
                    Ok(made)
                }
            },
            opened => opened,
        }
    }

    /// Opens a regular file for reading. Other files are rejected: opening a pipe would block, and a device can have
    /// side effects.
    ///
    /// # Errors
    /// `InvalidInput` if it is not a regular file; otherwise the path and why it cannot be opened.
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
            return Err(self.error_at(name)(error));
        }
        Ok(bytes)
    }

    /// Reads a regular file of at most `limit` bytes of UTF-8.
    ///
    /// # Errors
    /// As [`Dir::read`]; `InvalidData` if it is not UTF-8.
    pub fn read_text(&self, name: &str, limit: u64) -> io::Result<String> {
        String::from_utf8(self.read(name, limit)?)
            .map_err(|error| self.error_at(name)(io::Error::new(io::ErrorKind::InvalidData, error)))
    }

    /// Opens a regular file for reading and appending; creates it if it does not exist.
    ///
    /// # Errors
    /// As [`Dir::open_read`]; `InvalidInput` also for a file with a second name, whose owner would see the change there.
    pub fn append(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE)
    }

    /// Opens an existing regular file for reading and appending.
    ///
    /// # Errors
    /// As [`Dir::append`].
    pub fn append_existing(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR | OFlags::APPEND)
    }

    /// Creates a file and opens it for writing.
    ///
    /// # Errors
    /// `AlreadyExists` if the name exists; otherwise the path and why it cannot be created.
    pub fn create_new(&self, name: &str) -> io::Result<File> {
        self.inject_fault("create", name)?;
        self.open_file(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
    }

    /// Creates a file with the given content and flushes it to the disk.
    ///
    /// # Errors
    /// As [`Dir::create_new`], or why it cannot be written.
    pub fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.create_new(name)?;
        for chunk in bytes.chunks(CHUNK) {
            self.inject_fault("write", name)?;
            file.write_all(chunk)?;
        }
        self.inject_fault("fsync", name)?;
        file.sync_all()
    }

    /// Writes a file under a temporary name; [`StagedFile::commit`] renames it to `name`.
    ///
    /// # Errors
    /// The path and why it cannot be written. The temporary file is removed.
    pub fn stage(&self, name: impl AsRef<OsStr>, bytes: &[u8]) -> io::Result<StagedFile<'_>> {
        let name = self.check_name(name.as_ref())?;
        // The keys of a new hasher are random numbers from the operating system.
        let random = RandomState::new().hash_one(name);
        let part: String = name.to_string_lossy().chars().take(NAME_PART).collect();
        let staged = StagedFile {
            dir: self,
            temporary: format!("{TEMPORARY}{part}-{random:016x}"),
            name: name.to_owned(),
        };
        self.write_new(&staged.temporary, bytes)?;
        Ok(staged)
    }

    /// Replaces a file atomically, or creates it. Readers see the old or the new content at any time.
    ///
    /// # Errors
    /// The path and what failed. The old content is unchanged, unless only the final flush of the directory failed.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.stage(name, bytes)?.commit()?;
        self.sync()
    }

    /// Renames within the directory; an existing file with the new name is replaced.
    ///
    /// # Errors
    /// The new path and why the rename failed.
    pub fn rename(&self, from: &str, to: impl AsRef<OsStr>) -> io::Result<()> {
        let to = self.check_name(to.as_ref())?;
        self.inject_fault("rename", to)?;
        fs::renameat(&self.fd, from, &self.fd, to).map_err(self.error_at(to))
    }

    /// Renames unless the new name exists.
    ///
    /// # Errors
    /// `AlreadyExists` if it exists; otherwise the new path and why the rename failed.
    pub fn rename_new(&self, from: &str, to: impl AsRef<OsStr>) -> io::Result<()> {
        let to = to.as_ref();
        self.inject_fault("rename", to)?;
        match fs::renameat_with(&self.fd, from, &self.fd, to, RenameFlags::NOREPLACE) {
            // Fallback for file systems without NOREPLACE. The run is locked, so no other process can create the name
            // between the check and the rename.
            Err(error) if is_unsupported(error) && self.exists(to) => {
                Err(self.error_at(to)(Errno::EXIST))
            }
            Err(error) if is_unsupported(error) => {
                fs::renameat(&self.fd, from, &self.fd, to).map_err(self.error_at(to))
            }
            result => result.map_err(self.error_at(to)),
        }
    }

    /// Exchanges two names atomically. On file systems without atomic exchange, `other` is renamed to `spare` in
    /// between.
    ///
    /// # Errors
    /// The path of `other` and why the exchange failed. Both have their old names then.
    pub fn exchange(&self, one: &str, other: &str, spare: &str) -> io::Result<()> {
        self.inject_fault("rename", other)?;
        let rename = |from: &str, to: &str| {
            fs::renameat(&self.fd, from, &self.fd, to).map_err(self.error_at(to))
        };
        match fs::renameat_with(&self.fd, one, &self.fd, other, RenameFlags::EXCHANGE) {
            Err(error) if is_unsupported(error) => {
                rename(other, spare)?;
                if let Err(error) = rename(one, other) {
                    rename(spare, other)?;
                    return Err(error);
                }
                rename(spare, one)
            }
            result => result.map_err(self.error_at(other)),
        }
    }

    /// Removes a file, or a directory with its content. Of a symbolic link, only the link is removed.
    ///
    /// # Errors
    /// The path and why it cannot be removed.
    pub fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        let name = self.check_name(name.as_ref())?;
        self.inject_fault("remove", name)?;
        self.remove_recursively(name)
    }

    /// Removes a leftover as far as possible; errors are ignored. No fault is injected here, because this cleans up
    /// after a failure.
    pub fn discard(&self, name: &str) {
        let _ = self.remove_recursively(OsStr::new(name));
    }

    fn remove_recursively(&self, name: &OsStr) -> io::Result<()> {
        match fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            // A directory; macOS reports PERM.
            Err(Errno::ISDIR | Errno::PERM) => {}
            result => return result.map_err(self.error_at(name)),
        }
        let inner = self.subdir(name)?;
        for entry in inner.entries()? {
            inner.remove_recursively(&entry)?;
        }
        fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR).map_err(self.error_at(name))
    }

    /// Whether a file, directory or symbolic link of this name exists. Links are not followed.
    pub fn exists(&self, name: impl AsRef<OsStr>) -> bool {
        self.type_of(name.as_ref()).is_some()
    }

    /// Whether a directory of this name exists. A link to a directory does not count.
    pub fn has_subdir(&self, name: impl AsRef<OsStr>) -> bool {
        self.type_of(name.as_ref()) == Some(FileType::Directory)
    }

    fn type_of(&self, name: &OsStr) -> Option<FileType> {
        let stat = fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(FileType::from_raw_mode(stat.st_mode))
    }

    /// Whether a name belongs to the open file. Otherwise the name was removed or now belongs to another file.
    pub fn is_entry(&self, name: &str, file: &File) -> bool {
        let named = fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW);
        let identity = |stat: Stat| (stat.st_dev, stat.st_ino);
        named.is_ok_and(|named| fs::fstat(file).is_ok_and(|open| identity(open) == identity(named)))
    }

    /// The names of all entries, sorted. In names that are not UTF-8, invalid bytes are replaced by U+FFFD.
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

    /// The names of all entries.
    ///
    /// # Errors
    /// The path and why it cannot be read.
    pub fn entries(&self) -> io::Result<Vec<OsString>> {
        let wrong = |error: Errno| with_path(&self.path(), error);
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

    /// Flushes the directory entries to the disk, if the file system supports that.
    ///
    /// # Errors
    /// The path and what failed.
    pub fn sync(&self) -> io::Result<()> {
        self.inject_fault("fsync", "")?;
        match fs::fsync(&self.fd) {
            Err(error) if !is_unsupported(error) => Err(with_path(&self.path(), error)),
            _ => Ok(()),
        }
    }

    fn open_file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        self.check_name(name)?;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let path = self.path().join(name);
        let refused = |what: &str| {
            let error = io::Error::new(io::ErrorKind::InvalidInput, what);
            with_path(&path, error)
        };
        let opened = fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o666));
        let fd = opened.map_err(|error| match error {
            Errno::LOOP => with_path(&path, link_error()),
            // A socket or a pipe without a reader; a directory.
            Errno::NXIO | Errno::ISDIR => refused("not a regular file"),
            error => with_path(&path, error),
        })?;
        let stat = fs::fstat(&fd).map_err(|error| with_path(&path, error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(refused("not a regular file"));
        }
        if flags.intersects(OFlags::RDWR | OFlags::WRONLY) && stat.st_nlink > 1 {
            return Err(refused(
                "not written, because the file has another name (a hard link) and would change there too; replace it by \
                 a copy of itself",
            ));
        }
        Ok(File::from_parts(fd.into(), path))
    }

    /// Rejects a name that is not a direct entry of the directory.
    fn check_name<'a>(&self, name: &'a (impl AsRef<OsStr> + ?Sized)) -> io::Result<&'a OsStr> {
        let name = name.as_ref();
        let mut parts = Path::new(name).components();
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(only)), None) if only == name => Ok(name),
            _ => {
                let error = io::Error::new(io::ErrorKind::InvalidInput, "not a plain file name");
                Err(self.error_at(name)(error))
            }
        }
    }

    fn inject_fault(&self, operation: &str, name: impl AsRef<OsStr>) -> io::Result<()> {
        let file = name.as_ref().to_string_lossy();
        if !file.is_empty() {
            fault::before_file(&file).map_err(self.error_at(&name))?;
        }
        if self.faults {
            fault::before(operation).map_err(self.error_at(name))?;
        }
        Ok(())
    }

    /// A function that adds the path of `name` to an error.
    fn error_at<E: Into<io::Error>>(&self, name: impl AsRef<OsStr>) -> impl Fn(E) -> io::Error {
        move |error| with_path(&self.path().join(name.as_ref()), error)
    }
}

fn link_error() -> io::Error {
    let what = "is a symbolic link, which is not followed within a run; a complete run, or the directory of all runs, may \
                be one";
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

/// Whether the error means that the file system does not support the operation.
fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::NOTSUP)
}

/// The error with its path added to the message.
fn with_path(path: &Path, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
