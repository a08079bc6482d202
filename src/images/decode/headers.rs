//! The headers of all formats: size, channels, orientation and ICC profile without decoding pixels.
//!
//! Each function gets the first bytes of a file and returns `None` if the header is longer than they are.

use super::format::Format;
use super::reader::Reader;
use super::{Info, jpeg, turn};

pub(super) fn read(format: Format, bytes: &[u8]) -> Result<Option<Info>, String> {
    match format {
        Format::Jpeg => Ok(jpeg::layout(bytes)?.map(|layout| layout.info())),
        Format::Png => png(bytes),
        Format::WebP => webp(bytes),
        Format::Bmp => Ok(bmp(bytes)),
        Format::Gif => Ok(gif(bytes)),
        Format::Tiff => tiff(bytes),
    }
}

/// The header without orientation and ICC profile, which most files lack.
fn plain(format: Format, width: u32, height: u32, is_grey: bool) -> Info {
    Info {
        format,
        size: (width, height),
        channels: if is_grey { 1 } else { 3 },
        orientation: 1,
        has_icc: false,
    }
}

/// Whether all entries of a palette are grey. Each is `size` bytes, of which the first three are the colours.
fn is_grey(palette: &[u8], size: usize) -> bool {
    let mut entries = palette.chunks_exact(size);
    entries.all(|entry| matches!(entry, [a, b, c, ..] if a == b && b == c))
}

fn png(bytes: &[u8]) -> Result<Option<Info>, String> {
    let file = Reader::big(bytes);
    let (Some(width), Some(height), Some(colour)) = (file.u32(16), file.u32(20), file.u8(25))
    else {
        return Ok(None);
    };
    if !file.has(8, b"\0\0\0\x0dIHDR") {
        return Err("cannot be read: the file has a PNG signature, but no PNG header".to_owned());
    }
    let mut info = plain(Format::Png, width, height, matches!(colour, 0 | 4));
    let mut has_pixels = false;
    let mut at = 8;
    while let (Some(length), Some(kind)) = (file.u32(at), file.slice(at + 4, 4)) {
        let data = file.slice(at + 8, length as usize);
        match (kind, data) {
            (b"IEND", _) => break,
            (b"IDAT", _) => has_pixels = true,
            (b"PLTE", Some(data)) if colour == 3 && is_grey(data, 3) => info.channels = 1,
            (b"eXIf", Some(data)) => info.orientation = turn::orientation(data),
            (b"iCCP", _) => info.has_icc = true,
            _ => {}
        }
        let Some(next) = (at + 12).checked_add(length as usize) else {
            break;
        };
        at = next;
    }
    Ok(has_pixels.then_some(info))
}

