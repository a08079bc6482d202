//! Whether a checkpoint is what its manifest says.

use std::fmt;
use std::io;
use std::path::Path;

use fs_err::File;

use super::manifest::{self, Entry, Manifest};
use crate::files::Dir;

const MANIFEST: &str = "MANIFEST.json";

/// How closely a checkpoint is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// That all files are there, with their lengths.
    Lengths,
    /// Every byte.
    Bytes,
}

/// Why a checkpoint is not known to be whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// It is not what was written.
    Damaged(String),
    /// It could not be read, which says nothing about it.
    Unreadable(String),
    /// A version of this program wrote it that this one does not know.
    OtherFormat(String),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Damaged(what) | Self::Unreadable(what) | Self::OtherFormat(what)) = self;
        f.write_str(what)
    }
}

/// What an error says of a file: one that is missing, no regular file or too large is damage; all else may pass.
fn flaw(name: &str, error: &io::Error) -> Flaw {
    match error.kind() {
        io::ErrorKind::NotFound => Flaw::Damaged(format!("{name}: is not there")),
        io::ErrorKind::InvalidInput => Flaw::Damaged(format!("{name}: is no file")),
        io::ErrorKind::InvalidData => Flaw::Damaged(format!("{name}: is too large")),
        _ => Flaw::Unreadable(error.to_string()),
    }
}

fn damaged<T>(what: String) -> Result<T, Flaw> {
    Err(Flaw::Damaged(what))
}

/// Checks a checkpoint against its manifest, which is returned.
///
/// # Errors
/// What is wrong, naming the file.
pub fn verify(checkpoint: &Path, depth: Depth) -> Result<Manifest, Flaw> {
    let dir = open(checkpoint)?;
    let manifest = manifest_in(&dir)?;
    for needed in ["model.safetensors", "optim.safetensors", "state.json"] {
        if !manifest.files.iter().any(|file| file.name == needed) {
            return damaged(format!("MANIFEST.json: names no {needed}"));
        }
    }
    for entry in &manifest.files {
        check(&dir, entry, depth)?;
    }
    Ok(manifest)
}

/// Whether a file that was read is what the manifest says of it. A checkpoint without a manifest, such as weights that
/// somebody put into a directory, says nothing.
///
/// # Errors
/// That it is not.
pub fn verify_bytes(checkpoint: &Path, name: &str, bytes: &[u8]) -> Result<(), Flaw> {
    if !checkpoint.join("MANIFEST.json").exists() {
        return Ok(());
    }
    let manifest = read_manifest(checkpoint)?;
    let known = manifest.files.iter().find(|file| file.name == name);
    let same = known.is_some_and(|file| blake3::hash(bytes).to_hex().as_str() == file.blake3);
    if same {
        return Ok(());
    }
    damaged(format!(
        "{name}: its bytes are not those that were written (BLAKE3)"
    ))
}

/// Reads a checkpoint's manifest.
pub(super) fn read_manifest(checkpoint: &Path) -> Result<Manifest, Flaw> {
    manifest_in(&open(checkpoint)?)
}

fn open(checkpoint: &Path) -> Result<Dir, Flaw> {
    Dir::open(checkpoint).map_err(|error| flaw(MANIFEST, &error))
}

fn manifest_in(dir: &Dir) -> Result<Manifest, Flaw> {
    let text = dir.read(MANIFEST, manifest::LONGEST);
    Manifest::parse(&text.map_err(|error| flaw(MANIFEST, &error))?)
}

fn check(dir: &Dir, entry: &Entry, depth: Depth) -> Result<(), Flaw> {
    let Entry {
        name,
        bytes,
        blake3,
    } = entry;
    let wrong = |error: io::Error| flaw(name, &error);
    let file = dir.open_read(name).map_err(wrong)?;
    let length = file.metadata().map_err(wrong)?.len();
    if length != *bytes {
        return damaged(format!(
            "{name}: has {length} bytes, the manifest says {bytes}"
        ));
    }
    if depth == Depth::Bytes {
        let hash = hash(file).map_err(wrong)?;
        if hash.to_hex().as_str() != blake3 {
            return damaged(format!(
                "{name}: its bytes are not those that were written (BLAKE3)"
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
