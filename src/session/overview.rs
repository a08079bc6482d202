//! A run in a line: whether it lives, how far it came, how good it is, what it takes up.

use std::io;
use std::path::Path;

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};

use super::files::Meta;
use super::journal;
use super::rundir::{RunDir, summaries};
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
    /// Its last picture.
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
    if is_live(run) {
        return Status::Live;
    }
    match meta.outcome.as_str() {
        "completed" => Status::Finished,
        "stopped" => Status::Stopped,
        "failed" => Status::Failed,
        _ => Status::Crashed,
    }
}

/// Whether a process writes a run: it holds the journal's lock, which no death outlives.
pub fn is_live(run: &RunDir) -> bool {
    let Ok(file) = fs::File::open(run.journal()) else {
        return false;
    };
    let taken = flock(file.file(), FlockOperation::NonBlockingLockShared);
    matches!(taken, Err(rustix::io::Errno::WOULDBLOCK))
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

/// What in a runs directory nobody needs: leftovers of interrupted saves, checkpoints set aside as damaged, runs that
/// ended before their first checkpoint. Nothing of a live run is among it.
pub fn litter(runs: &Path) -> Vec<(std::path::PathBuf, &'static str)> {
    let mut found = Vec::new();
    for (run, meta) in summaries(runs) {
        let status = status(&run, &meta);
        if status == Status::Live {
            continue;
        }
        let checkpoints = run.path.join("checkpoints");
        let names = names(&checkpoints).unwrap_or_default();
        let is_checkpoint = |name: &String| crate::checkpoint::step_of(name).is_some();
        if status != Status::Finished && !names.iter().any(is_checkpoint) {
            found.push((run.path, "a run that ended before its first checkpoint"));
            continue;
        }
        for name in names {
            let path = checkpoints.join(&name);
            if name.starts_with(".tmp-") {
                found.push((path, "left by an interrupted save"));
            } else if name.starts_with("bad-step-") {
                found.push((path, "a damaged checkpoint that was set aside"));
            }
        }
    }
    found
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(dir)?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
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
            outcome: "running".to_owned(),
            ..Meta::default()
        };
        let files = RunFiles::create(&run.path, meta.clone()).unwrap();
        assert_eq!(status(&run, &meta), Status::Live);
        assert!(litter(runs.path()).is_empty());
        drop(files);
        let [overview] = overviews(runs.path()).try_into().unwrap();
        assert_eq!(overview.status, Status::Crashed);
        assert!(overview.bytes > 0);
        let [(path, why)] = litter(runs.path()).try_into().unwrap();
        assert_eq!(path, run.path);
        assert!(why.contains("first checkpoint"));
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
        let names: Vec<String> = litter(runs.path())
            .iter()
            .map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, [".tmp-step-000000008", "bad-step-000000006-1"]);
    }
}
