//! Locating the data.

use std::env;
use std::path::{Path, PathBuf};

use super::DataError;
use super::fashion::has_fashion_labels;
use super::idx::{FILES, find};
use super::source::{SOURCES, Source};
use crate::config::{DataConfig, FASHION, SourceName};

/// The directories that are searched, in order. If `data.dir` is set, only that directory.
pub fn search_path(config: &DataConfig) -> Vec<PathBuf> {
    if config.dir.is_empty() {
        usual_places(config.known_name())
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
    /// Name of the data set: that of the configuration, `fashion-mnist` if the labels are those of Fashion-MNIST, or the
    /// name of the directory.
    pub fn name(&self, config: &DataConfig) -> String {
        let known = config.known_name();
        if !known.is_empty() {
            return known.to_owned();
        }
        if has_fashion_labels(&self.dir) {
            return FASHION.to_owned();
        }
        let path = std::path::absolute(&self.dir).unwrap_or_else(|_| self.dir.clone());
        // The files of torchvision are in NAME/raw.
        let path = if path.ends_with("raw") {
            path.parent().unwrap_or(&path)
        } else {
            &path
        };
        let name = path.file_name().unwrap_or(path.as_os_str());
        name.to_string_lossy().into_owned()
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
        .filter(|source| config.known_name() != FASHION || source.name == SourceName::Idx)
        .collect();
    let found = path
        .iter()
        .find_map(|dir| formats.iter().find_map(|source| try_source(source, dir)));
    found.ok_or_else(|| {
        let list: Vec<String> = path.iter().map(|dir| format!("\n  {}", dir.display())).collect();
        DataError(format!(
            "{}: no data in any of these directories:{}{}\nrun `make setup` to download Fashion-MNIST, or select your own \
             images with data.dir",
            config.known_name(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn name(dir: &str, config: &DataConfig) -> String {
        let located = Located {
            source: &SOURCES[0],
            dir: PathBuf::from(dir),
            reason: String::new(),
        };
        located.name(config)
    }

    #[test]
    fn data_are_named_after_their_directory_unless_the_name_is_set() {
        let mut config = DataConfig::default();
        assert_eq!(name("/data/flowers", &config), "fashion-mnist");
        config.dir = "flowers".to_owned();
        assert_eq!(name("/data/flowers", &config), "flowers");
        assert_eq!(name("/data/KMNIST/raw", &config), "KMNIST");
        config.name = "roses".to_owned();
        assert_eq!(name("/data/flowers", &config), "roses");
    }
}
