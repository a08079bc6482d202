//! The runs of this user, remembered by path, so that a name is found from any directory, also after a crash.
//!
//! The file has one path per line, as in [`any_path`]. It is in `$XDG_STATE_HOME/epochtop` or `~/.local/state/epochtop`;
//! with `EPOCHTOP_SOCKET_DIR`, or without a home directory, it is in the directory of the sockets.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::rundir::JOURNAL;
use super::sockets;
use crate::files::{Dir, any_path};

const FILE: &str = "runs.jsonl";
/// The maximum number of remembered runs; the oldest are forgotten.
const MOST: usize = 1000;
/// A larger file is not read.
const LONGEST: u64 = 8 << 20;

fn directory() -> PathBuf {
    let given = |key: &str| env::var_os(key).filter(|value| !value.is_empty());
    let state = match (given("XDG_STATE_HOME"), given("HOME")) {
        (Some(state), _) => Some(PathBuf::from(state)),
        _ if given("EPOCHTOP_SOCKET_DIR").is_some() => None,
        (None, home) => home.map(|home| PathBuf::from(home).join(".local/state")),
    };
    state.map_or_else(sockets::directory, |state| state.join("epochtop"))
}

/// All remembered runs, the newest last. Those that no longer exist are included.
fn all(dir: &Dir) -> Vec<PathBuf> {
    let text = dir.read(FILE, LONGEST).unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| {
            any_path::deserialize(&mut serde_json::Deserializer::from_slice(line)).ok()
        })
        .collect()
}

/// Remembers a run by its path.
///
/// # Errors
/// An I/O error that names the path.
pub fn remember(run: &Path) -> io::Result<()> {
    let place = directory();
    is_safe(&place)?;
    remember_in(&place, run)
}

/// Checks the directory of the sockets, which others could write to, before it is used.
fn is_safe(place: &Path) -> io::Result<()> {
    if place.exists() && place == sockets::directory() {
        sockets::check(place)?;
    }
    Ok(())
}

fn remember_in(place: &Path, run: &Path) -> io::Result<()> {
    let run = run.canonicalize()?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(place)?;
    let dir = Dir::open(place)?;
    let mut runs = all(&dir);
    if runs.contains(&run) {
        return Ok(());
    }
    let line = |run: &PathBuf| format!("{}\n", any_path::json(run));
    if runs.len() < MOST {
        // One write, so that processes that start at the same time do not mix their lines.
        return dir.append(FILE)?.write_all(line(&run).as_bytes());
    }
    runs.retain(|run| run.join(JOURNAL).is_file());
    runs.drain(..runs.len().saturating_sub(MOST / 2));
    runs.push(run);
    dir.replace(FILE, runs.iter().map(line).collect::<String>().as_bytes())
}

/// The remembered runs of this name that exist.
pub(super) fn named(name: &OsStr) -> Vec<PathBuf> {
    let place = directory();
    let dir = is_safe(&place).and_then(|()| Dir::open(&place));
    dir.map_or_else(|_| Vec::new(), |dir| named_in(&dir, name))
}

fn named_in(dir: &Dir, name: &OsStr) -> Vec<PathBuf> {
    let mut runs = all(dir);
    runs.retain(|run| run.file_name() == Some(name) && run.join(JOURNAL).is_file());
    runs.sort();
    runs.dedup();
    runs
}

/// How to name a run in a command that is typed in any directory: by its name, or by its absolute path if the name is
/// not enough.
pub fn run_argument(run: &Path) -> OsString {
    let path = run.canonicalize().or_else(|_| std::path::absolute(run));
    let path = path.unwrap_or_else(|_| run.to_owned());
    match path.file_name() {
        Some(name) if is_name(name) && named(name).as_slice() == std::slice::from_ref(&path) => {
            name.to_owned()
        }
        _ => path.into_os_string(),
    }
}

/// Whether an argument can be the name of a run: not an option, not a path, and UTF-8.
pub fn is_name(word: &OsStr) -> bool {
    let text = word.to_str();
    text.is_some_and(|text| {
        !text.is_empty() && !text.starts_with(['-', '.']) && !text.contains('/')
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_name_is_found_among_the_remembered_runs_that_exist() {
        let place = tempfile::tempdir().unwrap();
        let state = place.path().join("state/epochtop");
        let make = |path: PathBuf| {
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join(JOURNAL), "").unwrap();
            remember_in(&state, &path).unwrap();
            path.canonicalize().unwrap()
        };
        let odd = OsStr::from_bytes(b"caf\xe9");
        let one = make(place.path().join(odd).join("first"));
        let two = make(place.path().join("b/first"));
        make(place.path().join("b/second"));
        remember_in(&state, &one).unwrap();
        let dir = Dir::open(&state).unwrap();
        assert_eq!(all(&dir).len(), 3, "each run is remembered once");
        let mut both = vec![one.clone(), two.clone()];
        both.sort();
        assert_eq!(named_in(&dir, "first".as_ref()), both);
        std::fs::remove_dir_all(&two).unwrap();
        assert_eq!(named_in(&dir, "first".as_ref()), [one]);
        assert!(named_in(&dir, "third".as_ref()).is_empty());
    }

    #[test]
    fn the_number_of_remembered_runs_is_bounded() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        let gone: Vec<String> = (0..MOST).map(|n| format!("\"/gone/{n}\"\n")).collect();
        let gone = gone.concat();
        dir.replace(FILE, gone.as_bytes()).unwrap();
        remember_in(place.path(), place.path()).unwrap();
        assert_eq!(all(&dir), [place.path().canonicalize().unwrap()]);
    }
}
