//! Light variation of training images. 28×28 has no room for more: a crop over 4 pixels cuts garments.
//!
//! What is done to an image follows from (seed, rank, step, its place in the batch) and is drawn here, on the host, so that
//! every device does the same. The CPU has a kernel for it; elsewhere it is a handful of operations of libtorch.

use tch::{Kind, Tensor};

use crate::config::AugmentConfig;
use crate::kernels::Draw;
use crate::random::Random;

/// How strongly images are varied.
#[derive(Debug, Clone, PartialEq)]
pub struct Augment {
    config: AugmentConfig,
    height: usize,
    width: usize,
}

impl Augment {
    /// As configured, for images of this height and width.
    pub fn new(config: &AugmentConfig, height: u32, width: u32) -> Self {
        Self {
            config: config.clone(),
            height: height as usize,
            width: width as usize,
        }
    }

    /// What is done to each of `images` images; `words` say which batch it is.
    pub(super) fn draws(&self, words: &[u64], images: usize) -> Vec<Draw> {
        let of = |image: usize| {
            let words = [words, &[image as u64]].concat();
            self.draw(&mut Random::new(&words))
        };
        (0..images).map(of).collect()
    }

    fn draw(&self, random: &mut Random) -> Draw {
        let config = &self.config;
        // Always in the same order, so that one setting does not change what another draws.
        let mirrored = random.unit() < 0.5 && config.flip;
        let by = config.shift as usize;
        let mut offset = || random.below(2 * by + 1) as f32 - by as f32;
        let shift = [offset(), offset()];
        let mut within = |limit: f64| (2.0 * random.unit() - 1.0) * limit;
        let angle = within(config.rotate).to_radians();
        let slant = within(config.shear).to_radians().tan();
        let zoom = 1.0 / (1.0 + within(config.scale));
        let sign = if mirrored { -1.0 } else { 1.0 };
        // Result to source: slant, turn, zoom, then mirror.
        let (sine, cosine) = angle.sin_cos();
        let turned = [cosine, cosine * slant - sine, sine, sine * slant + cosine];
        let [a, b, c, d] = turned.map(|v| v * zoom);
        let erased = random.unit() < config.erase;
        Draw {
            matrix: [sign * a, sign * b, c, d].map(|v| v as f32),
            shift,
            erase: erased.then(|| self.rectangle(random)).flatten(),
        }
    }

    /// 2 to 25 % of the image, three times as wide as high at most or the other way round (Zhong et al. 2020 take up to
    /// 40 %); `None` where no such rectangle was found in ten tries.
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

/// The images (N, C, H, W) of bytes as the draws say, normalised, on whatever device they are.
pub(super) fn apply(images: &Tensor, draws: &[Draw]) -> Tensor {
    let floats = images.to_kind(Kind::Float);
    let grid = Tensor::affine_grid_generator(&affine(draws, images), floats.size(), false);
    // Pixels that fall on pixels are copied; 0 is bilinear, 1 is nearest; 0 pads with zeros.
    let nearest = draws.iter().all(Draw::is_exact);
    let moved = floats.grid_sampler(&grid, i64::from(nearest), 0, false);
    let erased = if draws.iter().any(|draw| draw.erase.is_some()) {
        erase(&moved, draws)
    } else {
        moved
    };
    (erased * (2.0 / 255.0) - 1.0)
        .permute([0, 2, 3, 1])
        .contiguous()
        .permute([0, 3, 1, 2])
}

/// Each draw's matrix (N, 2, 3) in grid_sample's coordinates, which run from -1 to 1 over the pixels' outer edges
/// (align_corners = false).
fn affine(draws: &[Draw], images: &Tensor) -> Tensor {
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

/// Fills each draw's rectangle.
fn erase(images: &Tensor, draws: &[Draw]) -> Tensor {
    let device = images.device();
    let size = images.size();
    let length = |dimension: usize| size.get(dimension).copied().unwrap_or(1);
    let (height, width) = (length(2), length(3));
    // Left, top, width, height and brightness of each; a rectangle without area where there is none.
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
    use crate::kernels::apply_draws;

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
        let theirs = apply(&images, &draws);
        let mut ours = vec![0.0; bytes.len()];
        let indices: Vec<i64> = (0..n).collect();
        apply_draws(&bytes, [2, 9, 11], &indices, &draws, &mut ours);
        let theirs = theirs.permute([0, 2, 3, 1]).contiguous().view([-1]);
        (ours, theirs.try_into().unwrap())
    }

    #[test]
    fn the_kernel_and_libtorch_do_the_same() {
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
    fn one_setting_leaves_what_the_others_draw() {
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
    fn draws_stay_within_what_was_configured() {
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
                .all(|draw| *draw == Draw::default())
        );
    }
}
