//! Images and labels: found, checked, split, and drawn as batches.
//!
//! [`load()`] turns a [`DataConfig`] into a [`Dataset`] of plain bytes; [`Resident`] puts them on the device once, as
//! `u8`, and draws normalised, augmented batches by index. Sizes, channels and class names come from the files.

mod augment;
mod idx;
mod locate;
mod resident;
mod split;

use std::fmt;
use std::path::PathBuf;

pub use crate::idx::Idx;
pub use augment::Augment;
pub use locate::{FILES, Found, known_md5, locate, md5_unpacked, search_path};
pub use resident::Resident;

use crate::config::DataConfig;
use crate::event::DatasetInfo;

/// What went wrong with data, ready to be shown: what, where, what was expected, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataError(pub String);

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DataError {}

/// Images of one split: `pixels` holds `labels.len()` images of channels × height × width bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Images {
    /// Brightness 0–255, image after image, channel after channel, row by row.
    pub pixels: Vec<u8>,
    /// A class for each image.
    pub labels: Vec<u8>,
}

impl Images {
    /// Bytes `pixels` holds for image `index` of `size` bytes.
    pub fn image(&self, index: usize, size: usize) -> &[u8] {
        index
            .checked_mul(size)
            .and_then(|start| self.pixels.get(start..start.checked_add(size)?))
            .unwrap_or_default()
    }

    /// The images at `indices`; indices that are not there are passed over.
    #[must_use]
    pub fn select(&self, indices: &[usize], size: usize) -> Self {
        let mut out = Self::default();
        for &index in indices {
            if let Some(&label) = self.labels.get(index) {
                out.pixels.extend_from_slice(self.image(index, size));
                out.labels.push(label);
            }
        }
        out
    }

    /// Images of each of `classes` classes.
    pub fn class_counts(&self, classes: usize) -> Vec<u64> {
        let mut counts = vec![0; classes];
        for &label in &self.labels {
            if let Some(count) = counts.get_mut(label as usize) {
                *count += 1;
            }
        }
        counts
    }
}

/// A data set as the trainer takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Sizes, class names and counts.
    pub info: DatasetInfo,
    /// Teaches.
    pub train: Images,
    /// Chooses; cut from the training file.
    pub valid: Images,
    /// Reports.
    pub test: Images,
    /// Where the files lie.
    pub found: PathBuf,
    /// BLAKE3 over the four files' decoded bytes, hex: the same data has the same fingerprint, packed or not.
    pub fingerprint: String,
    /// Class counts of the whole training file, before the split.
    pub counts_before: Vec<u64>,
    /// What is odd about it, a sentence each.
    pub warnings: Vec<String>,
}

impl Dataset {
    /// Bytes of one image.
    pub fn image_size(&self) -> usize {
        self.info.channels as usize * self.info.height as usize * self.info.width as usize
    }
}

/// Finds, reads, checks and splits a data set. `seed` decides which images validate.
pub fn load(config: &DataConfig, seed: u64) -> Result<Dataset, DataError> {
    let found = locate(config)?;
    let (train_images, train_labels) = idx::read_pair(&found.train_images, &found.train_labels)?;
    let (test_images, test_labels) = idx::read_pair(&found.test_images, &found.test_labels)?;
    if train_images.dims.get(1..) != test_images.dims.get(1..) {
        return Err(DataError(format!(
            "{}: images of {:?} pixels, but {} has {:?}: train and test must be alike",
            found.test_images.display(),
            test_images.dims.get(1..).unwrap_or_default(),
            found.train_images.display(),
            train_images.dims.get(1..).unwrap_or_default(),
        )));
    }
    let classes = locate::class_names(&config.name, &found, &train_labels.data, &test_labels.data)?;
    let (channels, height, width) = train_images.image_shape();
    let fingerprint = fingerprint([&train_images, &train_labels, &test_images, &test_labels]);
    let warnings: Vec<String> = locate::oddity(&config.name, &fingerprint)
        .into_iter()
        .collect();
    let size = channels as usize * height as usize * width as usize;
    let whole = Images {
        pixels: train_images.data,
        labels: train_labels.data,
    };
    let test = Images {
        pixels: test_images.data,
        labels: test_labels.data,
    };
    let counts_before = whole.class_counts(classes.len());
    let (mut train_indices, valid_indices) =
        split::stratified(&whole.labels, classes.len(), config.valid, seed);
    if train_indices.is_empty() || valid_indices.len() != config.valid {
        return Err(DataError(format!(
            "data.valid = {}: {} has {} images, of which at most {} can be set aside with one of each class left to \
             learn from; a tenth, {}, is usual",
            config.valid,
            found.train_images.display(),
            whole.labels.len(),
            valid_indices
                .len()
                .min(whole.labels.len().saturating_sub(classes.len())),
            (whole.labels.len() / 10).max(1)
        )));
    }
    if config.train_limit > 0 {
        train_indices.truncate(config.train_limit);
    }
    let train = whole.select(&train_indices, size);
    let valid = whole.select(&valid_indices, size);
    let info = DatasetInfo {
        name: config.name.clone(),
        classes,
        height,
        width,
        channels,
        background: background(&train, height, width),
        train: train.labels.len() as u64,
        valid: valid.labels.len() as u64,
        test: test.labels.len() as u64,
    };
    Ok(Dataset {
        info,
        train,
        valid,
        test,
        found: found.dir,
        fingerprint,
        counts_before,
        warnings,
    })
}

/// The median brightness along the borders of all images.
fn background(images: &Images, height: u32, width: u32) -> u8 {
    let (height, width) = (height as usize, width as usize);
    let mut counts = [0_u64; 256];
    for plane in images.pixels.chunks_exact((height * width).max(1)) {
        for (y, row) in plane.chunks_exact(width.max(1)).enumerate() {
            let whole = y == 0 || y + 1 == height;
            let step = if whole {
                1
            } else {
                width.saturating_sub(1).max(1)
            };
            for &pixel in row.iter().step_by(step) {
                counts[usize::from(pixel)] += 1;
            }
        }
    }
    let half = counts.iter().sum::<u64>() / 2;
    let mut below = 0;
    let median = counts.iter().position(|count| {
        below += count;
        below > half
    });
    median.unwrap_or(0) as u8
}

fn fingerprint(files: [&Idx; 4]) -> String {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        for &dim in &file.dims {
            hasher.update(&(dim as u64).to_le_bytes());
        }
        hasher.update(&file.data);
    }
    hasher.finalize().to_hex().to_string()
}
