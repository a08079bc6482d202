//! Run directories: creates them, finds them by name and lists them.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::known_runs;
use super::meta::Meta;
use crate::files::Dir;
use crate::shell;

/// The file name of the journal in a run directory.
pub(super) const JOURNAL: &str = "events.jsonl";
/// The file name of [`Meta`] in a run directory.
pub(super) const META: &str = "run.json";
const CONFIG: &str = "config.toml";
/// The maximum size of `run.json` in bytes. A larger file is not read.
const LONGEST_META: u64 = 1 << 20;

/// A run directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    /// The name of the run.
    pub name: String,
    /// The directory.
    pub path: PathBuf,
}

/// The default name of a new run: `YYYYMMDD-HHMMSS-<model>` in local time, with a number appended if that name exists.
pub fn default_name(runs: &Path, model: &str) -> String {
    let base = format!("{}-{model}", jiff::Zoned::now().strftime("%Y%m%d-%H%M%S"));
    let taken = |name: &str| runs.join(name).exists();
    if !taken(&base) {
        return base;
    }
    (2..10_000_u32)
        .map(|n| format!("{base}-{n}"))
        .find(|name| !taken(name))
        .unwrap_or(base)
}

impl RunDir {
    /// Creates the directory of a new run with its `config.toml`. On an error the directory is removed again.
    ///
    /// # Errors
    /// If the name is invalid or exists, or an I/O error that names the path.
    pub fn create(runs: &Path, name: &str, config: &str) -> io::Result<Self> {
        let bad = |message: String| io::Error::new(io::ErrorKind::InvalidInput, message);
        if name.is_empty()
            || name.starts_with(['.', '-'])
            || name.contains(['/', '\\'])
            || name.chars().any(char::is_control)
        {
            return Err(bad(format!(
                "--name {name:?}: a run name must not be empty, start with a dot or a dash, or contain / or control characters"
            )));
        }
        let path = runs.join(name);
        if runs.exists() && !runs.is_dir() {
            return Err(bad(format!(
                "{}: is a file; runs.dir (--runs) must be a directory",
                runs.display()
            )));
        }
        fs::create_dir_all(runs)?;
        let above = Dir::open(runs)?;
        let dir = above
            .make_subdir(name)
            .map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    let what = "a run of this name exists; choose another --name (no changes)";
                    io::Error::new(error.kind(), format!("{}: {what}", path.display()))
                }
                _ => error,
            })?;
        // The directory entries are flushed too. Otherwise a power failure could lose the run with all its checkpoints.
        let written = dir.write_new(CONFIG, config.as_bytes());
        let written = written
            .and_then(|()| dir.sync())
            .and_then(|()| above.sync());
        if let Err(error) = written {
            above.discard(name);
            return Err(error);
        }
        Ok(Self {
            name: name.to_owned(),
            path,
        })
    }

    /// Replaces `config.toml` atomically.
    ///
    /// # Errors
    /// An I/O error that names the path.
    pub fn write_config(&self, config: &str) -> io::Result<()> {
        self.open()?.replace(CONFIG, config.as_bytes())
    }

    /// Opens the directory. The run's files are read and written through this handle.
    ///
    /// # Errors
    /// An I/O error that names the path.
    pub fn open(&self) -> io::Result<Dir> {
        Dir::open(&self.path)
    }

    /// Deletes the directory, for a run that could not start.
    pub fn discard(&self) {
        let _ = fs::remove_dir_all(&self.path);
    }

    /// The run in the directory `path`. The directory is not checked.
    pub fn at(path: &Path) -> Self {
        Self {
            name: path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            path: path.to_owned(),
        }
    }

    /// The content of `run.json`; `None` if it cannot be read.
    pub fn meta(&self) -> Option<Meta> {
        let json = self.open().and_then(|dir| dir.read(META, LONGEST_META));
        serde_json::from_slice(&json.ok()?).ok()
    }

    /// The path of the journal.
    pub fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }
}

/// Where runs are searched by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunsDir {
    /// The directory.
    pub path: PathBuf,
    /// Whether to search nowhere else, because the user has named the directory.
    pub only: bool,
}

impl RunsDir {
    /// The runs in this directory and no others.
    pub fn only(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            only: true,
        }
    }
}

