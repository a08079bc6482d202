//! Finds a checkpoint by run name, path or pointer file.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::rundir::{RunDir, RunsDir, resolve};
use crate::files::read_text;

/// The weights file. A directory with this file is a checkpoint.
const WEIGHTS: &str = "model.safetensors";

/// The maximum size of a `BEST` or `LATEST` file, in bytes.
const LONGEST_POINTER: u64 = 4096;

/// A checkpoint with its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointLocation {
    /// Its directory.
    pub path: PathBuf,
    /// The run it belongs to; `None` for a checkpoint outside a run directory.
    pub run: Option<RunDir>,
    /// Whether it is the run's best checkpoint by validation.
    pub best: bool,
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
        match &self.run {
            Some(run) => format!(
                "{} {step}{}",
                run.name,
                if self.best { " (best)" } else { "" }
            ),
            None => self.path.display().to_string(),
        }
    }
}

/// Finds a checkpoint. `wanted` is a checkpoint directory, its weights file, a `BEST` or `LATEST` file, or a run. For a
/// run, returns the best checkpoint, or the latest if none is marked as best. Without `wanted`, uses the newest run.
///
/// # Errors
/// `NotFound` with the searched path if there is no such checkpoint.
pub fn locate_checkpoint(runs: &RunsDir, wanted: Option<&OsStr>) -> io::Result<CheckpointLocation> {
    if let Some(word) = wanted {
        let path = Path::new(word);
        if path.join(WEIGHTS).is_file() {
            return Ok(of_path(path.to_owned()));
        }
        if path.is_file() && path.file_name().is_some_and(|name| name == WEIGHTS) {
            return Ok(of_path(path.parent().unwrap_or(path).to_owned()));
        }
        if let Some(pointer) = best_or_latest(path) {
            return pointed(&pointer).map(of_path);
        }
        let is_pointer = path
            .file_name()
            .is_some_and(|name| name == "BEST" || name == "LATEST");
        if is_pointer && path.is_file() {
            return pointed(path).map(of_path);
        }
    }
    let run = resolve(runs, wanted)?;
    let checkpoints = run.path.join("checkpoints");
    if let Some(pointer) = best_or_latest(&checkpoints) {
        return pointed(&pointer).map(of_path);
    }
    // The process may have been killed after writing the first checkpoint and before writing its pointer.
    let store = crate::checkpoint::Store::new(&run.path);
    match store.steps().last() {
        Some(&newest) => Ok(of_path(store.path(newest))),
        None => Err(missing(format!(
            "{}: no checkpoint yet: the first is saved after the first epoch, or on request",
            checkpoints.display()
        ))),
    }
}

/// The pointer file (`BEST`, else `LATEST`) in a directory of checkpoints.
fn best_or_latest(checkpoints: &Path) -> Option<PathBuf> {
    let pointers = ["BEST", "LATEST"].map(|name| checkpoints.join(name));
    pointers.into_iter().find(|pointer| pointer.is_file())
}

/// The path of the checkpoint that a pointer file names.
fn pointed(pointer: &Path) -> io::Result<PathBuf> {
    let name = read_text(pointer, LONGEST_POINTER)?;
    let name = name.trim();
    let plain = !name.is_empty() && !name.contains(['/', '\\']) && !name.starts_with('.');
    let path = pointer.with_file_name(if plain { name } else { "?" });
    if plain && path.join(WEIGHTS).is_file() {
        return Ok(path);
    }
    Err(missing(format!(
        "{} names {name:?}, which is not a checkpoint in the same directory; specify a checkpoint directory",
        pointer.display()
    )))
}

/// The checkpoint at a path, with its run if the path is in a run directory.
fn of_path(path: PathBuf) -> CheckpointLocation {
    let path = path.canonicalize().unwrap_or(path);
    let above = path.parent().filter(|dir| dir.ends_with("checkpoints"));
    let run = above
        .and_then(Path::parent)
        .filter(|run| run.join("events.jsonl").is_file());
    let run = run.map(RunDir::at);
    let best = above
        .map(|dir| dir.join("BEST"))
        .filter(|pointer| pointer.is_file())
        .and_then(|pointer| read_text(&pointer, LONGEST_POINTER).ok())
        .is_some_and(|name| {
            path.file_name()
                .is_some_and(|own| own.to_string_lossy() == name.trim())
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
    use fs_err as fs;

    fn run_with(steps: &[&str], pointers: &[(&str, &str)]) -> tempfile::TempDir {
        let runs = tempfile::tempdir().unwrap();
        let checkpoints = runs.path().join("one/checkpoints");
        for step in steps {
            fs::create_dir_all(checkpoints.join(step)).unwrap();
            fs::write(checkpoints.join(step).join(WEIGHTS), "").unwrap();
        }
        fs::create_dir_all(&checkpoints).unwrap();
        for (pointer, name) in pointers {
            fs::write(checkpoints.join(pointer), format!("{name}\n")).unwrap();
        }
        fs::write(runs.path().join("one/events.jsonl"), "").unwrap();
        runs
    }

    #[test]
    fn run_gives_its_best_checkpoint_and_path_the_named_one() {
        let runs = run_with(
            &["step-1", "step-2"],
            &[("BEST", "step-1"), ("LATEST", "step-2")],
        );
        let locate = |word: &Path| {
            locate_checkpoint(&RunsDir::only(runs.path()), Some(word.as_os_str())).unwrap()
        };
        let best = locate("one".as_ref());
        assert!(best.path.ends_with("one/checkpoints/step-1") && best.best);
        assert_eq!(
            (best.name(), best.title()),
            (
                "checkpoints/step-1".to_owned(),
                "one step-1 (best)".to_owned()
            )
        );
        let dir = runs.path().join("one/checkpoints");
        assert_eq!(locate(&dir), best);
        for word in [
            "one/checkpoints/step-2",
            "one/checkpoints/step-2/model.safetensors",
            "one/checkpoints/LATEST",
        ] {
            let latest = locate(&runs.path().join(word));
            assert!(latest.path.ends_with("step-2") && !latest.best);
            assert_eq!(latest.run.unwrap().name, "one");
        }
        let alone = tempfile::tempdir().unwrap();
        fs::write(alone.path().join(WEIGHTS), "").unwrap();
        assert_eq!(locate(alone.path()).run, None);
    }

    #[test]
    fn missing_checkpoints_are_named() {
        let words = |runs: &Path, word: Option<&str>| {
            let found = locate_checkpoint(&RunsDir::only(runs), word.map(AsRef::as_ref));
            found.unwrap_err().to_string()
        };
        let none = run_with(&[], &[]);
        assert!(words(none.path(), Some("one")).contains("no checkpoint yet"));
        assert!(words(none.path(), Some("two")).contains("no such run"));
        let gone = run_with(&[], &[("BEST", "step-9")]);
        assert!(words(gone.path(), Some("one")).contains("step-9"));
        let out = run_with(&["step-1"], &[("BEST", "../../elsewhere")]);
        assert!(words(out.path(), Some("one")).contains("not a checkpoint in the same directory"));
    }
}
