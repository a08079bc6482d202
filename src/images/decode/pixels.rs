//! Conversion of samples: 16 bits, alpha and grey.

use super::super::Bitmap;

/// A 16-bit sample scaled to 8 bits and rounded.
pub(super) fn to_8_bits(sample: u16) -> u8 {
    // 65535 / 255 = 257.
    ((u32::from(sample) + 128) / 257) as u8
}

/// A sample composited onto white, rounded.
fn on_white(sample: u8, alpha: u8) -> u8 {
    let (sample, alpha) = (u32::from(sample), u32::from(alpha));
    ((sample * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// Samples with alpha as the last of `channels` channels, composited onto white: the ground on which image viewers and
/// web pages show them. The result has one channel less.
pub(super) fn flattened(samples: &[u8], channels: usize) -> Vec<u8> {
    let mut flat = Vec::with_capacity(samples.len() / channels.max(1) * channels.saturating_sub(1));
    for pixel in samples.chunks_exact(channels.max(1)) {
        if let Some((&alpha, colours)) = pixel.split_last() {
            flat.extend(colours.iter().map(|&sample| on_white(sample, alpha)));
        }
    }
    flat
}

/// An image of 1 to 4 channels (grey, grey and alpha, RGB, RGBA) of 8 bits.
pub(super) fn bitmap((width, height): (u32, u32), channels: usize, samples: Vec<u8>) -> Bitmap {
    let has_alpha = channels.is_multiple_of(2);
    Bitmap {
        width,
        height,
        channels: if channels <= 2 { 1 } else { 3 },
        pixels: if has_alpha {
            flattened(&samples, channels)
        } else {
            samples
        },
    }
}

/// The image with the number of channels of its header. RGB becomes grey only where all colours are grey.
pub(super) fn with_channels(bitmap: Bitmap, channels: u32) -> Bitmap {
    let pixels = match (bitmap.channels, channels) {
        (3, 1) => bitmap.pixels.iter().step_by(3).copied().collect(),
        (1, 3) => bitmap.pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
        _ => return bitmap,
    };
    Bitmap {
        channels,
        pixels,
        ..bitmap
    }
}

/// RGB from CMYK (0: no ink), with the rounding of Pillow.
pub(super) fn rgb_of_cmyk([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    let paper = 255 - u32::from(k);
    let ink = |ink: u8| {
        let product = u32::from(ink) * paper + 128;
        (paper.saturating_sub(((product >> 8) + product) >> 8)) as u8
    };
    [ink(c), ink(m), ink(y)]
}
