//! Whether a checkpoint is what its manifest says.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use fs_err::{self as fs, File};

use super::manifest::{self, Entry, Manifest};

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

/// What an error of the system's says of a file: that it is not there is damage, all else may pass.
fn flaw(name: &str, error: &io::Error) -> Flaw {
    match error.kind() {
        io::ErrorKind::NotFound => Flaw::Damaged(format!("{name}: is not there")),
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
    let manifest = read_manifest(checkpoint)?;
    for needed in ["model.safetensors", "optim.safetensors", "state.json"] {
        if !manifest.files.iter().any(|file| file.name == needed) {
            return damaged(format!("MANIFEST.json: names no {needed}"));
        }
    }
    for entry in &manifest.files {
        check(checkpoint, entry, depth)?;
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
    let (name, path) = ("MANIFEST.json", checkpoint.join("MANIFEST.json"));
    let meta = fs::symlink_metadata(&path).map_err(|error| flaw(name, &error))?;
    if !meta.is_file() || meta.len() > manifest::LONGEST {
        return damaged(format!("{name}: no file of at most 1 MiB"));
    }
    let text = fs::read(&path).map_err(|error| flaw(name, &error))?;
    Manifest::parse(&text)
}

fn check(checkpoint: &Path, entry: &Entry, depth: Depth) -> Result<(), Flaw> {
    let Entry {
        name,
        bytes,
        blake3,
    } = entry;
    let path = checkpoint.join(name);
    let meta = fs::symlink_metadata(&path).map_err(|error| flaw(name, &error))?;
    if !meta.is_file() {
        return damaged(format!("{name}: is no file"));
    }
    if meta.len() != *bytes {
        return damaged(format!(
            "{name}: has {} bytes, the manifest says {bytes}",
            meta.len()
        ));
    }
    if depth == Depth::Bytes {
        let hash = hash(&path).map_err(|error| flaw(name, &error))?;
        if hash.to_hex().as_str() != blake3 {
            return damaged(format!(
                "{name}: its bytes are not those that were written (BLAKE3)"
            ));
        }
    }
    Ok(())
}

fn hash(path: &Path) -> std::io::Result<blake3::Hash> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hasher.finalize()),
            n => {
                hasher.update(chunk.get(..n).unwrap_or_default());
            }
        }
    }
}
