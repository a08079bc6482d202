//! What is kept of an image to compare it with others.

use std::f32::consts::PI;

use pulp::NullaryFnOnce;

use super::super::Bitmap;
use super::super::fit::{Fitter, Target};
use crate::config::Resize;

/// Height and width of thumbnails, pixels.
pub(super) const SIDE: usize = 16;
/// Frequencies of the perceptual hash in each direction.
const FREQUENCIES: usize = 8;
/// Most bits in which the hashes of near duplicates differ. Those of different images differ in about 31 of 63.
const MOST_BITS: u32 = 14;

/// The signs of the lowest frequencies of the brightness (discrete cosine transform) of an image and of the mirrored image.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hashes {
    plain: u64,
    mirrored: u64,
}

/// The search for images that could be near duplicates of one with these hashes, directly or mirrored: the indices in
/// `others`.
pub(super) struct Candidates<'a> {
    pub(super) hashes: Hashes,
    pub(super) others: &'a [Hashes],
}

impl NullaryFnOnce for Candidates<'_> {
    type Output = Vec<usize>;

    #[expect(
        clippy::inline_always,
        reason = "it is compiled for the processor's instruction that counts bits"
    )]
    #[inline(always)]
    fn call(self) -> Vec<usize> {
        let mut found = Vec::new();
        for (at, other) in self.others.iter().enumerate() {
            let plain = (self.hashes.plain ^ other.plain).count_ones();
            let mirrored = (self.hashes.plain ^ other.mirrored).count_ones();
            if plain.min(mirrored) <= MOST_BITS {
                found.push(at);
            }
        }
        found
    }
}

/// A summary of an image.
#[derive(Debug, Clone)]
pub(super) struct Sketch {
    /// Hash of the pixels.
    pub(super) pixels: [u8; 32],
    /// Perceptual hashes.
    pub(super) hashes: Hashes,
    /// Standard deviation of the thumbnail, levels of 255.
    pub(super) contrast: f32,
    /// The thumbnail, in the order (channel, row, column).
    thumbnail: Box<[u8]>,
}

impl Sketch {
    /// Root mean square difference of the thumbnails, levels of 255.
    pub(super) fn difference(&self, other: &Self) -> f32 {
        root_mean_square(self.thumbnail.iter().zip(&other.thumbnail))
    }

    /// The difference to the mirrored other image.
    pub(super) fn mirrored_difference(&self, other: &Self) -> f32 {
        let rows = self
            .thumbnail
            .chunks_exact(SIDE)
            .zip(other.thumbnail.chunks_exact(SIDE));
        root_mean_square(rows.flat_map(|(row, other)| row.iter().zip(other.iter().rev())))
    }
}

fn root_mean_square<'a>(pairs: impl Iterator<Item = (&'a u8, &'a u8)>) -> f32 {
    let (sum, count) = pairs.fold((0_u32, 0_u32), |(sum, count), (a, b)| {
        let difference = u32::from(a.abs_diff(*b));
        (sum + difference * difference, count + 1)
    });
    (sum as f32 / count.max(1) as f32).sqrt()
}

/// Makes sketches of images of one shape.
pub(super) struct Sketcher {
    fitter: Fitter,
    height: u32,
    width: u32,
    /// For each frequency the factors of the pixels of a row.
    waves: [[f32; SIDE]; FREQUENCIES],
}

impl Sketcher {
    /// For images of this shape (channels, height, width).
    pub(super) fn new((_, height, width): (u32, u32, u32)) -> Self {
        let mut waves = [[0.0; SIDE]; FREQUENCIES];
        for (frequency, wave) in waves.iter_mut().enumerate() {
            for (at, factor) in wave.iter_mut().enumerate() {
                *factor = (PI * (at as f32 + 0.5) * frequency as f32 / SIDE as f32).cos();
            }
        }
        Self {
            fitter: Fitter::new(),
            height,
            width,
            waves,
        }
    }

    /// The sketch of an image (channel, row, column); without a thumbnail if only its pixels are compared.
    pub(super) fn sketch(&mut self, pixels: &[u8], with_thumbnail: bool) -> Sketch {
        let mut thumbnail = Vec::new();
        if with_thumbnail {
            let area = (self.height as usize * self.width as usize).max(1);
            for plane in pixels.chunks_exact(area) {
                thumbnail.extend(self.reduced(plane));
            }
        }
        Sketch {
            pixels: *blake3::hash(pixels).as_bytes(),
            hashes: self.hashes(&thumbnail),
            contrast: contrast(&thumbnail),
            thumbnail: thumbnail.into(),
        }
    }

    fn reduced(&mut self, plane: &[u8]) -> Vec<u8> {
        let bitmap = Bitmap {
            width: self.width,
            height: self.height,
            channels: 1,
            pixels: plane.to_vec(),
        };
        let target = Target {
            channels: 1,
            height: SIDE as u32,
            width: SIDE as u32,
            resize: Resize::Squash,
        };
        self.fitter.fit(&bitmap, target)
    }

    /// The perceptual hash of a thumbnail and that of the mirrored one, whose coefficients of odd horizontal frequencies
    /// have the other sign.
    fn hashes(&self, thumbnail: &[u8]) -> Hashes {
        let planes = thumbnail.chunks_exact(SIDE * SIDE);
        let mut grey = [0.0; SIDE * SIDE];
        for plane in planes {
            for (sum, level) in grey.iter_mut().zip(plane) {
                *sum += f32::from(*level);
            }
        }
        let (mut plain, mut mirrored) = (0, 0);
        for (number, wave) in self.waves.iter().enumerate() {
            // Each row of pixels becomes one coefficient of this horizontal frequency.
            let mut column = [0.0; SIDE];
            for (sum, row) in column.iter_mut().zip(grey.chunks_exact(SIDE)) {
                *sum = row.iter().zip(wave).map(|(a, b)| a * b).sum::<f32>();
            }
            for down in &self.waves {
                let sum: f32 = column.iter().zip(down).map(|(a, b)| a * b).sum();
                let odd = number % 2 == 1;
                plain = plain << 1 | u64::from(sum > 0.0);
                mirrored = mirrored << 1 | u64::from((if odd { -sum } else { sum }) > 0.0);
            }
        }
        Hashes { plain, mirrored }
    }
}

/// Standard deviation, levels of 255.
fn contrast(levels: &[u8]) -> f32 {
    let count = levels.len().max(1) as f32;
    let mean = levels.iter().map(|level| f32::from(*level)).sum::<f32>() / count;
    let squares = levels
        .iter()
        .map(|level| (f32::from(*level) - mean).powi(2));
    (squares.sum::<f32>() / count).sqrt()
}
