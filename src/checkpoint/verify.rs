//! Whether a checkpoint is what its manifest says.

use std::io::Read;
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

/// Checks a checkpoint against its manifest, which is returned.
///
/// # Errors
/// What is wrong, naming the file.
pub fn verify(checkpoint: &Path, depth: Depth) -> Result<Manifest, String> {
    let manifest = read_manifest(checkpoint)?;
    for needed in ["model.safetensors", "optim.safetensors", "state.json"] {
        if !manifest.files.iter().any(|file| file.name == needed) {
            return Err(format!("MANIFEST.json: names no {needed}"));
        }
    }
    for entry in &manifest.files {
        check(checkpoint, entry, depth)?;
    }
    Ok(manifest)
}

/// Reads a checkpoint's manifest.
pub(super) fn read_manifest(checkpoint: &Path) -> Result<Manifest, String> {
    let path = checkpoint.join("MANIFEST.json");
    let meta = fs::symlink_metadata(&path).map_err(|_| "has no MANIFEST.json".to_owned())?;
    if !meta.is_file() || meta.len() > manifest::LONGEST {
        return Err("MANIFEST.json: no file of at most 1 MiB".to_owned());
    }
    let text = fs::read(&path).map_err(|error| error.to_string())?;
    Manifest::parse(&text)
}

fn check(checkpoint: &Path, entry: &Entry, depth: Depth) -> Result<(), String> {
    let Entry {
        name,
        bytes,
        blake3,
    } = entry;
    let path = checkpoint.join(name);
    let meta = fs::symlink_metadata(&path).map_err(|_| format!("{name}: is not there"))?;
    if !meta.is_file() {
        return Err(format!("{name}: is no file"));
    }
    if meta.len() != *bytes {
        return Err(format!(
            "{name}: has {} bytes, the manifest says {bytes}",
            meta.len()
        ));
    }
    if depth == Depth::Bytes {
        let hash = hash(&path).map_err(|error| error.to_string())?;
        if hash.to_hex().as_str() != blake3 {
            return Err(format!(
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
