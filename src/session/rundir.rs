//! Run directories: creates them, finds them by name and lists them.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::meta::Meta;
use crate::files::Dir;

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
            || name.starts_with('.')
            || name.contains(['/', '\\'])
            || name.chars().any(char::is_control)
        {
            return Err(bad(format!(
                "--name {name:?}: a run name must not be empty, start with a dot, or contain / or control characters"
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

/// Finds a run. `wanted` is a name in the directory `runs` or a path; without it, the newest run is returned.
///
/// # Errors
/// `NotFound` with the name, the searched directory and the existing runs.
pub fn resolve(runs: &Path, wanted: Option<&str>) -> io::Result<RunDir> {
    let missing = |message: String| io::Error::new(io::ErrorKind::NotFound, message);
    match wanted {
        Some(word) => {
            let candidates = [runs.join(word), PathBuf::from(word)];
            let found = candidates
                .into_iter()
                .find(|path| path.join(JOURNAL).is_file());
            found.map(|path| RunDir::at(&path)).ok_or_else(|| {
                let known: Vec<String> = summaries(runs)
                    .into_iter()
                    .map(|(run, _)| run.name)
                    .collect();
                let list = if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                };
                if let Some(dir) = [runs.join(word), PathBuf::from(word)]
                    .into_iter()
                    .find(|path| path.join(META).is_file())
                {
                    return missing(format!(
                        "{}: events.jsonl is missing or not a regular file; the run cannot be shown",
                        dir.display()
                    ));
                }
                let other = if Path::new(word).is_dir() {
                    "the directory of that name is not a run: it has no events.jsonl"
                } else {
                    "and no directory of that name"
                };
                let place = runs.display();
                missing(format!(
                    "{word}: no such run in {place} ({other}); existing runs: {list}"
                ))
            })
        }
        None => summaries(runs).pop().map(|(run, _)| run).ok_or_else(|| {
            missing(format!(
                "no runs in {}; `epochtop train` starts one, --runs DIR selects another directory",
                runs.display()
            ))
        }),
    }
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
        for name in ["", ".", "..", "../x", "a/b", ".hidden", "a\nb"] {
            assert!(RunDir::create(runs.path(), name, "").is_err(), "{name:?}");
        }
        assert_eq!(fs::read_dir(runs.path()).unwrap().count(), 0);
    }

    #[test]
    fn newest_run_is_found_without_a_name() {
        let runs = tempfile::tempdir().unwrap();
        assert!(
            resolve(runs.path(), None)
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
        assert_eq!(resolve(runs.path(), None).unwrap().name, "a");
        assert!(
            resolve(runs.path(), Some("c"))
                .unwrap_err()
                .to_string()
                .contains("existing runs: b, a")
        );
    }
}
