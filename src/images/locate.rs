//! Locating the data, and the published checksums of Fashion-MNIST.

use std::env;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use md5::{Digest, Md5};

use super::DataError;
use super::idx::find;
use super::source::{SOURCES, Source};
use crate::config::{DataConfig, SourceName};

/// Names of the four files, without an optional `.gz`.
pub const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// The name of the one dataset with built-in class names and checksums.
const FASHION: &str = "fashion-mnist";

/// [`super::Dataset::idx_fingerprint`] of the published Fashion-MNIST.
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

/// The directories that are searched, in order. If `data.dir` is set, only that directory.
pub fn search_path(config: &DataConfig) -> Vec<PathBuf> {
    if config.dir.is_empty() {
        usual_places(&config.name)
    } else {
        vec![PathBuf::from(&config.dir)]
    }
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

/// A data directory and its format.
#[derive(Debug, Clone)]
pub struct Located {
    /// The format.
    pub source: &'static Source,
    /// The directory with the files.
    pub dir: PathBuf,
    /// Why this format was recognised, as a phrase.
    pub reason: String,
}

impl Located {
    /// Name of the dataset: `data.name`, or the name of the directory if that is a set of other images than the default
    /// name says.
    pub fn name(&self, config: &DataConfig) -> String {
        let own = config.name != FASHION || self.source.name == SourceName::Idx;
        let dir = self.dir.file_name().filter(|_| !own);
        dir.map_or_else(
            || config.name.clone(),
            |dir| dir.to_string_lossy().into_owned(),
        )
    }
}

/// Finds the first directory with data of a known format.
///
/// # Errors
/// The directories that were searched, and the formats.
pub fn locate(config: &DataConfig) -> Result<Located, DataError> {
    if !config.dir.is_empty() {
        return recognised(Path::new(&config.dir), config);
    }
    let path = search_path(config);
    // The directories of the default dataset may contain other images, such as ./data.
    let formats: Vec<&'static Source> = formats(config)
        .filter(|source| config.name != FASHION || source.name == SourceName::Idx)
        .collect();
    let found = path
        .iter()
        .find_map(|dir| formats.iter().find_map(|source| try_source(source, dir)));
    found.ok_or_else(|| {
        let list: Vec<String> = path.iter().map(|dir| format!("\n  {}", dir.display())).collect();
        DataError(format!(
            "{}: no data in any of these directories:{}{}\nrun `make setup` to download Fashion-MNIST, or select your own \
             images with data.dir",
            config.name,
            list.concat(),
            partly(&path)
        ))
    })
}

/// The format of the data in this directory.
///
/// # Errors
/// The formats and what each expects.
pub fn recognised(dir: &Path, config: &DataConfig) -> Result<Located, DataError> {
    if !dir.is_dir() {
        let what = if dir.exists() {
            "not a directory"
        } else {
            "no such directory"
        };
        return Err(DataError(format!(
            "data.dir = {:?}: {what}",
            dir.display().to_string()
        )));
    }
    let found = formats(config).find_map(|source| try_source(source, dir));
    found.ok_or_else(|| {
        let list =
            formats(config).map(|source| format!("\n  {}: {}", source.title, source.expects));
        DataError(format!(
            "data.dir = {:?}: no data of a known format; expected one of{}{}",
            dir.display().to_string(),
            list.collect::<String>(),
            partly(&[dir.to_owned()])
        ))
    })
}

fn try_source(source: &'static Source, dir: &Path) -> Option<Located> {
    let found = (source.recognise)(dir)?;
    Some(Located {
        source,
        dir: found.dir,
        reason: found.reason,
    })
}

/// The formats that `data.source` allows.
fn formats(config: &DataConfig) -> impl Iterator<Item = &'static Source> {
    let wanted = config.source;
    SOURCES
        .iter()
        .filter(move |source| wanted == SourceName::Auto || source.name == wanted)
}

/// Names what is missing where some of the four IDX files exist.
fn partly(path: &[PathBuf]) -> String {
    let partly = path.iter().find_map(|dir| {
        let missing: Vec<_> = FILES
            .iter()
            .filter(|file| find(dir, file).is_none())
            .copied()
            .collect();
        (missing.len() < FILES.len())
            .then(|| format!("\n  {} lacks {}", dir.display(), missing.join(", ")))
    });
    partly.unwrap_or_default()
}

/// MD5 of the uncompressed contents of a file, in hex.
pub fn md5_unpacked(path: &Path) -> Result<String, DataError> {
    let wrong = |error: io::Error| DataError(format!("{}: {error}", path.display()));
    let mut reader = BufReader::new(File::open(path).map_err(wrong)?);
    let is_gzip = reader.fill_buf().map_err(wrong)?.starts_with(&[0x1f, 0x8b]);
    let mut reader: Box<dyn Read> = if is_gzip {
        Box::new(MultiGzDecoder::new(reader))
    } else {
        Box::new(reader)
    };
    let mut digest = Md5::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = reader.read(&mut buffer).map_err(wrong)?;
        if count == 0 {
            break;
        }
        digest.update(buffer.get(..count).unwrap_or_default());
    }
    let digest = digest.finalize();
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
pub(super) fn known_data_warning(name: &str, fingerprint: Option<&str>) -> Option<String> {
    let fingerprint = fingerprint?;
    (name == FASHION && fingerprint != FASHION_FINGERPRINT).then(|| {
        "data.name = \"fashion-mnist\": not the published images; run `epochtop data check`"
            .to_owned()
    })
}
