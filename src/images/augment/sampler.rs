//! The distributions of the augmentation parameters.

use super::geometry::AugmentParams;
use super::mix::Mix;
use super::operation::Operation;
use super::photo::{PhotoParams, Region};
use super::trivial;
use crate::config::{AugmentConfig, Policy};
use crate::random::Random;

/// Draws parameters within the limits of a configuration.
pub(super) struct Sampler<'a>(pub(super) &'a AugmentConfig);

impl Sampler<'_> {
    /// Mirror, shift, rotation, scale, shear and erased rectangle.
    pub(super) fn geometry(
        &self,
        random: &mut Random,
        [_, height, width]: [usize; 3],
    ) -> AugmentParams {
        let config = self.0;
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
            erase: erased.then(|| rectangle(random, [height, width])).flatten(),
        }
    }

    /// Crop, colours and policy. The crop is that of torchvision's `RandomResizedCrop`: an area uniform between
    /// `augment.crop` and 1, an aspect ratio log-uniform between 3:4 and 4:3. The colours are changed as by its
    /// `ColorJitter`, in random order.
    pub(super) fn photo(
        &self,
        random: &mut Random,
        [channels, height, width]: [usize; 3],
        packed: [usize; 2],
    ) -> PhotoParams {
        let config = self.0;
        let crop = (config.crop > 0.0).then(|| crop(random, packed, config.crop));
        let mut factor = |limit: f64| (1.0 + (2.0 * random.unit() - 1.0) * limit).max(0.0) as f32;
        let (brightness, contrast, saturation) = (
            factor(config.brightness),
            factor(config.contrast),
            factor(config.saturation),
        );
        let hue = (2.0 * random.unit() - 1.0) * config.hue;
        let mut operations = vec![
            (config.brightness > 0.0, Operation::Brightness(brightness)),
            (config.contrast > 0.0, Operation::Contrast(contrast)),
            (config.saturation > 0.0, Operation::Saturation(saturation)),
            (config.hue > 0.0, Operation::Hue(hue)),
        ];
        random.shuffle(&mut operations);
        let used = operations.into_iter().filter(|(on, _)| *on);
        let mut operations: Vec<Operation> = used.map(|(_, operation)| operation).collect();
        match config.policy {
            Policy::None => {}
            Policy::Trivial => operations.push(trivial::draw(random, [height, width])),
        }
        operations.retain(|operation| channels > 1 || !operation.needs_colour());
        PhotoParams { crop, operations }
    }

    /// Mixup (Zhang et al. 2018) or `CutMix` (Yun et al. 2019), each with probability ½ if both are on, as torchvision's
    /// training recipe does.
    pub(super) fn mix(&self, random: &mut Random, [height, width]: [usize; 2]) -> Option<Mix> {
        let AugmentConfig { mixup, cutmix, .. } = *self.0;
        let cut = random.unit() < 0.5;
        let cut = match (mixup > 0.0, cutmix > 0.0) {
            (false, false) => return None,
            (true, false) => false,
            (false, true) => true,
            (true, true) => cut,
        };
        if !cut {
            return Some(Mix::Blend(beta(random, mixup) as f32));
        }
        let share = beta(random, cutmix);
        let middle = [random.below(width), random.below(height)];
        let reach = 0.5 * (1.0 - share).sqrt();
        let [x, y] = [(middle[0], width), (middle[1], height)].map(|(at, length)| {
            let reach = (reach * length as f64) as usize;
            [at.saturating_sub(reach), (at + reach).min(length)]
        });
        Some(Mix::Cut {
            x,
            y,
            size: [width, height],
        })
    }
}

/// A number with the distribution Beta(a, a), 0 < a ≤ 1 (Jöhnk 1964).
fn beta(random: &mut Random, a: f64) -> f64 {
    loop {
        let (x, y) = (random.unit().powf(1.0 / a), random.unit().powf(1.0 / a));
        if x + y <= 1.0 && x + y > 0.0 {
            return x / (x + y);
        }
    }
}

/// The region of a random resized crop; after ten attempts that do not fit, the whole image, whose aspect ratio is within
/// the limits or the nearest to them.
fn crop(random: &mut Random, [height, width]: [usize; 2], least: f64) -> Region {
    let (h, w) = (height as f64, width as f64);
    let ratio = (4.0_f64 / 3.0).ln();
    for _ in 0..10 {
        let area = (least + (1.0 - least) * random.unit()) * h * w;
        let aspect = ((2.0 * random.unit() - 1.0) * ratio).exp();
        let (across, down) = (
            (area * aspect).sqrt().round(),
            (area / aspect).sqrt().round(),
        );
        if across >= 1.0 && down >= 1.0 && across <= w && down <= h {
            let (across, down) = (across as usize, down as usize);
            let top = random.below(height - down + 1);
            let left = random.below(width - across + 1);
            return Region {
                left,
                top,
                width: across,
                height: down,
            };
        }
    }
    // As torchvision: the largest central region with an allowed aspect ratio.
    let aspect = (w / h).clamp(3.0 / 4.0, 4.0 / 3.0);
    let (across, down) = if w / h > aspect {
        ((h * aspect).round() as usize, height)
    } else {
        (width, (w / aspect).round() as usize)
    };
    let (across, down) = (across.clamp(1, width), down.clamp(1, height));
    Region {
        left: (width - across) / 2,
        top: (height - down) / 2,
        width: across,
        height: down,
    }
}

/// Random erasing: a rectangle with 2 to 25 % of the image area (Zhong et al. 2020 use up to 40 %) and an aspect
/// ratio between 1:3 and 3:1, and its brightness; `None` if ten attempts gave none that fits.
fn rectangle(random: &mut Random, [rows, columns]: [usize; 2]) -> Option<([usize; 4], u8)> {
    let (height, width) = (rows as f64, columns as f64);
    for _ in 0..10 {
        let area = (0.02 + 0.23 * random.unit()) * height * width;
        let ratio = (3.0_f64.ln() * (2.0 * random.unit() - 1.0)).exp();
        let (h, w) = ((area * ratio).sqrt().round(), (area / ratio).sqrt().round());
        if h >= 1.0 && w >= 1.0 && h <= height && w <= width {
            let (h, w) = (h as usize, w as usize);
            let left = random.below(columns - w + 1);
            let top = random.below(rows - h + 1);
            return Some(([left, top, w, h], random.below(256) as u8));
        }
    }
    None
}
