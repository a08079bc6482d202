//! Augmentation with libtorch operations, for images on a device other than the CPU; and mixup and `CutMix`.

use tch::{Kind, Tensor};

use crate::images::augment::geometry::{AugmentParams, Scale};
use crate::images::augment::mix::Mix;

/// Combines each image of a batch, f32 (N, C, H, W), with the one before it.
pub(super) fn mixed(images: &Tensor, mix: &Mix) -> Tensor {
    // Channels last, as the images are in memory.
    let images = images.permute([0, 2, 3, 1]);
    let others = images.roll([1], [0]);
    let mixed = match *mix {
        Mix::Blend(share) => {
            let share = f64::from(share);
            &images * share + others * (1.0 - share)
        }
        Mix::Cut { x, y, .. } => {
            let mixed = images.copy();
            let part = |tensor: &Tensor| {
                let length = |[from, to]: [usize; 2]| (from as i64, (to - from) as i64);
                let ((top, rows), (left, columns)) = (length(y), length(x));
                tensor.narrow(1, top, rows).narrow(2, left, columns)
            };
            part(&mixed).copy_(&part(&others));
            mixed
        }
    };
    mixed.permute([0, 3, 1, 2])
}

/// Applies one draw to each image and normalizes, on the device of the images. Bytes (N, C, H, W) become f32 of the same
/// shape, channels-last in memory.
pub(super) fn apply(images: &Tensor, draws: &[AugmentParams], scale: &Scale) -> Tensor {
    let floats = images.to_kind(Kind::Float);
    let grid = Tensor::affine_grid_generator(&affine(draws, images), floats.size(), false);
    // If pixels map to pixels exactly, nearest (1) copies them; otherwise bilinear (0). The padding mode 0 pads with
    // zeros.
    let nearest = draws.iter().all(AugmentParams::is_exact);
    let moved = floats.grid_sampler(&grid, i64::from(nearest), 0, false);
    let erased = if draws.iter().any(|draw| draw.erase.is_some()) {
        erase(&moved, draws)
    } else {
        moved
    };
    channels_last(&scaled(&erased, scale))
}

/// Normalizes bytes (N, C, H, W): f32 of the same shape, channels-last in memory.
pub(super) fn normalized(images: &Tensor, scale: &Scale) -> Tensor {
    scaled(&channels_last(images).to_kind(Kind::Float), scale)
}

fn scaled(images: &Tensor, scale: &Scale) -> Tensor {
    let column = |at: usize| {
        let values: Vec<f32> = scale
            .0
            .iter()
            .filter_map(|pair| pair.get(at).copied())
            .collect();
        Tensor::from_slice(&values)
            .view([1, -1, 1, 1])
            .to_device(images.device())
    };
    images * column(0) + column(1)
}

/// The same values with the channels last in memory, which is faster for convolutions on CPUs and tensor cores.
fn channels_last(images: &Tensor) -> Tensor {
    images
        .permute([0, 2, 3, 1])
        .contiguous()
        .permute([0, 3, 1, 2])
}

/// The matrices of the draws, (N, 2, 3), in the coordinates of `grid_sample`, which range from -1 to 1 between the
/// outer edges of the border pixels (`align_corners = false`).
fn affine(draws: &[AugmentParams], images: &Tensor) -> Tensor {
    let size = images.size();
    let length = |dimension: usize| size.get(dimension).copied().unwrap_or(1) as f32;
    let (height, width) = (length(2), length(3));
    let rows: Vec<f32> = draws
        .iter()
        .flat_map(|draw| {
            let [xx, xy, yx, yy] = draw.matrix;
            let [right, down] = draw.shift;
            let across = [xx, xy * height / width, 2.0 * right / width];
            [across, [yx * width / height, yy, 2.0 * down / height]].concat()
        })
        .collect();
    Tensor::from_slice(&rows)
        .view([draws.len() as i64, 2, 3])
        .to_device(images.device())
}

