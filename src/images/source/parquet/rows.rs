//! Reading of the columns. Images are read page by page, so that memory is that of a page.

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::basic::Type;
use ::parquet::column::reader::ColumnReaderImpl;
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use ::parquet::file::serialized_reader::SerializedPageReader;

use super::super::super::{DataError, Item, Items};
use super::super::common::wrong;
use super::columns::{Columns, choose, image_leaf, label_leaf};
use super::words::Words;
use crate::caught::caught;

/// Labels that are read at once.
const BATCH: usize = 4096;

/// A Parquet file.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) path: PathBuf,
    /// Its path in the directory of the data set.
    pub(super) name: String,
    pub(super) meta: Metadata,
    pub(super) columns: Columns,
    image: usize,
    label: usize,
    parquet: ParquetMetaData,
}

/// Whether the metadata of a file name a column of images and one of labels. A damaged file counts as one: it is better
/// named than overlooked.
pub(super) fn looks_like_images(path: &Path) -> bool {
    let parquet = File::open(path).map_err(|error| error.to_string());
    let parquet = parquet.and_then(|file| metadata_of(&file));
    parquet.is_ok_and(|parquet| choose(parquet.file_metadata()).is_ok()) || !is_readable(path)
}

fn is_readable(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| metadata_of(&file).is_ok())
}

fn metadata_of(file: &File) -> Result<ParquetMetaData, String> {
    let damaged =
        |error: String| format!("not a complete Parquet file ({error}): download it again");
    guarded(|| ParquetMetaDataReader::new().parse_and_finish(file)).map_err(damaged)
}

/// Runs the library, which panics at some damaged files instead of returning an error.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match caught(read) {
        Some(result) => result.map_err(|error| error.to_string()),
        None => Err("damaged: the data contradict themselves".to_owned()),
    }
}

impl Shard {
    /// Reads the metadata of a file. `known` are the columns of the files before it.
    pub(super) fn open(
        path: &Path,
        name: &str,
        known: Option<&Columns>,
    ) -> Result<Self, DataError> {
        let fail = |what: String| wrong(path, what);
        let file = File::open(path).map_err(|error| wrong(path, error))?;
        let meta = file.metadata().map_err(|error| wrong(path, error))?;
        let parquet = metadata_of(&file).map_err(fail)?;
        let columns = match known {
            Some(known) => known.clone(),
            None => choose(parquet.file_metadata()).map_err(fail)?,
        };
        let image = image_leaf(parquet.file_metadata(), &columns.image).map_err(fail)?;
        let label = label_leaf(parquet.file_metadata(), &columns.label).map_err(fail)?;
        for group in parquet.row_groups() {
            for leaf in [image, label] {
                check_place(group, leaf, meta.len()).map_err(fail)?;
            }
        }
        Ok(Self {
            path: path.to_owned(),
            name: name.to_owned(),
            meta,
            columns,
            image,
            label,
            parquet,
        })
    }

    /// Number of rows.
    fn rows(&self) -> usize {
        self.parquet.row_groups().iter().map(rows_of).sum()
    }

    /// The label of each row; words are numbered. A null is `None`.
    pub(super) fn labels(&self, words: &mut Words) -> Result<Vec<Option<i64>>, DataError> {
        let fail = |what: String| wrong(&self.path, what);
        let file = File::open(&self.path).map_err(|error| wrong(&self.path, error))?;
        let file = Arc::new(file);
        let column = self
            .parquet
            .file_metadata()
            .schema_descr()
            .column(self.label);
        let mut labels = Vec::new();
        for group in self.parquet.row_groups() {
            let rows = rows_of(group);
            let read = match column.physical_type() {
                Type::INT64 => {
                    let reader = self.reader::<Int64Type>(&file, group, self.label);
                    reader.and_then(|reader| values(reader, rows, |value| Ok(*value), &mut labels))
                }
                Type::INT32 => {
                    let reader = self.reader::<Int32Type>(&file, group, self.label);
                    let number = |value: &i32| Ok(i64::from(*value));
                    reader.and_then(|reader| values(reader, rows, number, &mut labels))
                }
                Type::BYTE_ARRAY => {
                    let reader = self.reader::<ByteArrayType>(&file, group, self.label);
                    let number = |value: &ByteArray| words.number(value.data());
                    reader.and_then(|reader| values(reader, rows, number, &mut labels))
                }
                other => Err(format!(
                    "values of the type {other}; expected integers or text"
                )),
            };
            read.map_err(|what| fail(format!("column {}: {what}", self.columns.label)))?;
        }
        Ok(labels)
    }

