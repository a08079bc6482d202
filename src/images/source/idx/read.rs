//! Reading of IDX files, compressed with gzip or not. Compression is detected by the first two bytes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::Crc;

use super::super::super::DataError;
use super::super::super::idx::{check_length, header, parse};
use super::super::arrays::{Store, unpacked};
use super::super::common::wrong;

/// Size limit for an uncompressed file, in bytes. No valid dataset is larger.
const LIMIT: u64 = 8 << 30;
/// Size limit for labels, in bytes.
const LABEL_LIMIT: u64 = 1 << 30;
/// Longest header: four dimensions.
const LONGEST_HEADER: u64 = 20;

/// A checked image file.
pub(super) struct Images {
    pub(super) path: PathBuf,
    pub(super) store: Store,
    /// Length of the header, bytes.
    pub(super) offset: u64,
    /// Channels, height and width of an image.
    pub(super) shape: (u32, u32, u32),
    count: usize,
}

/// Images with their labels.
pub(super) struct Pair {
    pub(super) images: Images,
    pub(super) label_file: PathBuf,
    pub(super) labels: Vec<u16>,
}

/// Reads an image file and its label file once and checks that they match. Adds their shapes and values to the
/// fingerprint, and a warning if one also exists in the other form, compressed or not, with other contents.
pub(super) fn pair(
    images: &Path,
    labels: &Path,
    fingerprint: &mut blake3::Hasher,
    warnings: &mut Vec<String>,
) -> Result<Pair, DataError> {
    let checked = check_images(images, fingerprint, warnings)?;
    let mut bytes = Vec::new();
    Contents::open(labels, LABEL_LIMIT)?
        .pass_on(|piece| bytes.extend_from_slice(piece), warnings)?;
    let file = parse(&bytes).map_err(|what| wrong(labels, what))?;
    if file.dims.len() > 2 {
        return Err(wrong(labels, "contains images, expected labels"));
    }
    hash_dims(fingerprint, &file.dims);
    fingerprint.update(&file.data);
    let count = file.dims.first().copied().unwrap_or(0);
    if checked.count != count {
        return Err(DataError(format!(
            "{} has {} images, but {} has {count} labels: the files do not match",
            images.display(),
            checked.count,
            labels.display(),
        )));
    }
    Ok(Pair {
        images: checked,
        label_file: labels.to_owned(),
        labels: file.labels().map_err(|what| wrong(labels, what))?,
    })
}

fn check_images(
    path: &Path,
    fingerprint: &mut blake3::Hasher,
    warnings: &mut Vec<String>,
) -> Result<Images, DataError> {
    let mut contents = Contents::open(path, LIMIT)?;
    let head = contents.head()?;
    let (idx, first) = header(&head).map_err(|what| wrong(path, what))?;
    hash_dims(fingerprint, &idx.dims);
    let offset = (head.len() - first.len()) as u64;
    let mut before = offset as usize;
    let length = contents.pass_on(
        |piece| {
            let data = piece.get(before.min(piece.len())..).unwrap_or_default();
            before -= before.min(piece.len());
            fingerprint.update(data);
        },
        warnings,
    )?;
    check_length(&idx, length - offset).map_err(|what| wrong(path, what))?;
    Ok(Images {
        path: path.to_owned(),
        store: contents.store,
        offset,
        shape: idx.image_shape().map_err(|what| wrong(path, what))?,
        count: idx.dims.first().copied().unwrap_or(0),
    })
}

fn hash_dims(fingerprint: &mut blake3::Hasher, dims: &[usize]) {
    for &dim in dims {
        fingerprint.update(&(dim as u64).to_le_bytes());
    }
}

/// The uncompressed contents of a file.
struct Contents {
    path: PathBuf,
    store: Store,
    limit: u64,
    /// The first bytes, which were read already.
    start: Vec<u8>,
    reader: Box<dyn Read + Send>,
}

