//! What is counted of the images while they are packed.

use std::fmt;

use super::fit::{Loss, Target, loss};
use crate::config::Resize;

/// Properties of an image before conversion and resizing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Original {
    /// Width in pixels.
    pub(super) width: u32,
    /// Height in pixels.
    pub(super) height: u32,
    /// 1 for grey, 3 for colour.
    pub(super) channels: u32,
    /// Whether the file has an ICC profile.
    pub(super) has_icc: bool,
}

impl fmt::Display for Original {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            width,
            height,
            channels,
            has_icc,
        } = self;
        write!(f, "{width} {height} {channels} {}", u8::from(*has_icc))
    }
}

impl Original {
    /// Reads what `Display` has written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ').map(|word| word.parse::<u32>().ok());
        let mut next = || numbers.next().flatten();
        Some(Self {
            width: next()?,
            height: next()?,
            channels: next()?,
            has_icc: next()? == 1,
        })
    }

    fn area(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// Counts of what changes on the way to the network.
#[derive(Debug)]
pub(super) struct Tally {
    target: Target,
    images: usize,
    converted: usize,
    with_icc: usize,
    resized: usize,
    enlarged: usize,
    /// Of the images whose aspect ratio differs from that of the target: number, sum and largest value of what is lost.
    reshaped: usize,
    lost: f64,
    most_lost: f64,
    /// The smallest and the largest image.
    range: Option<[Original; 2]>,
}

impl Tally {
    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            images: 0,
            converted: 0,
            with_icc: 0,
            resized: 0,
            enlarged: 0,
            reshaped: 0,
            lost: 0.0,
            most_lost: 0.0,
            range: None,
        }
    }

    pub(super) fn add(&mut self, original: Original) {
        let Target {
            channels,
            height,
            width,
            ..
        } = self.target;
        self.images += 1;
        self.converted += usize::from(original.channels != channels);
        self.with_icc += usize::from(original.has_icc);
        self.resized += usize::from((original.width, original.height) != (width, height));
        self.enlarged += usize::from(original.width < width && original.height < height);
        let lost = match loss(original.width, original.height, self.target) {
            // Rounding to whole pixels is no loss.
            Some(Loss::Stretched(factor)) => Some(factor).filter(|factor| *factor > 1.02),
            Some(Loss::Cut(part) | Loss::Padded(part)) => Some(part).filter(|part| *part > 0.02),
            None => None,
        };
        if let Some(lost) = lost {
            self.reshaped += 1;
            self.lost += lost;
            self.most_lost = self.most_lost.max(lost);
        }
        let [least, most] = self.range.unwrap_or([original; 2]);
        self.range = Some([
            if original.area() < least.area() {
                original
            } else {
                least
            },
            if original.area() > most.area() {
                original
            } else {
                most
            },
        ]);
    }

    /// What was counted, one sentence each.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let Target {
            channels,
            height,
            width,
            resize,
        } = self.target;
        let Some([least, most]) = self.range else {
            return notes;
        };
        let all = self.images;
        if self.resized > 0 {
            let sizes = if least.area() == most.area() {
                format!("{}×{}", least.width, least.height)
            } else {
                format!(
                    "{}×{} to {}×{}",
                    least.width, least.height, most.width, most.height
                )
            };
            notes.push(format!(
                "{} of {all} images were resized from {sizes} to {width}×{height} pixels (width × height)",
                self.resized
            ));
        }
        if self.reshaped > 0 {
            let (count, mean) = (self.reshaped, self.lost / self.reshaped as f64);
            notes.push(match resize {
                Resize::Squash => format!(
                    "the aspect ratio of {count} of {all} images was changed, by a factor of {mean:.2} on average and at most \
                     {:.2} (data.resize = \"squash\")",
                    self.most_lost
                ),
                Resize::Crop => format!(
                    "{:.0} % of {count} of {all} images was cut off on average, at most {:.0} % (data.resize = \"crop\")",
                    mean * 100.0,
                    self.most_lost * 100.0
                ),
                Resize::Pad => format!(
                    "{count} of {all} images were padded: {:.0} % of the pixels on average, at most {:.0} % (data.resize = \
                     \"pad\")",
                    mean * 100.0,
                    self.most_lost * 100.0
                ),
            });
        }
        if self.enlarged > 0 {
            notes.push(format!(
                "{} of {all} images are smaller than {width}×{height} and were enlarged",
                self.enlarged
            ));
        }
        if self.converted > 0 {
            let [from, to] = if channels == 1 {
                ["colour", "grey"]
            } else {
                ["grey", "colour"]
            };
            notes.push(format!(
                "{} of {all} images are {from} and were converted to {to}",
                self.converted
            ));
        }
        if self.with_icc > 0 {
            notes.push(format!(
                "{} of {all} images have an ICC colour profile, which is ignored",
                self.with_icc
            ));
        }
        notes
    }
}
