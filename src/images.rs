//! Images from files: recognising a data directory, listing its images and labels, decoding, resizing and packing.
//!
//! [`source::SOURCES`] is the table of data formats. Each lists its images as a [`Listing`]; [`decode`] turns the bytes of an
//! image file into a [`Bitmap`], and [`fit`] resizes it to the input size of the network. Nothing is ever written into the
//! data directory. This layer does not use libtorch, so that the viewer can show images too.

mod absent;
pub mod audit;
pub mod augment;
mod bitmap;
mod cache;
mod dataset;
pub mod decode;
mod fashion;
pub mod fit;
pub mod idx;
mod listing;
mod locate;
mod memory;
mod pack;
mod packing;
mod parallel;
mod reduce;
pub mod source;
mod split;
mod statistics;
mod stratified;
mod survey;
mod tally;

use std::fmt;

pub use bitmap::Bitmap;
pub use cache::{CachedFile, CachedKind, DUPLICATES, KEY, cached_files};
pub use dataset::{Dataset, Shape, cache_dir, for_raw_test_images, list, load, load_in, pack};
pub use fashion::{known_md5, md5_unpacked};
pub use idx::FILES;
pub use listing::{Counts, Item, Items, Listing, PixelFormat};
pub use locate::{Located, locate, recognised, search_path};
pub use pack::{NAMED_SKIPPED, Pack, PackInfo, fingerprint};
pub use packing::{PackProgress, Packing, read_file};
pub use parallel::parallel;
pub use reduce::{reduced, reduced_size};
pub use source::image_files;
pub use split::{Images, Pixels, class_counts};

/// An error with the data, as a message for the user: what is wrong, where, what was expected and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataError(pub String);

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DataError {}