fn webp(bytes: &[u8]) -> Result<Option<Info>, String> {
    let file = Reader::little(bytes);
    let Some(kind) = file.slice(12, 4) else {
        return Ok(None);
    };
    let info = |width, height| plain(Format::WebP, width, height, false);
    let frame = match kind {
        // The frame tag has 3 bytes, its start code 3; two bits of each side are a scale.
        b"VP8 " => file
            .u16(26)
            .zip(file.u16(28))
            .map(|(width, height)| info(u32::from(width & 0x3fff), u32::from(height & 0x3fff))),
        // After a signature byte, 14 bits for each side less one.
        b"VP8L" => file
            .u32(21)
            .map(|bits| info((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1)),
        b"VP8X" => match (file.u8(20), file.u24(24), file.u24(27)) {
            (Some(flags), Some(width), Some(height)) => {
                let (has_exif, has_icc) = (flags & 0x08 != 0, flags & 0x20 != 0);
                let orientation = if has_exif {
                    webp_orientation(file)
                } else {
                    Some(1)
                };
                orientation.map(|orientation| Info {
                    orientation,
                    has_icc,
                    ..info(width + 1, height + 1)
                })
            }
            _ => None,
        },
        _ => return Err("cannot be read: a WebP file without an image".to_owned()),
    };
    Ok(frame)
}

/// The orientation in the EXIF chunk, which comes after the pixels.
fn webp_orientation(file: Reader<'_>) -> Option<u8> {
    let mut at = 12;
    loop {
        let (kind, length) = (file.slice(at, 4)?, file.u32(at + 4)? as usize);
        if kind == b"EXIF" {
            return file.slice(at + 8, length).map(turn::orientation);
        }
        at = (at + 8).checked_add(length)?.checked_add(length % 2)?;
    }
}

fn bmp(bytes: &[u8]) -> Option<Info> {
    let file = Reader::little(bytes);
    let length = file.u32(14)?;
    // OS/2 files have 16-bit sides and palette entries of three bytes.
    let is_old = length == 12;
    let (width, height, bits) = if is_old {
        (file.u16(18)?.into(), file.u16(20)?.into(), file.u16(24)?)
    } else {
        // A negative height: the first row is the upper one.
        let size = |at| file.u32(at).map(|size| size.cast_signed().unsigned_abs());
        (size(18)?, size(22)?, file.u16(28)?)
    };
    if !matches!(bits, 1..=8) {
        return Some(plain(Format::Bmp, width, height, false));
    }
    let most = 1 << bits;
    let used = match file.u32(46) {
        Some(used @ 1..) if !is_old => (used as usize).min(most),
        _ => most,
    };
    let entry = if is_old { 3 } else { 4 };
    let palette = file.slice(14 + length as usize, used * entry)?;
    Some(plain(Format::Bmp, width, height, is_grey(palette, entry)))
}

fn gif(bytes: &[u8]) -> Option<Info> {
    let file = Reader::little(bytes);
    let (width, height) = (file.u16(6)?, file.u16(8)?);
    let table = |flags: u8, at: usize| -> Option<(&[u8], usize)> {
        if flags & 0x80 == 0 {
            return Some((&[], at));
        }
        let length = 3 << ((flags & 7) + 1);
        Some((file.slice(at, length)?, at + length))
    };
    let (global, mut at) = table(file.u8(10)?, 13)?;
    loop {
        match file.u8(at)? {
            // An extension: label, then blocks with their lengths up to an empty one.
            0x21 => {
                at += 2;
                while let length @ 1.. = usize::from(file.u8(at)?) {
                    at += 1 + length;
                }
                at += 1;
            }
            0x2c => {
                let (local, _) = table(file.u8(at + 9)?, at + 10)?;
                let palette = if local.is_empty() { global } else { local };
                let (width, height) = (u32::from(width), u32::from(height));
                return Some(plain(Format::Gif, width, height, is_grey(palette, 3)));
            }
            _ => return None,
        }
    }
}

fn tiff(bytes: &[u8]) -> Result<Option<Info>, String> {
    const WIDTH: u16 = 256;
    const HEIGHT: u16 = 257;
    const PHOTOMETRIC: u16 = 262;
    const ORIENTATION: u16 = 274;
    const ICC: u16 = 34_675;
    let file = Reader {
        bytes,
        little: bytes.starts_with(b"II"),
    };
    let (mut size, mut photometric) = ((None, None), None);
    let (mut orientation, mut has_icc) = (1, false);
    let Some(start) = file.u32(4).map(|start| start as usize) else {
        return Ok(None);
    };
    let Some(entries) = file.u16(start) else {
        return Ok(None);
    };
    for entry in 0..usize::from(entries) {
        let at = start + 2 + entry * 12;
        let (Some(tag), Some(kind), Some(long)) =
            (file.u16(at), file.u16(at + 2), file.u32(at + 8))
        else {
            return Ok(None);
        };
        // Type 3 is a 16-bit number.
        let value = match kind {
            3 => file.u16(at + 8).map(u32::from),
            _ => Some(long),
        };
        match tag {
            WIDTH => size.0 = value,
            HEIGHT => size.1 = value,
            PHOTOMETRIC => photometric = value,
            ORIENTATION => orientation = value.unwrap_or(1).clamp(1, 8) as u8,
            ICC => has_icc = true,
            _ => {}
        }
    }
    let (Some(width), Some(height)) = size else {
        return Err("cannot be read: a TIFF file without an image".to_owned());
    };
    if photometric == Some(3) {
        return Err("unsupported TIFF file with a palette; expected grey, RGB or CMYK".to_owned());
    }
    let is_grey = matches!(photometric, Some(0 | 1));
    Ok(Some(Info {
        orientation,
        has_icc,
        ..plain(Format::Tiff, width, height, is_grey)
    }))
}
