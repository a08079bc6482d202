//! What can be deleted in a directory of runs: files and directories that this program makes, left over where a process
//! was killed, and damaged checkpoints. Everything else, and everything behind a symbolic link, is kept.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::clock::now_ms;
use super::journal;
use super::rundir::{JOURNAL, META, RunDir, UNNAMED};
use super::tensorboard;
use super::writer::{CLAIM, LOCK, Lock, LockedJournal, Writer, is_stale_claim, lock_of, writer_of};
use crate::checkpoint::{is_leftover, is_set_aside, step_of};
use crate::event::Split;
use crate::files::{Dir, is_random, is_temporary};

/// Age in seconds from which a run without `run.json` counts as left over. A younger one may be in creation.
const CREATED_WITHIN: u64 = 60;
/// The size in bytes above which `epochs.csv` has rows for certain.
const HEADER_ONLY: u64 = 4096;
/// Files of a run directory that are written through a temporary file.
const REPLACED: [&str; 7] = [
    "config.toml",
    "run.json",
    "epochs.csv",
    "eval.json",
    "predictions.csv",
    "predictions.npy",
    "model.pt",
];
/// Temporary names of earlier versions that do not follow a pattern.
const OLD_NAMES: [&str; 4] = ["run.tmp", "config.tmp", "epochs.tmp", "model.pt.tmp"];

const UNSTARTED: &str = "a run whose process was killed while it was created";
const WITHOUT_RESULT: &str = "a run that ended before its first epoch and its first checkpoint";
const INTERRUPTED: &str = "left over from an interrupted save";
const DAMAGED: &str = "a damaged checkpoint";
const INCOMPLETE: &str = "an incomplete file";
const STALE_CLAIM: &str = "the claim of a process that has ended";

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
        let (above, name) = place_of(&self.run.path)?;
        let run = above.subdir(name)?;
        // Locking writes to the directory.
        let old = is_old(&run);
        let _locked = run
            .exists(JOURNAL)
            .then(|| LockedJournal::open(&self.run, false))
            .transpose()?;
        if !of_run(&self.run, &run, old).contains(self) {
            let text = format!("{}: is in use again", self.path.display());
            return Err(io::Error::other(text));
        }
        let below = self.path.strip_prefix(&self.run.path).unwrap_or(&self.path);
        match (below.parent(), below.file_name()) {
            (Some(place), Some(entry)) => place
                .iter()
                .try_fold(run, |dir, part| dir.subdir(part))?
                .remove(entry),
            // The run itself.
            _ => above.remove(name),
        }
    }
}

/// Finds what can be deleted in a directory of runs. Live runs, runs whose lock cannot be checked, and links to runs
/// elsewhere are skipped.
pub fn deletable(runs: &Path) -> Vec<Deletable> {
    let Ok(above) = Dir::open(runs) else {
        return Vec::new();
    };
    let mut names = above.entries().unwrap_or_default();
    names.sort();
    let found = names.into_iter().filter_map(|name| {
        let run = RunDir::at(&runs.join(&name));
        let dir = above.subdir(&name).ok()?;
        let has_no_writer = match lock_of(&run) {
            // No process writes to it if it has no journal.
            Lock::Unknown => !dir.exists(JOURNAL),
            Lock::Taken => false,
            Lock::Free => {
                let meta = run.meta().unwrap_or_default();
                writer_of(&run, &meta, Lock::Free) == Writer::Absent
            }
        };
        has_no_writer.then(|| of_run(&run, &dir, is_old(&dir)))
    });
    found.flatten().collect()
}

/// Deletes the directory `path` if a process was killed while it created a run there. Then the name can be used again.
///
/// # Errors
/// As [`Deletable::remove`].
pub fn remove_unstarted(path: &Path) -> io::Result<()> {
    let run = RunDir::at(path);
    let unstarted = place_of(path).and_then(|(above, name)| above.subdir(name));
    let found = unstarted.map_or_else(|_| Vec::new(), |dir| of_run(&run, &dir, is_old(&dir)));
    let unstarted = found.iter().find(|found| found.why == UNSTARTED);
    unstarted.map_or(Ok(()), Deletable::remove)
}

/// The directory that contains `path`, and the name in it.
fn place_of(path: &Path) -> io::Result<(Dir, &OsStr)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let above = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    Ok((Dir::open(above.unwrap_or(Path::new(".")))?, name))
}

