//! A split, ready to be read as batches by index.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::augment;
use super::prefetch::Prefetcher;
use super::{Augment, DataError, Images};
use crate::event::{DatasetInfo, Normalization};
use crate::images::Pixels;
use crate::kernels::{AugmentParams, Scale, augment_images};
use crate::native::{empty_nhwc, slice_mut};

/// The images of a split as `u8` (N, C, H, W) and their labels as `i64` (N).
#[derive(Debug)]
pub struct Loader {
    store: Store,
    /// Channels, height and width.
    shape: [i64; 3],
    labels: Tensor,
    device: Device,
    scale: Scale,
}

/// Where the pixels are.
#[derive(Debug)]
enum Store {
    /// In the memory of the device, copied once.
    Device(Tensor),
    /// In main memory, shared with the dataset; for each image of the split its number there.
    Host(Arc<Pixels>, Vec<i64>),
    /// In a file, read ahead of the steps.
    Packed(Prefetcher),
}

impl Loader {
    /// A loader for a split. Images in main memory are copied to the device once.
    ///
    /// # Errors
    /// If the images do not have the shape in `info`.
    pub fn new(images: &Images, info: &DatasetInfo, device: Device) -> Result<Self, DataError> {
        let shape = [info.channels, info.height, info.width].map(i64::from);
        let size = shape.iter().product::<i64>() as usize;
        if images.pixels().size() != size && !images.is_empty() {
            return Err(DataError(format!(
                "images of {} bytes do not match image shape {shape:?}",
                images.pixels().size()
            )));
        }
        let store = match (&**images.pixels(), device) {
            (Pixels::Packed(_), _) => Store::Packed(Prefetcher::new(images)),
            (Pixels::Memory { .. }, Device::Cpu) => {
                let numbers = images.numbers().iter().map(|number| i64::from(*number));
                Store::Host(images.pixels().clone(), numbers.collect())
            }
            (Pixels::Memory { .. }, _) => {
                let mut bytes = Vec::with_capacity(size * images.len());
                for index in 0..images.len() {
                    bytes.extend_from_slice(&images.image(index)?);
                }
                let [c, h, w] = shape;
                let shape = [images.len() as i64, c, h, w];
                Store::Device(Tensor::from_slice(&bytes).view(shape).to_device(device))
            }
        };
        let labels: Vec<i64> = images.labels.iter().map(|&label| label.into()).collect();
        Ok(Self {
            store,
            shape,
            labels: Tensor::from_slice(&labels).to_device(device),
            device,
            scale: scale(&info.normalization, info.channels),
        })
    }

    /// Number of images in the split.
    pub fn len(&self) -> i64 {
        self.labels.size().first().copied().unwrap_or(0)
    }

    /// Whether the split has no images.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Announces the order of the next batches: those of `batch` images in `order`, from image `start` of it on. Images that
    /// are not in memory are read ahead in this order; other batches can still be read.
    pub fn expect(&self, order: &[i64], batch: i64, start: usize) {
        if let Store::Packed(prefetcher) = &self.store {
            prefetcher.expect(order, batch.max(1) as usize, start);
        }
    }

    /// The images at `indices` (`i64`, on the device), augmented and normalized, f32 (N, C, H, W), and their labels, (N).
    /// `words` (seed, rank, step) determine the augmentation.
    ///
    /// # Errors
    /// If images that are not in memory cannot be read.
    pub fn batch(
        &self,
        indices: &Tensor,
        augment: &Augment,
        words: &[u64],
    ) -> Result<(Tensor, Tensor), DataError> {
        let labels = self.labels.index_select(0, indices);
        let count = indices.size().first().copied().unwrap_or(0) as usize;
        let draws = augment.draws(words, count);
        let images = match &self.store {
            Store::Device(pixels) => {
                augment::apply(&pixels.index_select(0, indices), &draws, &self.scale)
            }
            Store::Host(..) | Store::Packed(_) => self.on_host(&host(indices), &draws)?,
        };
        Ok((images, labels))
    }

    /// `count` normalized images from `start`, in the order of the split, without augmentation.
    ///
    /// # Errors
    /// As [`Loader::batch`].
    pub fn run(&self, start: i64, count: i64) -> Result<Tensor, DataError> {
        let draws = vec![AugmentParams::default(); count.max(0) as usize];
        match &self.store {
            Store::Device(pixels) => Ok(augment::normalized(
                &pixels.narrow(0, start, count),
                &self.scale,
            )),
            Store::Host(..) | Store::Packed(_) => {
                let indices: Vec<i64> = (start..start + count).collect();
                self.on_host(&indices, &draws)
            }
        }
    }

