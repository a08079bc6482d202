//! A file of packed images: decoded and resized pixels, read at any position.
//!
//! Layout: a header of [`HEADER`] bytes, the pixels of all images, then for each image the BLAKE3 hash of its pixels (32
//! bytes) and its label (`u16`), both little-endian, then [`PackInfo`] as JSON, then a footer: the length of the JSON
//! (`u64`), and the BLAKE3 hash of hashes, labels and JSON. Each image that is read is compared with its hash, so that a
//! changed or truncated file is an error and never another image.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::fit::Target;
use super::{Counts, DataError};
use crate::config::Resize;

/// Bytes before the pixels.
pub(super) const HEADER: u64 = 4096;
/// The start of the file.
pub(super) const MAGIC: &[u8] = b"epochtop packed images, version 1\n";
/// Bytes after the JSON.
const FOOTER: u64 = 8 + 32;
/// Longest JSON, bytes.
const LONGEST_INFO: u64 = 64 << 20;
/// Bytes of hash and label of an image.
pub(super) const ENTRY: u64 = 32 + 2;

/// What a pack contains and how it was made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PackInfo {
    /// The data directory, for the list of packs.
    pub dir: String,
    /// Format of the data.
    pub source: String,
    /// Channels of an image.
    pub channels: u32,
    /// Height in pixels.
    pub height: u32,
    /// Width in pixels.
    pub width: u32,
    /// How the images were resized.
    pub resize: Resize,
    /// Class names.
    pub classes: Vec<String>,
    /// Number of packed images in each split.
    pub counts: Counts,
    /// Images that could not be decoded, at most [`NAMED_SKIPPED`]: name and reason.
    pub skipped: Vec<(String, String)>,
    /// Number of images that could not be decoded.
    pub skipped_count: usize,
    /// Properties of the images, one sentence each.
    pub notes: Vec<String>,
    /// [`super::fingerprint`] of the packed images.
    pub fingerprint: String,
}

/// Most skipped images that are stored by name.
pub const NAMED_SKIPPED: usize = 1000;

/// An open file of packed images.
#[derive(Debug)]
pub struct Pack {
    file: File,
    path: PathBuf,
    info: PackInfo,
    hashes: Vec<[u8; 32]>,
    labels: Vec<u16>,
}

