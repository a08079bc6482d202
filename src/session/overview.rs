//! The summary of a run: status, progress, results and disk usage; and the files that can be deleted.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::append::Journal;
use super::journal;
use super::meta::{Meta, RunOutcome};
use super::rundir::{RunDir, summaries, unnamed};
use super::writer::{Lock, Writer, lock_of, writer_of};
use crate::files::{Dir, TEMPORARY};
use crate::run::RunState;

/// The status of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// A process is writing to it.
    Live,
    /// All epochs were completed.
    Completed,
    /// Stopped on request; it can be resumed.
    Stopped,
    /// Ended by an error that was recorded.
    Failed,
    /// The process ended without recording an outcome: it was killed or the machine went down.
    Crashed,
    /// A process on another host or in another container may be writing to it.
    Unknown,
}

impl Status {
    /// The name of the status, as shown on screens and printed in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
            Self::Unknown => "unknown",
        }
    }
}

/// The summary of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// Its name and directory.
    pub run: RunDir,
    /// The content of its `run.json`.
    pub meta: Meta,
    /// Its status.
    pub status: Status,
    /// Its last state.
    pub state: RunState,
    /// The total size of its files, in bytes.
    pub bytes: u64,
}

/// Summaries of all runs in a directory, oldest first.
pub fn overviews(runs: &Path) -> Vec<Overview> {
    let all = summaries(runs).into_iter();
    all.map(|(run, meta)| Overview {
        status: status(&run, &meta),
        // If the journal cannot be read, the run is listed without results.
        state: journal::read(&run.journal())
            .map(|replay| replay.state)
            .unwrap_or_default(),
        bytes: size(&run.path),
        run,
        meta,
    })
    .collect()
}

/// The status of a run: whether a process writes to it, else the outcome in `meta`.
pub fn status(run: &RunDir, meta: &Meta) -> Status {
    match writer_of(run, meta, lock_of(run)) {
        Writer::Live => return Status::Live,
        Writer::Unknown(_) => return Status::Unknown,
        Writer::Absent => {}
    }
    match outcome_of(run, meta) {
        RunOutcome::Completed => Status::Completed,
        RunOutcome::Stopped => Status::Stopped,
        RunOutcome::Failed => Status::Failed,
        RunOutcome::Running | RunOutcome::Other(_) => Status::Crashed,
    }
}

/// The outcome of a run that no process writes: that in `meta`, else that in its journal, because `run.json` is the last
/// file that is written and that may have failed.
pub fn outcome_of(run: &RunDir, meta: &Meta) -> RunOutcome {
    let recorded = || {
        let journal = journal::read(&run.journal()).ok()?;
        journal.state.outcome.as_ref().map(RunOutcome::from)
    };
    match &meta.outcome {
        RunOutcome::Running => recorded().unwrap_or_default(),
        known => known.clone(),
    }
}

/// The total size in bytes of the files in a directory and its subdirectories. Symbolic links are not followed.
pub fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .fold(0, u64::saturating_add)
}

/// An incomplete or damaged file or directory that can be deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct Deletable {
    /// The directory or file.
    pub path: PathBuf,
    /// Why it can be deleted.
    pub why: &'static str,
    run: RunDir,
}

