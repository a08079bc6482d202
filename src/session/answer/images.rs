//! Answers queries for test-set images: their pixels, their current predictions and their earlier predictions.

use std::io;

use super::super::known_runs::run_argument;
use super::super::meta::Meta;
use super::super::overview::{Status, status};
use super::super::rundir::RunDir;
use super::index::Index;
use super::prediction_history::EarlierEvaluations;
use super::split_images::{SplitImages, put_from_gallery};
use super::table::Table;
use crate::event::{GalleryImages, Split};
use crate::files::Dir;
use crate::link::{Filter, ImagePage, ImageRow, Reply};
use crate::shell;

/// Maximum number of images in a reply.
const IMAGES: usize = 256;
/// Maximum number of bytes of pixels in a reply; the first image is always included.
const PIXEL_BYTES: usize = 4 << 20;

/// Cached data of the test set: at most 256 MiB of pixels (8 MB for 10,000 images of 28×28 pixels), 36 MiB of
/// predictions and 32 MiB of predictions from earlier evaluations.
#[derive(Debug, Default)]
pub(super) struct Gallery {
    table: Option<Table>,
    pixels: SplitImages,
    earlier: EarlierEvaluations,
}

impl Gallery {
    /// At most `count` of the images that match the filter, starting at position `from` among them.
    ///
    /// # Errors
    /// If the predictions cannot be read; the message contains the path.
    pub(super) fn page(
        &mut self,
        (dir, run): (&Dir, &RunDir),
        journal: &Index,
        (from, count): (u32, u32),
        filter: Filter,
    ) -> io::Result<Reply> {
        let table = match Table::renew(&mut self.table, dir) {
            Ok(table) => table,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(not_evaluated_yet(run));
            }
            Err(error) => return Err(error),
        };
        if table.is_empty() {
            return Ok(not_evaluated_yet(run));
        }
        let (total, mut rows) = table.page(filter, from, (count as usize).min(IMAGES))?;
        let global_step = table.global_step;
        self.pixels.renew(run);
        let mut gallery = None;
        add_pixels(&mut rows, |row| {
            self.pixels.put(row);
            if row.size == (0, 0) {
                // If the image file is not available, the journal still contains the images of the gallery.
                put_from_gallery(row, gallery.get_or_insert_with(|| gallery_of(journal)));
            }
        });
        let history = self.earlier.before(global_step, dir, journal);
        rows.iter_mut()
            .for_each(|row| row.earlier = history.of(row.index));
        Ok(Reply::Images(ImagePage {
            total,
            from,
            global_step,
            split: Split::Test,
            rows,
        }))
    }
}

fn gallery_of(journal: &Index) -> GalleryImages {
    let images = journal.gallery().and_then(|place| journal.read(place));
    images.unwrap_or_default()
}

/// Sets the pixels of rows, and drops the rows at the end that would make the reply too large.
fn add_pixels(rows: &mut Vec<ImageRow>, mut put: impl FnMut(&mut ImageRow)) {
    let mut bytes = 0_usize;
    let too_many = rows.iter_mut().position(|row| {
        let first = bytes == 0;
        put(row);
        bytes = bytes.saturating_add(row.pixels.0.len());
        !first && bytes > PIXEL_BYTES
    });
    rows.truncate(too_many.unwrap_or(rows.len()));
}

/// The reply if there is no test-set evaluation, with what leads to one.
fn not_evaluated_yet(run: &RunDir) -> Reply {
    let live = |meta: Meta| meta.ended_ms.is_none() && status(run, &meta) == Status::Live;
    let reason = if !run.path.is_dir() {
        format!("no run directory {}: moved or deleted", run.path.display())
    } else if run.meta().is_some_and(live) {
        "no test-set evaluation yet: one follows at the end of the training".to_owned()
    } else {
        let name = shell::quote(run_argument(&run.path), false);
        format!("no test-set evaluation; `epochtop eval {name}` makes one")
    };
    Reply::Unknown { reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Pixels;

    #[test]
    fn page_size_is_limited_by_pixel_bytes() {
        let page = |side: usize, count: usize| {
            let mut rows = vec![ImageRow::default(); count];
            add_pixels(&mut rows, |row| row.pixels = Pixels(vec![0; side * side]));
            assert!(rows.iter().all(|row| row.pixels.0.len() == side * side));
            rows.len()
        };
        assert_eq!(page(28, IMAGES), IMAGES);
        assert_eq!(page(0, IMAGES), IMAGES);
        assert_eq!(page(256, IMAGES), 64);
        assert_eq!(page(2048, IMAGES), 1);
        assert_eq!(page(4096, 3), 1);
        assert_eq!(page(28, 0), 0);
    }
}
