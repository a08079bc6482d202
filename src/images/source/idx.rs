//! IDX files: MNIST and the data sets in its format (Fashion-MNIST, KMNIST, QMNIST, EMNIST).
//!
//! The names of files, directories and classes are those that torchvision and the authors of the data sets use.

use std::path::{Path, PathBuf};

use super::super::idx::find;
use super::super::{DataError, Listing, PixelFormat};
use super::arrays::{Arrays, Part};
use super::common::{
    Labels, Split, file_name, join_labels, list_of, listed_classes, numbered_classes, plain_name,
    stamp_labels, stamp_path, wrong,
};
use super::{ListOptions, Recognised, Source};
use crate::config::SourceName;

mod names;
mod read;

use names::{Family, classes_of};
use read::Images;

pub(super) const SOURCE: Source = Source {
    name: SourceName::Idx,
    title: "IDX files",
    expects: "train-images-idx3-ubyte and train-labels-idx1-ubyte (MNIST; each optionally .gz), emnist-… or qmnist-…",
    recognise,
    list,
};

/// Where torchvision stores these data sets below its root.
const BELOW: [&str; 6] = [
    "FashionMNIST/raw",
    "MNIST/raw",
    "KMNIST/raw",
    "QMNIST/raw",
    "EMNIST/raw",
    "raw",
];

/// A data set in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set {
    dir: PathBuf,
    family: Family,
    /// Its name in messages and in `data.name`.
    title: String,
}

fn recognise(dir: &Path) -> Option<Recognised> {
    let sets = sets_in(dir);
    let first = sets.first()?;
    let dir = if sets.iter().all(|set| set.dir == first.dir) {
        &first.dir
    } else {
        dir
    };
    let reason = match sets.as_slice() {
        [set] => {
            let images = find(&set.dir, &set.family.images(Split::Train))?;
            format!("has {}", file_name(&images))
        }
        sets => format!("has the IDX files of {}", titles(sets)),
    };
    Some(Recognised {
        dir: dir.to_owned(),
        reason,
    })
}

fn titles(sets: &[Set]) -> String {
    let titles: Vec<String> = sets.iter().map(|set| set.title.clone()).collect();
    list_of(&titles)
}

/// The data sets in a directory; if it has none, those in the directories below it.
fn sets_in(dir: &Path) -> Vec<Set> {
    let own = sets_of(dir, "MNIST");
    if !own.is_empty() {
        return own;
    }
    let below = BELOW.iter().flat_map(|below| {
        let title = below.strip_suffix("/raw").unwrap_or("MNIST");
        sets_of(&dir.join(below), title)
    });
    below.collect()
}

/// The data sets in one directory; `classic` is the title of one with the file names of MNIST.
fn sets_of(dir: &Path, classic: &str) -> Vec<Set> {
    let families = Family::all();
    let found = families.filter(|family| find(dir, &family.images(Split::Train)).is_some());
    let set = |family: Family| Set {
        dir: dir.to_owned(),
        title: family.title().unwrap_or_else(|| classic.to_owned()),
        family,
    };
    found.map(set).collect()
}

/// The data set that `data.name` names, if there are several. One with the file names of MNIST in the directory itself
/// needs no name: only such files were read at first.
fn choose(dir: &Path, sets: &[Set], name: &str) -> Result<Set, DataError> {
    let wanted = plain_name(name);
    let named = |set: &&Set| plain_name(&set.title) == wanted;
    let short = |set: &&Set| set.family.is_split(&wanted);
    let own = |set: &&Set| set.family == Family::Classic && set.dir == *dir;
    let only = if let [set] = sets { Some(set) } else { None };
    let chosen = only
        .or_else(|| sets.iter().find(named))
        .or_else(|| sets.iter().find(short))
        .or_else(|| sets.iter().find(own));
    match chosen {
        Some(set) => Ok(set.clone()),
        None if sets.is_empty() => Err(wrong(dir, format!("expected {}", SOURCE.expects))),
        None => Err(wrong(
            dir,
            format!(
                "has several data sets: {}; set data.name to one of them",
                titles(sets)
            ),
        )),
    }
}

