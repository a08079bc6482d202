//! The directory of a run's checkpoints.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::manifest::{Entry, FORMAT, Manifest};
use super::verify::{Depth, Flaw, read_manifest, verify};
use super::{State, disk};

/// A checkpoint that is whole on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Path below the run directory.
    pub path: String,
    /// Bytes of its files.
    pub bytes: u64,
}

/// A checkpoint to be written.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where the training stands.
    pub state: State,
    /// Why it is written.
    pub reason: String,
    /// Somebody asked for it.
    pub pinned: bool,
    /// Validation accuracy of its weights, 0 to 1, where it is known.
    pub valid_accuracy: Option<f64>,
    /// Milliseconds since 1970, UTC.
    pub created_ms: u64,
    /// Names and bytes of its files but `state.json` and `MANIFEST.json`.
    pub files: Vec<(&'static str, Vec<u8>)>,
}

/// `runs/<name>/checkpoints`.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

/// The directory name of a step's checkpoint; equal widths sort by step.
pub fn step_name(global_step: u64) -> String {
    format!("step-{global_step:09}")
}

/// The step a directory name stands for.
pub fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step-")?.parse().ok()?;
    (step_name(step) == name).then_some(step)
}

impl Store {
    /// The checkpoints of a run directory.
    pub fn new(run_dir: &Path) -> Self {
        Self {
            dir: run_dir.join("checkpoints"),
        }
    }

    /// The directory of a step's checkpoint.
    pub fn path(&self, global_step: u64) -> PathBuf {
        self.dir.join(step_name(global_step))
    }

    /// Writes a checkpoint. `ready` is called when all of it is on disk, before it gets its name. One of the same step is
    /// replaced, without a moment in which there is neither.
    ///
    /// # Errors
    /// The path and what the system said; nothing that is not whole has the final name then.
    pub fn save(&self, draft: &Draft, ready: impl FnOnce()) -> io::Result<Saved> {
        let step = draft.state.global_step;
        let name = step_name(step);
        if !self.dir.is_dir() {
            disk::create_dir(&self.dir)?;
            self.dir.parent().map_or(Ok(()), disk::sync)?;
        }
        let temporary = self.dir.join(format!(".tmp-{name}"));
        // A leftover of a save that failed would be in the way.
        if temporary.exists() {
            disk::remove(&temporary)?;
        }
        let written = write(&temporary, draft).and_then(|bytes| {
            ready();
            self.name(&temporary, step)?;
            disk::sync(&self.dir)?;
            Ok(bytes)
        });
        if written.is_err() {
            let _ = fs::remove_dir_all(&temporary);
        }
        let bytes = written?;
        // What was replaced has the temporary name now; if it cannot go, the next start sweeps it away.
        let _ = fs::remove_dir_all(&temporary);
        Ok(Saved {
            path: format!("checkpoints/{name}"),
            bytes,
        })
    }

