//! Where trainers listen: a directory of this user's own below `/tmp` (or `EPOCHTOP_SOCKET_DIR`), as tmux has it.
//!
//! Not `$XDG_RUNTIME_DIR`: that is removed at the last logout, which is just when the socket is needed. The directory is
//! nobody else's, is no link, and is open to nobody else, or it is not used.

use std::env;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// The longest path a socket may have, the NUL not counted.
const LONGEST: usize = 107;
/// Characters of a run's name in the name of its socket.
const NAME: usize = 40;

/// The directory of this user's sockets; it may not be there.
pub fn directory() -> PathBuf {
    let base = env::var_os("EPOCHTOP_SOCKET_DIR").filter(|dir| !dir.is_empty());
    let base = base.map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    base.join(format!("epochtop-{}", rustix::process::geteuid().as_raw()))
}

/// Makes the directory where it is not there, and checks it.
///
/// # Errors
/// What is wrong with it, and what to do.
pub fn make_directory() -> io::Result<PathBuf> {
    let dir = directory();
    match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(io::Error::new(
                error.kind(),
                format!(
                    "{}: {error}; EPOCHTOP_SOCKET_DIR names another place",
                    dir.display()
                ),
            ));
        }
        _ => {}
    }
    check(&dir)?;
    Ok(dir)
}

/// Whether a directory is safe to put a socket into.
///
/// # Errors
/// What is wrong with it, and what to do.
pub fn check(dir: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(dir)?;
    let mine = rustix::process::geteuid().as_raw();
    let wrong = if !meta.is_dir() {
        "is no directory (a link is not followed)".to_owned()
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
            "{}: {wrong}; no socket is put there, EPOCHTOP_SOCKET_DIR names another place",
            dir.display()
        ),
    ))
}

/// Where the trainer of a run listens: a name for people, and a hash that tells runs of one name apart.
///
/// # Errors
/// A path longer than sockets may have.
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
    let hash = blake3::hash(run.as_os_str().as_encoded_bytes()).to_hex();
    let path = dir.join(format!("{name}-{}.sock", hash.get(..8).unwrap_or_default()));
    let length = path.as_os_str().len();
    if length > LONGEST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "{}: {length} bytes, and a socket's path has at most {LONGEST}; EPOCHTOP_SOCKET_DIR names a shorter place",
                path.display()
            ),
        ));
    }
    Ok(path)
}

/// All sockets of this user, listened to or not.
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

/// Whether nobody listens there any more: its process is gone.
pub fn is_stale(socket: &Path) -> bool {
    matches!(UnixStream::connect(socket), Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Removes what trainers that were killed have left.
pub(super) fn sweep(own: &Path) {
    for socket in all().iter().filter(|socket| *socket != own) {
        // One that is being made is a moment old, and may not be listened to yet.
        let settled = fs::metadata(socket)
            .and_then(|meta| meta.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age.as_secs() >= 10));
        if settled && is_stale(socket) {
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
    fn only_a_closed_directory_of_ones_own_is_used() {
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
        assert!(words(&dir.path().join("link")).contains("is no directory"));
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(words(&dir.path().join("file")).contains("is no directory"));
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&own, Some(12345), None).unwrap();
            assert!(words(&own).contains("belongs to user 12345"));
        }
    }

    #[test]
    fn a_run_has_one_socket_and_a_long_path_is_refused() {
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
