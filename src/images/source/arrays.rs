//! Images of sources that are arrays of pixels: IDX, CIFAR and NumPy files.
//!
//! All images have one shape. Each [`Part`] is a sequence of images in one file, which is read from front to back, never as
//! a whole.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::super::{Bitmap, DataError, Item, Items};
use super::common::wrong;

mod member;
mod order;

pub(super) use member::{Latin1, latin1_length};

/// Bytes that are read from a file at once.
const BUFFER: usize = 256 << 10;

/// Largest array in Fortran order, bytes: its images lie interleaved, so it is read as a whole.
const LARGEST_FORTRAN: u64 = 1 << 30;

/// Where the pixels of a part are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Store {
    /// In the file as they are.
    Plain,
    /// In a file that is compressed with gzip.
    Gzip,
    /// In a member of a ZIP file.
    Member {
        /// Where the data of the member begin in the file.
        start: u64,
        /// Length of these data in the file, bytes.
        packed: u64,
        /// Whether they are compressed with deflate.
        deflated: bool,
        /// CRC-32 of the uncompressed data.
        crc: u32,
    },
    /// In the file as text: each byte is a UTF-8 character, as Python 3 writes bytes in the pickle protocols 0 to 2.
    Latin1,
}

/// Order of the values of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// (row, column, channel), as in a [`Bitmap`].
    ChannelsLast,
    /// (channel, row, column).
    ChannelsFirst,
    /// (column, row) of a grey image.
    Transposed,
}

/// A sequence of images in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// The file.
    pub(super) path: PathBuf,
    /// Its name in messages.
    pub(super) name: String,
    /// Number of images.
    pub(super) images: usize,
    /// Where the pixels are.
    pub(super) store: Store,
    /// Bytes before the first image, uncompressed: in the member, otherwise in the file.
    pub(super) offset: u64,
    /// Bytes before the pixels of each image, such as a label.
    pub(super) lead: usize,
    /// Order of the values of an image.
    pub(super) layout: Layout,
    /// The shape of the whole array if it is in Fortran order, in which the first index (the image) varies fastest.
    pub(super) fortran: Option<[usize; 4]>,
}

/// The images of a source as arrays of pixels.
#[derive(Debug)]
pub(super) struct Arrays {
    /// Channels, height and width of each image.
    pub(super) shape: (u32, u32, u32),
    /// The parts, in the order of the listing.
    pub(super) parts: Vec<Part>,
}

impl Arrays {
    /// Bytes of an image.
    fn size(&self) -> usize {
        let (channels, height, width) = self.shape;
        channels as usize * height as usize * width as usize
    }

    /// The part with image `index`, and the number of the image in it.
    fn find(&self, index: usize) -> Option<(usize, usize)> {
        let mut first = 0;
        for (number, part) in self.parts.iter().enumerate() {
            if index - first < part.images {
                return Some((number, index - first));
            }
            first += part.images;
        }
        None
    }
}

impl Items for Arrays {
    fn stream(
        &self,
        start: usize,
    ) -> Result<Box<dyn Iterator<Item = Result<Item, DataError>> + Send + '_>, DataError> {
        let (part, image) = self.find(start).unwrap_or((self.parts.len(), 0));
        let mut stream = Stream {
            arrays: self,
            part,
            image,
            reader: None,
            scratch: vec![0; self.size()],
        };
        if let Some(found) = self.parts.get(part) {
            stream.reader = Some(found.open(image, self.shape)?);
        }
        Ok(Box::new(stream))
    }

    fn sample(&self, count: usize) -> Result<Vec<Item>, DataError> {
        self.stream(0)?.take(count).collect()
    }

    fn name(&self, index: usize) -> String {
        let found = self.find(index);
        let found = found.and_then(|(part, image)| Some((self.parts.get(part)?, image)));
        found.map_or_else(
            || format!("image {index}"),
            |(part, image)| format!("{}, image {image}", part.name),
        )
    }
}

/// An iterator over all images from one on.
struct Stream<'a> {
    arrays: &'a Arrays,
    part: usize,
    image: usize,
    reader: Option<Box<dyn Read + Send>>,
    scratch: Vec<u8>,
}

impl Iterator for Stream<'_> {
    type Item = Result<Item, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let part = self.arrays.parts.get(self.part)?;
        let item = self.read(part);
        match &item {
            Ok(_) if self.image + 1 < part.images => self.image += 1,
            Ok(_) => {
                (self.part, self.image) = (self.part + 1, 0);
                if let Some(Err(error)) = self.reader.take().map(|reader| end(part, reader)) {
                    self.part = self.arrays.parts.len();
                    return Some(Err(error));
                }
            }
            Err(_) => self.part = self.arrays.parts.len(),
        }
        Some(item)
    }
}

impl Stream<'_> {
    fn read(&mut self, part: &Part) -> Result<Item, DataError> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => self
                .reader
                .insert(part.open(self.image, self.arrays.shape)?),
        };
        let (channels, height, width) = self.arrays.shape;
        let mut pixels = vec![0; self.scratch.len()];
        let mut read = skip(reader, part.lead as u64);
        if read.is_ok() {
            let target = match part.layout {
                Layout::ChannelsLast => &mut pixels,
                Layout::ChannelsFirst | Layout::Transposed => &mut self.scratch,
            };
            read = reader.read_exact(target);
        }
        read.map_err(|error| wrong(&part.path, part.fault(&error, self.image)))?;
        match part.layout {
            Layout::ChannelsLast => {}
            Layout::ChannelsFirst => {
                order::interleave(&self.scratch, channels as usize, &mut pixels);
            }
            Layout::Transposed => order::transpose(&self.scratch, height as usize, &mut pixels),
        }
        Ok(Item::Pixels(Bitmap {
            width,
            height,
            channels,
            pixels,
        }))
    }
}