impl Pack {
    /// Opens a file of packed images and checks everything but the pixels, which are checked when they are read.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged ([`ErrorKind::InvalidData`]); the message does not name the file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let damaged = || {
            io::Error::new(
                ErrorKind::InvalidData,
                "not a complete file of packed images",
            )
        };
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut magic = vec![0; MAGIC.len()];
        file.read_exact_at(&mut magic, 0).map_err(|_| damaged())?;
        let footer_at = length.checked_sub(FOOTER).ok_or_else(damaged)?;
        let mut footer = [0; FOOTER as usize];
        file.read_exact_at(&mut footer, footer_at)?;
        let (json_length, hash) = footer.split_at(8);
        let json_length = json_length
            .first_chunk()
            .map_or(0, |n| u64::from_le_bytes(*n));
        if magic != MAGIC || json_length > LONGEST_INFO {
            return Err(damaged());
        }
        let json_at = footer_at.checked_sub(json_length).ok_or_else(damaged)?;
        let mut json = vec![0; json_length as usize];
        file.read_exact_at(&mut json, json_at)?;
        let info: PackInfo = serde_json::from_slice(&json).map_err(|_| damaged())?;
        let count = info.counts.total() as u64;
        let size = u64::from(info.channels) * u64::from(info.height) * u64::from(info.width);
        let tables_at = count
            .checked_mul(size)
            .and_then(|all| all.checked_add(HEADER));
        let expected = tables_at.and_then(|at| at.checked_add(count.checked_mul(ENTRY)?));
        if expected != Some(json_at) {
            return Err(damaged());
        }
        let mut tables = vec![0; (count * ENTRY) as usize];
        file.read_exact_at(&mut tables, tables_at.unwrap_or(HEADER))?;
        let mut hasher = blake3::Hasher::new();
        if hasher.update(&tables).update(&json).finalize().as_bytes() != hash {
            return Err(damaged());
        }
        let (prints, labels) = tables.split_at(count as usize * 32);
        Ok(Self {
            hashes: prints.as_chunks().0.to_vec(),
            labels: labels
                .as_chunks()
                .0
                .iter()
                .map(|label| u16::from_le_bytes(*label))
                .collect(),
            file,
            path: path.to_owned(),
            info,
        })
    }

    /// What the pack contains.
    pub fn info(&self) -> &PackInfo {
        &self.info
    }

    /// The labels of all images.
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of an image.
    pub fn image_size(&self) -> usize {
        self.info.channels as usize * self.info.height as usize * self.info.width as usize
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether the pack has no images.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Reads image `index`; `image` has [`Pack::image_size`] bytes. Several threads can read at the same time.
    ///
    /// # Errors
    /// If the file cannot be read, is too short, or the pixels are not those that were packed.
    pub fn read(&self, index: usize, image: &mut [u8]) -> Result<(), DataError> {
        let wrong = |what: String| {
            DataError(format!(
                "{}: image {index}: {what}; delete this file, and the images are packed again at the next start",
                self.path.display()
            ))
        };
        let hash = self.hashes.get(index);
        let hash = hash.ok_or_else(|| wrong(format!("the pack has {} images", self.len())))?;
        let at = HEADER + index as u64 * self.image_size() as u64;
        self.file
            .read_exact_at(image, at)
            .map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => {
                    wrong("the file is too short: it was truncated".to_owned())
                }
                _ => wrong(error.to_string()),
            })?;
        if blake3::hash(image).as_bytes() == hash {
            Ok(())
        } else {
            Err(wrong(
                "the pixels differ from those that were packed".to_owned(),
            ))
        }
    }

    /// All images, one after another.
    ///
    /// # Errors
    /// As [`Pack::read`].
    pub fn read_all(&self) -> Result<Vec<u8>, DataError> {
        let size = self.image_size();
        let mut bytes = vec![0; size * self.len()];
        for (index, image) in bytes.chunks_exact_mut(size.max(1)).enumerate() {
            self.read(index, image)?;
        }
        Ok(bytes)
    }

    /// The image format.
    pub fn target(&self) -> Target {
        Target {
            channels: self.info.channels,
            height: self.info.height,
            width: self.info.width,
            resize: self.info.resize,
        }
    }
}

/// The fingerprint of a dataset: a BLAKE3 hash in hex of image size, class names, labels and pixels, split by split. It
/// depends only on what is trained on, not on the format of the files. `hashes` are those of the images' pixels.
pub fn fingerprint(
    (channels, height, width): (u32, u32, u32),
    classes: &[String],
    counts: Counts,
    labels: &[u16],
    hashes: &[[u8; 32]],
) -> String {
    let mut digest = blake3::Hasher::new();
    let number = |digest: &mut blake3::Hasher, n: usize| {
        digest.update(&(n as u64).to_le_bytes());
    };
    digest.update(b"epochtop images 1\n");
    for side in [channels, height, width] {
        number(&mut digest, side as usize);
    }
    number(&mut digest, classes.len());
    for class in classes {
        number(&mut digest, class.len());
        digest.update(class.as_bytes());
    }
    for count in [Some(counts.train), counts.valid, counts.test] {
        number(&mut digest, count.map_or(usize::MAX, |count| count));
    }
    for label in labels {
        digest.update(&label.to_le_bytes());
    }
    for hash in hashes {
        digest.update(hash);
    }
    digest.finalize().to_hex().to_string()
}

impl Target {
    /// Bytes of an image in this format.
    pub fn size(&self) -> usize {
        self.channels as usize * self.height as usize * self.width as usize
    }
}
