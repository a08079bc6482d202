//! The images of the gallery and their predictions.

use serde::{Deserialize, Serialize};

use super::{F32, F64, Pixels};

/// The fixed test images of the gallery, reduced if they are large. Sent once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GalleryImages {
    /// Image height as stored, pixels.
    pub height: u32,
    /// Image width as stored, pixels.
    pub width: u32,
    /// True labels, one per image.
    pub labels: Vec<u32>,
    /// Brightness values, shape `[images, channels, height, width]`: with one channel or three, red, green and blue. Earlier
    /// versions averaged the channels.
    pub pixels: Pixels,
}

impl GalleryImages {
    /// The pixels of an image, shape `[channels, height, width]`.
    pub fn image(&self, index: usize) -> Option<&[u8]> {
        let area = (self.height as usize).checked_mul(self.width as usize)?;
        let (all, images) = (self.pixels.0.len(), self.labels.len());
        let is_colour = all / 3 >= area.checked_mul(images)?;
        let size = if is_colour { 3 * area } else { area };
        let from = size.checked_mul(index).filter(|_| index < images)?;
        self.pixels.0.get(from..from.checked_add(size)?)
    }
}

/// The predictions for the gallery images.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GalleryPredictions {
    /// Epoch of the weights.
    pub epoch: u32,
    /// Training step of the weights.
    pub global_step: u64,
    /// The temperature with which the probabilities below are calibrated.
    pub temperature: F64,
    /// For each image its most probable classes as (label, probability), most probable first.
    pub top: Vec<Vec<(u32, F32)>>,
}
