//! Files that Python libraries wrote (`scripts/fixtures/sources.py`), and the images in them.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::super::{Bitmap, Item, Listing};

/// The bytes of a file.
pub(in super::super) fn fixture(name: &str) -> Vec<u8> {
    static FILES: OnceLock<HashMap<String, String>> = OnceLock::new();
    let text = include_str!("../../../../tests/fixtures/sources.json");
    let files = FILES.get_or_init(|| serde_json::from_str(text).unwrap());
    let file = files.get(name).ok_or(name).unwrap();
    let packed = STANDARD.decode(file).unwrap();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice())
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

/// Writes files of the fixtures into a directory, under these names.
pub(in super::super) fn put(dir: &Path, files: &[(&str, &str)]) {
    for (name, fixture_name) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, fixture(fixture_name)).unwrap();
    }
}

/// A directory with files of the fixtures.
pub(in super::super) fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), files);
    dir
}

/// The image with this number.
pub(in super::super) fn image(number: u32, (channels, height, width): (u32, u32, u32)) -> Item {
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for c in 0..channels {
                pixels.push((37 * number + 85 * c + 7 * y + 3 * x) as u8);
            }
        }
    }
    Item::Pixels(Bitmap {
        width,
        height,
        channels,
        pixels,
    })
}

/// The images with these numbers.
pub(in super::super) fn images(numbers: &[u32], shape: (u32, u32, u32)) -> Vec<Item> {
    numbers.iter().map(|number| image(*number, shape)).collect()
}

/// All images of a listing from number `start` on.
pub(in super::super) fn streamed(listing: &Listing, start: usize) -> Vec<Item> {
    let stream = listing.items.stream(start).unwrap();
    stream.map(Result::unwrap).collect()
}
