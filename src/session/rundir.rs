//! Run directories: creates them, finds them by name and lists them.

use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
/// Prefix of the name of a run directory that is being created.
pub(super) const UNNAMED: &str = ".tmp-run-";
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

impl RunDir {
    /// Creates the directory of a new run under its default name: `YYYYMMDD-HHMMSS-<model>` in local time, with a number
    /// appended if that name exists.
    ///
    /// # Errors
    /// As [`RunDir::create`].
    pub fn create_unnamed(runs: &Path, model: &str, config: &str) -> io::Result<Self> {
        let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S");
        let base = format!("{now}-{model}");
        let mut created = Self::create(runs, &base, config);
        for n in 2..10_000 {
            match &created {
                // Another run, possibly one that starts at the same moment, has the name.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    created = Self::create(runs, &format!("{base}-{n}"), config);
                }
                _ => break,
            }
        }
        created
    }

    /// Creates the directory of a new run with its `config.toml` and an empty journal. It gets its name only when it is
    /// complete, and only if no other process has taken the name meanwhile.
    ///
    /// # Errors
    /// `AlreadyExists` if the name exists, an error if it is invalid, or an I/O error that names the path.
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
        let new = runs.ancestors();
        let new: Vec<&Path> = new
            .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
            .collect();
        fs::create_dir_all(runs)?;
        for parent in new.iter().filter_map(|dir| dir.parent()) {
            let is_here = parent.as_os_str().is_empty();
            Dir::open(if is_here { Path::new(".") } else { parent })?.sync()?;
        }
        let above = Dir::open(runs)?;
        // The keys of a new hasher are random numbers from the operating system.
        let random = RandomState::new().hash_one(name);
        let temporary = format!("{UNNAMED}{random:016x}");
        let named = fill(&above.make_subdir(&temporary)?, config).and_then(|()| {
            let taken = if above.exists(name) {
                Err(io::ErrorKind::AlreadyExists.into())
            } else {
                above.rename_new(&temporary, name)
            };
            // Without an atomic rename to a new name, a directory with files is not replaced either.
            taken.map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
                    let what = "a run of this name exists; choose another --name (no changes)";
                    let text = format!("{}: {what}", path.display());
                    io::Error::new(io::ErrorKind::AlreadyExists, text)
                }
                _ => error,
            })
        });
        if let Err(error) = named {
            above.discard(&temporary);
            return Err(error);
        }
        if let Err(error) = above.sync() {
            above.discard(name);
            return Err(error);
        }
        Ok(Self {
            name: name.to_owned(),
            path,
        })
    }

    /// The content of `config.toml`.
    ///
    /// # Errors
    /// An I/O error that names the path.
    pub fn config(&self) -> io::Result<String> {
        self.open()?.read_text(CONFIG, LONGEST_META)
    }

    /// Replaces `config.toml` atomically.
    ///
    /// # Errors
    /// An I/O error that names the path.
    pub fn write_config(&self, config: &str) -> io::Result<()> {
        self.open()?.replace(CONFIG, config.as_bytes())
    }

    /// Replaces `run.json` atomically.
    ///
    /// # Errors
    /// An I/O error that names the path.
    pub fn write_meta(&self, meta: &Meta) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(meta)?;
        self.open()?.replace(META, &json)
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
        // The hub of the run may still write to it for a moment.
        for _ in 0..50 {
            match fs::remove_dir_all(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                _ => return,
            }
        }
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
        self.read_meta().ok()
    }

    fn read_meta(&self) -> io::Result<Meta> {
        let json = self.open()?.read(META, LONGEST_META)?;
        serde_json::from_slice(&json).map_err(|error| {
            let text = format!("{}: {error}", self.path.join(META).display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
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

/// Writes the first files of a run. They are flushed to the disk with their names; otherwise a power failure could lose
/// the run with all its checkpoints.
fn fill(dir: &Dir, config: &str) -> io::Result<()> {
    dir.write_new(CONFIG, config.as_bytes())?;
    dir.write_new(JOURNAL, b"")?;
    dir.sync()
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
    let quoted: Vec<String> = runs.map(|run| shell::quote(run, false)).collect();
    format!("\n  {}", quoted.join("\n  "))
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

/// All runs in a directory, oldest first, each with the content of its `run.json` or why that cannot be read. A
/// directory is a run if it has a `run.json`, or a journal with content.
pub(super) fn runs_in(runs: &Path) -> Vec<(RunDir, io::Result<Meta>)> {
    let entries = fs::read_dir(runs).into_iter().flatten().flatten();
    let mut all: Vec<(RunDir, io::Result<Meta>)> = entries
        .filter_map(|entry| {
            let run = RunDir::at(&entry.path());
            let dir = run.open().ok()?;
            let is_run = dir.exists(META)
                || match dir.open_read(JOURNAL).and_then(|file| file.metadata()) {
                    Ok(journal) => journal.len() > 0,
                    Err(error) => error.kind() != io::ErrorKind::NotFound,
                };
            is_run.then(|| {
                let meta = run.read_meta();
                (run, meta)
            })
        })
        .collect();
    let started = |meta: &io::Result<Meta>| meta.as_ref().map_or(0, |meta| meta.started_ms);
    all.sort_by(|a, b| (started(&a.1), &a.0.name).cmp(&(started(&b.1), &b.0.name)));
    all
}

/// All runs in a directory whose `run.json` can be read, with its content, oldest first.
pub fn summaries(runs: &Path) -> Vec<(RunDir, Meta)> {
    let all = runs_in(runs).into_iter();
    all.filter_map(|(run, meta)| Some((run, meta.ok()?)))
        .collect()
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
    fn runs_created_at_the_same_moment_get_different_names() {
        let runs = tempfile::tempdir().unwrap();
        let create = || RunDir::create_unnamed(runs.path(), "residual", "a = 1\n").unwrap();
        let mut names: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(create)).collect();
            threads
                .into_iter()
                .map(|t| t.join().unwrap().name)
                .collect()
        });
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 16);
        let mut entries: Vec<String> = fs::read_dir(runs.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        entries.sort();
        assert_eq!(entries, names, "no temporary directory is left");
    }

    #[test]
    fn one_of_many_processes_gets_a_name_and_its_directory_is_complete() {
        let runs = tempfile::tempdir().unwrap();
        let create =
            |n: usize| RunDir::create(runs.path(), "one", &n.to_string()).map(|run| (n, run));
        let created: Vec<(usize, RunDir)> = std::thread::scope(|scope| {
            let create = &create;
            let threads: Vec<_> = (0..16).map(|n| scope.spawn(move || create(n))).collect();
            let results = threads.into_iter().map(|t| t.join().unwrap());
            results
                .filter_map(|result| match result {
                    Err(error) => {
                        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{error}");
                        None
                    }
                    created => created.ok(),
                })
                .collect()
        });
        let [(n, run)] = created.try_into().unwrap();
        assert_eq!(run.config().unwrap(), n.to_string());
        assert!(run.journal().is_file());
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
