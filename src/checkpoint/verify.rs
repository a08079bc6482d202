//! Verification of a checkpoint against its manifest.

use std::fmt;
use std::io;
use std::path::Path;

use fs_err::File;

use super::manifest::{self, Entry, Manifest};
use crate::fault;
use crate::files::Dir;

const MANIFEST: &str = "MANIFEST.json";

/// Depth of the verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Check that all files exist and have the expected lengths.
    Lengths,
    /// Also check the hash of every file.
    Bytes,
}

/// Why a checkpoint could not be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyError {
    /// Its content differs from what was written.
    Damaged(String),
    /// It could not be read, so its content is unknown.
    Unreadable(String),
    /// It has the format of another version of this program.
    OtherFormat(String),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Damaged(what) | Self::Unreadable(what) | Self::OtherFormat(what)) = self;
        f.write_str(what)
    }
}

/// Classifies an I/O error. A file that is missing, not a regular file or too large counts as damage; other errors can
/// be temporary.
fn verify_error(name: &str, error: &io::Error) -> VerifyError {
    match error.kind() {
        io::ErrorKind::NotFound => VerifyError::Damaged(format!("{name}: missing")),
        io::ErrorKind::InvalidInput => VerifyError::Damaged(format!("{name}: not a regular file")),
        io::ErrorKind::InvalidData => VerifyError::Damaged(format!("{name}: too large")),
        _ => VerifyError::Unreadable(error.to_string()),
    }
}

fn damaged<T>(what: String) -> Result<T, VerifyError> {
    Err(VerifyError::Damaged(what))
}

/// Verifies a checkpoint against its manifest and returns the manifest.
///
/// # Errors
/// The first problem, with the name of the file.
pub fn verify(checkpoint: &Path, depth: Depth) -> Result<Manifest, VerifyError> {
    let dir = open_to_verify(checkpoint)?;
    let manifest = manifest_in(&dir)?;
    for needed in ["model.safetensors", "optim.safetensors", "state.json"] {
        if !manifest.files.iter().any(|file| file.name == needed) {
            return damaged(format!("MANIFEST.json: lists no {needed}"));
        }
    }
    for entry in &manifest.files {
        check(&dir, entry, depth)?;
    }
    Ok(manifest)
}

/// Verifies the content of one file of a checkpoint against the manifest. If there is no manifest, as for weights that
/// a user copied into a directory, any content is accepted.
///
/// # Errors
/// If the content does not match the manifest, or the manifest cannot be read.
pub fn verify_bytes(checkpoint: &Path, name: &str, bytes: &[u8]) -> Result<(), VerifyError> {
    // If that cannot be determined, reading it fails with the reason.
    if !checkpoint.join(MANIFEST).try_exists().unwrap_or(true) {
        return Ok(());
    }
    let manifest = read_manifest(checkpoint)?;
    let known = manifest.files.iter().find(|file| file.name == name);
    let same = known.is_some_and(|file| blake3::hash(bytes).to_hex().as_str() == file.blake3);
    if same {
        return Ok(());
    }
    damaged(format!(
        "{name}: content does not match its BLAKE3 hash in MANIFEST.json"
    ))
}

/// Reads a checkpoint's manifest.
pub(super) fn read_manifest(checkpoint: &Path) -> Result<Manifest, VerifyError> {
    manifest_in(&open_to_verify(checkpoint)?)
}

/// Opens the directory of a checkpoint to read its files. Tests can inject a fault here.
pub(super) fn open(checkpoint: &Path) -> io::Result<Dir> {
    let name = checkpoint.file_name().unwrap_or_default();
    fault::before_reading(&name.to_string_lossy()).map_err(|error| {
        io::Error::new(error.kind(), format!("{}: {error}", checkpoint.display()))
    })?;
    Dir::open(checkpoint)
}

fn open_to_verify(checkpoint: &Path) -> Result<Dir, VerifyError> {
    open(checkpoint).map_err(|error| verify_error(MANIFEST, &error))
}

fn manifest_in(dir: &Dir) -> Result<Manifest, VerifyError> {
    let text = dir.read(MANIFEST, manifest::LONGEST);
    Manifest::parse(&text.map_err(|error| verify_error(MANIFEST, &error))?)
}

fn check(dir: &Dir, entry: &Entry, depth: Depth) -> Result<(), VerifyError> {
    let Entry {
        name,
        bytes,
        blake3,
    } = entry;
    let wrong = |error: io::Error| verify_error(name, &error);
    let file = dir.open_read(name).map_err(wrong)?;
    let length = file.metadata().map_err(wrong)?.len();
    if length != *bytes {
        return damaged(format!(
            "{name}: has {length} bytes, expected {bytes} (MANIFEST.json)"
        ));
    }
    if depth == Depth::Bytes {
        let hash = hash(file).map_err(wrong)?;
        if hash.to_hex().as_str() != blake3 {
            return damaged(format!(
                "{name}: content does not match its BLAKE3 hash in MANIFEST.json"
            ));
        }
    }
    Ok(())
}

fn hash(file: File) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize())
}