/// Finds what can be deleted in one run to which no process writes. `old` is whether its creation must have ended.
fn of_run(run: &RunDir, dir: &Dir, old: bool) -> Vec<Deletable> {
    let deletable = |path: PathBuf, why| Deletable {
        path,
        why,
        run: run.clone(),
    };
    // If a directory cannot be read, or is a link, nothing is deleted.
    let (Ok(own), Ok(checkpoints), Ok(evals), Ok(tb)) = (
        dir.names(),
        names_in(dir, "checkpoints"),
        names_in(dir, "evals"),
        names_in(dir, "tb"),
    ) else {
        return Vec::new();
    };
    let is_unnamed = run.name.strip_prefix(UNNAMED).is_some_and(is_random);
    if !is_unnamed && !dir.exists(META) && !dir.exists(JOURNAL) {
        // Not a run.
        return Vec::new();
    }
    let is_file = |place: &Dir, name: &str| !place.has_subdir(name);
    let only_own = own.iter().all(|name| match name.as_str() {
        "config.toml" | META | JOURNAL | LOCK | "epochs.csv" | "log.txt" | CLAIM => {
            is_file(dir, name)
        }
        "tb" => tb.iter().all(|name| tensorboard::is_event_file(name)),
        "checkpoints" => checkpoints.iter().all(|name| is_leftover(name)),
        "evals" => evals.iter().all(|name| is_temporary(name, is_eval_file)),
        name => is_incomplete(name) && is_file(dir, name),
    });
    if only_own && has_no_result(run, dir) {
        return match (dir.exists(META), old) {
            (true, _) => vec![deletable(run.path.clone(), WITHOUT_RESULT)],
            (false, true) => vec![deletable(run.path.clone(), UNSTARTED)],
            (false, false) => Vec::new(),
        };
    }
    let path = |place: &str, name: &str| run.path.join(place).join(name);
    let mut found = Vec::new();
    if let Ok(place) = dir.subdir("checkpoints") {
        for name in &checkpoints {
            let why = match name.as_str() {
                name if is_set_aside(name) && place.has_subdir(name) => DAMAGED,
                name if is_leftover(name) => INTERRUPTED,
                _ => continue,
            };
            found.push(deletable(path("checkpoints", name), why));
        }
    }
    for name in own.iter().filter(|name| is_file(dir, name)) {
        if is_incomplete(name) {
            found.push(deletable(run.path.join(name), INCOMPLETE));
        } else if name == CLAIM && is_stale_claim(dir) {
            found.push(deletable(run.path.join(name), STALE_CLAIM));
        }
    }
    if let Ok(place) = dir.subdir("evals") {
        let incomplete = |name: &&String| is_temporary(name, is_eval_file) && is_file(&place, name);
        let incomplete = evals.iter().filter(incomplete);
        found.extend(incomplete.map(|name| deletable(path("evals", name), INCOMPLETE)));
    }
    found
}

/// The names in a subdirectory of a run; none if there is no such directory.
fn names_in(run: &Dir, name: &str) -> io::Result<Vec<String>> {
    match run.subdir(name).and_then(|dir| dir.names()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        names => names,
    }
}

/// Whether the journal and `epochs.csv` are complete and contain no result. A journal that cannot be read, or of which a
/// line cannot be, may have had one.
fn has_no_result(run: &RunDir, dir: &Dir) -> bool {
    let no_rows = match dir.read("epochs.csv", HEADER_ONLY) {
        Ok(text) => text.split(|byte| *byte == b'\n').count() <= 2,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    let journal = |bytes: u64| {
        let journal = journal::read(&run.journal())?;
        let state = journal.state;
        let none =
            state.history.is_empty() && state.test_evaluations == 0 && state.checkpoint.is_none();
        Ok::<_, io::Error>(none && journal.problems.is_empty() && (state.seq > 0 || bytes == 0))
    };
    no_rows
        && match dir.open_read(JOURNAL).and_then(|file| file.metadata()) {
            Ok(file) => journal(file.len()).unwrap_or(false),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
}

fn is_old(dir: &Dir) -> bool {
    let age = |at| (now_ms() / 1000).saturating_sub(at);
    dir.modified().is_ok_and(|at| age(at) > CREATED_WITHIN)
}

/// Whether a name in a run directory is that of an incomplete file.
fn is_incomplete(name: &str) -> bool {
    let replaced = |file: &str| REPLACED.contains(&file) || file == CLAIM;
    OLD_NAMES.contains(&name) || is_temporary(name, replaced)
}

/// Whether a name is that of a file in `evals`: `step-000000007.json`, `step-000000007.valid.csv`.
fn is_eval_file(name: &str) -> bool {
    let splits = [Split::Train, Split::Valid, Split::Test].map(Split::name);
    let mut parts = name.split('.');
    let step = parts.next().and_then(step_of);
    let rest: Vec<&str> = parts.collect();
    let is_table = |end: &str| matches!(end, "json" | "csv");
    step.is_some()
        && match rest.as_slice() {
            [end] => is_table(end),
            [split, end] => splits.contains(split) && is_table(end),
            _ => false,
        }
}

#[cfg(test)]
mod tests;
