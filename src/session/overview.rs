//! A run in a line: whether it lives, how far it came, how good it is, what it takes up.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};

use super::append::Journal;
use super::journal;
use super::meta::{Meta, RunOutcome};
use super::rundir::{RunDir, summaries};
use crate::files::{Dir, TEMPORARY, open_read};
use crate::run::RunState;

/// What has become of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// A process writes it.
    Live,
    /// All epochs are done.
    Finished,
    /// Ended on request; it can go on.
    Stopped,
    /// Ended by an error that it could tell of.
    Failed,
    /// Its process is gone and said nothing: killed, or the machine went down.
    Crashed,
}

impl Status {
    /// The word used on screens and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
        }
    }
}

/// A run, looked at from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// Where it is.
    pub run: RunDir,
    /// What its `run.json` says.
    pub meta: Meta,
    /// What has become of it.
    pub status: Status,
    /// Its last state.
    pub state: RunState,
    /// Bytes of all its files.
    pub bytes: u64,
}

/// All runs below a directory, oldest first.
pub fn overviews(runs: &Path) -> Vec<Overview> {
    let all = summaries(runs).into_iter();
    all.map(|(run, meta)| Overview {
        status: status(&run, &meta),
        // A journal that cannot be read leaves a run without numbers.
        state: journal::read(&run.journal())
            .map(|replay| replay.state)
            .unwrap_or_default(),
        bytes: size(&run.path),
        run,
        meta,
    })
    .collect()
}

/// What has become of a run.
pub fn status(run: &RunDir, meta: &Meta) -> Status {
    if lock_of(run) == Lock::Taken {
        return Status::Live;
    }
    match meta.outcome {
        RunOutcome::Completed => Status::Finished,
        RunOutcome::Stopped => Status::Stopped,
        RunOutcome::Failed => Status::Failed,
        RunOutcome::Running | RunOutcome::Other(_) => Status::Crashed,
    }
}

/// Whether a process has locked a run's journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    Taken,
    Free,
    /// The file system knows no locks, or the journal cannot be opened.
    Unknown,
}

/// The state of the journal's lock, which a process that writes a run holds until it ends.
fn lock_of(run: &RunDir) -> Lock {
    let Ok(file) = open_read(&run.journal()) else {
        return Lock::Unknown;
    };
    match flock(file.file(), FlockOperation::NonBlockingLockShared) {
        Ok(()) => Lock::Free,
        Err(rustix::io::Errno::WOULDBLOCK) => Lock::Taken,
        Err(_) => Lock::Unknown,
    }
}

/// Bytes of the files in a directory and below; links are not followed.
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

/// Something that nobody needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Litter {
    /// A directory or a file.
    pub path: PathBuf,
    /// Why nobody needs it.
    pub why: &'static str,
    run: RunDir,
}

impl Litter {
    /// Removes it, unless somebody has taken the run up meanwhile.
    ///
    /// # Errors
    /// Who holds the run, or the path and what the system said.
    pub fn remove(&self) -> io::Result<()> {
        let _held = Journal::take(&self.run)?;
        if !of_run(&self.run)
            .iter()
            .any(|litter| litter.path == self.path)
        {
            return Err(io::Error::other(format!(
                "{}: is in use again",
                self.path.display()
            )));
        }
        let (Some(above), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        // Below the run no link is followed on the way.
        let dir = match above.strip_prefix(&self.run.path) {
            Ok(below) => below
                .iter()
                .try_fold(self.run.open()?, |dir, part| dir.subdir(part)),
            Err(_) => Dir::open(above),
        };
        dir?.remove(name)
    }
}

/// What in a runs directory nobody needs: leftovers of interrupted saves, checkpoints set aside as damaged, runs that
/// ended before their first epoch and their first checkpoint. Nothing of a live run is among it, nor of one of which that
/// cannot be known.
pub fn litter(runs: &Path) -> Vec<Litter> {
    let all = summaries(runs).into_iter();
    all.filter(|(run, _)| lock_of(run) == Lock::Free)
        .flat_map(|(run, _)| of_run(&run))
        .collect()
}

fn of_run(run: &RunDir) -> Vec<Litter> {
    let names = |place: &str| match run.open().and_then(|dir| dir.subdir(place)?.names()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        names => names,
    };
    // What cannot be looked at is not removed.
    let (Ok(checkpoints), Ok(evals)) = (names("checkpoints"), names("evals")) else {
        return Vec::new();
    };
    let litter = |path, why| Litter {
        path,
        why,
        run: run.clone(),
    };
    let has_any = checkpoints
        .iter()
        .any(|name| name.starts_with("step-") || name.starts_with("bad-step-"));
    let state = journal::read(&run.journal()).map(|replay| replay.state);
    if !has_any && state.is_ok_and(|state| state.history.is_empty() && state.test_looks == 0) {
        return vec![litter(
            run.path.clone(),
            "a run that ended before its first epoch and its first checkpoint",
        )];
    }
    let why = |name: &str| match name {
        _ if name.starts_with(TEMPORARY) => Some("left by an interrupted save"),
        _ if name.starts_with("bad-step-") => Some("a damaged checkpoint that was set aside"),
        _ => None,
    };
    let path = |place: &str, name: &String| run.path.join(place).join(name);
    let of_checkpoints = checkpoints.iter().filter_map(|name| {
        let why = why(name)?;
        Some(litter(path("checkpoints", name), why))
    });
    let own = run.open().and_then(|dir| dir.names()).unwrap_or_default();
    let unfinished = own.iter().map(|name| ("", name));
    let unfinished = unfinished.chain(evals.iter().map(|name| ("evals", name)));
    let unfinished = unfinished
        .filter(|(_, name)| is_unfinished(name))
        .map(|(place, name)| litter(path(place, name), "a file that was never finished"));
    of_checkpoints.chain(unfinished).collect()
}

/// Whether a name is a temporary one. Earlier versions wrote `run.tmp`, `config.tmp` and `eval.json.tmp-1234`.
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
    fn a_run_is_live_while_its_files_are_held_and_crashed_when_nobody_said_anything() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunDir::create(runs.path(), "one", "").unwrap();
        let meta = Meta {
            outcome: RunOutcome::Running,
            ..Meta::default()
        };
        let files = RunFiles::create(&run.path, meta.clone()).unwrap();
        assert_eq!(status(&run, &meta), Status::Live);
        assert!(litter(runs.path()).is_empty());
        drop(files);
        let [overview] = overviews(runs.path()).try_into().unwrap();
        assert_eq!(overview.status, Status::Crashed);
        assert!(overview.bytes > 0);
        let [found] = litter(runs.path()).try_into().unwrap();
        assert_eq!(found.path, run.path);
        assert!(found.why.contains("first checkpoint"));
        // Somebody takes it up before it is removed.
        let held = Journal::take(&run).unwrap();
        assert!(found.remove().is_err());
        drop(held);
        found.remove().unwrap();
        assert!(!run.path.exists());
    }

    #[test]
    fn what_interrupted_saves_left_is_litter_and_whole_checkpoints_are_not() {
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
        // A killed process removes nothing.
        std::mem::forget(new.stage("step-000000007.csv", b"").unwrap());
        for old in ["run.tmp", "eval.json.tmp-77", "notes.tmpl"] {
            fs::write(run.path.join(old), "").unwrap();
        }
        let names: Vec<String> = litter(runs.path())
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
        for found in litter(runs.path()) {
            found.remove().unwrap();
        }
        assert!(litter(runs.path()).is_empty());
        assert!(checkpoints.join("step-000000007").exists());
    }
}