impl Contents {
    fn open(path: &Path, limit: u64) -> Result<Self, DataError> {
        let fail = |error: std::io::Error| wrong(path, error);
        let mut magic = Vec::new();
        let file = File::open(path).map_err(fail)?;
        file.take(2).read_to_end(&mut magic).map_err(fail)?;
        let store = if magic == [0x1f, 0x8b] {
            Store::Gzip
        } else {
            Store::Plain
        };
        let reader = unpacked(path, &store, 0).map_err(fail)?;
        Ok(Self {
            path: path.to_owned(),
            store,
            limit,
            start: Vec::new(),
            reader,
        })
    }

    /// The first bytes, which contain the header.
    fn head(&mut self) -> Result<Vec<u8>, DataError> {
        let read = (&mut self.reader)
            .take(LONGEST_HEADER)
            .read_to_end(&mut self.start);
        read.map_err(|error| self.fault(&error, self.start.len() as u64))?;
        Ok(self.start.clone())
    }

    /// Passes all bytes to `each`, in pieces, and returns their number.
    fn pass_on(
        &mut self,
        mut each: impl FnMut(&[u8]),
        warnings: &mut Vec<String>,
    ) -> Result<u64, DataError> {
        let other = other_form(&self.path).filter(|other| other.is_file());
        let mut crc = Crc::new();
        let mut length = self.start.len() as u64;
        let mut pass = |piece: &[u8]| {
            if other.is_some() {
                crc.update(piece);
            }
            each(piece);
        };
        pass(&self.start);
        let mut piece = vec![0; 256 << 10];
        loop {
            let count = self.reader.read(&mut piece);
            let count = count.map_err(|error| self.fault(&error, length))?;
            if count == 0 {
                break;
            }
            length += count as u64;
            if length > self.limit {
                let limit = self.limit >> 30;
                return Err(wrong(&self.path, format!("contains over {limit} GiB")));
            }
            pass(piece.get(..count).unwrap_or_default());
        }
        if let Some(other) = other
            && !has_contents(&other, crc.sum(), length, self.limit)
        {
            warnings.push(format!(
                "{} and {} have different contents: using {}, which is newer; delete the other one",
                self.path.display(),
                other.display(),
                self.path.file_name().unwrap_or_default().display()
            ));
        }
        Ok(length)
    }

    fn fault(&self, error: &std::io::Error, after: u64) -> DataError {
        let what = match self.store {
            Store::Gzip => {
                format!("damaged gzip data after {after} bytes ({error}): download the file again")
            }
            _ => error.to_string(),
        };
        wrong(&self.path, what)
    }
}

/// The same file compressed, if `path` is not, or the other way round.
fn other_form(path: &Path) -> Option<PathBuf> {
    if path.extension().is_some_and(|extension| extension == "gz") {
        return Some(path.with_extension(""));
    }
    let mut name = path.file_name()?.to_owned();
    name.push(".gz");
    Some(path.with_file_name(name))
}

/// Whether a file, uncompressed, has this checksum and length. The end of a gzip file usually answers this without
/// decompression.
fn has_contents(path: &Path, crc: u32, length: u64, limit: u64) -> bool {
    let trailer = [crc, length as u32].map(u32::to_le_bytes).concat();
    let mut last = [0; 8];
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::End(-8))?;
        file.read_exact(&mut last)
    });
    if read.is_ok() && last == *trailer {
        return true;
    }
    let mut found = Crc::new();
    let mut count = 0;
    let Ok(contents) = Contents::open(path, limit) else {
        return false;
    };
    let mut reader = contents.reader.take(limit);
    let mut piece = vec![0; 256 << 10];
    while let Ok(more) = reader.read(&mut piece) {
        if more == 0 {
            return (found.sum(), count) == (crc, length);
        }
        count += more as u64;
        found.update(piece.get(..more).unwrap_or_default());
    }
    false
}
