//! Writing a checkpoint: all its files under a temporary name, then the final name.

use std::io;

use super::State;
use super::manifest::{Entry, FORMAT, Manifest};
use crate::config::BestBy;
use crate::event::Validation;
use crate::files::{Dir, TEMPORARY};

/// A checkpoint that is complete on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedCheckpoint {
    /// Path relative to the run directory, or absolute if it is outside of it.
    pub path: String,
    /// Total size of its files in bytes.
    pub bytes: u64,
}

/// A checkpoint to be written.
#[derive(Debug, Clone)]
pub struct PendingCheckpoint {
    /// State of the training run.
    pub state: State,
    /// Why it is written.
    pub reason: String,
    /// A user requested it, so it is retained.
    pub pinned: bool,
    /// The validation of its weights, if they were validated.
    pub validated: Option<Validation>,
    /// The measure by which the best epoch is chosen.
    pub best_by: BestBy,
    /// Milliseconds since 1970, UTC.
    pub created_ms: u64,
    /// Name and content of each file except `state.json` and `MANIFEST.json`.
    pub files: Vec<(&'static str, Vec<u8>)>,
}

/// Writes a checkpoint to a directory that is not that of a run, under `name` or, if that exists, with a number after it.
/// Nothing is replaced.
///
/// # Errors
/// The path and the error of the operating system. An incomplete checkpoint never has the final name.
pub fn save_outside(
    dir: &Dir,
    name: &str,
    pending: &PendingCheckpoint,
) -> io::Result<SavedCheckpoint> {
    let temporary = format!("{TEMPORARY}{name}-{}", std::process::id());
    let written = write(dir, &temporary, pending).and_then(|bytes| {
        let numbered = (2..100).map(|n| format!("{name}-{n}"));
        for name in std::iter::once(name.to_owned()).chain(numbered) {
            match dir.rename_new(&temporary, &name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                renamed => {
                    renamed?;
                    dir.sync()?;
                    let path = dir.path().join(name).display().to_string();
                    return Ok(SavedCheckpoint { path, bytes });
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    });
    if written.is_err() {
        dir.discard(&temporary);
    }
    written
}

/// Renames a checkpoint to its final name. An existing one gets the temporary name.
pub(super) fn rename(dir: &Dir, temporary: &str, name: &str) -> io::Result<()> {
    match dir.rename_new(temporary, name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            dir.exchange(temporary, name, &format!("{TEMPORARY}spare-{name}"))
        }
        result => result,
    }
}

/// Creates a directory with all files, the manifest last. Returns the total size of the files in bytes.
pub(super) fn write(parent: &Dir, name: &str, pending: &PendingCheckpoint) -> io::Result<u64> {
    let dir = parent.make_subdir(name)?;
    let state = serde_json::to_vec_pretty(&pending.state)?;
    let files = pending.files.iter().map(|(name, bytes)| (*name, bytes));
    let mut entries = Vec::with_capacity(pending.files.len() + 1);
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
        run: pending.state.run.clone(),
        global_step: pending.state.global_step,
        epoch: pending.state.epoch,
        reason: pending.reason.clone(),
        pinned: pending.pinned,
        created_ms: pending.created_ms,
        valid_accuracy_ppm: pending
            .validated
            .map(|validated| (validated.accuracy.0 * 1e6).round() as u32),
        validated: pending.validated,
        best_by: pending.best_by,
        files: entries,
        blake3: String::new(),
    };
    let bytes = manifest.bytes();
    dir.write_new("MANIFEST.json", &manifest.seal()?)?;
    dir.sync()?;
    Ok(bytes)
}
