//! Output files named by the user.

use std::error::Error;
use std::io;
use std::path::Path;

use fs_err as fs;
use rustix::fs::FileType;

use crate::files::Dir;

/// Whether an output file may replace an existing one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Refuse,
    /// `--force`.
    Replace,
}

impl Existing {
    /// What the flag `--force` means.
    pub(super) fn forced(force: bool) -> Self {
        if force { Self::Replace } else { Self::Refuse }
    }
}

/// Checks whether [`write_file`] would refuse an existing file, before the work for its content is done.
///
/// # Errors
/// `AlreadyExists` with the path and the remedy.
pub(super) fn check_new(path: &Path, existing: Existing) -> io::Result<()> {
    if existing == Existing::Refuse && !is_stream(path) && path.symlink_metadata().is_ok() {
        return Err(exists(path));
    }
    Ok(())
}

/// Writes a file completely or not at all: first under a temporary name in the same directory. Of a symbolic link, the
/// link is replaced, not its target. A pipe or device, such as `/dev/stdout`, is written directly.
///
/// # Errors
/// The path and why it cannot be written. An existing file is then unchanged.
pub(super) fn write_file(path: &Path, bytes: &[u8], existing: Existing) -> io::Result<()> {
    let (false, Some(name)) = (is_stream(path), path.file_name()) else {
        return fs::write(path, bytes);
    };
    let above = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let write = || {
        let dir = Dir::open(above.unwrap_or(Path::new(".")))?;
        let staged = dir.stage(name, bytes)?;
        match existing {
            Existing::Refuse => staged.commit_new()?,
            Existing::Replace => {
                staged.keep_permissions();
                staged.commit()?;
            }
        }
        dir.sync()
    };
    write().map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        kind => {
            let text = format!("{}: not written: {}", path.display(), cause(&error));
            io::Error::new(kind, text)
        }
    })
}

fn exists(path: &Path) -> io::Error {
    let text = format!("{}: exists; --force replaces it", path.display());
    io::Error::new(io::ErrorKind::AlreadyExists, text)
}

/// The error of the operating system, without the temporary name.
fn cause(error: &io::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Whether a path is that of a pipe or device. In `/dev` and `/proc`, names such as `stdout` are links to open files.
fn is_stream(path: &Path) -> bool {
    let kind = |path: &Path| {
        let stat = rustix::fs::lstat(path).ok()?;
        Some(FileType::from_raw_mode(stat.st_mode))
    };
    path.starts_with("/dev")
        || path.starts_with("/proc")
        || matches!(
            kind(path),
            Some(FileType::Fifo | FileType::CharacterDevice | FileType::Socket)
        )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn existing_file_is_replaced_only_if_forced_and_completely_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_file(&path, b"old", Existing::Refuse).unwrap();
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        check_new(&path, Existing::Replace).unwrap();
        for refused in [
            check_new(&path, Existing::Refuse),
            write_file(&path, b"new", Existing::Refuse),
        ] {
            let error = refused.unwrap_err().to_string();
            assert!(
                error.ends_with("a.json: exists; --force replaces it"),
                "{error}"
            );
        }
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_file(&path, b"new", Existing::Replace).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let missing = dir.path().join("not/there.json");
        let error = write_file(&missing, b"x", Existing::Refuse)
            .unwrap_err()
            .to_string();
        assert!(error.contains("not/there.json: not written"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn target_of_a_link_is_never_written_and_a_device_is_written_directly() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&path, "old").unwrap();
        for target in [&path, &dir.path().join("dangling")] {
            let _ = fs::remove_file(&link);
            symlink(target, &link).unwrap();
            assert!(check_new(&link, Existing::Refuse).is_err());
            assert!(write_file(&link, b"new", Existing::Refuse).is_err());
            assert!(link.is_symlink());
            write_file(&link, b"new", Existing::Replace).unwrap();
            assert!(!link.is_symlink() && !dir.path().join("dangling").exists());
            assert_eq!(fs::read(&path).unwrap(), b"old");
        }
        write_file(Path::new("/dev/null"), b"x", Existing::Refuse).unwrap();
    }
}
