//! A decoded image.

/// A decoded image of 8 bits per channel: grey (one channel) or RGB (three).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bitmap {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Number of channels: 1 or 3.
    pub channels: u32,
    /// Brightness 0–255 in the order (row, column, channel); `width * height * channels` bytes.
    pub pixels: Vec<u8>,
}
