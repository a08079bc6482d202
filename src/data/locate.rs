//! Locating the files of a dataset, and its class names.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};

use super::DataError;
use crate::config::DataConfig;
use crate::idx::find;
use crate::limits::{LONGEST_NAME, check_classes};

/// Names of the four files, without an optional `.gz`.
pub const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// Greatest size of `classes.txt` in bytes, far above that of the longest possible list.
const LONGEST_LIST: u64 = 16 << 20;

/// The name of the one dataset with built-in class names and checksums.
const FASHION: &str = "fashion-mnist";

/// [`super::Dataset::fingerprint`] of the published Fashion-MNIST.
const FASHION_FINGERPRINT: &str =
    "7cefeef614751bd02956982773e9dc8a2926bf09f92917d2b001adf207d3b02d";

/// MD5 of the uncompressed files of Fashion-MNIST, in the order of [`FILES`]. Its authors publish checksums of the
/// compressed files, but distributions compress the same bytes again, with other gzip headers.
const FASHION_MD5: [&str; 4] = [
    "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "9018921c3c673c538a1fc5bad174d6f9",
    "8181f5470baa50b63fa0f6fddb340f0a",
    "15d484375f8d13e6eb1aabb0c3f46965",
];

/// Class names of Fashion-MNIST, by label.
const FASHION_CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// Paths of the files of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetFiles {
    /// Their directory.
    pub dir: PathBuf,
    /// Training images.
    pub train_images: PathBuf,
    /// Training labels.
    pub train_labels: PathBuf,
    /// Test images.
    pub test_images: PathBuf,
    /// Test labels.
    pub test_labels: PathBuf,
}

impl DatasetFiles {
    /// The four files in the order of [`FILES`].
    pub fn files(&self) -> [&Path; 4] {
        [
            &self.train_images,
            &self.train_labels,
            &self.test_images,
            &self.test_labels,
        ]
    }
}

/// The directories that are searched, in order. If `data.dir` is set, only that directory and its subdirectories.
pub fn search_path(config: &DataConfig) -> Vec<PathBuf> {
    let bases = if config.dir.is_empty() {
        usual_places(&config.name)
    } else {
        vec![PathBuf::from(&config.dir)]
    };
    // torchvision stores Fashion-MNIST in these subdirectories.
    let below: &[&str] = if config.name == FASHION {
        &["FashionMNIST/raw", "raw"]
    } else {
        &[]
    };
    let with_below = |base: PathBuf| {
        let further: Vec<PathBuf> = below.iter().map(|path| base.join(path)).collect();
        std::iter::once(base).chain(further)
    };
    bases.into_iter().flat_map(with_below).collect()
}

