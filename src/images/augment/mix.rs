//! Mixup and `CutMix`: each image of a batch is combined with the one before it, the first with the last.
//!
//! The loss is the mean of the losses for both labels, weighted by the shares of the images. By convention, the training
//! accuracy of such a step is not defined.

/// How the images of a batch are combined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mix {
    /// Mixup: `image · share + other · (1 − share)`.
    Blend(f32),
    /// `CutMix`: a rectangle of the other image.
    Cut {
        /// Its columns, from and to (exclusive).
        x: [usize; 2],
        /// Its rows, from and to (exclusive).
        y: [usize; 2],
        /// Width and height of the images.
        size: [usize; 2],
    },
}

impl Mix {
    /// The share of the image itself, 0 to 1.
    pub fn share(&self) -> f64 {
        match self {
            Self::Blend(share) => f64::from(*share),
            Self::Cut {
                x,
                y,
                size: [width, height],
            } => {
                let area = (x[1] - x[0]) * (y[1] - y[0]);
                1.0 - area as f64 / (width * height).max(1) as f64
            }
        }
    }
}
