//! The images and labels of a split.

use std::borrow::Cow;
use std::sync::Arc;

use super::augment::photo::{PhotoParams, Photographer};
use super::{DataError, Pack};

/// The pixels of all images of a dataset: each image has channels × height × width bytes in the order (channel, row,
/// column), brightness 0–255.
#[derive(Debug)]
pub enum Pixels {
    /// In memory, one image after another.
    Memory {
        /// The bytes of all images.
        bytes: Vec<u8>,
        /// Bytes of an image.
        size: usize,
    },
    /// In a file of packed images, read when needed.
    Packed(Box<Pack>),
}

impl Pixels {
    /// Bytes of an image.
    pub fn size(&self) -> usize {
        match self {
            Self::Memory { size, .. } => *size,
            Self::Packed(pack) => pack.image_size(),
        }
    }

    /// The bytes of image `index`.
    ///
    /// # Errors
    /// If there is no such image, or the packed images cannot be read.
    pub fn image(&self, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
        match self {
            Self::Memory { bytes, size } => {
                let image = index
                    .checked_mul(*size)
                    .and_then(|start| bytes.get(start..start.checked_add(*size)?));
                let image = image.ok_or_else(|| DataError(format!("there is no image {index}")))?;
                Ok(Cow::Borrowed(image))
            }
            Self::Packed(pack) => {
                let mut image = vec![0; pack.image_size()];
                pack.read(index, &mut image)?;
                Ok(Cow::Owned(image))
            }
        }
    }
}

/// The images of a split: numbers of images of a dataset, in the order of the split, and their labels.
#[derive(Debug, Clone)]
pub struct Images {
    /// The pixels of the dataset, shared by its splits.
    pixels: Arc<Pixels>,
    /// For each image its number in the dataset.
    numbers: Vec<u32>,
    /// The class index of each image.
    pub labels: Vec<u16>,
    /// How stored images become those of training; `None` if they are the same.
    resizing: Option<Resizing>,
}

/// Stored images and images in training have different sizes.
#[derive(Debug, Clone, Copy)]
struct Resizing {
    /// Height and width of stored images.
    stored: [usize; 2],
    /// Channels, height and width of images in training.
    shape: [usize; 3],
}

impl Images {
    /// The images `numbers` of a dataset with these labels. Numbers out of range are skipped.
    pub fn new(
        pixels: &Arc<Pixels>,
        numbers: impl IntoIterator<Item = usize>,
        labels: &[u16],
    ) -> Self {
        let known = numbers
            .into_iter()
            .filter_map(|number| Some((u32::try_from(number).ok()?, *labels.get(number)?)));
        let (numbers, labels) = known.unzip();
        Self {
            pixels: pixels.clone(),
            numbers,
            labels,
            resizing: None,
        }
    }

    /// The same images, which are stored with one height and width and have another in training.
    #[must_use]
    pub fn resized(self, channels: usize, stored: [usize; 2], [height, width]: [usize; 2]) -> Self {
        let shape = [channels, height, width];
        let resizing = Resizing { stored, shape };
        Self {
            resizing: (stored != [height, width]).then_some(resizing),
            ..self
        }
    }

    /// Height and width of stored images, if those in training are resized from them.
    pub fn stored_size(&self) -> Option<[usize; 2]> {
        self.resizing.map(|resizing| resizing.stored)
    }

    /// Images in memory, one after another in `bytes`, all of the same size.
    pub fn in_memory(bytes: Vec<u8>, labels: &[u16]) -> Self {
        let size = bytes.len() / labels.len().max(1);
        let pixels = Arc::new(Pixels::Memory { bytes, size });
        Self::new(&pixels, 0..labels.len(), labels)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether the split has no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The pixels of the dataset, of which the split has those with the numbers [`Images::numbers`].
    pub fn pixels(&self) -> &Arc<Pixels> {
        &self.pixels
    }

    /// For each image its number in the dataset.
    pub fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// The bytes of image `index` of the split, as in training without augmentation.
    ///
    /// # Errors
    /// As [`Pixels::image`].
    pub fn image(&self, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
        Ok(self.trained(self.stored(index)?))
    }

    /// The bytes of an image in training, from those that are stored.
    pub fn trained<'a>(&self, image: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
        let Some(Resizing { stored, shape }) = self.resizing else {
            return image;
        };
        let mut resized = Vec::new();
        let whole = PhotoParams::default();
        Photographer::new().apply(&whole, (&image, stored), shape, &mut resized);
        Cow::Owned(resized)
    }

    /// The bytes of image `index` of the split, as they are stored.
    ///
    /// # Errors
    /// As [`Pixels::image`].
    pub fn stored(&self, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
        let number = self.numbers.get(index);
        let number = number.ok_or_else(|| DataError(format!("the split has no image {index}")))?;
        self.pixels.image(*number as usize)
    }

    /// Number of images in each of `classes` classes.
    pub fn class_counts(&self, classes: usize) -> Vec<u64> {
        class_counts(&self.labels, classes)
    }
}

/// Number of images in each of `classes` classes.
pub fn class_counts(labels: &[u16], classes: usize) -> Vec<u64> {
    let mut counts = vec![0; classes];
    for &label in labels {
        if let Some(count) = counts.get_mut(usize::from(label)) {
            *count += 1;
        }
    }
    counts
}