    fn reader<T: DataType>(
        &self,
        file: &Arc<File>,
        group: &RowGroupMetaData,
        leaf: usize,
    ) -> Result<ColumnReaderImpl<T>, String> {
        let descriptor = self.parquet.file_metadata().schema_descr().column(leaf);
        let pages = guarded(|| {
            let file = Arc::clone(file);
            SerializedPageReader::new(file, group.column(leaf), rows_of(group), None)
        })?;
        Ok(ColumnReaderImpl::new(descriptor, Box::new(pages)))
    }
}

fn rows_of(group: &RowGroupMetaData) -> usize {
    usize::try_from(group.num_rows()).unwrap_or(0)
}

/// Checks that a column of a row group lies in the file.
fn check_place(group: &RowGroupMetaData, leaf: usize, length: u64) -> Result<(), String> {
    let damaged = "damaged metadata: a column lies outside of the file; download it again";
    let column =
        (group.columns().get(leaf)).ok_or("damaged metadata: a row group lacks a column")?;
    let start = column
        .dictionary_page_offset()
        .unwrap_or(column.data_page_offset());
    let place = u64::try_from(start)
        .ok()
        .zip(u64::try_from(column.compressed_size()).ok());
    let end = place.and_then(|(start, size)| start.checked_add(size));
    if end.is_none_or(|end| end > length) || group.num_rows() < 0 {
        return Err(damaged.to_owned());
    }
    Ok(())
}

/// Reads all values of a column of a row group.
fn values<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    rows: usize,
    mut number: impl FnMut(&T::T) -> Result<i64, String>,
    out: &mut Vec<Option<i64>>,
) -> Result<(), String> {
    let (mut levels, mut found) = (Vec::new(), Vec::new());
    let mut left = rows;
    while left > 0 {
        levels.clear();
        found.clear();
        let batch = left.min(BATCH);
        let (records, _, _) =
            guarded(|| reader.read_records(batch, Some(&mut levels), None, &mut found))?;
        if records == 0 {
            return Err(format!("damaged: {left} of {rows} rows are missing"));
        }
        left -= records;
        let mut numbers = found.iter().map(&mut number);
        if levels.is_empty() {
            // A column that cannot be null has no levels.
            for number in numbers {
                out.push(Some(number?));
            }
            continue;
        }
        for level in &levels {
            let value = if *level > 0 { numbers.next() } else { None };
            out.push(value.transpose()?);
        }
    }
    Ok(())
}

/// The images of all files.
#[derive(Debug)]
pub(super) struct Rows {
    /// The files, in the order of the listing.
    pub(super) shards: Vec<Shard>,
}

impl Rows {
    /// The file and the row group with image `index`, the row in the file at which that group begins, and the row in it.
    fn find(&self, mut index: usize) -> Option<Place> {
        for (shard, file) in self.shards.iter().enumerate() {
            let mut before = 0;
            for (group, meta) in file.parquet.row_groups().iter().enumerate() {
                let rows = rows_of(meta);
                if index < rows {
                    return Some(Place {
                        shard,
                        group,
                        row: before + index,
                        skipped: index,
                    });
                }
                index -= rows;
                before += rows;
            }
        }
        None
    }
}

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    shard: usize,
    group: usize,
    /// Its number in the file.
    row: usize,
    /// Its number in the row group.
    skipped: usize,
}