    fn name(&self, temporary: &Path, step: u64) -> io::Result<()> {
        let target = self.path(step);
        match disk::rename_new(temporary, &target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let spare = self.dir.join(format!(".tmp-spare-{}", step_name(step)));
                disk::exchange(temporary, &target, &spare)
            }
            result => result,
        }
    }

    /// Makes `LATEST` or `BEST` name a step.
    pub fn point(&self, pointer: &str, global_step: u64) -> io::Result<()> {
        let temporary = self.dir.join(format!(".tmp-{pointer}"));
        let text = format!("{}\n", step_name(global_step));
        disk::replace(&temporary, &self.dir.join(pointer), text.as_bytes())?;
        disk::sync(&self.dir)
    }

    /// Removes a checkpoint; one that is gone already is no error. It loses its name first, so that a removal cut short
    /// leaves nothing that looks whole.
    pub fn remove(&self, global_step: u64) -> io::Result<()> {
        let doomed = self
            .dir
            .join(format!(".tmp-removed-{}", step_name(global_step)));
        match disk::rename(&self.path(global_step), &doomed) {
            Ok(()) => disk::remove(&doomed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The steps that there are checkpoints of, by their names, oldest first.
    pub fn steps(&self) -> Vec<u64> {
        let mut steps: Vec<u64> = self
            .names()
            .iter()
            .filter_map(|name| step_of(name))
            .collect();
        steps.sort_unstable();
        steps
    }

    /// What the manifest of a step says, unchecked against the files.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn manifest(&self, global_step: u64) -> Result<Manifest, Flaw> {
        read_manifest(&self.path(global_step))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// Removes what interrupted saves and removals left; returns the names. A checkpoint whose name was taken for a moment
    /// (see `exchange`) has it back first.
    pub fn sweep(&self) -> Vec<String> {
        for name in self.names() {
            if let Some(step) = name.strip_prefix(".tmp-spare-").and_then(step_of)
                && !self.path(step).exists()
            {
                let _ = fs::rename(self.dir.join(&name), self.path(step));
            }
        }
        let mut gone = self.names();
        gone.retain(|name| name.starts_with(".tmp-"));
        gone.retain(|name| {
            let path = self.dir.join(name);
            fs::remove_dir_all(&path)
                .or_else(|_| fs::remove_file(&path))
                .is_ok()
        });
        gone
    }

    /// The newest checkpoint that verifies. Newer ones that do not are set aside: renamed to `bad-step-…`, with the reason
    /// returned.
    ///
    /// # Errors
    /// When one cannot be read, or is of another version: that proves nothing against it.
    pub fn newest_whole(&self) -> Result<(Option<Manifest>, Vec<String>), String> {
        let mut complaints = Vec::new();
        for step in self.steps().into_iter().rev() {
            let flaw = match verify(&self.path(step), Depth::Bytes) {
                Ok(manifest) if manifest.global_step == step => {
                    return Ok((Some(manifest), complaints));
                }
                Ok(manifest) => format!("its manifest is of step {}", manifest.global_step),
                Err(Flaw::Damaged(flaw)) => flaw,
                Err(unknown) => return Err(format!("checkpoints/{}: {unknown}", step_name(step))),
            };
            complaints.push(self.set_aside(step, &flaw));
        }
        Ok((None, complaints))
    }

    fn set_aside(&self, step: u64, flaw: &str) -> String {
        let name = step_name(step);
        let aside = (1..100)
            .map(|n| self.dir.join(format!("bad-{name}-{n}")))
            .find(|path| !path.exists());
        let moved = aside.map(|aside| (fs::rename(self.path(step), &aside), aside));
        match moved {
            Some((Ok(()), aside)) => format!(
                "checkpoints/{name} is not whole ({flaw}): set aside as {}",
                aside.file_name().unwrap_or_default().to_string_lossy()
            ),
            _ => format!("checkpoints/{name} is not whole ({flaw}): passed over"),
        }
    }
}

/// Writes all files, the manifest last; returns their bytes.
fn write(dir: &Path, draft: &Draft) -> io::Result<u64> {
    disk::create_dir(dir)?;
    let state = serde_json::to_vec_pretty(&draft.state)?;
    let files = draft.files.iter().map(|(name, bytes)| (*name, bytes));
    let mut entries = Vec::with_capacity(draft.files.len() + 1);
    for (name, bytes) in files.chain([("state.json", &state)]) {
        entries.push(Entry {
            name: name.to_owned(),
            bytes: bytes.len() as u64,
            blake3: disk::create(&dir.join(name), bytes)?.to_hex().to_string(),
        });
    }
    let manifest = Manifest {
        format: FORMAT,
        run: draft.state.run.clone(),
        global_step: draft.state.global_step,
        epoch: draft.state.epoch,
        reason: draft.reason.clone(),
        pinned: draft.pinned,
        created_ms: draft.created_ms,
        valid_accuracy_ppm: draft
            .valid_accuracy
            .map(|share| (share * 1e6).round() as u32),
        files: entries,
        blake3: String::new(),
    };
    let bytes = manifest.bytes();
    disk::create(&dir.join("MANIFEST.json"), &manifest.seal()?)?;
    disk::sync(dir)?;
    Ok(bytes)
}

/// Reads a checkpoint's `state.json`.
///
/// # Errors
/// The path and what is wrong with it; of another version's, that.
pub fn read_state(checkpoint: &Path) -> io::Result<State> {
    #[derive(serde::Deserialize)]
    struct Version {
        format: u32,
    }
    let path = checkpoint.join("state.json");
    let text = fs::read_to_string(&path)?;
    let wrong = |what: String| {
        let text = format!("{}: {what}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    let Version { format } = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    if format != FORMAT {
        let what = format!("has the format {format}, this version reads {FORMAT}");
        return Err(wrong(what));
    }
    serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))
}