impl Deletable {
    /// Deletes it, unless it has come into use since it was found.
    ///
    /// # Errors
    /// An error that names the path, if another process is writing to the run, if the file is in use again, or if it
    /// cannot be deleted.
    pub fn remove(&self) -> io::Result<()> {
        let _lock = Journal::take(&self.run)?;
        if !of_run(&self.run)
            .iter()
            .any(|deletable| deletable.path == self.path)
        {
            return Err(io::Error::other(format!(
                "{}: is in use again",
                self.path.display()
            )));
        }
        let (Some(above), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        // Within the run directory no symbolic link is followed.
        let dir = match above.strip_prefix(&self.run.path) {
            Ok(below) => below
                .iter()
                .try_fold(self.run.open()?, |dir, part| dir.subdir(part)),
            Err(_) => Dir::open(above),
        };
        dir?.remove(name)
    }
}

/// Finds what can be deleted in a directory of runs: files left over from interrupted saves, damaged checkpoints, and
/// runs that ended before their first epoch and their first checkpoint. Live runs and runs whose lock cannot be checked
/// are skipped.
pub fn deletable(runs: &Path) -> Vec<Deletable> {
    let all = summaries(runs).into_iter();
    all.filter(|(run, meta)| writer_of(run, meta, lock_of(run)) == Writer::Absent)
        .map(|(run, _)| run)
        .chain(unnamed(runs))
        .filter(|run| lock_of(run) == Lock::Free)
        .flat_map(|run| of_run(&run))
        .collect()
}

/// Finds what can be deleted in one run that is not live.
fn of_run(run: &RunDir) -> Vec<Deletable> {
    let names = |place: &str| match run.open().and_then(|dir| dir.subdir(place)?.names()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        names => names,
    };
    // If the directories cannot be read, nothing is deleted.
    let (Ok(checkpoints), Ok(evals)) = (names("checkpoints"), names("evals")) else {
        return Vec::new();
    };
    let deletable = |path, why| Deletable {
        path,
        why,
        run: run.clone(),
    };
    let has_any = checkpoints
        .iter()
        .any(|name| name.starts_with("step-") || name.starts_with("bad-step-"));
    let state = journal::read(&run.journal()).map(|replay| replay.state);
    if !has_any && state.is_ok_and(|state| state.history.is_empty() && state.test_evaluations == 0)
    {
        return vec![deletable(
            run.path.clone(),
            "a run that ended before its first epoch and its first checkpoint",
        )];
    }
    let why = |name: &str| match name {
        _ if name.starts_with(TEMPORARY) => Some("left over from an interrupted save"),
        _ if name.starts_with("bad-step-") => Some("a damaged checkpoint"),
        _ => None,
    };
    let path = |place: &str, name: &String| run.path.join(place).join(name);
    let of_checkpoints = checkpoints.iter().filter_map(|name| {
        let why = why(name)?;
        Some(deletable(path("checkpoints", name), why))
    });
    let own = run.open().and_then(|dir| dir.names()).unwrap_or_default();
    let unfinished = own.iter().map(|name| ("", name));
    let unfinished = unfinished.chain(evals.iter().map(|name| ("evals", name)));
    let unfinished = unfinished
        .filter(|(_, name)| is_unfinished(name))
        .map(|(place, name)| deletable(path(place, name), "an incomplete file"));
    of_checkpoints.chain(unfinished).collect()
}

/// Whether a file name is that of an incomplete file. Earlier versions wrote `run.tmp`, `config.tmp` and
/// `eval.json.tmp-1234`.
fn is_unfinished(name: &str) -> bool {
    let is_tmp = Path::new(name).extension().is_some_and(|end| end == "tmp");
    name.starts_with(TEMPORARY) || is_tmp || name.contains(".tmp-")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::super::files::RunFiles;
    use super::*;

    #[test]
    fn run_is_live_while_locked_and_crashed_without_an_outcome() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunDir::create(runs.path(), "one", "").unwrap();
        let meta = Meta {
            outcome: RunOutcome::Running,
            ..Meta::default()
        };
        let files = RunFiles::create(&run.path, meta.clone()).unwrap();
        assert_eq!(status(&run, &meta), Status::Live);
        assert!(deletable(runs.path()).is_empty());
        drop(files);
        let [overview] = overviews(runs.path()).try_into().unwrap();
        assert_eq!(overview.status, Status::Crashed);
        assert!(overview.bytes > 0);
        let [found] = deletable(runs.path()).try_into().unwrap();
        assert_eq!(found.path, run.path);
        assert!(found.why.contains("first checkpoint"));
        // Another process locks the run before it is deleted.
        let lock = Journal::take(&run).unwrap();
        assert!(found.remove().is_err());
        drop(lock);
        found.remove().unwrap();
        assert!(!run.path.exists());
    }

    #[test]
    fn run_that_a_killed_process_was_creating_is_deletable() {
        let runs = tempfile::tempdir().unwrap();
        let place = runs.path().join(".tmp-run-0123456789abcdef");
        fs::create_dir(&place).unwrap();
        fs::write(place.join("config.toml"), "").unwrap();
        fs::write(place.join("events.jsonl"), "").unwrap();
        assert!(deletable(runs.path()).is_empty(), "it may be in use");
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(120);
        let dir = std::fs::File::open(&place).unwrap();
        dir.set_modified(old).unwrap();
        let [found] = deletable(runs.path()).try_into().unwrap();
        found.remove().unwrap();
        assert!(!place.exists());
    }

    #[test]
    fn only_incomplete_and_damaged_files_are_deletable() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunDir::create(runs.path(), "one", "").unwrap();
        drop(RunFiles::create(&run.path, Meta::default()).unwrap());
        let checkpoints = run.path.join("checkpoints");
        for name in [
            "step-000000007",
            ".tmp-step-000000008",
            "bad-step-000000006-1",
        ] {
            fs::create_dir_all(checkpoints.join(name)).unwrap();
        }
        let evals = run.path.join("evals");
        fs::create_dir(&evals).unwrap();
        let new = crate::files::Dir::open(&evals).unwrap();
        // A killed process does not remove its temporary file.
        std::mem::forget(new.stage("step-000000007.csv", b"").unwrap());
        for old in ["run.tmp", "eval.json.tmp-77", "notes.tmpl"] {
            fs::write(run.path.join(old), "").unwrap();
        }
        let names: Vec<String> = deletable(runs.path())
            .iter()
            .map(|found| {
                found
                    .path
                    .file_name()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        let [save, bad, before @ .., new] = names.as_slice() else {
            panic!("{names:?}");
        };
        assert_eq!(
            (save.as_str(), bad.as_str()),
            (".tmp-step-000000008", "bad-step-000000006-1")
        );
        assert_eq!(before, ["eval.json.tmp-77", "run.tmp"]);
        assert!(new.starts_with(".tmp-step-000000007.csv-"), "{new}");
        for found in deletable(runs.path()) {
            found.remove().unwrap();
        }
        assert!(deletable(runs.path()).is_empty());
        assert!(checkpoints.join("step-000000007").exists());
    }
}