impl Items for Rows {
    fn stream(
        &self,
        start: usize,
    ) -> Result<Box<dyn Iterator<Item = Result<Item, DataError>> + Send + '_>, DataError> {
        let mut stream = Stream {
            rows: self,
            place: self.find(start),
            file: None,
            reader: None,
        };
        if let Some(place) = stream.place {
            stream.open(place)?;
        }
        Ok(Box::new(stream))
    }

    fn sample(&self, count: usize) -> Result<Vec<Item>, DataError> {
        let total: usize = self.shards.iter().map(Shard::rows).sum();
        let groups: usize = (self.shards.iter())
            .map(|shard| shard.parquet.num_row_groups())
            .sum();
        // The first rows of row groups that are evenly spaced: a row elsewhere needs all before it in its group.
        let places = groups.min(count).max(1);
        let each = count.div_ceil(places);
        let mut sample = Vec::new();
        for number in 0..places {
            let Some(place) = self.find(number * total / places) else {
                break;
            };
            let mut stream = Stream {
                rows: self,
                place: Some(place),
                file: None,
                reader: None,
            };
            let first = Place {
                row: place.row - place.skipped,
                skipped: 0,
                ..place
            };
            stream.place = Some(first);
            stream.open(first)?;
            let left = count - sample.len();
            for item in stream.take(each.min(left)) {
                sample.push(item?);
            }
        }
        Ok(sample)
    }

    fn name(&self, index: usize) -> String {
        let found = self.find(index);
        let found = found.and_then(|place| Some((place.row, self.shards.get(place.shard)?)));
        found.map_or_else(
            || format!("image {index}"),
            |(row, shard)| format!("{}, row {row}", shard.name),
        )
    }
}

/// An iterator over all images from one on.
struct Stream<'a> {
    rows: &'a Rows,
    place: Option<Place>,
    file: Option<(usize, Arc<File>)>,
    reader: Option<ColumnReaderImpl<ByteArrayType>>,
}

impl Iterator for Stream<'_> {
    type Item = Result<Item, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let place = self.place?;
        let item = self.read(place);
        self.place = item.is_ok().then(|| self.after(place)).flatten();
        Some(item)
    }
}

impl Stream<'_> {
    /// The row after this one.
    fn after(&mut self, place: Place) -> Option<Place> {
        let shard = self.rows.shards.get(place.shard)?;
        let next = Place {
            row: place.row + 1,
            skipped: place.skipped + 1,
            ..place
        };
        let rows = shard
            .parquet
            .row_groups()
            .get(place.group)
            .map_or(0, rows_of);
        if next.skipped < rows {
            return Some(next);
        }
        self.reader = None;
        let groups = shard.parquet.row_groups().iter().enumerate();
        let mut later = groups
            .skip(place.group + 1)
            .filter(|(_, group)| rows_of(group) > 0);
        if let Some((group, _)) = later.next() {
            return Some(Place {
                group,
                skipped: 0,
                ..next
            });
        }
        let before = self.rows.shards.iter().take(place.shard + 1);
        self.rows.find(before.map(Shard::rows).sum())
    }

    /// Opens the row group of a row and skips the rows before it.
    fn open(&mut self, place: Place) -> Result<(), DataError> {
        let Some(shard) = self.rows.shards.get(place.shard) else {
            return Ok(());
        };
        let fail = |what: String| wrong(&shard.path, what);
        let file = match self.file.take() {
            Some((number, file)) if number == place.shard => file,
            _ => Arc::new(File::open(&shard.path).map_err(|error| wrong(&shard.path, error))?),
        };
        let group = shard.parquet.row_groups().get(place.group);
        let group = group.ok_or_else(|| fail("a row group is missing".to_owned()))?;
        let mut reader = shard.reader(&file, group, shard.image).map_err(fail)?;
        guarded(|| reader.skip_records(place.skipped)).map_err(fail)?;
        self.file = Some((place.shard, file));
        self.reader = Some(reader);
        Ok(())
    }

    fn read(&mut self, place: Place) -> Result<Item, DataError> {
        if self.reader.is_none() {
            self.open(place)?;
        }
        let shard = self.rows.shards.get(place.shard);
        let (Some(shard), Some(reader)) = (shard, &mut self.reader) else {
            return Err(DataError("a Parquet file is missing".to_owned()));
        };
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let read = guarded(|| reader.read_records(1, Some(&mut levels), None, &mut values));
        let fail = |what: String| {
            let what = format!("column {}, row {}: {what}", shard.columns.image, place.row);
            wrong(&shard.path, what)
        };
        let (records, _, _) = read.map_err(fail)?;
        match values.first() {
            Some(bytes) => Ok(Item::Encoded(bytes.data().to_vec())),
            None if records == 0 => Err(fail("damaged: the row is missing".to_owned())),
            None => Err(fail(
                "no image (null); expected the bytes of an image file, embedded in the Parquet file".to_owned(),
            )),
        }
    }
}
