//! A split, ready to be read as batches by index.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::augment;
use super::prefetch::{Contents, LoaderTimes, Prefetcher};
use super::{Augment, DataError, Images, Mixed, Targets};
use crate::config::DataConfig;
use crate::event::{DatasetInfo, Normalization};
use crate::images::Pixels;
use crate::images::augment::geometry::{self, AugmentParams, Scale};
use crate::native::{empty_nhwc, for_chunks, slice_mut};
use crate::random::augment_words;

/// The images of a split as `u8` (N, C, H, W) and their labels as `i64` (N).
#[derive(Debug)]
pub struct Loader {
    store: Store,
    /// Channels, height and width.
    shape: [i64; 3],
    labels: Tensor,
    device: Device,
    scale: Scale,
    /// `None` for a split that is only evaluated.
    augment: Option<Augment>,
}

/// A batch of N images.
#[derive(Debug)]
pub struct Batch {
    /// Normalized images, f32 (N, C, H, W).
    pub images: Tensor,
    /// Their classes.
    pub targets: Targets,
}

/// Where the pixels are.
#[derive(Debug)]
enum Store {
    /// In the memory of the device, copied once.
    Device(Tensor),
    /// In main memory, shared with the dataset; for each image of the split its number there.
    Host(Arc<Pixels>, Vec<i64>),
    /// In a file or to be changed on the host: made ready ahead of the steps.
    Ahead(Box<Prefetcher>),
}

impl Loader {
    /// A loader for a split that is evaluated. Images in main memory are copied to the device once.
    ///
    /// # Errors
    /// If the images do not have the shape in `info`.
    pub fn new(images: &Images, info: &DatasetInfo, device: Device) -> Result<Self, DataError> {
        Self::with(images, info, device, None)
    }

    /// A loader for the training split, with the augmentation of the configuration.
    ///
    /// # Errors
    /// As [`Loader::new`].
    pub fn for_training(
        images: &Images,
        info: &DatasetInfo,
        device: Device,
        config: &DataConfig,
    ) -> Result<Self, DataError> {
        Self::with(images, info, device, Some(config))
    }

