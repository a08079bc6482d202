//! The summary of a run: status, progress, results and disk usage.

use std::path::Path;

use fs_err as fs;

use super::journal;
use super::meta::{Meta, RunOutcome};
use super::rundir::{RunDir, runs_in};
use super::writer::{Writer, lock_of, writer_of};
use crate::run::RunState;

/// Levels of subdirectories that count for the size of a run, which has three.
const LEVELS: usize = 16;

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
    /// No process is writing to it, and `run.json` cannot be read.
    Unreadable,
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
            Self::Unreadable => "unreadable",
        }
    }
}

/// The summary of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// Its name and directory.
    pub run: RunDir,
    /// The content of its `run.json`; the default if it cannot be read.
    pub meta: Meta,
    /// Its status.
    pub status: Status,
    /// Its last state.
    pub state: RunState,
    /// The total size of its files, in bytes.
    pub bytes: u64,
    /// Why `run.json` or the journal cannot be read.
    pub problem: Option<String>,
}

/// Summaries of all runs in a directory, oldest first. One that cannot be read is listed with the problem.
pub fn overviews(runs: &Path) -> Vec<Overview> {
    let all = runs_in(runs).into_iter();
    all.map(|(run, read)| {
        let (meta, problem) = match read {
            Ok(meta) => (meta, None),
            Err(error) => (Meta::default(), Some(error)),
        };
        let status = match (status(&run, &meta), &problem) {
            (Status::Live, _) => Status::Live,
            (_, Some(_)) => Status::Unreadable,
            (status, None) => status,
        };
        let (state, journal) = match journal::read(&run.journal()) {
            Ok(replay) => (replay.state, None),
            Err(error) => (RunState::default(), Some(error)),
        };
        Overview {
            status,
            state,
            bytes: size(&run.path),
            problem: problem.or(journal).map(|error| error.to_string()),
            run,
            meta,
        }
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
    size_within(dir, LEVELS)
}

fn size_within(dir: &Path, levels: usize) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() && levels > 0 => size_within(&entry.path(), levels - 1),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use std::os::unix::fs::symlink;

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
        drop(files);
        let [overview] = overviews(runs.path()).try_into().unwrap();
        assert_eq!(overview.status, Status::Crashed);
        assert!(overview.bytes > 0);
        assert_eq!(overview.problem, None);
    }

    /// Before: such a run was missing from the list, or ended it.
    #[test]
    fn run_whose_files_cannot_be_read_is_listed_with_the_problem() {
        let runs = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c", "d"] {
            let run = RunDir::create(runs.path(), name, "").unwrap();
            drop(RunFiles::create(&run.path, Meta::default()).unwrap());
        }
        let path = |name: &str| runs.path().join(name);
        fs::write(path("a/run.json"), "{").unwrap();
        fs::remove_file(path("b/run.json")).unwrap();
        symlink(path("c/run.json"), path("b/run.json")).unwrap();
        fs::remove_file(path("c/events.jsonl")).unwrap();
        fs::create_dir(path("c/events.jsonl")).unwrap();
        let all = overviews(runs.path());
        let listed: Vec<(&str, Status, &str)> = all
            .iter()
            .map(|one| {
                let problem = one.problem.as_deref().unwrap_or_default();
                (one.run.name.as_str(), one.status, problem)
            })
            .collect();
        for ((name, status, problem), expected) in listed.iter().zip([
            ("a", Status::Unreadable, "a/run.json: EOF"),
            ("b", Status::Unreadable, "b/run.json: is a symbolic link"),
            ("c", Status::Crashed, "c/events.jsonl: not a regular file"),
            ("d", Status::Crashed, ""),
        ]) {
            assert_eq!((*name, *status), (expected.0, expected.1));
            assert!(problem.contains(expected.2), "{problem}");
        }
        assert_eq!(listed.len(), 4);
    }
}
