//! Images and labels: locating, checking and splitting the files, and making batches.
//!
//! [`load()`] turns a [`DataConfig`] into a [`Dataset`] of bytes. [`Resident`] copies them to the device once, as `u8`,
//! and returns normalised, augmented batches by index. Image size, channels and class names come from the files.

mod absent;
mod augment;
mod idx;
mod locate;
mod resident;
mod split;

use std::fmt;
use std::path::{Path, PathBuf};

pub use crate::idx::{Idx, reduced_grey, reduced_size};
pub use augment::Augment;
pub use locate::{DatasetFiles, FILES, known_md5, locate, md5_unpacked, search_path};
pub use resident::Resident;

use crate::config::{DataConfig, few_valid};
use crate::event::DatasetInfo;

/// An error with the data, as a message for the user: what is wrong, where, what was expected and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataError(pub String);

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DataError {}

/// Images of one split: `pixels` has `labels.len()` images of channels × height × width bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Images {
    /// Brightness 0–255 in the order (image, channel, row, column).
    pub pixels: Vec<u8>,
    /// The class index of each image.
    pub labels: Vec<u16>,
}

impl Images {
    /// The bytes of image `index`, where each image has `size` bytes; empty if there is no such image.
    pub fn image(&self, index: usize, size: usize) -> &[u8] {
        index
            .checked_mul(size)
            .and_then(|start| self.pixels.get(start..start.checked_add(size)?))
            .unwrap_or_default()
    }

    /// The images at `indices`; indices out of range are skipped.
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

    /// Number of images in each of `classes` classes.
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

/// A dataset, split for training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Image size, class names and number of images.
    pub info: DatasetInfo,
    /// Training split.
    pub train: Images,
    /// Validation split, taken from the training file.
    pub valid: Images,
    /// Test split.
    pub test: Images,
    /// The directory of the files.
    pub dir: PathBuf,
    /// BLAKE3 hash of the four files' uncompressed contents, in hex. It does not depend on compression.
    pub fingerprint: String,
    /// Class counts of the training file, before the validation split is taken out.
    pub counts_before: Vec<u64>,
    /// Warnings about the data, one sentence each.
    pub warnings: Vec<String>,
}

impl Dataset {
    /// Size of one image in bytes.
    pub fn image_size(&self) -> usize {
        self.info.channels as usize * self.info.height as usize * self.info.width as usize
    }
}

/// Locates, reads, checks and splits a dataset. `seed` decides which images are used for validation.
pub fn load(config: &DataConfig, seed: u64) -> Result<Dataset, DataError> {
    load_files(locate(config)?, config, seed)
}

/// As [`load()`], from the files in this directory.
pub fn load_in(dir: &Path, config: &DataConfig, seed: u64) -> Result<Dataset, DataError> {
    let found = locate::files_in(dir)
        .ok_or_else(|| DataError(format!("{}: not all four files", dir.display())))?;
    load_files(found, config, seed)
}

fn load_files(found: DatasetFiles, config: &DataConfig, seed: u64) -> Result<Dataset, DataError> {
    let mut warnings = Vec::new();
    let train = idx::read_pair(&found.train_images, &found.train_labels, &mut warnings)?;
    let test = idx::read_pair(&found.test_images, &found.test_labels, &mut warnings)?;
    if train.shape != test.shape {
        return Err(DataError(format!(
            "{}: image shape {:?} differs from {}, {:?}: training and test images must have the same shape",
            found.test_images.display(),
            test.shape,
            found.train_images.display(),
            train.shape,
        )));
    }
    let classes = locate::class_names(&config.name, &found, &train.labels, &test.labels)?;
    let (channels, height, width) = train.shape;
    let fingerprint = fingerprint([
        &train.images,
        &train.label_file,
        &test.images,
        &test.label_file,
    ]);
    warnings.extend(locate::fingerprint_warning(&config.name, &fingerprint));
    let size = channels as usize * height as usize * width as usize;
    let full = Images {
        pixels: train.images.data,
        labels: train.labels,
    };
    let test = Images {
        pixels: test.images.data,
        labels: test.labels,
    };
    let counts_before = full.class_counts(classes.len());
    let valid = config.valid_size(full.labels.len());
    let (mut train_indices, valid_indices) =
        split::stratified(&full.labels, classes.len(), valid, seed);
    if train_indices.is_empty() || valid_indices.len() != valid {
        return Err(DataError(format!(
            "data.valid = {valid}: {} has {} images, of which at most {} can be used for validation, as each class needs at \
             least one training image; a tenth ({}) is usual",
            found.train_images.display(),
            full.labels.len(),
            valid_indices
                .len()
                .min(full.labels.len().saturating_sub(classes.len())),
            (full.labels.len() / 10).max(1)
        )));
    }
    if config.train_limit > 0 {
        train_indices.truncate(config.train_limit);
    }
    let train = full.select(&train_indices, size);
    let valid = full.select(&valid_indices, size);
    if config.valid == 0 {
        warnings.extend(few_valid(valid.labels.len()));
    }
    warnings.extend(absent::warnings(&classes, [&train, &valid, &test]));
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
        dir: found.dir,
        fingerprint,
        counts_before,
        warnings,
    })
}

/// The median brightness of the border pixels of all images.
fn background(images: &Images, height: u32, width: u32) -> u8 {
    let (height, width) = (height as usize, width as usize);
    let mut counts = [0_u64; 256];
    for plane in images.pixels.chunks_exact((height * width).max(1)) {
        for (y, row) in plane.chunks_exact(width.max(1)).enumerate() {
            let is_border_row = y == 0 || y + 1 == height;
            let step = if is_border_row {
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
