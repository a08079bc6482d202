//! The checkpoint directory of a run.

use std::io;
use std::path::{Path, PathBuf};

use super::manifest::{FORMAT, Manifest};
use super::verify::{Depth, VerifyError, open, read_manifest, verify};
use super::write::{PendingCheckpoint, SavedCheckpoint, rename, write};
use super::{BestSoFar, Candidate, State};
use crate::event::Validation;
use crate::files::{Dir, TEMPORARY, is_temporary};

/// Name of the checkpoint directory in the run directory.
const CHECKPOINTS: &str = "checkpoints";
/// Prefix of the name of a damaged checkpoint that was set aside.
const DAMAGED: &str = "bad-";
/// Greatest size of a pointer file in bytes.
const LONGEST_POINTER: u64 = 4096;
/// Greatest size of `state.json` in bytes; a larger file is rejected.
const LONGEST_STATE: u64 = 64 << 20;

/// The best checkpoint of a run that is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BestOnDisk {
    /// Its step.
    pub global_step: u64,
    /// The step of a better one that is not on disk, because its save failed or it was deleted, or that cannot be read.
    pub missing: Option<u64>,
}

/// The checkpoints of a run, in `runs/<name>/checkpoints`.
#[derive(Debug, Clone)]
pub struct Store {
    run: PathBuf,
    /// The open run directory; `None` opens it by its path for each operation.
    handle: Option<Dir>,
}

/// Directory name of the checkpoint of a step. The step is zero-padded, so that names sort by step.
pub fn step_name(global_step: u64) -> String {
    format!("step-{global_step:09}")
}

/// The step of a checkpoint directory name; `None` for any other name.
pub fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.parse().ok()?;
    (step_name(step) == name).then_some(step)
}

/// Whether a name in the checkpoint directory is that of a leftover of an interrupted save or removal.
pub fn is_leftover(name: &str) -> bool {
    is_temporary(name, |name| {
        let mut prefixes = ["spare-", "removed-"].iter();
        let step = prefixes.find_map(|prefix| name.strip_prefix(prefix));
        matches!(name, "LATEST" | "BEST") || step_of(step.unwrap_or(name)).is_some()
    })
}

/// Whether a name is that of a damaged checkpoint that was set aside: `bad-step-000000007-1`.
pub fn is_set_aside(name: &str) -> bool {
    let parts = name
        .strip_prefix(DAMAGED)
        .and_then(|name| name.rsplit_once('-'));
    parts.is_some_and(|(step, number)| step_of(step).is_some() && number.parse::<u32>().is_ok())
}

impl Store {
    /// The checkpoints of a run directory.
    pub fn new(run_dir: &Path) -> Self {
        Self {
            run: run_dir.to_owned(),
            handle: None,
        }
    }

    /// The checkpoints of an open run directory, which may be renamed.
    pub fn within(run_dir: &Dir) -> Self {
        Self {
            run: run_dir.path(),
            handle: Some(run_dir.clone()),
        }
    }

    /// Opens the checkpoint directory. Tests can inject a fault into each operation in it.
    fn dir(&self) -> io::Result<Dir> {
        self.run_dir()?.subdir(CHECKPOINTS)
    }

    fn run_dir(&self) -> io::Result<Dir> {
        let dir = self.handle.clone().map_or_else(|| Dir::open(&self.run), Ok);
        dir.map(Dir::with_faults)
    }

    /// The directory of a step's checkpoint.
    pub fn path(&self, global_step: u64) -> PathBuf {
        let run = self.handle.as_ref().map(Dir::path);
        let run = run.as_ref().unwrap_or(&self.run);
        run.join(CHECKPOINTS).join(step_name(global_step))
    }