/// Reads the rest after the last image, so that the checksum of a compressed file or member is checked.
fn end(part: &Part, mut reader: Box<dyn Read + Send>) -> Result<(), DataError> {
    if part.fortran.is_some() || !matches!(part.store, Store::Gzip | Store::Member { .. }) {
        return Ok(());
    }
    let rest = io::copy(&mut reader, &mut io::sink());
    rest.map_err(|error| wrong(&part.path, part.fault(&error, part.images)))?;
    Ok(())
}

impl Part {
    /// Bytes of an image of this shape with what is before it.
    fn record(&self, (channels, height, width): (u32, u32, u32)) -> u64 {
        self.lead as u64 + u64::from(channels) * u64::from(height) * u64::from(width)
    }

    /// A reader that is at image `first`.
    fn open(
        &self,
        first: usize,
        shape: (u32, u32, u32),
    ) -> Result<Box<dyn Read + Send>, DataError> {
        let fail = |error: io::Error| wrong(&self.path, self.fault(&error, first));
        let skipped = self.record(shape).saturating_mul(first as u64);
        if let Some(dims) = self.fortran {
            let mut values = self.in_memory(dims).map_err(fail)?;
            let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
            values.drain(..skipped.min(values.len()));
            return Ok(Box::new(io::Cursor::new(values)));
        }
        if self.store == Store::Plain {
            let start = self.offset.saturating_add(skipped);
            let mut file = File::open(&self.path).map_err(fail)?;
            file.seek(SeekFrom::Start(start)).map_err(fail)?;
            return Ok(Box::new(BufReader::with_capacity(BUFFER, file)));
        }
        let mut reader = self.reader().map_err(fail)?;
        skip(&mut reader, skipped).map_err(fail)?;
        Ok(reader)
    }

    /// A reader at the first image, without random access.
    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        let mut reader = unpacked(&self.path, &self.store, self.offset)?;
        if !matches!(self.store, Store::Latin1 | Store::Plain) {
            skip(&mut reader, self.offset)?;
        }
        Ok(reader)
    }

    /// The values of an array in Fortran order, in C order.
    fn in_memory(&self, dims: [usize; 4]) -> io::Result<Vec<u8>> {
        let length = dims
            .iter()
            .fold(1_u64, |product, dim| product.saturating_mul(*dim as u64));
        if length > LARGEST_FORTRAN {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                format!(
                    "an array of {length} bytes in Fortran order, whose images are not contiguous; expected at most \
                     {LARGEST_FORTRAN}: save it in C order, np.ascontiguousarray(images)"
                ),
            ));
        }
        let mut values = Vec::new();
        // One byte more, so that the checksum at the end is checked.
        self.reader()?.take(length + 1).read_to_end(&mut values)?;
        if self.store == Store::Plain {
            values.truncate(length as usize);
        }
        if values.len() as u64 != length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(order::c_order(&values, dims))
    }

    /// What an error of the reader means.
    fn fault(&self, error: &io::Error, image: usize) -> String {
        let within = if self
            .path
            .file_name()
            .is_some_and(|name| *name == *self.name)
        {
            String::new()
        } else {
            format!("{}: ", self.name)
        };
        match error.kind() {
            ErrorKind::UnexpectedEof => format!(
                "{within}truncated: it ends at image {image} of {}; it was complete or longer when it was listed, so it has \
                 changed or is damaged",
                self.images
            ),
            _ => format!("{within}at image {image}: {error}"),
        }
    }
}

/// A reader of the contents of a file or member, uncompressed. A plain file begins at `offset`, a packed one at its first
/// byte.
pub(super) fn unpacked(
    path: &Path,
    store: &Store,
    offset: u64,
) -> io::Result<Box<dyn Read + Send>> {
    let mut file = File::open(path)?;
    let at = |mut file: File, start: u64| {
        file.seek(SeekFrom::Start(start))?;
        Ok::<_, io::Error>(BufReader::with_capacity(BUFFER, file))
    };
    Ok(match *store {
        Store::Plain => Box::new(at(file, offset)?),
        Store::Gzip => {
            file.rewind()?;
            let unzip = MultiGzDecoder::new(BufReader::with_capacity(BUFFER, file));
            Box::new(BufReader::with_capacity(BUFFER, unzip))
        }
        Store::Member {
            start,
            packed,
            deflated,
            crc,
        } => member::reader(at(file, start)?.take(packed), deflated, crc),
        Store::Latin1 => Box::new(member::Latin1::new(at(file, offset)?)),
    })
}

/// Reads `count` bytes and drops them.
pub(super) fn skip(reader: &mut impl Read, count: u64) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    // A label before each image is the usual case, and `io::copy` is slow for so few bytes.
    if count <= 8 {
        let mut few = [0; 8];
        return reader.read_exact(few.get_mut(..count as usize).unwrap_or_default());
    }
    let copied = io::copy(&mut reader.take(count), &mut io::sink())?;
    if copied == count {
        Ok(())
    } else {
        Err(ErrorKind::UnexpectedEof.into())
    }
}