/// Finds a run. `wanted` is a path or a name in the directory `runs`, else of a run of this user elsewhere; without it,
/// the newest run in `runs` is returned.
///
/// # Errors
/// `NotFound` with the name, the searched directory and the existing runs; `InvalidInput` with the paths of several runs
/// of this name.
pub fn resolve(runs: &RunsDir, wanted: Option<&OsStr>) -> io::Result<RunDir> {
    let missing = |message: String| io::Error::new(io::ErrorKind::NotFound, message);
    let Some(word) = wanted else {
        let newest = summaries(&runs.path).pop();
        return newest.map(|(run, _)| run).ok_or_else(|| {
            missing(format!(
                "no runs in {}; `epochtop train` starts one, --runs DIR selects another directory",
                runs.path.display()
            ))
        });
    };
    let candidates = [runs.path.join(word), PathBuf::from(word)];
    let found = candidates
        .iter()
        .find(|path| path.join(JOURNAL).is_file())
        .cloned();
    let elsewhere = match found {
        None if !runs.only && known_runs::is_name(word) => known_runs::named(word),
        found => found.into_iter().collect(),
    };
    match elsewhere.as_slice() {
        [path] => Ok(RunDir::at(path)),
        [] => Err(missing(not_found(&runs.path, word, &candidates))),
        several => Err(ambiguous(word, several)),
    }
}

/// The error for a name that several runs have.
pub(super) fn ambiguous(word: &OsStr, runs: &[PathBuf]) -> io::Error {
    let list = listed(runs.iter().map(|path| path.as_os_str()));
    let name = word.to_string_lossy();
    let what = format!("several runs are named {name}; give the path of one:{list}");
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// Runs as arguments for a command, one per line.
pub(super) fn listed<'a>(runs: impl Iterator<Item = &'a OsStr>) -> String {
    runs.map(|run| format!("\n  {}", shell::quote(run, false)))
        .collect()
}

fn not_found(runs: &Path, word: &OsStr, candidates: &[PathBuf]) -> String {
    if let Some(dir) = candidates.iter().find(|path| path.join(META).is_file()) {
        return format!(
            "{}: events.jsonl is missing or not a regular file; the run cannot be shown",
            dir.display()
        );
    }
    let known: Vec<String> = summaries(runs)
        .into_iter()
        .map(|(run, _)| run.name)
        .collect();
    let list = if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    };
    let other = if Path::new(word).is_dir() {
        "the directory of that name is not a run: it has no events.jsonl"
    } else {
        "and no directory of that name"
    };
    format!(
        "{}: no such run in {} ({other}); existing runs: {list}",
        word.to_string_lossy(),
        runs.display()
    )
}

/// All runs in a directory with the content of their `run.json`, oldest first.
pub fn summaries(runs: &Path) -> Vec<(RunDir, Meta)> {
    let Ok(entries) = fs::read_dir(runs) else {
        return Vec::new();
    };
    let mut all: Vec<(RunDir, Meta)> = entries
        .flatten()
        .filter_map(|entry| {
            let run = RunDir::at(&entry.path());
            let meta = run.meta()?;
            Some((run, meta))
        })
        .collect();
    all.sort_by(|a, b| (a.1.started_ms, &a.0.name).cmp(&(b.1.started_ms, &b.0.name)));
    all
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn existing_name_is_refused_without_changes() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunDir::create(runs.path(), "one", "a = 1\n").unwrap();
        let error = RunDir::create(runs.path(), "one", "a = 2\n").unwrap_err();
        assert!(error.to_string().contains("exists"), "{error}");
        assert_eq!(
            fs::read_to_string(run.path.join("config.toml")).unwrap(),
            "a = 1\n"
        );
    }

    #[test]
    fn invalid_names_are_refused() {
        let runs = tempfile::tempdir().unwrap();
        for name in ["", ".", "..", "../x", "a/b", ".hidden", "-dash", "a\nb"] {
            assert!(RunDir::create(runs.path(), name, "").is_err(), "{name:?}");
        }
        assert_eq!(fs::read_dir(runs.path()).unwrap().count(), 0);
    }

    #[test]
    fn newest_run_is_found_without_a_name() {
        let runs = tempfile::tempdir().unwrap();
        let place = RunsDir::only(runs.path());
        assert!(
            resolve(&place, None)
                .unwrap_err()
                .to_string()
                .contains("no runs in")
        );
        for (name, started_ms) in [("b", 1), ("a", 2)] {
            let dir = runs.path().join(name);
            fs::create_dir(&dir).unwrap();
            let meta = Meta {
                started_ms,
                ..Meta::default()
            };
            fs::write(dir.join("run.json"), serde_json::to_string(&meta).unwrap()).unwrap();
        }
        assert_eq!(resolve(&place, None).unwrap().name, "a");
        assert!(
            resolve(&place, Some("c".as_ref()))
                .unwrap_err()
                .to_string()
                .contains("existing runs: b, a")
        );
    }
}