    /// Writes a checkpoint. `ready` is called when all its files are on disk, before it gets its final name. An
    /// existing checkpoint of the same step is replaced atomically.
    ///
    /// # Errors
    /// The path and the error of the operating system. An incomplete checkpoint never has the final name.
    pub fn save(
        &self,
        pending: &PendingCheckpoint,
        ready: impl FnOnce(),
    ) -> io::Result<SavedCheckpoint> {
        let name = step_name(pending.state.global_step);
        let dir = self.run_dir()?.ensure_subdir(CHECKPOINTS)?;
        let temporary = format!("{TEMPORARY}{name}");
        // A failed save can have left this directory.
        if dir.exists(&temporary) {
            dir.remove(&temporary)?;
        }
        let written = write(&dir, &temporary, pending).and_then(|bytes| {
            ready();
            rename(&dir, &temporary, &name)?;
            dir.sync()?;
            Ok(bytes)
        });
        // Either the save failed, or the replaced checkpoint now has the temporary name. If it cannot be removed here,
        // the next start does it.
        dir.discard(&temporary);
        Ok(SavedCheckpoint {
            bytes: written?,
            path: format!("{CHECKPOINTS}/{name}"),
        })
    }

    /// The best checkpoint by validation, as the trainer recorded it in the newest checkpoint that can be read. The file
    /// `BEST` is not read. If that checkpoint is not complete on disk, the best one left is returned. `None` if no
    /// checkpoint has been validated.
    ///
    /// # Errors
    /// The path and the problem, if the checkpoints cannot be listed or the state of none of them can be read.
    pub fn best(&self) -> io::Result<Option<BestOnDisk>> {
        self.best_verified(Depth::Lengths)
    }

    /// As [`Store::best`]; the checkpoint is verified to this depth.
    ///
    /// # Errors
    /// As [`Store::best`].
    pub fn best_verified(&self, depth: Depth) -> io::Result<Option<BestOnDisk>> {
        let steps = self.list()?;
        let Some(best) = self.newest_state(&steps)?.and_then(|state| state.best) else {
            return Ok(None);
        };
        let found = |global_step, missing| BestOnDisk {
            global_step,
            missing,
        };
        if steps.contains(&best.global_step) && self.is_whole(best.global_step, depth) {
            return Ok(Some(found(best.global_step, None)));
        }
        let left = self.highest_validated(depth);
        Ok(left.map(|left| found(left.global_step, Some(best.global_step))))
    }

    /// The state in the newest of these checkpoints whose state can be read; `None` without checkpoints.
    fn newest_state(&self, steps: &[u64]) -> io::Result<Option<State>> {
        let mut problems = Vec::new();
        for step in steps.iter().rev() {
            match read_state(&self.path(*step)) {
                Ok(state) => return Ok(Some(state)),
                Err(error) => problems.push(error.to_string()),
            }
        }
        if problems.is_empty() {
            return Ok(None);
        }
        Err(io::Error::other(problems.join("\n")))
    }

    /// The newest checkpoint that is verified to this depth, older than an unreadable or damaged one.
    ///
    /// # Errors
    /// The problem of each checkpoint, if there are some and none is verified; or the checkpoints cannot be listed.
    pub fn newest(&self, depth: Depth) -> io::Result<Option<u64>> {
        let mut problems = Vec::new();
        for step in self.list()?.into_iter().rev() {
            match verify(&self.path(step), depth) {
                Ok(_) => return Ok(Some(step)),
                Err(error) => problems.push(format!("{}: {error}", self.path(step).display())),
            }
        }
        if problems.is_empty() {
            return Ok(None);
        }
        Err(io::Error::other(problems.join("\n")))
    }

    fn is_whole(&self, global_step: u64, depth: Depth) -> bool {
        verify(&self.path(global_step), depth).is_ok()
    }

    /// The checkpoints as candidates for removal, verified to this depth. One whose manifest cannot be read may have been
    /// requested, so it counts as pinned.
    ///
    /// # Errors
    /// The path and why the checkpoints cannot be listed.
    pub fn candidates(&self, depth: Depth) -> io::Result<Vec<Candidate>> {
        let candidate = |global_step| Candidate {
            global_step,
            pinned: self
                .manifest(global_step)
                .map_or(true, |manifest| manifest.pinned),
            whole: self.is_whole(global_step, depth),
        };
        Ok(self.list()?.into_iter().map(candidate).collect())
    }

