//! Readers of packed arrays.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Take};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

/// A reader of a member of a ZIP file, whose checksum is verified at its end.
pub(super) fn reader<R: BufRead + Send + 'static>(
    packed: Take<R>,
    deflated: bool,
    crc: u32,
) -> Box<dyn Read + Send> {
    if deflated {
        let unpacked = Checked::new(DeflateDecoder::new(packed), crc);
        Box::new(BufReader::with_capacity(super::BUFFER, unpacked))
    } else {
        Box::new(Checked::new(packed, crc))
    }
}

/// A reader that compares a checksum at its end.
#[derive(Debug)]
struct Checked<R> {
    inner: R,
    crc: Crc,
    expected: u32,
}

impl<R> Checked<R> {
    /// Expects bytes with this CRC-32.
    fn new(inner: R, expected: u32) -> Self {
        Self {
            inner,
            crc: Crc::new(),
            expected,
        }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 && !buffer.is_empty() && self.crc.sum() != self.expected {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "damaged: its CRC-32 differs from the one in the ZIP file; download or write the file again",
            ));
        }
        self.crc.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// A reader of bytes that are written as the UTF-8 characters U+0000 to U+00FF.
#[derive(Debug)]
pub(in super::super) struct Latin1<R> {
    inner: R,
}

impl<R: BufRead> Latin1<R> {
    /// Reads from the first character on.
    pub(in super::super) fn new(inner: R) -> Self {
        Self { inner }
    }

    /// Fills `buffer` from the characters that are buffered, except a last one that is cut off; returns how many bytes were
    /// used and how many written.
    fn buffered(&mut self, buffer: &mut [u8]) -> io::Result<(usize, usize)> {
        let text = self.inner.fill_buf()?;
        let (mut used, mut written) = (0, 0);
        for target in buffer {
            match text.get(used..) {
                Some([first, ..]) if *first < 0x80 => {
                    *target = *first;
                    used += 1;
                }
                Some([first, second, ..]) => {
                    *target = character(*first, *second)?;
                    used += 2;
                }
                _ => break,
            }
            written += 1;
        }
        self.inner.consume(used);
        Ok((used, written))
    }
}

/// The byte of a character of two bytes.
fn character(first: u8, second: u8) -> io::Result<u8> {
    if matches!(first, 0xc2 | 0xc3) && second & 0xc0 == 0x80 {
        return Ok(first << 6 | second & 0x3f);
    }
    Err(io::Error::new(
        ErrorKind::InvalidData,
        "pixels that are not bytes",
    ))
}

impl<R: BufRead> Read for Latin1<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (used, written) = self.buffered(buffer)?;
        let [target, ..] = buffer else {
            return Ok(0);
        };
        if used > 0 {
            return Ok(written);
        }
        // At the end, or the next character lies across two buffers.
        let mut pair = [0; 2];
        let [first, second] = &mut pair;
        if self.inner.read(std::slice::from_mut(first))? == 0 {
            return Ok(0);
        }
        self.inner.read_exact(std::slice::from_mut(second))?;
        *target = character(*first, *second)?;
        Ok(1)
    }
}

/// Number of bytes in `length` bytes of such text.
///
/// # Errors
/// If the text has other characters, or cannot be read.
pub(in super::super) fn latin1_length(text: impl BufRead, length: u64) -> io::Result<u64> {
    io::copy(&mut Latin1::new(text.take(length)), &mut io::sink())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn all_bytes_are_read_from_text() {
        let text: String = (0..=255_u8).map(char::from).collect();
        let expected: Vec<u8> = (0..=255).collect();
        let mut bytes = Vec::new();
        Latin1::new(text.as_bytes())
            .read_to_end(&mut bytes)
            .unwrap();
        assert_eq!(bytes, expected);
        assert_eq!(
            latin1_length(text.as_bytes(), text.len() as u64).unwrap(),
            256
        );
        for damaged in ["\u{100}", "€"] {
            assert!(latin1_length(damaged.as_bytes(), 9).is_err());
        }
        assert!(latin1_length(&[0xc3_u8][..], 1).is_err());
        // Characters across two buffers of any size.
        for size in 1..9 {
            let mut bytes = Vec::new();
            let buffered = BufReader::with_capacity(size, text.as_bytes());
            Latin1::new(buffered).read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, expected);
        }
    }

    #[test]
    fn a_wrong_checksum_is_an_error_at_the_end() {
        let mut crc = Crc::new();
        crc.update(b"pixels");
        let read = |crc| {
            let mut bytes = Vec::new();
            Checked::new(&b"pixels"[..], crc).read_to_end(&mut bytes)
        };
        assert_eq!(read(crc.sum()).unwrap(), 6);
        assert!(
            read(crc.sum() ^ 1)
                .unwrap_err()
                .to_string()
                .contains("CRC-32")
        );
    }
}
