//! Images of the test split: which, with what pixels, and what was said of them now and before.

use std::io;

use super::super::rundir::RunDir;
use super::earlier::EarlierEvaluations;
use super::index::Index;
use super::split_images::{SplitImages, put_from_gallery};
use super::table::Table;
use crate::event::{GalleryImages, Split};
use crate::link::{Filter, ImagePage, ImageRow, Reply};

/// Images told at most, and bytes of their pixels; the first one is always told.
const IMAGES: usize = 256;
const PIXEL_BYTES: usize = 4 << 20;

/// What has been read of the test split. At most 256 MiB of pixels (8 MB for 10,000 of 28×28 pixels), 36 MiB of the table and
/// 32 MiB of earlier evaluations.
#[derive(Debug, Default)]
pub(super) struct Gallery {
    table: Option<Table>,
    pixels: SplitImages,
    kept: EarlierEvaluations,
}

impl Gallery {
    /// The images that match, from a place among them on.
    ///
    /// # Errors
    /// The path and why it cannot be read.
    pub(super) fn page(
        &mut self,
        run: &RunDir,
        journal: &Index,
        (from, count): (u32, u32),
        filter: Filter,
    ) -> io::Result<Reply> {
        let table = match Table::renew(&mut self.table, run) {
            Ok(table) => table,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(none_yet(run)),
            Err(error) => return Err(error),
        };
        let (total, mut rows) = table.page(filter, from, (count as usize).min(IMAGES))?;
        let global_step = table.global_step;
        self.pixels.renew(run);
        let mut gallery = None;
        illustrate(&mut rows, |row| {
            self.pixels.put(row);
            if row.size == (0, 0) {
                // Where the images are not, the journal has those of the gallery.
                put_from_gallery(row, gallery.get_or_insert_with(|| gallery_of(journal)));
            }
        });
        let story = self.kept.before(global_step, run, journal);
        rows.iter_mut()
            .for_each(|row| row.earlier = story.of(row.index));
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
    let told = journal.gallery().and_then(|place| journal.read(place));
    told.unwrap_or_default()
}

/// Puts pixels into rows, and leaves out the rows whose pixels would make the reply too long.
fn illustrate(rows: &mut Vec<ImageRow>, mut put: impl FnMut(&mut ImageRow)) {
    let mut bytes = 0_usize;
    let too_many = rows.iter_mut().position(|row| {
        let first = bytes == 0;
        put(row);
        bytes = bytes.saturating_add(row.pixels.0.len());
        !first && bytes > PIXEL_BYTES
    });
    rows.truncate(too_many.unwrap_or(rows.len()));
}

/// There is nothing to tell, and what can be done about it.
fn none_yet(run: &RunDir) -> Reply {
    let ended = run.meta().is_some_and(|meta| meta.ended_ms.is_some());
    let what = if ended {
        format!("`epochtop eval {}` makes one", run.name)
    } else {
        "e evaluates now".to_owned()
    };
    Reply::Unknown {
        reason: format!("no evaluation of the test split yet: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Pixels;

    #[test]
    fn large_images_make_a_short_page_and_the_largest_one_of_one_image() {
        let page = |side: usize, count: usize| {
            let mut rows = vec![ImageRow::default(); count];
            illustrate(&mut rows, |row| row.pixels = Pixels(vec![0; side * side]));
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
