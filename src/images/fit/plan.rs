//! Sizes and offsets of a resize.

use super::Target;
use crate::config::Resize;

/// Which part of an image is resized to which size, and where it is placed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    /// The part of the source: left, top, width and height in pixels.
    pub(super) region: (f64, f64, f64, f64),
    /// Width and height to which the region is resized.
    pub(super) resized: (u32, u32),
    /// Columns and rows of the resized region that are not used, at its left and upper side.
    pub(super) skip: (u32, u32),
    /// Column and row of the result at which the rest is placed.
    pub(super) place: (u32, u32),
}

/// What the resize of an image loses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// This fraction of the image is cut off, 0 to 1.
    Cut(f64),
    /// One direction is stretched by this factor, above 1, in relation to the other.
    Stretched(f64),
    /// This fraction of the result is padding, 0 to 1.
    Padded(f64),
}

impl Plan {
    pub(super) fn new((width, height): (u32, u32), target: Target) -> Self {
        let whole = Self {
            region: (0.0, 0.0, f64::from(width), f64::from(height)),
            resized: (target.width, target.height),
            skip: (0, 0),
            place: (0, 0),
        };
        match target.resize {
            Resize::Squash => whole,
            Resize::Crop => {
                let (across, down) = covering((width, height), target);
                let x = Window::new(width, across, target.width);
                let y = Window::new(height, down, target.height);
                Self {
                    region: (x.from, y.from, x.length, y.length),
                    resized: (x.resized, y.resized),
                    skip: (x.skip, y.skip),
                    ..whole
                }
            }
            Resize::Pad => {
                let (across, down) = inside((width, height), target);
                Self {
                    resized: (across, down),
                    place: ((target.width - across) / 2, (target.height - down) / 2),
                    ..whole
                }
            }
        }
    }

    /// Whether the source itself is the resized region.
    pub(super) fn is_identity(&self, (width, height): (u32, u32)) -> bool {
        self.region == (0.0, 0.0, f64::from(width), f64::from(height))
            && self.resized == (width, height)
    }
}

/// The window of a centre crop along one side.
///
/// The image need not be resized as a whole, which would be gigabytes for an image of 20,000×1 pixels: the window and a
/// margin suffice. The margin is as wide as the filter, so that the pixels of the window are those of the whole image.
struct Window {
    from: f64,
    length: f64,
    resized: u32,
    skip: u32,
}

impl Window {
    /// Of a side of `source` pixels, resized to `whole`, the middle `target` pixels.
    fn new(source: u32, whole: u32, target: u32) -> Self {
        let offset = centred(whole - target.min(whole));
        // The bilinear filter extends over one pixel of the coarser image.
        let margin = whole.div_ceil(source.max(1)) + 1;
        let first = offset.saturating_sub(margin);
        let last = (offset + target + margin).min(whole);
        let scale = f64::from(source) / f64::from(whole.max(1));
        let from = f64::from(first) * scale;
        Self {
            from,
            length: (f64::from(last - first) * scale).min(f64::from(source) - from),
            resized: last - first,
            skip: offset - first,
        }
    }
}

/// The offset of torchvision's `CenterCrop`: half, where a half pixel is rounded to the even number.
fn centred(rest: u32) -> u32 {
    let half = rest / 2;
    if rest % 2 == 1 && half % 2 == 1 {
        half + 1
    } else {
        half
    }
}

/// The size to which `Crop` resizes: one side is that of the target, and the other, in the same ratio, at least as long. For
/// square targets it is that of torchvision's `Resize`, which sets the shorter side and truncates the longer one.
fn covering((width, height): (u32, u32), target: Target) -> (u32, u32) {
    let scaled = |side: u32, by: u32, from: u32| {
        (u64::from(side) * u64::from(by) / u64::from(from.max(1))) as u32
    };
    let down = scaled(target.width, height, width);
    if down >= target.height {
        (target.width, down)
    } else {
        let across = scaled(target.height, width, height);
        (across.max(target.width), target.height)
    }
}

/// The size to which `Pad` resizes: one side is that of the target, and the other, in the same ratio, at most as long.
fn inside((width, height): (u32, u32), target: Target) -> (u32, u32) {
    let scale = |target: u32, side: u32| f64::from(target) / f64::from(side.max(1));
    let scale = scale(target.width, width).min(scale(target.height, height));
    let side = |side: u32, most: u32| {
        ((f64::from(side) * scale).round_ties_even() as u32).clamp(1, most.max(1))
    };
    (side(width, target.width), side(height, target.height))
}

/// What the resize of an image of this size loses; `None` if nothing.
pub fn loss(width: u32, height: u32, target: Target) -> Option<Loss> {
    match target.resize {
        Resize::Squash => {
            let ratio =
                |width: u32, height: u32| f64::from(width.max(1)) / f64::from(height.max(1));
            let factor = ratio(width, height) / ratio(target.width, target.height);
            let factor = factor.max(1.0 / factor);
            (factor > 1.0).then_some(Loss::Stretched(factor))
        }
        Resize::Crop => {
            let area = |width: u32, height: u32| f64::from(width) * f64::from(height);
            let (across, down) = covering((width, height), target);
            let left = area(target.width, target.height) / area(across.max(1), down.max(1));
            (left < 1.0).then_some(Loss::Cut(1.0 - left))
        }
        Resize::Pad => {
            let (across, down) = inside((width, height), target);
            let used = f64::from(across) * f64::from(down);
            let padded = 1.0 - used / (f64::from(target.width) * f64::from(target.height)).max(1.0);
            (padded > 0.0).then_some(Loss::Padded(padded))
        }
    }
}
