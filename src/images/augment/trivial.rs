//! `TrivialAugment` (Müller & Hutter 2021), the wide space, as torchvision's `TrivialAugmentWide`: one of fourteen operations
//! with one of 31 strengths.

use super::operation::Operation;
use crate::random::Random;

/// Strengths of each operation.
const STRENGTHS: usize = 31;

/// Draws one operation for an image of this height and width.
pub(super) fn draw(random: &mut Random, size: [usize; 2]) -> Operation {
    let kind = random.below(KINDS.len());
    let strength = random.below(STRENGTHS);
    let negative = random.unit() < 0.5;
    let of = KINDS
        .get(kind)
        .copied()
        .unwrap_or(|_, _, _| Operation::Identity);
    of(
        strength as f64 / (STRENGTHS - 1) as f64,
        if negative { -1.0 } else { 1.0 },
        size,
    )
}

/// From strength (0 to 1), sign and image size to an operation.
type Kind = fn(f64, f64, [usize; 2]) -> Operation;

const KINDS: [Kind; 14] = [
    |_, _, _| Operation::Identity,
    |strength, sign, _| Operation::shear(0.99 * strength * sign, 0.0),
    |strength, sign, _| Operation::shear(0.0, 0.99 * strength * sign),
    |strength, sign, _| Operation::shift((32.0 * strength * sign).trunc(), 0.0),
    |strength, sign, _| Operation::shift(0.0, (32.0 * strength * sign).trunc()),
    |strength, sign, size| Operation::rotate(135.0 * strength * sign, size),
    |strength, sign, _| Operation::Brightness((1.0 + 0.99 * strength * sign) as f32),
    |strength, sign, _| Operation::Saturation((1.0 + 0.99 * strength * sign) as f32),
    |strength, sign, _| Operation::Contrast((1.0 + 0.99 * strength * sign) as f32),
    |strength, sign, _| Operation::Sharpness((1.0 + 0.99 * strength * sign) as f32),
    |strength, _, _| Operation::Posterize(8 - (6.0 * strength).round_ties_even() as u32),
    |strength, _, _| Operation::Solarize(255.0 * (1.0 - strength)),
    |_, _, _| Operation::AutoContrast,
    |_, _, _| Operation::Equalize,
];
