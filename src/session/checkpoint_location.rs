//! Finds a checkpoint by run name or path.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::rundir::{RunDir, RunsDir, resolve};
use super::writer::lock_unwritten;
use crate::checkpoint::{BestOnDisk, Depth, Store, step_name};

/// The weights file. A directory with this file is a checkpoint.
const WEIGHTS: &str = "model.safetensors";
/// Name of the directory of checkpoints in a run directory.
const CHECKPOINTS: &str = "checkpoints";

/// A checkpoint with its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointLocation {
    /// Its directory.
    pub path: PathBuf,
    /// The run it belongs to; `None` for a checkpoint outside a run directory.
    pub run: Option<RunDir>,
    /// Set if it is the run's best checkpoint by validation that is on disk.
    pub best: Option<BestOnDisk>,
}

impl CheckpointLocation {
    /// The path relative to the run directory, or the full path if there is no run.
    pub fn name(&self) -> String {
        let below = self
            .run
            .as_ref()
            .and_then(|run| self.path.strip_prefix(&run.path).ok());
        below.unwrap_or(&self.path).to_string_lossy().into_owned()
    }

    /// The display name: the run and the step, or the path if there is no run.
    pub fn title(&self) -> String {
        let step = self.path.file_name().unwrap_or_default().to_string_lossy();
        let best = match self.best {
            None => String::new(),
            Some(BestOnDisk { missing: None, .. }) => " (best)".to_owned(),
            Some(BestOnDisk {
                missing: Some(better),
                ..
            }) => {
                let better = step_name(better);
                let exists = self.path.with_file_name(&better).exists();
                let what = if exists {
                    "cannot be read"
                } else {
                    "is missing"
                };
                format!(" (best on disk; {better} {what})")
            }
        };
        match &self.run {
            Some(run) => format!("{} {step}{best}", run.name),
            None => self.path.display().to_string(),
        }
    }
}

/// The checkpoint that is searched for among those of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Best,
    Latest,
}

/// Finds a checkpoint. `wanted` is a checkpoint directory, its weights file, a `BEST` or `LATEST` file, or a run. For a
/// run, returns the best checkpoint, or the latest if none has been validated. Without `wanted`, uses the newest run.
///
/// # Errors
/// `NotFound` with the searched path if there is no such checkpoint, or why the checkpoints cannot be read.
pub fn locate_checkpoint(runs: &RunsDir, wanted: Option<&OsStr>) -> io::Result<CheckpointLocation> {
    if let Some(word) = wanted {
        let path = Path::new(word);
        if path.join(WEIGHTS).is_file() {
            return Ok(of_path(path));
        }
        if path.is_file() && path.file_name().is_some_and(|name| name == WEIGHTS) {
            return Ok(of_path(path.parent().unwrap_or(path)));
        }
        if let Some((checkpoints, which)) = pointer(path) {
            return among(&checkpoints, which);
        }
    }
    let run = resolve(runs, wanted)?;
    among(&run.path.join(CHECKPOINTS), Which::Best)
}

/// The directory of checkpoints that a path names, itself or by a pointer file in it.
fn pointer(path: &Path) -> Option<(PathBuf, Which)> {
    let path = path.canonicalize().ok()?;
    let is_pointer = |which: &str| path.ends_with(which) && path.is_file();
    let above = path.parent().map(Path::to_owned);
    if is_pointer("BEST") {
        Some((above?, Which::Best))
    } else if is_pointer("LATEST") {
        Some((above?, Which::Latest))
    } else {
        let known = path.ends_with(CHECKPOINTS) && path.is_dir()
            || ["BEST", "LATEST"]
                .iter()
                .any(|name| path.join(name).is_file());
        known.then_some((path, Which::Best))
    }
}

/// The best or the latest checkpoint in a directory of checkpoints that can be read. The checkpoints themselves decide;
/// the pointer files are for users, and a write of them can have failed.
fn among(checkpoints: &Path, which: Which) -> io::Result<CheckpointLocation> {
    let Some(run) = checkpoints
        .parent()
        .filter(|_| checkpoints.ends_with(CHECKPOINTS))
    else {
        return Err(missing(format!(
            "{}: specify one of the checkpoint directories in it",
            checkpoints.display()
        )));
    };
    let store = Store::new(run);
    let Some(newest) = store.newest(Depth::Bytes)? else {
        return Err(missing(format!(
            "{}: no checkpoint yet: the first is saved after the first epoch, or on request",
            checkpoints.display()
        )));
    };
    let chosen = match which {
        Which::Latest => newest,
        Which::Best => {
            let best = store.best_verified(Depth::Bytes)?;
            best.map_or(newest, |best| best.global_step)
        }
    };
    repair_pointers(&RunDir::at(run), &store);
    Ok(of_path(&store.path(chosen)))
}

