//! The pixels of the test-set images, read from the data directory recorded in `run.json`.

use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use fs_err::File;

use super::super::rundir::RunDir;
use super::stamp::Stamp;
use crate::event::{GalleryImages, Pixels};
use crate::idx::{self, reduced_grey, reduced_size};
use crate::limits::REPLY_SIDE;
use crate::link::ImageRow;

/// Maximum number of bytes of pixels in memory; images beyond it have no pixels. 10,000 images of 28×28 pixels take
/// 8 MB.
const MAX_PIXEL_BYTES: usize = 256 << 20;

/// All test-set images in grey scale, one byte per pixel, one image after another. Large images are reduced.
#[derive(Debug, Default)]
pub(super) struct SplitImages {
    /// The image file with its stamp, whether or not it could be read.
    file: Option<(PathBuf, Stamp)>,
    /// Height and width of an image in pixels.
    size: (u32, u32),
    grey: Vec<u8>,
}

impl SplitImages {
    /// Reads the images if the file exists and has not been read or has changed.
    pub(super) fn renew(&mut self, run: &RunDir) {
        let found = run.meta().and_then(|meta| find(&meta.data_dir?));
        // If the file is no longer accessible, for example on an unmounted disk, the images read before stay usable.
        if found.is_none() || found == self.file {
            return;
        }
        let path = found.as_ref().map(|(path, _)| path.as_path());
        let read = path.and_then(|path| read(path).ok());
        (self.size, self.grey) = read.unwrap_or_default();
        self.file = found;
    }

    /// Sets the pixels of a row; does nothing if there is no image for it.
    pub(super) fn put(&self, row: &mut ImageRow) {
        put(row, self.size, &self.grey);
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

/// The file of the test-set images, compressed or not.
fn find(dir: &Path) -> Option<(PathBuf, Stamp)> {
    let path = idx::find(dir, "t10k-images-idx3-ubyte")?;
    let stamp = Stamp::of(&path.metadata().ok()?);
    Some((path, stamp))
}

fn read(path: &Path) -> io::Result<((u32, u32), Vec<u8>)> {
    let file = File::open(path)?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        decode(BufReader::new(MultiGzDecoder::new(BufReader::new(file))))
    } else {
        decode(BufReader::new(file))
    }
}

/// Reads (height, width) and the grey-scale pixels. Images are decoded one at a time, so that colour images are never
/// in memory all together.
fn decode(mut from: impl Read) -> io::Result<((u32, u32), Vec<u8>)> {
    let bad = |what: String| io::Error::new(ErrorKind::InvalidData, what);
    // The longest header has 20 bytes; after a shorter one, the read includes the first pixels.
    let mut head = Vec::new();
    from.by_ref().take(20).read_to_end(&mut head)?;
    let (idx, first_pixels) = idx::header(&head).map_err(bad)?;
    let count = idx.dims.first().copied().unwrap_or(0);
    let shape = idx.image_shape().map_err(bad)?;
    let (channels, height, width) = shape;
    let size = reduced_size((height, width), REPLY_SIDE);
    let mut from = first_pixels.chain(from);
    let mut image = vec![0; area((height, width)).saturating_mul(channels as usize)];
    let mut grey = Vec::new();
    for _ in 0..count.min(MAX_PIXEL_BYTES / area(size).max(1)) {
        from.read_exact(&mut image)?;
        grey.extend(reduced_grey(&image, shape, REPLY_SIDE));
    }
    Ok((size, grey))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn colour_images_are_averaged_and_grey_images_are_unchanged() {
        let grey = [
            &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2][..],
            &[1, 2, 3, 4],
        ]
        .concat();
        assert_eq!(decode(grey.as_slice()).unwrap(), ((1, 2), vec![1, 2, 3, 4]));
        let head = [0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2];
        let colour = [&head[..], &[10, 0, 20, 3, 60, 6]].concat();
        assert_eq!(decode(colour.as_slice()).unwrap(), ((1, 2), vec![30, 3]));
    }

    #[test]
    fn large_images_are_reduced() {
        let head = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 4, 0, 0, 0, 2, 0];
        let (size, grey) =
            decode([&head[..], &[9].repeat(1024 * 512)].concat().as_slice()).unwrap();
        assert_eq!((size, grey), ((256, 128), vec![9; 256 * 128]));
    }

    #[test]
    fn inconsistent_header_is_rejected() {
        let head = |sides: [u8; 12]| [&[0, 0, 8, 3][..], &sides].concat();
        for bytes in [
            head([255; 12]),
            head([0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 2]),
            head([0; 12]),
            vec![0, 0, 8, 1, 0, 0, 0, 1, 7],
            vec![3],
        ] {
            assert!(decode(bytes.as_slice()).is_err(), "{bytes:?}");
        }
    }

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
