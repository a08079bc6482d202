//! Numbers at offsets of a file, in either byte order.

/// The bytes of a file, or its first bytes. An offset behind the end gives `None`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) little: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn big(bytes: &'a [u8]) -> Self {
        let little = false;
        Self { bytes, little }
    }

    pub(super) fn little(bytes: &'a [u8]) -> Self {
        let little = true;
        Self { bytes, little }
    }

    pub(super) fn u8(self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    pub(super) fn u16(self, at: usize) -> Option<u16> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    }

    pub(super) fn u32(self, at: usize) -> Option<u32> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }

    /// Three bytes.
    pub(super) fn u24(self, at: usize) -> Option<u32> {
        let [a, b, c] = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.little {
            u32::from_le_bytes([a, b, c, 0])
        } else {
            u32::from_be_bytes([0, a, b, c])
        })
    }

    pub(super) fn slice(self, at: usize, length: usize) -> Option<&'a [u8]> {
        self.bytes.get(at..at.checked_add(length)?)
    }

    pub(super) fn has(self, at: usize, tag: &[u8]) -> bool {
        self.slice(at, tag.len()) == Some(tag)
    }
}