    /// The pointer files `LATEST` and `BEST` that do not name the checkpoint they should, with its step.
    ///
    /// # Errors
    /// As [`Store::best`].
    pub fn outdated_pointers(&self) -> io::Result<Vec<(&'static str, u64)>> {
        let latest = self.newest(Depth::Lengths)?;
        let best = self.best()?.map(|best| best.global_step);
        let mut pointers = Vec::new();
        pointers.extend(latest.map(|step| ("LATEST", step)));
        pointers.extend(best.map(|step| ("BEST", step)));
        if !pointers.is_empty() {
            let dir = self.dir()?;
            pointers.retain(|(pointer, step)| {
                let text = dir.read_text(pointer, LONGEST_POINTER);
                !text.is_ok_and(|text| text == pointer_text(*step))
            });
        }
        Ok(pointers)
    }

    /// Rewrites the pointer files that are outdated. Returns the errors; none of them affects a checkpoint.
    pub fn update_pointers(&self) -> Vec<io::Error> {
        let write = |(pointer, step)| {
            let text = pointer_text(step);
            self.dir()?.replace(pointer, text.as_bytes())
        };
        match self.outdated_pointers() {
            Ok(pointers) => pointers
                .into_iter()
                .filter_map(|p| write(p).err())
                .collect(),
            Err(error) => vec![error],
        }
    }

    /// The best checkpoint by validation that is verified to this depth, as the manifests have it.
    pub fn highest_validated(&self, depth: Depth) -> Option<BestSoFar> {
        let mut best: Option<(Validation, BestSoFar)> = None;
        for step in self.steps() {
            let Ok(manifest) = verify(&self.path(step), depth) else {
                continue;
            };
            let so_far = best.as_ref().map(|(validation, _)| validation);
            let better = |found: &Validation| found.replaces(so_far, manifest.best_by);
            if let Some(found) = manifest.validation().filter(better) {
                let this = BestSoFar {
                    accuracy: found.accuracy.0,
                    epoch: manifest.epoch,
                    global_step: step,
                };
                best = Some((found, this));
            }
        }
        best.map(|(_, best)| best)
    }