    /// Images that are in main memory or in a file, augmented and normalized.
    fn on_host(&self, indices: &[i64], draws: &[AugmentParams]) -> Result<Tensor, DataError> {
        match &self.store {
            Store::Host(pixels, numbers) => {
                let numbers: Vec<i64> = indices
                    .iter()
                    .map(|&index| {
                        let number = usize::try_from(index)
                            .ok()
                            .and_then(|index| numbers.get(index));
                        number.copied().unwrap_or(-1)
                    })
                    .collect();
                let Pixels::Memory { bytes, .. } = &**pixels else {
                    return Err(DataError("the images are not in memory".to_owned()));
                };
                Ok(self.augmented(bytes, &numbers, draws))
            }
            Store::Packed(prefetcher) => {
                let bytes = prefetcher.take(indices)?;
                let numbers: Vec<i64> = (0..indices.len() as i64).collect();
                Ok(self.augmented(&bytes, &numbers, draws))
            }
            Store::Device(_) => Err(DataError("the images are on the device".to_owned())),
        }
    }

    fn augmented(&self, bytes: &[u8], numbers: &[i64], draws: &[AugmentParams]) -> Tensor {
        let [c, h, w] = self.shape;
        if self.device != Device::Cpu {
            let size = (c * h * w) as usize;
            let images: Vec<u8> = numbers
                .iter()
                .flat_map(|&number| {
                    let start = usize::try_from(number).unwrap_or(0) * size;
                    bytes.get(start..start + size).unwrap_or_default()
                })
                .copied()
                .collect();
            let images = Tensor::from_slice(&images).view([-1, c, h, w]);
            return augment::apply(&images.to_device(self.device), draws, &self.scale);
        }
        let mut images = empty_nhwc([numbers.len() as i64, h, w, c], Kind::Float);
        let shape = self.shape.map(|n| n as usize);
        augment_images(
            bytes,
            (shape, &self.scale),
            numbers,
            draws,
            slice_mut(&mut images),
        );
        images.permute([0, 3, 1, 2])
    }
}

/// The indices in a tensor.
fn host(indices: &Tensor) -> Vec<i64> {
    Vec::<i64>::try_from(indices).unwrap_or_default()
}

fn scale(normalization: &Normalization, channels: u32) -> Scale {
    Scale(
        (0..channels as usize)
            .map(|channel| normalization.scale(channel))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    fn info(channels: u32, height: u32, width: u32) -> DatasetInfo {
        DatasetInfo {
            height,
            width,
            channels,
            ..DatasetInfo::default()
        }
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.contiguous().view([-1]).try_into().unwrap()
    }

    /// Every byte as `ToTensor` and `Normalize` compute it, bit for bit as in earlier versions.
    #[test]
    fn black_is_minus_one_and_white_is_one() {
        let images = Images::in_memory((0..=255).collect(), &[2]);
        let loader = Loader::new(&images, &info(1, 16, 16), Device::Cpu).unwrap();
        let bytes = Tensor::from_slice(&(0..=255).collect::<Vec<u8>>());
        let expected = bytes.to_kind(Kind::Float) * (2.0 / 255.0) - 1.0;
        let found = values(&loader.run(0, 1).unwrap());
        assert_eq!(found, values(&expected));
        assert_eq!((found.first(), found.last()), (Some(&-1.0), Some(&1.0)));
    }

    #[test]
    fn each_channel_has_its_own_mean_and_std() {
        let images = Images::in_memory(vec![0, 255, 102, 102, 51, 255], &[0]);
        let info = DatasetInfo {
            normalization: Normalization {
                mean: vec![0.5, 0.4, 0.2],
                std: vec![0.5, 0.2, 0.1],
            },
            ..info(3, 1, 2)
        };
        let loader = Loader::new(&images, &info, Device::Cpu).unwrap();
        let expected = [-1.0, 1.0, 0.0, 0.0, 0.0, 8.0];
        let found = values(&loader.run(0, 1).unwrap());
        let near = |(a, b): (&f32, f32)| (a - b).abs() < 1e-5;
        assert!(found.iter().zip(expected).all(near), "{found:?}");
    }

    #[test]
    fn wrong_pixel_count_is_an_error() {
        let images = Images::in_memory(vec![0; 5], &[0]);
        assert!(Loader::new(&images, &info(1, 2, 3), Device::Cpu).is_err());
    }
}
