//! Augmentation of training images. It is light, as 28×28 pixels leave no margin: a shift of more than 4 pixels cuts
//! off parts of the garments.
//!
//! The parameters for an image depend only on (seed, rank, step, index in the batch). They are sampled here, on the
//! host, so that all devices use the same ones. On a CPU a kernel applies them; on other devices libtorch operations
//! do.

use tch::{Kind, Tensor};

use crate::config::AugmentConfig;
use crate::kernels::{AugmentParams, Scale};
use crate::random::Random;

/// Samples augmentation parameters within the configured limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Augment {
    config: AugmentConfig,
    height: usize,
    width: usize,
}

impl Augment {
    /// Augmentation with this configuration, for images of this height and width in pixels.
    pub fn new(config: &AugmentConfig, height: u32, width: u32) -> Self {
        Self {
            config: config.clone(),
            height: height as usize,
            width: width as usize,
        }
    }

    /// Samples the parameters for each of `images` images; `words` (seed, rank, step) identify the batch.
    pub(super) fn draws(&self, words: &[u64], images: usize) -> Vec<AugmentParams> {
        let of = |image: usize| {
            let words = [words, &[image as u64]].concat();
            self.draw(&mut Random::new(&words))
        };
        (0..images).map(of).collect()
    }

    fn draw(&self, random: &mut Random) -> AugmentParams {
        let config = &self.config;
        // Always sample in the same order, so that one setting does not change the values of another.
        let mirrored = random.unit() < 0.5 && config.flip;
        let by = config.shift as usize;
        let mut offset = || random.below(2 * by + 1) as f32 - by as f32;
        let shift = [offset(), offset()];
        let mut within = |limit: f64| (2.0 * random.unit() - 1.0) * limit;
        let angle = within(config.rotate).to_radians();
        let slant = within(config.shear).to_radians().tan();
        let zoom = 1.0 / (1.0 + within(config.scale));
        let sign = if mirrored { -1.0 } else { 1.0 };
        // Maps the result to the source: shear, rotate, scale, then mirror.
        let (sine, cosine) = angle.sin_cos();
        let turned = [cosine, cosine * slant - sine, sine, sine * slant + cosine];
        let [a, b, c, d] = turned.map(|v| v * zoom);
        let erased = random.unit() < config.erase;
        AugmentParams {
            matrix: [sign * a, sign * b, c, d].map(|v| v as f32),
            shift,
            erase: erased.then(|| self.rectangle(random)).flatten(),
        }
    }

    /// Random erasing: a rectangle with 2 to 25 % of the image area (Zhong et al. 2020 use up to 40 %) and an aspect
    /// ratio between 1:3 and 3:1, and its brightness; `None` if ten attempts gave none that fits.
    fn rectangle(&self, random: &mut Random) -> Option<([usize; 4], u8)> {
        let (height, width) = (self.height as f64, self.width as f64);
        for _ in 0..10 {
            let area = (0.02 + 0.23 * random.unit()) * height * width;
            let ratio = (3.0_f64.ln() * (2.0 * random.unit() - 1.0)).exp();
            let (h, w) = ((area * ratio).sqrt().round(), (area / ratio).sqrt().round());
            if h >= 1.0 && w >= 1.0 && h <= height && w <= width {
                let (h, w) = (h as usize, w as usize);
                let left = random.below(self.width - w + 1);
                let top = random.below(self.height - h + 1);
                return Some(([left, top, w, h], random.below(256) as u8));
            }
        }
        None
    }
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
    use crate::kernels::augment_images;

    fn config() -> AugmentConfig {
        AugmentConfig {
            flip: true,
            shift: 2,
            rotate: 12.0,
            scale: 0.1,
            shear: 5.0,
            erase: 0.5,
        }
    }

    fn both(config: &AugmentConfig) -> (Vec<f32>, Vec<f32>) {
        let (n, c, h, w) = (24_i64, 2_i64, 9_i64, 11_i64);
        let augment = Augment::new(config, 9, 11);
        let draws = augment.draws(&[1, 2], n as usize);
        let bytes: Vec<u8> = (0..n * c * h * w).map(|i| (i * 37 % 251) as u8).collect();
        let images = Tensor::from_slice(&bytes).view([n, c, h, w]);
        let scale = Scale(vec![[2.0 / 255.0, -1.0], [0.01, 0.5]]);
        let theirs = apply(&images, &draws, &scale);
        let mut ours = vec![0.0; bytes.len()];
        let indices: Vec<i64> = (0..n).collect();
        augment_images(&bytes, ([2, 9, 11], &scale), &indices, &draws, &mut ours);
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

    #[test]
    fn one_setting_does_not_change_the_draws_of_others() {
        let with = |erase| {
            let config = AugmentConfig { erase, ..config() };
            let draws = Augment::new(&config, 28, 28).draws(&[7], 50);
            draws
                .into_iter()
                .map(|draw| (draw.matrix.map(f32::to_bits), draw.shift.map(f32::to_bits)))
                .collect::<Vec<_>>()
        };
        assert_eq!(with(0.0), with(1.0));
    }

    #[test]
    fn draws_are_within_the_configured_limits() {
        let draws = Augment::new(&config(), 28, 28).draws(&[3], 500);
        let mirrored = draws.iter().filter(|draw| draw.matrix[0] < 0.0).count();
        assert!((200..300).contains(&mirrored), "{mirrored} of 500");
        let erased = draws.iter().filter(|draw| draw.erase.is_some()).count();
        assert!((200..300).contains(&erased), "{erased} of 500");
        for draw in &draws {
            assert!(
                draw.shift
                    .iter()
                    .all(|t| t.abs() <= 2.0 && t.fract() == 0.0)
            );
            if let Some(([left, top, w, h], _)) = draw.erase {
                assert!(
                    left + w <= 28 && top + h <= 28 && (10..=210).contains(&(w * h)),
                    "{w}×{h}"
                );
            }
        }
        let off = AugmentConfig {
            flip: false,
            shift: 0,
            rotate: 0.0,
            scale: 0.0,
            shear: 0.0,
            erase: 0.0,
        };
        assert!(
            Augment::new(&off, 28, 28)
                .draws(&[3], 20)
                .iter()
                .all(|draw| *draw == AugmentParams::default())
        );
    }
}