fn usual_places(name: &str) -> Vec<PathBuf> {
    let mut places = Vec::new();
    let directory = |key: &str| {
        env::var_os(key)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    // The variable may be the directory of this dataset or the parent directory of several.
    places.extend(
        directory("EPOCHTOP_DATA")
            .into_iter()
            .flat_map(|dir| [dir.join(name), dir]),
    );
    let share = directory("XDG_DATA_HOME")
        .or_else(|| directory("HOME").map(|home| home.join(".local/share")));
    places.extend(share.map(|share| share.join("epochtop").join(name)));
    places.push(Path::new("/usr/share/datasets").join(name));
    if name == FASHION {
        places.push(PathBuf::from("data"));
    }
    places
}

/// Finds the first directory that has all four files.
pub fn locate(config: &DataConfig) -> Result<DatasetFiles, DataError> {
    let path = search_path(config);
    if let Some(found) = path.iter().find_map(|dir| files_in(dir)) {
        return Ok(found);
    }
    if !config.dir.is_empty() && !Path::new(&config.dir).is_dir() {
        return Err(DataError(format!(
            "data.dir = {:?}: no such directory",
            config.dir
        )));
    }
    let partly = path.iter().find_map(|dir| {
        let missing: Vec<_> = FILES
            .iter()
            .filter(|file| find(dir, file).is_none())
            .copied()
            .collect();
        (missing.len() < FILES.len())
            .then(|| format!("\n  {} lacks {}", dir.display(), missing.join(", ")))
    });
    let list: Vec<String> = path
        .iter()
        .map(|dir| format!("\n  {}", dir.display()))
        .collect();
    Err(DataError(format!(
        "{}: no directory has all four files ({}, each optionally .gz); searched:{}{}\n\
         run `make setup` to download Fashion-MNIST, or set data.dir or EPOCHTOP_DATA",
        config.name,
        FILES.join(", "),
        list.concat(),
        partly.unwrap_or_default()
    )))
}

pub(super) fn files_in(dir: &Path) -> Option<DatasetFiles> {
    let [train_images, train_labels, test_images, test_labels] = FILES.map(|file| find(dir, file));
    Some(DatasetFiles {
        dir: dir.to_owned(),
        train_images: train_images?,
        train_labels: train_labels?,
        test_images: test_images?,
        test_labels: test_labels?,
    })
}

/// Class names: from `classes.txt` in the dataset directory (one per line), else the built-in ones of Fashion-MNIST,
/// else the labels as numbers.
///
/// # Errors
/// If a label has no name, all training images have the same label, or `classes.txt` cannot be read.
pub(super) fn class_names(
    name: &str,
    found: &DatasetFiles,
    train: &[u16],
    test: &[u16],
) -> Result<Vec<String>, DataError> {
    let list = found.dir.join("classes.txt");
    let names: Vec<String> = match read_list(&list) {
        Ok(bytes) => listed_names(&list, &bytes)?,
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(DataError(format!("{}: {error}", list.display())));
        }
        Err(_) if name == FASHION => FASHION_CLASSES.map(str::to_owned).to_vec(),
        Err(_) => {
            let top = train
                .iter()
                .max()
                .map_or(0, |&label| usize::from(label) + 1);
            (0..top).map(|label| label.to_string()).collect()
        }
    };
    for (path, labels) in [(&found.train_labels, train), (&found.test_labels, test)] {
        if let Some((index, label)) = labels
            .iter()
            .enumerate()
            .find(|(_, label)| usize::from(**label) >= names.len())
        {
            return Err(DataError(format!(
                "{}: label {label} of image {index} is out of range: expected {} classes, 0 to {}",
                path.display(),
                names.len(),
                names.len().saturating_sub(1)
            )));
        }
    }
    let present: BTreeSet<u16> = train.iter().copied().collect();
    if present.len() < 2 {
        return Err(DataError(format!(
            "{}: all images have the same label, expected at least two classes",
            found.train_labels.display()
        )));
    }
    Ok(names)
}

/// Reads `classes.txt`. The data directory may come from the run of somebody else: a pipe would block, and a large file
/// would take all memory.
fn read_list(list: &Path) -> io::Result<Vec<u8>> {
    let about = fs::metadata(list)?;
    if !about.is_file() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    if about.len() > LONGEST_LIST {
        let what = format!("larger than {LONGEST_LIST} bytes");
        return Err(io::Error::new(ErrorKind::InvalidData, what));
    }
    fs::read(list)
}

/// The class names in `classes.txt`: one per line, without duplicates. A byte-order mark, which some editors write, and
/// empty lines at the end are ignored.
fn listed_names(list: &Path, bytes: &[u8]) -> Result<Vec<String>, DataError> {
    let wrong = |what: &str| DataError(format!("{}: {what}", list.display()));
    let words = std::str::from_utf8(bytes);
    let words =
        words.map_err(|_| wrong("not UTF-8; expected UTF-8 text, one class name per line"))?;
    let words = words.strip_prefix('\u{feff}').unwrap_or(words);
    let mut names: Vec<String> = Vec::new();
    for (number, line) in words.trim_end().lines().enumerate() {
        let name = line.trim();
        let fault = if name.is_empty() {
            "empty line, expected a class name"
        } else if names.iter().any(|known| known == name) {
            "duplicate class name"
        } else if name.chars().count() > LONGEST_NAME {
            "class name of more than 200 characters"
        } else {
            names.push(name.to_owned());
            continue;
        };
        let place = format!("{}:{}", list.display(), number + 1);
        return Err(DataError(format!("{place}: {name:?}: {fault}")));
    }
    check_classes(names.len()).map_err(|what| wrong(&what))?;
    Ok(names)
}

/// MD5 of the uncompressed contents of a file, in hex.
pub fn md5_unpacked(path: &Path) -> Result<String, DataError> {
    let digest = Md5::digest(super::idx::unpacked(path)?);
    let bytes: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(bytes.concat())
}

/// The published MD5 of the uncompressed file `index` of [`FILES`], for datasets with built-in checksums.
pub fn known_md5(name: &str, index: usize) -> Option<&'static str> {
    (name == FASHION)
        .then(|| FASHION_MD5.get(index).copied())
        .flatten()
}

/// A warning if data named `fashion-mnist` differs from the published files.
pub(super) fn fingerprint_warning(name: &str, fingerprint: &str) -> Option<String> {
    (name == FASHION && fingerprint != FASHION_FINGERPRINT).then(|| {
        "data.name = \"fashion-mnist\": not the published images; run `epochtop data check`"
            .to_owned()
    })
}
