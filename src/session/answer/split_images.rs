//! The pixels of the images of the test split, where the run found them.

use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use fs_err::File;

use super::super::rundir::RunDir;
use super::stamp::Stamp;
use crate::event::{GalleryImages, Pixels};
use crate::idx::{self, Idx};
use crate::link::ImageRow;

/// Bytes of pixels held at most; those that come after have none. 10,000 of 28×28 pixels take 8 MB.
const HELD: usize = 256 << 20;

/// Images, brightness only, one after the other.
#[derive(Debug, Default)]
pub(super) struct SplitImages {
    /// The file they are of, whether or not it could be read.
    file: Option<(PathBuf, Stamp)>,
    size: (u32, u32),
    grey: Vec<u8>,
}

impl SplitImages {
    /// Reads them, if that was not done and they are there.
    pub(super) fn renew(&mut self, run: &RunDir) {
        let found = run.meta().and_then(|meta| find(&meta.data_dir?));
        // A medium that was taken away does not take what has been read.
        if found.is_none() || found == self.file {
            return;
        }
        let path = found.as_ref().map(|(path, _)| path.as_path());
        let read = path.and_then(|path| read(path).ok());
        (self.size, self.grey) = read.unwrap_or_default();
        self.file = found;
    }

    /// Puts its pixels into a row; leaves it alone where there is none.
    pub(super) fn put(&self, row: &mut ImageRow) {
        put(row, self.size, &self.grey);
    }
}

/// Puts an image of the gallery into a row.
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

fn area((height, width): (u32, u32)) -> usize {
    (height as usize).saturating_mul(width as usize)
}

/// The file of the test images, packed or not.
fn find(dir: &Path) -> Option<(PathBuf, Stamp)> {
    let plain = dir.join("t10k-images-idx3-ubyte");
    [plain.with_extension("gz"), plain]
        .into_iter()
        .find_map(|path| {
            let file = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
            Some((path, Stamp::of(&file)))
        })
}

fn read(path: &Path) -> io::Result<((u32, u32), Vec<u8>)> {
    let file = File::open(path)?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        decode(BufReader::new(MultiGzDecoder::new(BufReader::new(file))))
    } else {
        decode(BufReader::new(file))
    }
}

/// Image by image, so that what is held is what is shown.
fn decode(mut from: impl Read) -> io::Result<((u32, u32), Vec<u8>)> {
    let bad = |what: String| io::Error::new(ErrorKind::InvalidData, what);
    // The longest header; where it is shorter, the first pixels come with it.
    let mut head = Vec::new();
    from.by_ref().take(20).read_to_end(&mut head)?;
    let (dims, begun) = idx::header(&head).map_err(bad)?;
    let count = dims.first().copied().unwrap_or(0);
    let sides = dims.get(1..).unwrap_or_default();
    if sides.len() < 2 || sides.iter().any(|side| !(1..=4096).contains(side)) {
        return Err(bad(format!("images of {sides:?} pixels")));
    }
    let (channels, height, width) = Idx {
        dims,
        data: Vec::new(),
    }
    .image_shape();
    let (area, channels) = (area((height, width)), channels.max(1) as usize);
    let size = area.saturating_mul(channels);
    if size > HELD {
        return Err(bad(format!("images of {size} bytes")));
    }
    let mut from = begun.chain(from);
    let (mut image, mut grey) = (vec![0; size], Vec::new());
    for _ in 0..count.min(HELD / area.max(1)) {
        from.read_exact(&mut image)?;
        if channels == 1 {
            grey.extend_from_slice(&image);
            continue;
        }
        grey.extend((0..area).map(|at| {
            let planes = image.iter().skip(at).step_by(area);
            let sum: usize = planes.map(|byte| usize::from(*byte)).sum();
            (sum / channels) as u8
        }));
    }
    Ok(((height, width), grey))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn colour_is_averaged_and_grey_is_left_as_it_is() {
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
    fn a_lying_header_is_refused() {
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
    fn an_image_that_is_not_there_leaves_its_row_alone() {
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
