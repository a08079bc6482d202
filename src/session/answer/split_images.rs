//! The pixels of the test-set images, read from the packed images or the data directory recorded in `run.json`.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use super::super::rundir::RunDir;
use crate::config::Config;
use crate::event::{GalleryImages, Pixels};
use crate::images::{self, DataError, Pack, reduced_grey, reduced_size};
use crate::limits::REPLY_SIDE;
use crate::link::ImageRow;

/// Maximum number of bytes of pixels in memory; images beyond it have no pixels. 10,000 images of 28×28 pixels take
/// 8 MB.
const MAX_PIXEL_BYTES: usize = 256 << 20;

/// The test-set images in grey scale, one byte per pixel. Large images are reduced.
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
    /// All images in memory, one after another, with height and width.
    Memory { size: (u32, u32), grey: Vec<u8> },
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
        self.source =
            read(run, &dir).map_or(Source::None, |(size, grey)| Source::Memory { size, grey });
        self.place = found;
    }

    /// Sets the pixels of a row; does nothing if there is no image for it.
    pub(super) fn put(&self, row: &mut ImageRow) {
        match &self.source {
            Source::None => {}
            Source::Memory { size, grey } => put(row, *size, grey),
            Source::Packed(pack) => {
                let [_, _, test] = pack.info().counts.ranges();
                let index = test.start.saturating_add(row.index as usize);
                let mut image = vec![0; pack.image_size()];
                if test.contains(&index) && pack.read(index, &mut image).is_ok() {
                    let info = pack.info();
                    let shape = (info.channels, info.height, info.width);
                    row.size = reduced_size((info.height, info.width), REPLY_SIDE);
                    row.pixels = Pixels(reduced_grey(&image, shape, REPLY_SIDE));
                }
            }
        }
    }
}

/// Sets the pixels of a row from the images of the gallery.
pub(super) fn put_from_gallery(row: &mut ImageRow, gallery: &GalleryImages) {
    put(row, (gallery.height, gallery.width), &gallery.pixels.0);
}

fn put(row: &mut ImageRow, size: (u32, u32), grey: &[u8]) {
    let area = area(size);
    let start = (row.index as usize).saturating_mul(area);
    if area > 0
        && let Some(image) = grey.get(start..start.saturating_add(area))
    {
        row.size = size;
        row.pixels = Pixels(image.to_vec());
    }
}

/// Number of pixels of an image.
fn area((height, width): (u32, u32)) -> usize {
    (height as usize).saturating_mul(width as usize)
}

/// Reads the grey images of the test split from files that need no decoding, at most [`MAX_PIXEL_BYTES`]: height and width,
/// and the pixels.
fn read(run: &RunDir, dir: &Path) -> Result<((u32, u32), Vec<u8>), DataError> {
    // The run may have been written by a version with other keys.
    let config = run.config().ok();
    let config = config.and_then(|text| toml::from_str::<Config>(&text).ok());
    let config = config.unwrap_or_default().data;
    let (mut size, mut grey) = ((0, 0), Vec::new());
    images::for_raw_test_images(dir, &config, &mut |shape, image| {
        let (_, height, width) = shape;
        size = reduced_size((height, width), REPLY_SIDE);
        grey.extend(reduced_grey(image, shape, REPLY_SIDE));
        grey.len() + area(size) <= MAX_PIXEL_BYTES
    })?;
    Ok((size, grey))
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
        let mut row = ImageRow {
            index: u32::MAX,
            ..ImageRow::default()
        };
        put(&mut row, (2, 2), &[0; 16]);
        put(&mut row, (0, 0), &[0; 16]);
        assert_eq!((row.size, row.pixels.0.len()), ((0, 0), 0));
        row.index = 3;
        put(&mut row, (2, 2), &[7; 16]);
        assert_eq!((row.size, row.pixels.0.len()), ((2, 2), 4));
    }
}