/// Rewrites outdated pointer files, unless another process writes the run. Errors are ignored: this program does not
/// need the files.
fn repair_pointers(run: &RunDir, store: &Store) {
    if store
        .outdated_pointers()
        .is_ok_and(|outdated| outdated.is_empty())
    {
        return;
    }
    if let Some(_locked) = lock_unwritten(run) {
        let _ = store.update_pointers();
    }
}

/// The checkpoint at a path, with its run if the path is in a run directory.
fn of_path(path: &Path) -> CheckpointLocation {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let above = path.parent().filter(|dir| dir.ends_with(CHECKPOINTS));
    let run = above
        .and_then(Path::parent)
        .filter(|run| run.join("events.jsonl").is_file());
    let run = run.map(RunDir::at);
    let best = run.as_ref().and_then(|run| {
        let store = Store::new(&run.path);
        let best = store.best().ok()??;
        (store.path(best.global_step).file_name() == path.file_name()).then_some(best)
    });
    CheckpointLocation { path, run, best }
}

fn missing(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, message)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use crate::checkpoint::tests::validated;
    use fs_err as fs;

    /// A directory of runs with the run `one`; each checkpoint has a step, its accuracy, and the best step at that time.
    fn run_with(checkpoints: &[(u64, f64, u64)]) -> tempfile::TempDir {
        let runs = tempfile::tempdir().unwrap();
        let run = runs.path().join("one");
        fs::create_dir(&run).unwrap();
        fs::write(run.join("events.jsonl"), "").unwrap();
        for &(step, accuracy, best) in checkpoints {
            let store = Store::new(&run);
            store.save(&validated(step, accuracy, best), || {}).unwrap();
        }
        runs
    }

    fn locate_in(runs: &Path, word: &OsStr) -> CheckpointLocation {
        locate_checkpoint(&RunsDir::only(runs), Some(word)).unwrap()
    }

    #[test]
    fn run_gives_its_best_checkpoint_and_path_the_named_one() {
        let runs = run_with(&[(1, 0.7, 1), (2, 0.6, 1)]);
        assert!(
            Store::new(&runs.path().join("one"))
                .update_pointers()
                .is_empty()
        );
        let locate = |word: &Path| locate_in(runs.path(), word.as_os_str());
        let best = locate("one".as_ref());
        assert!(best.path.ends_with("one/checkpoints/step-000000001"));
        assert_eq!(
            (best.name().as_str(), best.title().as_str()),
            ("checkpoints/step-000000001", "one step-000000001 (best)")
        );
        for word in ["one/checkpoints", "one/checkpoints/BEST"] {
            assert_eq!(locate(&runs.path().join(word)), best);
        }
        for word in [
            "one/checkpoints/step-000000002",
            "one/checkpoints/step-000000002/model.safetensors",
            "one/checkpoints/LATEST",
        ] {
            let latest = locate(&runs.path().join(word));
            assert!(latest.path.ends_with("step-000000002") && latest.best.is_none());
            assert_eq!(latest.run.unwrap().name, "one");
        }
        let alone = tempfile::tempdir().unwrap();
        fs::write(alone.path().join(WEIGHTS), "").unwrap();
        assert_eq!(locate(alone.path()).run, None);
    }

    #[test]
    fn outdated_pointer_is_not_believed_but_repaired_unless_the_run_is_live() {
        for written in [
            "step-000000001\n",
            "step-000000009\n",
            "",
            "../../elsewhere\n",
        ] {
            let runs = run_with(&[(1, 0.5, 1), (2, 0.7, 2)]);
            let run = RunDir::at(&runs.path().join("one"));
            let pointer = run.path.join("checkpoints/BEST");
            fs::write(&pointer, written).unwrap();
            let locked = lock_unwritten(&run).unwrap();
            let best = || locate_in(runs.path(), "one".as_ref());
            assert_eq!(best().title(), "one step-000000002 (best)");
            assert_eq!(fs::read_to_string(&pointer).unwrap(), written);
            drop(locked);
            assert_eq!(best().title(), "one step-000000002 (best)");
            assert_eq!(fs::read_to_string(&pointer).unwrap(), "step-000000002\n");
        }
    }

    #[test]
    fn missing_checkpoints_are_named() {
        let words = |runs: &Path, word: Option<&str>| {
            let found = locate_checkpoint(&RunsDir::only(runs), word.map(AsRef::as_ref));
            found.unwrap_err().to_string()
        };
        let none = run_with(&[]);
        assert!(words(none.path(), Some("one")).contains("no checkpoint yet"));
        assert!(words(none.path(), Some("two")).contains("no such run"));
        // The best checkpoint was never written, or it was deleted.
        let gone = run_with(&[(1, 0.5, 1), (3, 0.6, 2)]);
        let found = locate_in(gone.path(), "one".as_ref());
        assert_eq!(
            found.title(),
            "one step-000000003 (best on disk; step-000000002 is missing)"
        );
    }
}
