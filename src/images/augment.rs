//! Augmentation: random changes of the training images.
//!
//! The parameters of an image depend only on (seed, rank, step, index in the batch), so a resumed run continues with the same
//! ones. There are three stages, in torchvision's usual order: [`photo`] (random resized crop, colours, `TrivialAugment`)
//! changes bytes and includes resizing, [`geometry`] (mirror, shift, rotate, scale, shear, random erasing) is applied
//! together with the normalization, and [`mix`] (mixup, `CutMix`) combines the images of a batch. Each has its own random
//! stream, so a setting of one does not change the others.

pub(super) mod advice;
pub mod geometry;
pub mod mix;
mod operation;
pub mod photo;
mod preview;
mod sampler;
mod trivial;

use geometry::AugmentParams;
use mix::Mix;
pub use operation::Operation;
use photo::{PhotoParams, Photographer};
use sampler::Sampler;

use crate::config::AugmentConfig;
use crate::random::Random;

/// Samples augmentation parameters within the configured limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Augment {
    config: AugmentConfig,
    /// Channels, height and width of the images in training.
    shape: [usize; 3],
    /// Height and width of the packed images.
    packed: [usize; 2],
}

impl Augment {
    /// Augmentation with this configuration, for images of this shape (channels, height, width) in training that are stored
    /// with these heights and widths.
    pub fn new(config: &AugmentConfig, shape: [usize; 3], packed: [usize; 2]) -> Self {
        Self {
            config: config.clone(),
            shape,
            packed,
        }
    }

    /// The parameters for each of `images` images; `words` (seed, rank, step) identify the batch.
    pub fn draws(&self, words: &[u64], images: usize) -> Vec<AugmentParams> {
        let sampler = Sampler(&self.config);
        let of = |image: usize| {
            let random = &mut Random::new(&[words, &[image as u64]].concat());
            sampler.geometry(random, self.shape)
        };
        (0..images).map(of).collect()
    }

    /// Whether the photo stage changes images.
    pub fn has_photo_stage(&self) -> bool {
        self.config.has_photo_stage()
    }

    /// The photo stage for image `image` of the batch, from its `stored` bytes to those in training.
    pub fn photograph(
        &self,
        (words, image): (&[u64], usize),
        stored: &[u8],
        photographer: &mut Photographer,
        out: &mut Vec<u8>,
    ) {
        let params = self.photo(words, image);
        photographer.apply(&params, (stored, self.packed), self.shape, out);
    }

    /// The parameters of the photo stage for image `image` of the batch.
    fn photo(&self, words: &[u64], image: usize) -> PhotoParams {
        let stream = [image as u64, u64::from_le_bytes(*b"photos__")];
        let random = &mut Random::new(&[words, &stream].concat());
        Sampler(&self.config).photo(random, self.shape, self.packed)
    }

    /// How the images of the batch are combined; `None` without mixup and `CutMix`.
    pub fn mix(&self, words: &[u64]) -> Option<Mix> {
        let random = &mut Random::new(&[words, &[u64::from_le_bytes(*b"mixing__")]].concat());
        let [_, height, width] = self.shape;
        Sampler(&self.config).mix(random, [height, width])
    }
}

#[cfg(test)]
mod tests;