fn list(dir: &Path, options: &ListOptions) -> Result<Listing, DataError> {
    let set = choose(dir, &sets_in(dir), &options.name)?;
    let (mut warnings, mut fingerprint) = (Vec::new(), blake3::Hasher::new());
    let mut splits = Vec::new();
    for split in [Split::Train, Split::Test] {
        if let Some((images, labels)) = set.files(split)? {
            let pair = read::pair(&images, &labels, &mut fingerprint, &mut warnings)?;
            splits.push((split, pair));
        }
    }
    let groups = splits.iter().map(|(split, pair)| {
        Ok(Labels {
            split: *split,
            file: pair.label_file.display().to_string(),
            classes: set.family.class_indices(&pair.label_file, &pair.labels)?,
        })
    });
    let groups = groups.collect::<Result<Vec<Labels>, DataError>>()?;
    let shape = set.family.upright(common_shape(&splits)?);
    let classes = match listed_classes(&set.dir)? {
        Some(names) => Some(names),
        None => classes_of(&set, &options.name)?,
    };
    let classes = classes.unwrap_or_else(|| numbered_classes(&groups));
    let (labels, counts) = join_labels(&groups, classes.len())?;
    let mut stamp = blake3::Hasher::new();
    for (_, pair) in &splits {
        stamp_path(&mut stamp, &pair.images.path)?;
        stamp_path(&mut stamp, &pair.label_file)?;
    }
    stamp_labels(&mut stamp, &classes, &labels);
    let mut notes = Vec::new();
    if set.family != Family::Classic {
        notes.push(format!("{}: {}", set.title, set.family.conventions()));
    }
    let is_complete = set.family == Family::Classic && counts.test.is_some();
    let parts = splits.into_iter().map(|(_, pair)| Part {
        name: file_name(&pair.images.path),
        path: pair.images.path,
        images: pair.labels.len(),
        store: pair.images.store,
        offset: pair.images.offset,
        lead: 0,
        layout: set.family.layout(),
        fortran: None,
    });
    let parts = parts.collect();
    Ok(Listing {
        classes,
        labels,
        counts,
        format: PixelFormat::Raw(shape.0, shape.1, shape.2),
        stamp: stamp.finalize(),
        notes,
        warnings,
        legacy_fingerprint: is_complete.then(|| fingerprint.finalize().to_hex().to_string()),
        items: Box::new(Arrays { shape, parts }),
    })
}

/// The shape of the images, which must be the same in all files.
fn common_shape(splits: &[(Split, read::Pair)]) -> Result<(u32, u32, u32), DataError> {
    let images: Vec<&Images> = splits.iter().map(|(_, pair)| &pair.images).collect();
    match images.as_slice() {
        [train, test] if train.shape != test.shape => Err(wrong(
            &test.path,
            format!(
                "image shape {:?} differs from {}, {:?}: training and test images must have the same shape",
                test.shape,
                train.path.display(),
                train.shape
            ),
        )),
        [train, ..] => Ok(train.shape),
        [] => Err(DataError("no training images".to_owned())),
    }
}

impl Set {
    /// The image file and the label file of a split; `None` if it has neither.
    fn files(&self, split: Split) -> Result<Option<(PathBuf, PathBuf)>, DataError> {
        let names = [self.family.images(split), self.family.labels(split)];
        let [images, labels] = [&names[0], &names[1]].map(|name| find(&self.dir, name));
        match (images, labels) {
            (Some(images), Some(labels)) => Ok(Some((images, labels))),
            (None, None) if split != Split::Train => Ok(None),
            (images, _) => {
                let [missing, present] = if images.is_none() {
                    names
                } else {
                    let [images, labels] = names;
                    [labels, images]
                };
                Err(DataError(format!(
                    "{} lacks {missing} (or {missing}.gz), which belongs to {present}",
                    self.dir.display()
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests;
