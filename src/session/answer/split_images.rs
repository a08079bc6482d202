//! The pixels of the test-set images, read from the packed images or the data directory recorded in `run.json`.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use super::super::rundir::RunDir;
use crate::config::Config;
use crate::event::{GalleryImages, Pixels};
use crate::images::{self, DataError, Pack, reduced, reduced_size};
use crate::limits::REPLY_SIDE;
use crate::link::ImageRow;

/// Maximum number of bytes of pixels in memory; images beyond it have no pixels. 10,000 images of 28×28 pixels take
/// 8 MB.
const MAX_PIXEL_BYTES: usize = 256 << 20;

/// The test-set images, one byte per channel of a pixel. Large images are reduced.
#[derive(Debug, Default)]
pub(super) struct SplitImages {
    /// Where the images are, and the stamp of that place, whether or not they could be read.
    place: Option<(PathBuf, Option<u64>)>,
    source: Source,
}

/// Where the pixels come from.
#[derive(Debug, Default)]
enum Source {
    #[default]
    None,
    /// Packed images, read one at a time.
    Packed(Box<Pack>),
    /// All images in memory.
    Memory(RawImages),
}

/// Images of the same size, one after another.
#[derive(Debug, Default)]
struct RawImages {
    /// Height and width.
    size: (u32, u32),
    pixels: Vec<u8>,
    /// Bytes of an image.
    bytes: usize,
}

impl SplitImages {
    /// Finds the images if that has not been done, or reads them again if they have changed.
    pub(super) fn renew(&mut self, run: &RunDir) {
        let Some(meta) = run.meta() else { return };
        if let Some(path) = meta.packed_images {
            // Packed images never change.
            if self.place.as_ref().is_none_or(|(known, _)| *known != path)
                && let Ok(pack) = Pack::open(&path)
            {
                self.source = Source::Packed(Box::new(pack));
                self.place = Some((path, None));
            }
            return;
        }
        let Some(dir) = meta.data_dir else { return };
        let found = Some((dir.clone(), stamp(&dir)));
        // If the directory is no longer accessible, for example on an unmounted disk, the images read before stay usable.
        if found == self.place || stamp(&dir).is_none() {
            return;
        }
        self.source = read(run, &dir).map_or(Source::None, Source::Memory);
        self.place = found;
    }

    /// Sets the pixels of a row; does nothing if there is no image for it.
    pub(super) fn put(&self, row: &mut ImageRow) {
        match &self.source {
            Source::None => {}
            Source::Memory(images) => {
                let all = images.pixels.chunks_exact(images.bytes.max(1));
                put(row, images.size, all.into_iter().nth(row.index as usize));
            }
            Source::Packed(pack) => {
                let [_, _, test] = pack.info().counts.ranges();
                let index = test.start.saturating_add(row.index as usize);
                let mut image = vec![0; pack.image_size()];
                if test.contains(&index) && pack.read(index, &mut image).is_ok() {
                    let info = pack.info();
                    let shape = (info.channels, info.height, info.width);
                    row.size = reduced_size((info.height, info.width), REPLY_SIDE);
                    row.pixels = Pixels(reduced(&image, shape, REPLY_SIDE));
                }
            }
        }
    }
}

/// Sets the pixels of a row from the images of the gallery.
pub(super) fn put_from_gallery(row: &mut ImageRow, gallery: &GalleryImages) {
    let image = gallery.image(row.index as usize);
    put(row, (gallery.height, gallery.width), image);
}

fn put(row: &mut ImageRow, size: (u32, u32), image: Option<&[u8]>) {
    if let Some(image) = image {
        row.size = size;
        row.pixels = Pixels(image.to_vec());
    }
}

/// Reads the images of the test split from files that need no decoding, at most [`MAX_PIXEL_BYTES`].
fn read(run: &RunDir, dir: &Path) -> Result<RawImages, DataError> {
    // The run may have been written by a version with other keys.
    let config = run.config().ok();
    let config = config.and_then(|text| toml::from_str::<Config>(&text).ok());
    let config = config.unwrap_or_default().data;
    let mut images = RawImages::default();
    images::for_raw_test_images(dir, &config, &mut |shape, image| {
        let (_, height, width) = shape;
        let image = reduced(image, shape, REPLY_SIDE);
        images.size = reduced_size((height, width), REPLY_SIDE);
        images.bytes = image.len();
        images.pixels.extend(image);
        images.pixels.len() + images.bytes <= MAX_PIXEL_BYTES
    })?;
    Ok(images)
}

/// What changes if the images change: the modification times of the directory and of the files in it.
fn stamp(dir: &Path) -> Option<u64> {
    let mut hasher = std::hash::DefaultHasher::new();
    let mut entries: Vec<_> = std::fs::read_dir(dir).ok()?.flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries.iter().take(1000) {
        entry.file_name().hash(&mut hasher);
        let meta = entry.metadata().ok();
        meta.map(|meta| (meta.len(), meta.modified().ok()))
            .hash(&mut hasher);
    }
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_without_image_is_unchanged() {
        let source = Source::Memory(RawImages {
            size: (2, 2),
            pixels: vec![7; 48],
            bytes: 12,
        });
        let images = SplitImages {
            place: None,
            source,
        };
        let found = |index: u32| {
            let mut row = ImageRow {
                index,
                ..ImageRow::default()
            };
            images.put(&mut row);
            (row.size, row.pixels.0.len())
        };
        assert_eq!(found(u32::MAX), ((0, 0), 0));
        assert_eq!(found(4), ((0, 0), 0));
        assert_eq!(found(3), ((2, 2), 12));
    }
}
