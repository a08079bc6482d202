//! Augmented images for display.

use super::Augment;
use super::geometry::{self, Scale};
use super::mix::Mix;
use super::photo::Photographer;

impl Augment {
    /// The image of number `image` in the batch `words`, from its stored bytes: as in training, before the normalization and
    /// without mixup and `CutMix`. Bytes in the order (channel, row, column).
    pub fn preview(&self, words: &[u64], image: usize, stored: &[u8]) -> Vec<u8> {
        let [channels, height, width] = self.shape;
        let mut bytes = Vec::new();
        self.photograph((words, image), stored, &mut Photographer::new(), &mut bytes);
        let draws = self.draws(words, image + 1);
        let mut levels = vec![0.0; bytes.len()];
        let unscaled = Scale(vec![[1.0, 0.0]; channels]);
        let draw = draws.last().copied().unwrap_or_default();
        geometry::apply(&bytes, (self.shape, &unscaled), &draw, &mut levels);
        let level = |at: usize| levels.get(at).map_or(0, |level| level.round() as u8);
        let area = height * width;
        let planes =
            (0..channels).flat_map(|channel| (0..area).map(move |at| at * channels + channel));
        planes.map(level).collect()
    }

    /// Two previews of the batch `words`, combined as mixup or `CutMix` combine the first with the second.
    pub fn mixed_preview(&self, words: &[u64], image: Vec<u8>, other: &[u8]) -> Vec<u8> {
        match self.mix(words) {
            None => image,
            Some(Mix::Blend(share)) => {
                let blend = |(a, b): (&u8, &u8)| {
                    (f32::from(*a) * share + f32::from(*b) * (1.0 - share)).round() as u8
                };
                image.iter().zip(other).map(blend).collect()
            }
            Some(Mix::Cut {
                x,
                y,
                size: [width, height],
            }) => {
                let is_cut = |at: usize| {
                    let (column, row) = (at % width, at / width % height);
                    (x[0]..x[1]).contains(&column) && (y[0]..y[1]).contains(&row)
                };
                let pairs = image.iter().zip(other).enumerate();
                pairs
                    .map(|(at, (a, b))| if is_cut(at) { *b } else { *a })
                    .collect()
            }
        }
    }
}
