//! Lines in bounded memory.

use std::io::{self, BufRead, Read};

/// Bytes after which the rest of a line that is too long is not skipped any more: the file is not one of lines.
const ENDLESS_LINE: u64 = 256 << 20;

/// Reads a line with its line break into `line`. Of a line of more than `longest` bytes only the beginning is read,
/// without line break, and the rest is skipped. Returns how many bytes the line has; 0 at the end of the file.
///
/// # Errors
/// `InvalidData` if the line does not end within 256 MiB, as in a sparse file without content; or an I/O error.
pub fn read_line(from: &mut impl BufRead, longest: u64, line: &mut Vec<u8>) -> io::Result<u64> {
    line.clear();
    let mut bytes = from.by_ref().take(longest).read_until(b'\n', line)? as u64;
    if bytes == longest && !line.ends_with(b"\n") {
        bytes += from.by_ref().take(ENDLESS_LINE).skip_until(b'\n')? as u64;
    }
    if bytes >= ENDLESS_LINE {
        let what = format!("a line of more than {ENDLESS_LINE} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(bytes)
}
