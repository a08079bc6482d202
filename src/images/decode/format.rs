//! Recognition of a file's format from its content.

use super::reader::Reader;

/// A format that can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    WebP,
    Bmp,
    Gif,
    Tiff,
}

pub(super) const EXPECTED: &str = "expected JPEG, PNG, WebP, BMP, GIF or TIFF";

/// First bytes of the supported formats.
const SUPPORTED: &[(&[u8], Format)] = &[
    (b"\xff\xd8\xff", Format::Jpeg),
    (b"\x89PNG\r\n\x1a\n", Format::Png),
    (b"GIF87a", Format::Gif),
    (b"GIF89a", Format::Gif),
    (b"II*\0", Format::Tiff),
    (b"MM\0*", Format::Tiff),
];

/// First bytes of other image formats.
const OTHER_IMAGES: &[(&[u8], &str)] = &[
    (b"II+\0", "BigTIFF"),
    (b"MM\0+", "BigTIFF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "PSD"),
    (b"\0\0\x01\0", "ICO"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
    (b"\x8aMNG\r\n\x1a\n", "MNG"),
    (b"gimp xcf", "XCF"),
    (b"farbfeld", "farbfeld"),
    (b"SIMPLE  =", "FITS"),
];

/// First bytes of files that are no images.
const NO_IMAGES: &[(&[u8], &str)] = &[
    (b"%PDF", "is a PDF document"),
    (b"PK\x03\x04", "is a ZIP archive"),
    (b"PK\x05\x06", "is a ZIP archive"),
    (b"\x1f\x8b", "is compressed with gzip"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive"),
    (b"Rar!\x1a\x07", "is a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "is compressed with Zstandard"),
    (b"BZh", "is compressed with bzip2"),
    (b"\xfd7zXZ\0", "is compressed with xz"),
    (b"\x93NUMPY", "is a NumPy array"),
    (b"PAR1", "is a Parquet file"),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
    (b"\x1a\x45\xdf\xa3", "is a video"),
    (b"\x7fELF", "is a program"),
    // Finder's "AppleDouble" companions are named ._photo.jpg.
    (b"\0\x05\x16\x07", "is a macOS resource file"),
    (
        b"version https://git-lfs",
        "is a Git LFS pointer instead of the image (run \"git lfs pull\")",
    ),
];

/// The format of a file, from its first bytes.
///
/// # Errors
/// What the file is instead, and what was expected.
pub(super) fn recognise(bytes: &[u8]) -> Result<Format, String> {
    if bytes.is_empty() {
        return Err("is empty; expected an image".to_owned());
    }
    if let Some((_, format)) = SUPPORTED.iter().find(|(first, _)| bytes.starts_with(first)) {
        return Ok(*format);
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Ok(Format::WebP);
    }
    if is_bmp(bytes) {
        return Ok(Format::Bmp);
    }
    let unsupported = |name: &str| Err(format!("unsupported format {name}; {EXPECTED}"));
    if let Some((_, name)) = OTHER_IMAGES
        .iter()
        .find(|(first, _)| bytes.starts_with(first))
    {
        return unsupported(name);
    }
    if let [b'P', b'1'..=b'7', b' ' | b'\n' | b'\r' | b'\t' | b'#', ..] = bytes {
        return unsupported("PNM");
    }
    if bytes.get(128..132) == Some(b"DICM") {
        return unsupported("DICOM");
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        return match media(bytes) {
            Some(name) => unsupported(name),
            None => Err(format!("is a video; {EXPECTED}")),
        };
    }
    if let Some((_, what)) = NO_IMAGES.iter().find(|(first, _)| bytes.starts_with(first)) {
        return Err(format!("{what}; {EXPECTED}"));
    }
    Err(format!("{}; {EXPECTED}", described(bytes)))
}

/// BMP has only two letters, so the size of its second header must be one that exists.
fn is_bmp(bytes: &[u8]) -> bool {
    let sizes = [12, 16, 40, 52, 56, 64, 108, 124];
    bytes.starts_with(b"BM")
        && Reader::little(bytes)
            .u32(14)
            .is_some_and(|size| sizes.contains(&size))
}

/// The image format of an ISO media file, by its major and compatible brands. `None`: a video.
fn media(bytes: &[u8]) -> Option<&'static str> {
    let length = Reader::big(bytes).u32(0).unwrap_or(0).clamp(16, 256) as usize;
    let brands = bytes.get(8..length.min(bytes.len())).unwrap_or_default();
    let has = |names: &[&[u8; 4]]| {
        let mut brands = brands.chunks_exact(4);
        brands.any(|brand| names.iter().any(|name| brand == name.as_slice()))
    };
    if has(&[b"avif", b"avis"]) {
        Some("AVIF")
    } else if has(&[
        b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1",
    ]) {
        Some("HEIC")
    } else if has(&[b"crx "]) {
        Some("CR3")
    } else {
        None
    }
}

/// A file of no known format.
fn described(bytes: &[u8]) -> &'static str {
    let start = bytes.get(..bytes.len().min(512)).unwrap_or_default();
    if start.iter().all(|&byte| byte == 0) {
        return "starts with zero bytes only, as after an incomplete copy";
    }
    // The cut may have divided a character.
    let text = match std::str::from_utf8(start) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => start
            .get(..error.valid_up_to())
            .and_then(|start| std::str::from_utf8(start).ok()),
        Err(_) => None,
    };
    let is_control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}');
    let Some(text) = text.filter(|text| !text.chars().any(is_control)) else {
        return "is not an image of a known format";
    };
    let text = text
        .trim_start_matches('\u{feff}')
        .trim_start()
        .to_ascii_lowercase();
    if text.starts_with("<!doctype html") || text.starts_with("<html") {
        "is an HTML page, as servers send instead of a missing image"
    } else if text.contains("<svg") {
        "is an SVG drawing"
    } else if text.starts_with("<?xml") {
        "is an XML file"
    } else {
        "is a text file"
    }
}
