//! Statistics of the training images: background brightness, mean and standard deviation.

use super::fit::Target;
use super::{DataError, Images};
use crate::config::Normalize;
use crate::event::Normalization;

/// Splits up to this size are read completely, larger ones in part.
const COMPLETE: usize = 1 << 30;
/// Bytes that are read of a larger split: evenly spaced images.
const PART: usize = 128 << 20;

/// Mean of ImageNet's training images by channel, in units of 255, as torchvision's transforms have it.
const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
/// Standard deviation of ImageNet's training images by channel.
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];

/// Calls `each` with images of a split: all of them, or evenly spaced ones.
fn for_images(images: &Images, size: usize, mut each: impl FnMut(&[u8])) -> Result<(), DataError> {
    let bytes = images.len().saturating_mul(size);
    let step = if bytes <= COMPLETE {
        1
    } else {
        bytes.div_ceil(PART)
    };
    for index in (0..images.len()).step_by(step) {
        each(&images.image(index)?);
    }
    Ok(())
}

/// The median brightness of the border pixels of the images.
///
/// # Errors
/// If an image cannot be read.
pub(super) fn background(images: &Images, target: Target) -> Result<u8, DataError> {
    let (height, width) = (target.height as usize, target.width as usize);
    let mut counts = [0_u64; 256];
    for_images(images, target.size(), |image| {
        for plane in image.chunks_exact((height * width).max(1)) {
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
    })?;
    let half = counts.iter().sum::<u64>() / 2;
    let mut below = 0;
    let median = counts.iter().position(|count| {
        below += count;
        below > half
    });
    Ok(median.unwrap_or(0) as u8)
}

/// Mean and standard deviation for each channel, as configured.
///
/// # Errors
/// If given values do not match the number of channels, or an image cannot be read.
pub(super) fn normalization(
    config: &Normalize,
    train: &Images,
    target: Target,
) -> Result<Normalization, DataError> {
    let (mean, std) = match config {
        Normalize::Half => return Ok(Normalization::default()),
        Normalize::Dataset => return measured(train, target),
        Normalize::ImageNet => (IMAGENET_MEAN.to_vec(), IMAGENET_STD.to_vec()),
        Normalize::Values(mean, std) => (mean.clone(), std.clone()),
    };
    let channels = target.channels as usize;
    if mean.len() != channels {
        let name = match config {
            Normalize::ImageNet => "data.normalize = \"imagenet\"",
            Normalize::Half | Normalize::Dataset | Normalize::Values(..) => "data.normalize",
        };
        return Err(DataError(format!(
            "{name} has values for {} channels, but the images have {channels}; set data.channels = {}",
            mean.len(),
            mean.len()
        )));
    }
    Ok(Normalization { mean, std })
}

/// Mean and standard deviation of all pixels of each channel.
fn measured(train: &Images, target: Target) -> Result<Normalization, DataError> {
    let area = (target.height as usize * target.width as usize).max(1);
    // Sums of integers are exact and do not depend on the order of the images.
    let mut sums = vec![[0_u64; 2]; target.channels as usize];
    let mut pixels = 0_u64;
    for_images(train, target.size(), |image| {
        pixels += area as u64;
        for (plane, [sum, squares]) in image.chunks_exact(area).zip(&mut sums) {
            for &value in plane {
                *sum += u64::from(value);
                *squares += u64::from(value) * u64::from(value);
            }
        }
    })?;
    let (mut mean, mut std) = (Vec::new(), Vec::new());
    for [sum, squares] in sums {
        let m = sum as f64 / pixels.max(1) as f64;
        let variance = squares as f64 / pixels.max(1) as f64 - m * m;
        mean.push(m / 255.0);
        // Images of a single brightness have no spread; half a level keeps their values finite.
        std.push(variance.max(0.25).sqrt() / 255.0);
    }
    Ok(Normalization { mean, std })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use crate::config::Resize;

    const TARGET: Target = Target {
        channels: 3,
        height: 1,
        width: 2,
        resize: Resize::Squash,
    };

    /// `numpy.array([[0, 255, 10, 30, 7, 7], [51, 102, 20, 40, 7, 7]]).reshape(2, 3, 2)`, then `/ 255` and `.mean((0, 2))`
    /// and `.std((0, 2))`.
    #[test]
    fn mean_and_std_are_those_of_numpy() {
        let bytes = vec![0, 255, 10, 30, 7, 7, 51, 102, 20, 40, 7, 7];
        let images = Images::in_memory(bytes, &[0, 1]);
        let found = normalization(&Normalize::Dataset, &images, TARGET).unwrap();
        let expected = [
            [0.4, 0.374_165_738_677_394_17],
            [0.098_039_215_686_274_51, 0.043_844_470_147_054_7],
        ];
        for (channel, [mean, std]) in expected.into_iter().enumerate() {
            assert!((found.mean[channel] - mean).abs() < 1e-12, "{found:?}");
            assert!((found.std[channel] - std).abs() < 1e-12, "{found:?}");
        }
        assert!(
            (found.std[2] - 0.5 / 255.0).abs() < 1e-12,
            "one brightness: {found:?}"
        );
    }

    #[test]
    fn values_for_another_number_of_channels_are_refused() {
        let images = Images::in_memory(vec![0; 12], &[0, 1]);
        let grey = Target {
            channels: 1,
            width: 6,
            ..TARGET
        };
        let error = normalization(&Normalize::ImageNet, &images, grey).unwrap_err();
        assert!(error.0.contains("data.channels = 3"), "{error}");
        let half = normalization(&Normalize::Half, &images, TARGET).unwrap();
        assert_eq!(half, Normalization::default());
    }
}
