//! Names of Parquet files, and the splits that they belong to.

use std::path::{Path, PathBuf};

use super::super::super::DataError;
use super::super::common::{Split, file_name, wrong};
use super::rows::looks_like_images;

/// Most directories that are searched for Parquet files: a directory of more is a folder of images.
const MOST_DIRECTORIES: usize = 16;

/// The Parquet files of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    /// The directory of the data set.
    pub(super) dir: PathBuf,
    /// The files with their splits: training, validation, test, each in the order of their names.
    pub(super) paths: Vec<(Split, PathBuf)>,
    /// What is left out.
    pub(super) notes: Vec<String>,
}

/// The data sets in a directory: in the directory itself, in `data` or `default`, else in the other directories below it,
/// which Hugging Face calls configurations.
pub(super) fn data_sets_in(dir: &Path) -> Vec<Files> {
    let usual = [dir.to_owned(), dir.join("data"), dir.join("default")];
    if let Some(found) = usual.iter().find_map(|dir| files_of(dir)) {
        return vec![found];
    }
    let below = directories_in(dir);
    if below.len() > MOST_DIRECTORIES {
        return Vec::new();
    }
    below.iter().filter_map(|dir| files_of(dir)).collect()
}

fn directories_in(dir: &Path) -> Vec<PathBuf> {
    let mut below = entries_in(dir, Path::is_dir);
    below.retain(|path| !file_name(path).starts_with('.'));
    below
}

fn parquet_in(dir: &Path) -> Vec<PathBuf> {
    entries_in(dir, |path| {
        let is_parquet = path.extension().is_some_and(|found| found == "parquet");
        is_parquet && !file_name(path).starts_with('.') && path.is_file()
    })
}

fn entries_in(dir: &Path, wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = dir.read_dir() else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.filter(|path| wanted(path)).collect();
    paths.sort();
    paths
}

/// The data set in a directory: files with the names of splits, else files in directories with the names of splits.
fn files_of(dir: &Path) -> Option<Files> {
    let direct = parquet_in(dir);
    let mut files = Vec::new();
    let mut notes = Vec::new();
    if direct.is_empty() {
        for below in directories_in(dir) {
            if let Some(split) = Split::named(&file_name(&below)) {
                files.extend(parquet_in(&below).into_iter().map(|path| (split, path)));
            }
        }
    } else {
        let (known, unknown): (Vec<_>, Vec<_>) = (direct.into_iter())
            .map(|path| (split_of(&path), path))
            .partition(|(split, _)| split.is_some());
        files.extend(
            known
                .into_iter()
                .filter_map(|(split, path)| Some((split?, path))),
        );
        if files.is_empty() {
            notes.push(
                "the names of the files name no split: all images are training images".to_owned(),
            );
            files.extend(unknown.into_iter().map(|(_, path)| (Split::Train, path)));
        } else if !unknown.is_empty() {
            let names: Vec<String> = unknown.iter().map(|(_, path)| file_name(path)).collect();
            notes.push(format!(
                "left out, as their names name no split: {}",
                names.join(", ")
            ));
        }
    }
    files.sort();
    let (_, first) = files.first().filter(|(split, _)| *split == Split::Train)?;
    looks_like_images(first).then(|| Files {
        dir: dir.to_owned(),
        notes,
        paths: files,
    })
}

/// The split in the name of a file: the letters before the first other character.
fn split_of(path: &Path) -> Option<Split> {
    let name = file_name(path);
    let word = name.split(|letter: char| !letter.is_alphabetic()).next()?;
    Split::named(word)
}

/// The number of a shard and the number of shards in a name such as `train-00001-of-00004.parquet`.
fn shard_of(path: &Path) -> Option<(u32, u32)> {
    let stem = path.file_stem()?.to_str()?;
    let (before, count) = stem.rsplit_once("-of-")?;
    let (_, number) = before.rsplit_once('-')?;
    // Hugging Face appends a hash to the number of shards in some files.
    let count = count.split('-').next()?;
    Some((number.parse().ok()?, count.parse().ok()?))
}

impl Files {
    /// The name of the data set in messages and in `data.name`.
    pub(super) fn title(&self) -> String {
        file_name(&self.dir)
    }

    /// Checks that no shard is missing.
    pub(super) fn check_complete(&self) -> Result<(), DataError> {
        for split in Split::ALL {
            let shards = self.paths.iter().filter(|(of, _)| *of == split);
            let shards = shards.filter_map(|(_, path)| Some((path, shard_of(path)?)));
            let shards: Vec<_> = shards.collect();
            let Some((path, (_, count))) = shards.first() else {
                continue;
            };
            let is_there =
                |number: &u32| shards.iter().any(|(_, shard)| *shard == (*number, *count));
            if let Some(missing) = (0..*count).find(|number| !is_there(number)) {
                let what = format!(
                    "one of {count} files, of which number {missing} ({missing:05}-of-{count:05}) is missing: download it, too"
                );
                return Err(wrong(path, what));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_and_the_shard_are_in_the_name() {
        for (name, split, shard) in [
            (
                "train-00001-of-00004.parquet",
                Some(Split::Train),
                Some((1, 4)),
            ),
            (
                "validation-00000-of-00001-5a7b.parquet",
                Some(Split::Valid),
                Some((0, 1)),
            ),
            ("test.parquet", Some(Split::Test), None),
            ("0000.parquet", None, None),
            ("metadata.parquet", None, None),
            ("extra-00000-of-00002.parquet", None, Some((0, 2))),
        ] {
            let path = Path::new("data").join(name);
            assert_eq!(split_of(&path), split, "{name}");
            assert_eq!(shard_of(&path), shard, "{name}");
        }
    }
}
