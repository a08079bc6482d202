//! The pickled files of CIFAR: a dictionary with the pixels (`data`) and the labels (`labels` or `fine_labels`).

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::super::super::DataError;
use super::super::arrays::{Latin1, Layout, Part, Store, latin1_length};
use super::super::common::{file_name, wrong};
use super::super::numbers::{integer_size, integers, type_in_words};
use super::pickle::{Array, Pickle, Value};
use super::{Batch, IMAGE};
use crate::limits::class_index;

/// Size limit for a file, bytes: the largest published one has 155 MB, and twice that as text.
const LIMIT: u64 = 4 << 30;
/// Most images in a file.
const MOST_IMAGES: u64 = 1 << 20;

/// Whether a file begins as a pickle of protocol 2 or later does.
pub(super) fn begins(path: &Path) -> bool {
    let mut first = [0; 2];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && matches!(first, [0x80, 2..=5])
}

fn open(path: &Path) -> Result<Pickle<BufReader<File>>, DataError> {
    let file = File::open(path).map_err(|error| wrong(path, error))?;
    let length = file.metadata().map_err(|error| wrong(path, error))?.len();
    if length > LIMIT {
        return Err(wrong(
            path,
            format!("{length} bytes; expected at most {LIMIT}"),
        ));
    }
    Pickle::read(BufReader::new(file), length).map_err(|what| wrong(path, what))
}

/// Reads the labels of a file and finds its pixels.
pub(super) fn batch(path: &Path) -> Result<Batch, DataError> {
    let mut pickle = open(path)?;
    let fail = |what: String| wrong(path, what);
    let data = match pickle.entry("data") {
        Some(Value::Array(array)) => array.clone(),
        Some(_) => return Err(fail("\"data\" is not a NumPy array".to_owned())),
        None => {
            return Err(fail(
                "has no \"data\"; expected a dictionary with data and labels".to_owned(),
            ));
        }
    };
    let images = images_of(&data).map_err(fail)?;
    let labels = match pickle.entry("fine_labels") {
        Some(labels) => Some(labels),
        None => pickle.entry("labels"),
    };
    let labels = labels.cloned().ok_or_else(|| {
        let what = "has no \"labels\" or \"fine_labels\"; expected a list of class numbers";
        fail(what.to_owned())
    })?;
    let labels = labels_of(&mut pickle, &labels).map_err(fail)?;
    if labels.len() != images {
        return Err(fail(format!(
            "{images} images, but {} labels",
            labels.len()
        )));
    }
    let labels = labels.iter().enumerate();
    let labels = labels.map(|(image, label)| class_index(*label, image));
    let labels = labels.collect::<Result<Vec<u16>, String>>().map_err(fail)?;
    let store = check_pixels(&mut pickle, &data, images).map_err(fail)?;
    Ok(Batch {
        labels,
        part: Part {
            path: path.to_owned(),
            name: file_name(path),
            images,
            store,
            offset: data.data.place.start,
            lead: 0,
            layout: Layout::ChannelsFirst,
            fortran: data.fortran.then_some([images, IMAGE as usize, 1, 1]),
        },
    })
}

/// The number of images in `data`.
fn images_of(data: &Array) -> Result<usize, String> {
    if !matches!(data.dtype.as_str(), "|u1" | "u1") {
        let words = type_in_words(&data.dtype);
        return Err(format!("\"data\" has {words}; expected bytes (uint8)"));
    }
    match data.shape.as_slice() {
        [images, IMAGE] if *images <= MOST_IMAGES => Ok(*images as usize),
        shape => Err(format!(
            "\"data\" has the shape {shape:?}; expected N×{IMAGE}, images of 3×32×32 bytes"
        )),
    }
}

/// Checks that all pixels are there, and returns how they are written.
fn check_pixels(
    pickle: &mut Pickle<BufReader<File>>,
    data: &Array,
    images: usize,
) -> Result<Store, String> {
    let place = &data.data.place;
    let length = place.end - place.start;
    let (store, found) = if data.data.latin1 {
        let seek = pickle.reader().seek(SeekFrom::Start(place.start));
        let found = seek.and_then(|_| latin1_length(pickle.reader(), length));
        (Store::Latin1, found.map_err(|error| error.to_string())?)
    } else {
        (Store::Plain, length)
    };
    let expected = images as u64 * IMAGE;
    if found == expected {
        Ok(store)
    } else {
        Err(format!(
            "\"data\" has {found} bytes; {images} images need {expected}"
        ))
    }
}

/// Labels in a list or an array.
fn labels_of(pickle: &mut Pickle<BufReader<File>>, labels: &Value) -> Result<Vec<i64>, String> {
    match labels {
        Value::List(items) => {
            let label = |(image, id): (usize, &usize)| match pickle.value(*id) {
                Some(Value::Int(label)) => Ok(*label),
                _ => Err(format!("label of image {image}: expected an integer")),
            };
            items.iter().enumerate().map(label).collect()
        }
        Value::Array(array) => {
            let size = integer_size(&array.dtype).unwrap_or(8) as u64;
            let length = array.data.place.end - array.data.place.start;
            if length > 2 * MOST_IMAGES * size {
                return Err(format!("more than {MOST_IMAGES} labels"));
            }
            let fail = |error: std::io::Error| error.to_string();
            let reader = pickle.reader();
            reader
                .seek(SeekFrom::Start(array.data.place.start))
                .map_err(fail)?;
            let mut values = reader.take(length);
            let mut bytes = Vec::new();
            let read = if array.data.latin1 {
                Latin1::new(values).read_to_end(&mut bytes)
            } else {
                values.read_to_end(&mut bytes)
            };
            read.map_err(fail)?;
            integers(&array.dtype, &bytes).map_err(|what| format!("labels are {what}"))
        }
        _ => Err("labels are neither a list nor an array".to_owned()),
    }
}

/// The class names in `batches.meta` or `meta`.
pub(super) fn names(path: &Path) -> Result<Vec<String>, DataError> {
    let pickle = open(path)?;
    let names = match pickle.entry("fine_label_names") {
        Some(names) => Some(names),
        None => pickle.entry("label_names"),
    };
    let Some(Value::List(ids)) = names else {
        return Err(wrong(
            path,
            "has no list \"label_names\" or \"fine_label_names\"",
        ));
    };
    let name = |id: &usize| match pickle.value(*id) {
        Some(Value::Text(text)) => String::from_utf8(text.short.clone()?).ok(),
        _ => None,
    };
    let names = ids.iter().map(name).collect::<Option<Vec<String>>>();
    names.ok_or_else(|| wrong(path, "a class name that is not text"))
}