    /// Removes a checkpoint; it is not an error if there is none. It is renamed first, so that an interrupted removal
    /// leaves no incomplete checkpoint under the final name.
    pub fn remove(&self, global_step: u64) -> io::Result<()> {
        let name = step_name(global_step);
        let doomed = format!("{TEMPORARY}removed-{name}");
        let removed = self.dir().and_then(|dir| {
            dir.rename(&name, &doomed)?;
            dir.remove(&doomed)
        });
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// The steps of all checkpoints, by their directory names, in ascending order. Empty if they cannot be listed.
    pub fn steps(&self) -> Vec<u64> {
        self.list().unwrap_or_default()
    }

    /// The steps of all checkpoints, by their directory names, in ascending order. Empty if there is no directory of
    /// checkpoints.
    ///
    /// # Errors
    /// The path and why the directory cannot be read.
    pub fn list(&self) -> io::Result<Vec<u64>> {
        let dir = match self.dir() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            dir => dir?,
        };
        // A link to a directory is no checkpoint.
        let names = dir.names()?.into_iter().filter(|name| dir.has_subdir(name));
        let mut steps: Vec<u64> = names.filter_map(|name| step_of(&name)).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// The names of damaged checkpoints that were set aside.
    pub fn damaged(&self) -> Vec<String> {
        let mut names = self.names();
        names.retain(|name| is_set_aside(name));
        names
    }

    /// The manifest of a step's checkpoint. Its files are not verified.
    ///
    /// # Errors
    /// If the manifest cannot be read or is invalid.
    pub fn manifest(&self, global_step: u64) -> Result<Manifest, VerifyError> {
        read_manifest(&self.path(global_step))
    }

    fn names(&self) -> Vec<String> {
        self.dir().and_then(|dir| dir.names()).unwrap_or_default()
    }

    /// Removes the leftovers of interrupted saves and removals, and returns their names. Before that, a checkpoint that
    /// was renamed during an interrupted exchange (see [`Dir::exchange`]) gets its name back.
    pub fn sweep(&self) -> Vec<String> {
        let Ok(dir) = self.dir() else {
            return Vec::new();
        };
        for name in self.names() {
            if let Some(step) = spare_of(&name).filter(|step| !dir.exists(step)) {
                // If it cannot be renamed, it is removed below.
                let _ = dir.rename(&name, step);
            }
        }
        let mut removed = self.names();
        removed.retain(|name| is_leftover(name) && dir.remove(name).is_ok());
        removed
    }

    /// The newest checkpoint that can be verified. Newer damaged ones are set aside: renamed to `bad-step-…`. Newer ones
    /// that cannot be read or have the format of another version need not be damaged, so they are left as they are. The
    /// second value has a message for each of both.
    ///
    /// # Errors
    /// If the checkpoints cannot be listed, or if none is left but some that need not be damaged; the message lists
    /// them.
    pub fn newest_verified(&self) -> Result<(Option<Manifest>, Vec<String>), String> {
        let (mut warnings, mut unreadable) = (Vec::new(), false);
        let steps = self.list().map_err(|error| error.to_string())?;
        for step in steps.into_iter().rev() {
            let problem = match verify(&self.path(step), Depth::Bytes) {
                Ok(manifest) if manifest.global_step == step => {
                    return Ok((Some(manifest), warnings));
                }
                Ok(manifest) => format!("MANIFEST.json: belongs to step {}", manifest.global_step),
                Err(VerifyError::Damaged(problem)) => problem,
                Err(VerifyError::Unreadable(problem) | VerifyError::OtherFormat(problem)) => {
                    unreadable = true;
                    let name = step_name(step);
                    warnings.push(format!(
                        "{CHECKPOINTS}/{name} cannot be read ({problem}): it is left as it is, and an older one is used"
                    ));
                    continue;
                }
            };
            warnings.push(self.set_aside(step, &problem));
        }
        if unreadable {
            return Err(format!(
                "no checkpoint can be read; check the disk, or use the version of epochtop that wrote them\n  {}",
                warnings.join("\n  ")
            ));
        }
        Ok((None, warnings))
    }

    /// Renames a damaged checkpoint to `bad-step-…`; returns a message for the log.
    fn set_aside(&self, step: u64, problem: &str) -> String {
        let name = step_name(step);
        let aside = self.dir().ok().and_then(|dir| {
            let mut names = (1..100).map(|n| format!("{DAMAGED}{name}-{n}"));
            names.find(|aside| dir.rename_new(&name, aside).is_ok())
        });
        let action = aside.map_or_else(
            || "skipped".to_owned(),
            |aside| format!("set aside as {aside}"),
        );
        format!("{CHECKPOINTS}/{name} is damaged ({problem}): {action}")
    }
}

fn pointer_text(global_step: u64) -> String {
    format!("{}\n", step_name(global_step))
}

/// The final name of a checkpoint that has a spare name during an exchange; `None` if `name` is not a spare name.
fn spare_of(name: &str) -> Option<&str> {
    let step = name.strip_prefix(TEMPORARY)?.strip_prefix("spare-")?;
    step_of(step).map(|_| step)
}

/// Reads a checkpoint's `state.json`.
///
/// # Errors
/// The path and the problem: the file cannot be read or parsed, or has the format of another version.
pub fn read_state(checkpoint: &Path) -> io::Result<State> {
    #[derive(serde::Deserialize)]
    struct Version {
        format: u32,
    }
    let path = checkpoint.join("state.json");
    let text = open(checkpoint)?.read_text("state.json", LONGEST_STATE)?;
    let wrong = |what: String| {
        let text = format!("{}: {what}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    let Version { format } = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    if format != FORMAT {
        let what = format!("has format {format}; this version reads format {FORMAT}");
        return Err(wrong(what));
    }
    serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))
}
