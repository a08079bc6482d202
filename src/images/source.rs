//! The table of data formats.

use std::path::{Path, PathBuf};

use super::{DataError, Listing};
use crate::config::{ClassOrder, SourceName};

mod arrays;
mod cifar;
mod common;
mod folder;
mod idx;
mod list;
mod numbers;
mod numpy;
mod parquet;

/// A data format: how a directory is recognised and listed.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Its name in `data.source`.
    pub name: SourceName,
    /// Its name in messages.
    pub title: &'static str,
    /// What the directory must contain, for the error if nothing is recognised.
    pub expects: &'static str,
    /// Whether a directory has this format; looks at names and, at most, at headers.
    pub recognise: fn(&Path) -> Option<Recognised>,
    /// Lists the images in the directory that `recognise` returned.
    pub list: fn(&Path, &ListOptions) -> Result<Listing, DataError>,
}

/// A recognised directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognised {
    /// The directory with the files: the given one, or one below it (such as `cifar-10-batches-bin`).
    pub dir: PathBuf,
    /// Why: what was found, as a phrase ("has data_batch_1.bin to data_batch_5.bin").
    pub reason: String,
}

/// Settings of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListOptions {
    /// Name of the data set, `data.name`.
    pub name: String,
    /// Order of the classes and files of a folder.
    pub order: ClassOrder,
}

/// All formats, in the order in which they are tried.
pub static SOURCES: &[Source] = &[
    idx::SOURCE,
    cifar::SOURCE,
    numpy::SOURCE,
    parquet::SOURCE,
    list::SOURCE,
    folder::SOURCE,
];

/// The image files in a directory and below it, sorted.
///
/// # Errors
/// If a directory cannot be read.
pub fn image_files(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    folder::image_files(dir)
}
