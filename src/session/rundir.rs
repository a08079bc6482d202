//! Run directories: made whole, found by name, listed.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::meta::Meta;
use crate::files::Dir;

/// The journal's name in a run directory.
pub(super) const JOURNAL: &str = "events.jsonl";
/// The name of the file that [`Meta`] is kept in.
pub(super) const META: &str = "run.json";
const CONFIG: &str = "config.toml";
/// No `run.json` is larger; a file that is, is not read.
const LONGEST_META: u64 = 1 << 20;

/// A run directory of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    /// Name of the run.
    pub name: String,
    /// The directory.
    pub path: PathBuf,
}

/// `YYYYMMDD-HHMMSS-<model>` in local time; a number is added where that name is taken.
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
    /// Makes the directory of a new run with its `config.toml`. Nothing is left behind when that fails.
    ///
    /// # Errors
    /// A name that is taken or no name, or what the system said about which path.
    pub fn create(runs: &Path, name: &str, config: &str) -> io::Result<Self> {
        let bad = |message: String| io::Error::new(io::ErrorKind::InvalidInput, message);
        if name.is_empty()
            || name.starts_with('.')
            || name.contains(['/', '\\'])
            || name.chars().any(char::is_control)
        {
            return Err(bad(format!(
                "--name {name:?}: a run's name is not empty, begins with no dot, and has no slash and no control character"
            )));
        }
        let path = runs.join(name);
        if runs.exists() && !runs.is_dir() {
            return Err(bad(format!(
                "{}: is a file; runs.dir (--runs) names a directory",
                runs.display()
            )));
        }
        fs::create_dir_all(runs)?;
        let above = Dir::open(runs)?;
        let dir = above
            .make_subdir(name)
            .map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    let what =
                        "a run of this name exists; choose another --name (nothing was changed)";
                    io::Error::new(error.kind(), format!("{}: {what}", path.display()))
                }
                _ => error,
            })?;
        // The names too must be on the disk, or a power cut would take the run with all its checkpoints.
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

    /// Writes its `config.toml` anew: the old one or the new one is there at any moment.
    pub fn write_config(&self, config: &str) -> io::Result<()> {
        self.open()?.replace(CONFIG, config.as_bytes())
    }

    /// Opens the directory: all its files are read and written by way of this handle.
    ///
    /// # Errors
    /// The path and why it cannot be opened.
    pub fn open(&self) -> io::Result<Dir> {
        Dir::open(&self.path)
    }

    /// Takes everything back, for a run that could not begin.
    pub fn discard(&self) {
        let _ = fs::remove_dir_all(&self.path);
    }

    /// The run in a directory.
    pub fn at(path: &Path) -> Self {
        Self {
            name: path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            path: path.to_owned(),
        }
    }

    /// What its `run.json` says, if it can be read.
    pub fn meta(&self) -> Option<Meta> {
        let json = self.open().and_then(|dir| dir.read(META, LONGEST_META));
        serde_json::from_slice(&json.ok()?).ok()
    }

    /// Its journal.
    pub fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }
}

/// The directory of a run: a name below `runs`, a path, or the newest.
///
/// # Errors
/// What was looked for, where, and what is there.
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
                    "none yet".to_owned()
                } else {
                    known.join(", ")
                };
                if let Some(dir) = [runs.join(word), PathBuf::from(word)]
                    .into_iter()
                    .find(|path| path.join(META).is_file())
                {
                    return missing(format!(
                        "{}: its events.jsonl is missing, or is no regular file: there is nothing to show",
                        dir.display()
                    ));
                }
                let other = if Path::new(word).is_dir() {
                    "the directory of that name is no run, it has no events.jsonl"
                } else {
                    "nor a directory"
                };
                let place = runs.display();
                missing(format!(
                    "{word}: no such run in {place} ({other}); there are: {list}"
                ))
            })
        }
        None => summaries(runs).pop().map(|(run, _)| run).ok_or_else(|| {
            missing(format!(
                "{}: no run yet; `epochtop train` makes one, --runs DIR looks elsewhere",
                runs.display()
            ))
        }),
    }
}

/// All runs below a directory with what their `run.json` says, oldest first.
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
    fn a_name_that_exists_is_refused_and_left_alone() {
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
    fn names_that_lead_elsewhere_are_refused() {
        let runs = tempfile::tempdir().unwrap();
        for name in ["", ".", "..", "../x", "a/b", ".hidden", "a\nb"] {
            assert!(RunDir::create(runs.path(), name, "").is_err(), "{name:?}");
        }
        assert_eq!(fs::read_dir(runs.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_newest_run_is_found_without_a_name() {
        let runs = tempfile::tempdir().unwrap();
        assert!(
            resolve(runs.path(), None)
                .unwrap_err()
                .to_string()
                .contains("no run yet")
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
                .contains("there are: b, a")
        );
    }
}
