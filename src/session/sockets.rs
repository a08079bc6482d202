//! The directory of the trainers' sockets: one per user in `/tmp` or in `EPOCHTOP_SOCKET_DIR`, like that of tmux.
//!
//! `$XDG_RUNTIME_DIR` is not used: it is deleted at the user's last logout, when the socket is still needed. The
//! directory is used only if it belongs to the user, is not a symbolic link and is not accessible to others.

use std::env;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// The maximum length of a socket's path in bytes, without the terminating NUL.
const LONGEST: usize = 107;
/// The maximum number of characters of the run's name in the name of its socket.
const NAME: usize = 40;

/// The directory of this user's sockets. It may not exist.
pub fn directory() -> PathBuf {
    let base = env::var_os("EPOCHTOP_SOCKET_DIR").filter(|dir| !dir.is_empty());
    let base = base.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    base.join(format!("epochtop-{}", rustix::process::geteuid().as_raw()))
}

/// Creates the directory of this user's sockets if it does not exist, and checks it.
///
/// # Errors
/// If it cannot be created or is not safe. The message includes a remedy.
pub fn make_directory() -> io::Result<PathBuf> {
    let dir = directory();
    match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(io::Error::new(
                error.kind(),
                format!(
                    "{}: {error}; EPOCHTOP_SOCKET_DIR can specify another directory",
                    dir.display()
                ),
            ));
        }
        _ => {}
    }
    check(&dir)?;
    Ok(dir)
}

/// Checks that a directory is safe for sockets.
///
/// # Errors
/// `NotFound` if it does not exist, otherwise an error of the form `path: problem; remedy`.
pub fn check(dir: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(dir)?;
    let mine = rustix::process::geteuid().as_raw();
    let wrong = if !meta.is_dir() {
        "is not a directory (symbolic links are not followed)".to_owned()
    } else if meta.uid() != mine {
        format!("belongs to user {}, not to you ({mine})", meta.uid())
    } else if meta.mode() & 0o077 != 0 {
        format!(
            "is open to others (mode {:o}); `chmod 700` closes it",
            meta.mode() & 0o777
        )
    } else {
        return Ok(());
    };
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "{}: {wrong}; EPOCHTOP_SOCKET_DIR can specify another directory",
            dir.display()
        ),
    ))
}

/// The path of a run's socket in `dir`. Its name has the run's name and a hash of the run's path and of the PID, because
/// runs in different directories can have the same name, and a run whose directory has been renamed the same path.
///
/// # Errors
/// If the path is too long for a socket.
pub fn path_of(dir: &Path, run: &Path) -> io::Result<PathBuf> {
    let run = run.canonicalize().unwrap_or_else(|_| run.to_owned());
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name = run.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().take(NAME).map(plain).collect();
    let pid = std::process::id().to_le_bytes();
    let hash = blake3::hash(&[run.as_os_str().as_encoded_bytes(), &pid].concat()).to_hex();
    let path = dir.join(format!("{name}-{}.sock", hash.get(..8).unwrap_or_default()));
    let length = path.as_os_str().len();
    if length > LONGEST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "{}: {length} bytes; a socket path has at most {LONGEST}; set EPOCHTOP_SOCKET_DIR to a shorter path",
                path.display()
            ),
        ));
    }
    Ok(path)
}

/// The paths of all sockets of this user, including stale ones.
pub fn all() -> Vec<PathBuf> {
    let dir = directory();
    if check(&dir).is_err() {
        return Vec::new();
    }
    let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
    let mut sockets: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()))
        .map(|entry| entry.path())
        .collect();
    sockets.sort();
    sockets
}

/// Whether no process listens on the socket any more.
pub fn is_stale(socket: &Path) -> bool {
    matches!(UnixStream::connect(socket), Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Deletes stale sockets of killed trainers, except `own`.
pub(super) fn sweep(own: &Path) {
    for socket in all().iter().filter(|socket| *socket != own) {
        // A new socket may not be listening yet, so only those at least 10 s old are deleted.
        let old_enough = fs::metadata(socket)
            .and_then(|meta| meta.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age.as_secs() >= 10));
        if old_enough && is_stale(socket) {
            let _ = fs::remove_file(socket);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn directory_must_be_private_and_owned() {
        let dir = tempfile::tempdir().unwrap();
        let words = |path: &Path| check(path).unwrap_err().to_string();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let own = dir.path().join("own");
        fs::create_dir(&own).unwrap();
        for open in [0o755, 0o777, 0o1777, 0o710] {
            mode(&own, open);
            assert!(words(&own).contains("open to others"), "{open:o}");
        }
        mode(&own, 0o700);
        check(&own).unwrap();
        symlink(&own, dir.path().join("link")).unwrap();
        assert!(words(&dir.path().join("link")).contains("is not a directory"));
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(words(&dir.path().join("file")).contains("is not a directory"));
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&own, Some(12345), None).unwrap();
            assert!(words(&own).contains("belongs to user 12345"));
        }
    }

    #[test]
    fn socket_path_is_unique_per_run_and_limited_in_length() {
        let dir = Path::new("/tmp/epochtop-0");
        let a = path_of(dir, Path::new("/a/runs/first")).unwrap();
        assert_eq!(a, path_of(dir, Path::new("/a/runs/first")).unwrap());
        assert_ne!(a, path_of(dir, Path::new("/b/runs/first")).unwrap());
        let name = a.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            name.starts_with("first-") && a.extension().is_some_and(|end| end == "sock"),
            "{name}"
        );
        let odd = path_of(dir, Path::new("/a/ein lauf/ä\u{1b}")).unwrap();
        assert!(odd.to_string_lossy().is_ascii());
        let deep = PathBuf::from(format!("/{}", "d".repeat(90)));
        assert!(
            path_of(&deep, Path::new("/a/first"))
                .unwrap_err()
                .to_string()
                .contains("at most 107")
        );
    }
}
