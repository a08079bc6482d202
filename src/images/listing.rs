//! What a source found in its directory: classes, labels and images.

use std::fmt::Debug;
use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Bitmap, DataError};

/// Number of images in each split of the source. A split that the source does not have is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Training images.
    pub train: usize,
    /// Validation images, if the source has a validation split of its own.
    pub valid: Option<usize>,
    /// Test images.
    pub test: Option<usize>,
}

impl Counts {
    /// Number of images in all splits.
    pub fn total(&self) -> usize {
        self.train + self.valid.unwrap_or(0) + self.test.unwrap_or(0)
    }

    /// The numbers of the images of training, validation and test.
    pub fn ranges(&self) -> [Range<usize>; 3] {
        let valid = self.train + self.valid.unwrap_or(0);
        [0..self.train, self.train..valid, valid..self.total()]
    }

    /// The split of image `index`: 0 training, 1 validation, 2 test.
    pub fn split_of(&self, index: usize) -> usize {
        let ranges = self.ranges();
        ranges
            .iter()
            .position(|range| range.contains(&index))
            .unwrap_or(2)
    }
}

/// The form in which a source has its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelFormat {
    /// Pixels of this shape (channels, height, width), the same for all images.
    Raw(u32, u32, u32),
    /// Image files of any size (PNG, JPEG, …).
    Encoded,
}

/// The images of a directory. Images are numbered from 0 over all splits: training, then validation, then test.
#[derive(Debug)]
pub struct Listing {
    /// Class names, indexed by label.
    pub classes: Vec<String>,
    /// The label of each image.
    pub labels: Vec<u16>,
    /// Number of images in each split.
    pub counts: Counts,
    /// The form of the images.
    pub format: PixelFormat,
    /// BLAKE3 hash of everything by which a change of the source is noticed: relative paths (or files), sizes, modification
    /// times, labels and class names.
    pub stamp: blake3::Hash,
    /// Properties of the source that are no problem, one sentence each ("3 hidden files skipped").
    pub notes: Vec<String>,
    /// Warnings, one sentence each.
    pub warnings: Vec<String>,
    /// The fingerprint of these data in checkpoints of earlier versions, which read IDX files only: by it they are still
    /// recognised.
    pub legacy_fingerprint: Option<String>,
    /// Access to the images.
    pub items: Box<dyn Items>,
}

/// An image before decoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An image file, to be read by the thread that decodes it.
    File(PathBuf),
    /// The bytes of an image file.
    Encoded(Vec<u8>),
    /// Pixels.
    Pixels(Bitmap),
}

/// Access to the images of a source.
pub trait Items: Debug + Send + Sync {
    /// All images from number `start` on, in order. An error ends the sequence: the source itself is damaged or has changed.
    ///
    /// # Errors
    /// If the source cannot be opened.
    fn stream(
        &self,
        start: usize,
    ) -> Result<Box<dyn Iterator<Item = Result<Item, DataError>> + Send + '_>, DataError>;

    /// Up to `count` images from all parts of the source, for finding out their size and number of channels: evenly spaced if
    /// images can be accessed at random, otherwise what is cheap to read. The same images at each call.
    ///
    /// # Errors
    /// If the source cannot be read.
    fn sample(&self, count: usize) -> Result<Vec<Item>, DataError>;

    /// The name of image `index` in messages: its path relative to the data directory, or its number in a file.
    fn name(&self, index: usize) -> String;
}
