//! A split on the device: copied once, then read as batches by index.

use tch::{Device, Kind, Tensor};

use super::augment;
use super::{Augment, DataError, Images};
use crate::event::DatasetInfo;
use crate::kernels::augment_images;
use crate::native::{empty_nhwc, slice, slice_mut};

/// Images as `u8` (N, C, H, W) and labels as `i64` (N), on the training device.
#[derive(Debug)]
pub struct Resident {
    pixels: Tensor,
    labels: Tensor,
    len: i64,
}

impl Resident {
    /// Copies a split to the device.
    pub fn new(images: &Images, info: &DatasetInfo, device: Device) -> Result<Self, DataError> {
        let len = images.labels.len() as i64;
        let shape = [
            len,
            i64::from(info.channels),
            i64::from(info.height),
            i64::from(info.width),
        ];
        // tch does not check the length.
        if shape.iter().product::<i64>() != images.pixels.len() as i64 {
            return Err(DataError(format!(
                "{} pixels do not match image shape {shape:?}",
                images.pixels.len()
            )));
        }
        let pixels = Tensor::from_slice(&images.pixels)
            .view(shape)
            .to_device(device);
        let labels: Vec<i64> = images.labels.iter().map(|&label| label.into()).collect();
        let labels = Tensor::from_slice(&labels).to_device(device);
        Ok(Self {
            pixels,
            labels,
            len,
        })
    }

    /// Number of images in the split.
    pub fn len(&self) -> i64 {
        self.len
    }

    /// Whether the split has no images.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The images at `indices` (`i64`, on the device), augmented and normalised, (N, C, H, W), and their labels, (N).
    /// `words` (seed, rank, step) determine the augmentation.
    pub fn batch(&self, indices: &Tensor, augment: &Augment, words: &[u64]) -> (Tensor, Tensor) {
        let labels = self.labels.index_select(0, indices);
        let &[n, c, h, w] = [
            indices.size(),
            self.pixels.size().get(1..).unwrap_or_default().to_vec(),
        ]
        .concat()
        .as_slice() else {
            return (self.pixels.shallow_clone(), labels);
        };
        let draws = augment.draws(words, n as usize);
        if self.pixels.device() != Device::Cpu {
            let images = self.pixels.index_select(0, indices);
            return (augment::apply(&images, &draws), labels);
        }
        let mut images = empty_nhwc([n, h, w, c], Kind::Float);
        let host: Vec<i64> = Vec::<i64>::try_from(indices).unwrap_or_default();
        let shape = [c, h, w].map(|n| n as usize);
        augment_images(
            slice(&self.pixels),
            shape,
            &host,
            &draws,
            slice_mut(&mut images),
        );
        (images.permute([0, 3, 1, 2]), labels)
    }

    /// `count` normalised images from `start`, in the order of the split, without augmentation.
    pub fn run(&self, start: i64, count: i64) -> Tensor {
        normalise(&self.pixels.narrow(0, start, count))
    }
}

/// `ToTensor`, then `Normalize(0.5, 0.5)`: bytes become f32 in [-1, 1]. The memory layout is channels-last, which is
/// faster for convolutions on CPUs and tensor cores.
fn normalise(images: &Tensor) -> Tensor {
    let last = images
        .permute([0, 2, 3, 1])
        .contiguous()
        .permute([0, 3, 1, 2]);
    last.to_kind(Kind::Float) * (2.0 / 255.0) - 1.0
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn black_is_minus_one_and_white_is_one() {
        let info = DatasetInfo {
            height: 1,
            width: 3,
            channels: 1,
            ..DatasetInfo::default()
        };
        let images = Images {
            pixels: vec![0, 255, 51],
            labels: vec![2],
        };
        let resident = Resident::new(&images, &info, Device::Cpu).unwrap();
        let values: Vec<f32> = resident.run(0, 1).view([-1]).try_into().unwrap();
        let expected = [-1.0, 1.0, -0.6];
        assert!(
            values
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-6),
            "{values:?}"
        );
    }

    #[test]
    fn wrong_pixel_count_is_an_error() {
        let info = DatasetInfo {
            height: 2,
            width: 3,
            channels: 1,
            ..DatasetInfo::default()
        };
        let images = Images {
            pixels: vec![0; 5],
            labels: vec![0],
        };
        assert!(Resident::new(&images, &info, Device::Cpu).is_err());
    }
}