    fn with(
        images: &Images,
        info: &DatasetInfo,
        device: Device,
        config: Option<&DataConfig>,
    ) -> Result<Self, DataError> {
        let shape = [info.channels, info.height, info.width].map(i64::from);
        let whole = [info.channels, info.height, info.width].map(|length| length as usize);
        let [_, height, width] = whole;
        // The images of `predict` are not packed: they already have their size in training.
        let stored = images.stored_size().unwrap_or([height, width]);
        let size = info.channels as usize * stored.iter().product::<usize>();
        if images.pixels().size() != size && !images.is_empty() {
            return Err(DataError(format!(
                "images of {} bytes do not match image shape {shape:?}",
                images.pixels().size()
            )));
        }
        let augment = config.map(|config| Augment::new(&config.augment, whole, stored));
        let photo = augment.clone().filter(Augment::has_photo_stage);
        let is_direct = photo.is_none() && images.stored_size().is_none();
        let store = match (&**images.pixels(), device) {
            (Pixels::Memory { .. }, Device::Cpu) if is_direct => {
                let numbers = images.numbers().iter().map(|number| i64::from(*number));
                Store::Host(images.pixels().clone(), numbers.collect())
            }
            (Pixels::Memory { .. }, _) if is_direct => {
                let mut bytes = Vec::with_capacity(size * images.len());
                for index in 0..images.len() {
                    bytes.extend_from_slice(&images.image(index)?);
                }
                let [c, h, w] = shape;
                let shape = [images.len() as i64, c, h, w];
                Store::Device(Tensor::from_slice(&bytes).view(shape).to_device(device))
            }
            _ => {
                let threads = config.map_or(0, |config| config.workers as usize);
                Store::Ahead(Box::new(Prefetcher::new(images, photo, threads)))
            }
        };
        let labels: Vec<i64> = images.labels.iter().map(|&label| label.into()).collect();
        Ok(Self {
            store,
            shape,
            labels: Tensor::from_slice(&labels).to_device(device),
            device,
            scale: scale(&info.normalization, info.channels),
            augment,
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

    /// What was spent on images that are made ready ahead since the last call.
    pub fn take_times(&self) -> LoaderTimes {
        match &self.store {
            Store::Ahead(prefetcher) => prefetcher.take_times(),
            Store::Device(_) | Store::Host(..) => LoaderTimes::default(),
        }
    }

    /// Announces the next batches of an evaluation: those of `batch` images, in the order of the split.
    pub fn expect_all(&self, batch: i64) {
        if let Store::Ahead(prefetcher) = &self.store {
            let all: Vec<i64> = (0..self.len()).collect();
            let contents = |indices: &[i64]| Contents {
                indices: indices.to_vec(),
                words: Vec::new(),
            };
            prefetcher.expect(all.chunks(batch.max(1) as usize).map(contents).collect());
        }
    }

    /// Announces the next batches of a training: those of `batch` images in `order`, from image `start` of it on, of which
    /// the first is the batch of step `step` (from 0). Images that are not in memory or that are changed on the host are
    /// made ready ahead in this order; other batches can still be read.
    pub fn expect(&self, order: &[i64], batch: i64, start: usize, (seed, step): (u64, u64)) {
        if let Store::Ahead(prefetcher) = &self.store {
            let rest = order.get(start..).unwrap_or_default();
            let batches = rest.chunks(batch.max(1) as usize).zip(step..);
            let contents = |(indices, step): (&[i64], u64)| Contents {
                indices: indices.to_vec(),
                words: augment_words(seed, 0, step).to_vec(),
            };
            prefetcher.expect(batches.map(contents).collect());
        }
    }

    /// The images at `indices` (`i64`, on the device), augmented and normalized, and their classes. `words` (seed, rank,
    /// step) determine the augmentation.
    ///
    /// # Errors
    /// If images that are not in memory cannot be read.
    pub fn batch(&self, indices: &Tensor, words: &[u64]) -> Result<Batch, DataError> {
        let labels = self.labels.index_select(0, indices);
        let count = indices.size().first().copied().unwrap_or(0) as usize;
        let augment = self.augment.as_ref();
        let draws = augment.map_or_else(
            || vec![AugmentParams::default(); count],
            |augment| augment.draws(words, count),
        );
        let images = match &self.store {
            Store::Device(pixels) => {
                augment::apply(&pixels.index_select(0, indices), &draws, &self.scale)
            }
            Store::Host(..) | Store::Ahead(_) => {
                let contents = Contents {
                    indices: host(indices),
                    words: words.to_vec(),
                };
                self.on_host(&contents, &draws)?
            }
        };
        let Some(mix) = augment.and_then(|augment| augment.mix(words)) else {
            let targets = Targets {
                labels,
                mixed: None,
            };
            return Ok(Batch { images, targets });
        };
        let mixed = Mixed {
            labels: labels.roll([1], [0]),
            share: mix.share(),
        };
        Ok(Batch {
            images: augment::mixed(&images, &mix),
            targets: Targets {
                labels,
                mixed: Some(mixed),
            },
        })
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
            Store::Host(..) | Store::Ahead(_) => {
                let contents = Contents {
                    indices: (start..start + count).collect(),
                    words: Vec::new(),
                };
                self.on_host(&contents, &draws)
            }
        }
    }

    /// Images that are in main memory or made ready ahead, augmented and normalized.
    fn on_host(&self, contents: &Contents, draws: &[AugmentParams]) -> Result<Tensor, DataError> {
        match &self.store {
            Store::Host(pixels, numbers) => {
                let indices = contents.indices.iter();
                let numbers: Vec<i64> = indices
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
            Store::Ahead(prefetcher) => {
                let bytes = prefetcher.take(contents)?;
                let numbers: Vec<i64> = (0..contents.indices.len() as i64).collect();
                Ok(self.augmented(&bytes, &numbers, draws))
            }
            Store::Device(_) => Err(DataError("the images are on the device".to_owned())),
        }
    }

    fn augmented(&self, bytes: &[u8], numbers: &[i64], draws: &[AugmentParams]) -> Tensor {
        let [c, h, w] = self.shape;
        let size = (c * h * w) as usize;
        let image = |number: i64| {
            let number = usize::try_from(number).ok();
            let image = number.and_then(|number| bytes.get(number * size..(number + 1) * size));
            image.unwrap_or_default()
        };
        if self.device != Device::Cpu {
            let images = numbers.iter().flat_map(|number| image(*number));
            let images: Vec<u8> = images.copied().collect();
            let images = Tensor::from_slice(&images).view([-1, c, h, w]);
            return augment::apply(&images.to_device(self.device), draws, &self.scale);
        }
        let mut images = empty_nhwc([numbers.len() as i64, h, w, c], Kind::Float);
        let (shape, scale) = (self.shape.map(|n| n as usize), &self.scale);
        let out = slice_mut(&mut images);
        for_chunks(numbers.len(), out, &mut [(); 0], |i, out, _| {
            let image = numbers.get(i).map(|number| image(*number));
            let draw = draws.get(i).copied().unwrap_or_default();
            geometry::apply(image.unwrap_or_default(), (shape, scale), &draw, out);
        });
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
