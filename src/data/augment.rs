//! Light variation of training images, on the device. 28×28 has no room for more: a crop over 4 pixels cuts garments.

use tch::{Kind, Tensor};

use crate::config::AugmentConfig;

/// What is done to each training image, drawn anew for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Augment {
    flip: bool,
    shift: i64,
}

impl Augment {
    /// As configured.
    pub fn new(config: &AugmentConfig) -> Self {
        Self {
            flip: config.flip,
            shift: i64::from(config.shift),
        }
    }

    /// Varies a batch of `u8` images (N, C, H, W) with the device's random stream, which the step has seeded.
    pub fn apply(&self, images: Tensor) -> Tensor {
        let flipped = if self.flip { flip(&images) } else { images };
        if self.shift > 0 {
            shift(&flipped, self.shift)
        } else {
            flipped
        }
    }
}

/// Mirrors half of the images left to right.
fn flip(images: &Tensor) -> Tensor {
    let n = images.size().first().copied().unwrap_or(0);
    let chosen = Tensor::rand([n, 1, 1, 1], (Kind::Float, images.device())).lt(0.5);
    images.flip([3]).where_self(&chosen, images)
}

/// Shifts each image by up to `by` pixels each way; what comes in from the border is black.
fn shift(images: &Tensor, by: i64) -> Tensor {
    let &[n, c, h, w] = images.size().as_slice() else {
        return images.shallow_clone();
    };
    let options = (Kind::Int64, images.device());
    let padded = images.constant_pad_nd([by, by, by, by]);
    let offset = || Tensor::randint_low(0, 2 * by + 1, [n, 1], options);
    let rows = offset() + Tensor::arange(h, options).unsqueeze(0);
    let columns = offset() + Tensor::arange(w, options).unsqueeze(0);
    let row_index = rows.view([n, 1, h, 1]).expand([n, c, h, w + 2 * by], false);
    let column_index = columns.view([n, 1, 1, w]).expand([n, c, h, w], false);
    padded
        .gather(2, &row_index, false)
        .gather(3, &column_index, false)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    fn batch(n: i64) -> Tensor {
        Tensor::arange(n * 12, (Kind::Uint8, tch::Device::Cpu)).view([n, 1, 3, 4]) + 1
    }

    fn pixels(t: &Tensor) -> Vec<u8> {
        t.contiguous().view([-1]).try_into().unwrap()
    }

    #[test]
    fn each_image_is_whole_or_mirrored() {
        tch::manual_seed(3);
        let images = batch(16);
        let out = flip(&images);
        let mirrored = (0..16)
            .filter(|&i| {
                let (image, got) = (images.get(i), out.get(i));
                assert!(got.equal(&image) || got.equal(&image.flip([2])));
                !got.equal(&image)
            })
            .count();
        assert!((2..=14).contains(&mirrored), "{mirrored} of 16 mirrored");
    }

    #[test]
    fn a_shift_moves_by_at_most_that_and_fills_with_black() {
        tch::manual_seed(5);
        let images = batch(32);
        let out = shift(&images, 1);
        assert_eq!(out.size(), images.size());
        for i in 0..32 {
            let (image, got) = (pixels(&images.get(i)), pixels(&out.get(i)));
            let moved = (-1..=1)
                .flat_map(|dy| (-1..=1).map(move |dx| (dy, dx)))
                .any(|(dy, dx)| {
                    (0..3_i32).all(|y| {
                        (0..4_i32).all(|x| {
                            let (sy, sx) = (y + dy, x + dx);
                            let inside = (0..3).contains(&sy) && (0..4).contains(&sx);
                            let expected = if inside {
                                image[(sy * 4 + sx) as usize]
                            } else {
                                0
                            };
                            got[(y * 4 + x) as usize] == expected
                        })
                    })
                });
            assert!(moved, "image {i} is no shift of its source: {got:?}");
        }
    }
}