/// Fills the rectangle of each draw.
fn erase(images: &Tensor, draws: &[AugmentParams]) -> Tensor {
    let device = images.device();
    let size = images.size();
    let length = |dimension: usize| size.get(dimension).copied().unwrap_or(1);
    let (height, width) = (length(2), length(3));
    // One row per image: left, top, width, height and brightness. An image without a rectangle gets one of size 0.
    let table: Vec<f32> = draws
        .iter()
        .flat_map(|draw| {
            let ([left, top, w, h], fill) = draw.erase.unwrap_or_default();
            [left as f32, top as f32, w as f32, h as f32, f32::from(fill)]
        })
        .collect();
    let table = Tensor::from_slice(&table).view([-1, 5]).to_device(device);
    let column = |i: i64| table.narrow(1, i, 1).view([-1, 1, 1, 1]);
    let inside = |place: &Tensor, start: &Tensor, length: &Tensor| {
        place
            .ge_tensor(start)
            .logical_and(&place.lt_tensor(&(start + length)))
    };
    let options = (Kind::Float, device);
    let across = inside(
        &Tensor::arange(width, options).view([1, 1, 1, -1]),
        &column(0),
        &column(2),
    );
    let down = inside(
        &Tensor::arange(height, options).view([1, 1, -1, 1]),
        &column(1),
        &column(3),
    );
    column(4)
        .expand_as(images)
        .where_self(&across.logical_and(&down), images)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use crate::config::AugmentConfig;
    use crate::images::augment::{Augment, geometry};

    fn config() -> AugmentConfig {
        AugmentConfig {
            flip: true,
            shift: 2,
            rotate: 12.0,
            scale: 0.1,
            shear: 5.0,
            erase: 0.5,
            ..AugmentConfig::default()
        }
    }

    fn both(config: &AugmentConfig) -> (Vec<f32>, Vec<f32>) {
        let (n, c, h, w) = (24_i64, 2_i64, 9_i64, 11_i64);
        let augment = Augment::new(config, [2, 9, 11], [9, 11]);
        let draws = augment.draws(&[1, 2], n as usize);
        let bytes: Vec<u8> = (0..n * c * h * w).map(|i| (i * 37 % 251) as u8).collect();
        let images = Tensor::from_slice(&bytes).view([n, c, h, w]);
        let scale = Scale(vec![[2.0 / 255.0, -1.0], [0.01, 0.5]]);
        let theirs = apply(&images, &draws, &scale);
        let mut ours = vec![0.0; bytes.len()];
        let size = (c * h * w) as usize;
        let images = bytes.chunks_exact(size).zip(ours.chunks_exact_mut(size));
        for ((image, out), draw) in images.zip(&draws) {
            geometry::apply(image, ([2, 9, 11], &scale), draw, out);
        }
        let theirs = theirs.permute([0, 2, 3, 1]).contiguous().view([-1]);
        (ours, theirs.try_into().unwrap())
    }

    #[test]
    fn kernel_and_libtorch_agree() {
        let exact = AugmentConfig {
            rotate: 0.0,
            scale: 0.0,
            shear: 0.0,
            ..config()
        };
        for config in [exact, config()] {
            let (ours, theirs) = both(&config);
            let far = ours
                .iter()
                .zip(&theirs)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(far < 2e-3, "{config:?}: differs by {far}");
        }
    }

    /// ```python
    /// class Mixup(v2.MixUp):
    ///     def make_params(self, _): return {"lam": 0.3}
    /// class CutMix(v2.CutMix):
    ///     def make_params(self, _): return {"box": (1, 0, 4, 2), "lam_adjusted": 1 - 6 / 20}
    /// images = torch.arange(40).float().reshape(2, 1, 4, 5) * 0.1
    /// Mixup(num_classes=3)(images, torch.tensor([0, 2]))   # and CutMix
    /// ```
    #[test]
    fn mixed_images_equal_those_of_torchvision() {
        let images = Tensor::arange(40, (Kind::Float, tch::Device::Cpu)).view([2, 1, 4, 5]) * 0.1;
        let values = |mix: &Mix| -> Vec<f32> {
            mixed(&images, mix)
                .contiguous()
                .view([-1])
                .try_into()
                .unwrap()
        };
        let near = |found: &[f32], expected: &[f32]| {
            found.len() == expected.len()
                && found
                    .iter()
                    .zip(expected)
                    .all(|(a, b)| (a - b).abs() < 1e-6)
        };
        let blended = values(&Mix::Blend(0.3));
        let line = |from: f32| (0..20).map(move |i| from + 0.1 * i as f32);
        let expected: Vec<f32> = line(1.4).chain(line(0.6)).collect();
        assert!(near(&blended, &expected), "{blended:?}");
        let cut = Mix::Cut {
            x: [1, 4],
            y: [0, 2],
            size: [5, 4],
        };
        assert!((cut.share() - 0.7).abs() < 1e-12);
        let first = [
            0.0, 2.1, 2.2, 2.3, 0.4, 0.5, 2.6, 2.7, 2.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6,
            1.7, 1.8, 1.9,
        ];
        let second = [
            2.0, 0.1, 0.2, 0.3, 2.4, 2.5, 0.6, 0.7, 0.8, 2.9, 3.0, 3.1, 3.2, 3.3, 3.4, 3.5, 3.6,
            3.7, 3.8, 3.9,
        ];
        let found = values(&cut);
        assert!(near(&found, &[first, second].concat()), "{found:?}");
    }
}
