//! Output files named by the user.

use std::io;
use std::path::Path;

use fs_err as fs;

/// Writes a file completely or not at all: first under a temporary name in the same directory. A path that is not a
/// regular file, such as a pipe or `/dev/stdout`, is written directly.
///
/// # Errors
/// The path and why it cannot be written. An existing file is then unchanged.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // The target of a symbolic link is replaced, not the link.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let special = path.metadata().is_ok_and(|known| !known.is_file());
    let (false, Some(name)) = (special, path.file_name()) else {
        return fs::write(path, bytes);
    };
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(temporary);
    let named = |error: io::Error| {
        let _ = std::fs::remove_file(&temporary);
        io::Error::new(
            error.kind(),
            format!("{}: not written: {error}", path.display()),
        )
    };
    std::fs::write(&temporary, bytes).map_err(named)?;
    if let Ok(known) = path.metadata() {
        let _ = std::fs::set_permissions(&temporary, known.permissions());
    }
    std::fs::rename(&temporary, path).map_err(named)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn file_is_replaced_completely_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_file(&path, b"old").unwrap();
        write_file(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        let missing = dir.path().join("not/there.json");
        let error = write_file(&missing, b"x").unwrap_err().to_string();
        assert!(error.contains("not/there.json: not written"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn target_of_a_link_is_written_and_a_device_directly() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write_file(&link, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(link.is_symlink());
        write_file(Path::new("/dev/null"), b"x").unwrap();
    }
}
