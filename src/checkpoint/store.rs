//! The directory of a run's checkpoints.

use std::io;
use std::path::{Path, PathBuf};

use super::State;
use super::manifest::{Entry, FORMAT, Manifest};
use super::verify::{Depth, Flaw, read_manifest, verify};
use crate::files::{self, Dir, TEMPORARY};

/// The directory of the checkpoints in that of the run.
const CHECKPOINTS: &str = "checkpoints";
/// No `state.json` is larger; a file that is, is not read.
const LONGEST_STATE: u64 = 64 << 20;

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
    run: PathBuf,
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
            run: run_dir.to_owned(),
        }
    }

    /// The directory, opened; each operation in it is a place where a test can inject a failure.
    fn dir(&self) -> io::Result<Dir> {
        self.run_dir()?.subdir(CHECKPOINTS)
    }

    fn run_dir(&self) -> io::Result<Dir> {
        Dir::open(&self.run).map(Dir::with_faults)
    }

    /// The directory of a step's checkpoint.
    pub fn path(&self, global_step: u64) -> PathBuf {
        self.run.join(CHECKPOINTS).join(step_name(global_step))
    }

    /// Writes a checkpoint. `ready` is called when all of it is on disk, before it gets its name. One of the same step is
    /// replaced, without a moment in which there is neither.
    ///
    /// # Errors
    /// The path and what the system said; nothing that is not whole has the final name then.
    pub fn save(&self, draft: &Draft, ready: impl FnOnce()) -> io::Result<Saved> {
        let step = draft.state.global_step;
        let name = step_name(step);
        let dir = self.run_dir()?.ensure_subdir(CHECKPOINTS)?;
        let temporary = format!("{TEMPORARY}{name}");
        // A leftover of a save that failed would be in the way.
        if dir.exists(&temporary) {
            dir.remove(&temporary)?;
        }
        let written = write(&dir, &temporary, draft).and_then(|bytes| {
            ready();
            rename(&dir, &temporary, &name)?;
            dir.sync()?;
            Ok(bytes)
        });
        // It failed, or what was replaced has the temporary name now; if that cannot go, the next start sweeps it away.
        dir.discard(&temporary);
        Ok(Saved {
            bytes: written?,
            path: format!("{CHECKPOINTS}/{name}"),
        })
    }

    /// Makes `LATEST` or `BEST` name a step.
    pub fn point(&self, pointer: &str, global_step: u64) -> io::Result<()> {
        let text = format!("{}\n", step_name(global_step));
        self.dir()?.replace(pointer, text.as_bytes())
    }

    /// Removes a checkpoint; one that is gone already is no error. It loses its name first, so that a removal cut short
    /// leaves nothing that looks whole.
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
        self.dir().and_then(|dir| dir.names()).unwrap_or_default()
    }

    /// Removes what interrupted saves and removals left; returns the names. A checkpoint whose name was taken for a moment
    /// (see `exchange`) has it back first.
    pub fn sweep(&self) -> Vec<String> {
        let Ok(dir) = self.dir() else {
            return Vec::new();
        };
        for name in self.names() {
            if let Some(step) = spare_of(&name).filter(|step| !dir.exists(step)) {
                // If it cannot be renamed it is swept away below, as it would be without this.
                let _ = dir.rename(&name, step);
            }
        }
        let mut gone = self.names();
        gone.retain(|name| name.starts_with(TEMPORARY) && dir.remove(name).is_ok());
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
        let aside = self.dir().ok().and_then(|dir| {
            let mut names = (1..100).map(|n| format!("bad-{name}-{n}"));
            let aside = names.find(|aside| !dir.exists(aside))?;
            dir.rename(&name, &aside).ok()?;
            Some(aside)
        });
        let fate = aside.map_or_else(
            || "passed over".to_owned(),
            |aside| format!("set aside as {aside}"),
        );
        format!("{CHECKPOINTS}/{name} is not whole ({flaw}): {fate}")
    }
}

/// The name of the checkpoint that has this name for a moment while two are exchanged.
fn spare_of(name: &str) -> Option<&str> {
    let step = name.strip_prefix(TEMPORARY)?.strip_prefix("spare-")?;
    step_of(step).map(|_| step)
}

/// Gives a checkpoint its name; one that has it gets the temporary name.
fn rename(dir: &Dir, temporary: &str, name: &str) -> io::Result<()> {
    match dir.rename_new(temporary, name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            dir.exchange(temporary, name, &format!("{TEMPORARY}spare-{name}"))
        }
        result => result,
    }
}

/// Makes a directory with all files, the manifest last; returns their bytes.
fn write(parent: &Dir, name: &str, draft: &Draft) -> io::Result<u64> {
    let dir = parent.make_subdir(name)?;
    let state = serde_json::to_vec_pretty(&draft.state)?;
    let files = draft.files.iter().map(|(name, bytes)| (*name, bytes));
    let mut entries = Vec::with_capacity(draft.files.len() + 1);
    for (name, bytes) in files.chain([("state.json", &state)]) {
        dir.write_new(name, bytes)?;
        entries.push(Entry {
            name: name.to_owned(),
            bytes: bytes.len() as u64,
            blake3: blake3::hash(bytes).to_hex().to_string(),
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
    dir.write_new("MANIFEST.json", &manifest.seal()?)?;
    dir.sync()?;
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
    let text = files::read_text(&path, LONGEST_STATE)?;
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
