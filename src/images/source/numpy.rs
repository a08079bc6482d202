//! NumPy arrays: `.npz` files as MedMNIST and Keras publish them, and pairs of `.npy` files.

use std::path::{Path, PathBuf};

use super::super::{DataError, Listing, PixelFormat};
use super::arrays::{Arrays, Part};
use super::common::{
    Labels, Split, file_name, join_labels, list_of, listed_classes, numbered_classes, plain_name,
    stamp_labels, stamp_path, wrong,
};
use super::{ListOptions, Recognised, Source};
use crate::config::SourceName;

mod entry;
mod header;
mod values;

use entry::{Entry, entries_in_archive, entries_in_directory};
use values::{Pixels, label_values, pixels};

pub(super) const SOURCE: Source = Source {
    name: SourceName::Numpy,
    title: "NumPy arrays",
    expects: "an .npz file with train_images and train_labels (or x_train and y_train), or the same as .npy files",
    recognise,
    list,
};

/// What an array contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Images,
    Labels,
}

/// What an array contains by its name, without extension: `train_images`, `x_train`, or `images` if there are no splits.
fn role(name: &str) -> Option<(Split, Role)> {
    let name = name.to_ascii_lowercase();
    let of_word = |word: &str| match word {
        "images" | "x" => Some(Role::Images),
        "labels" | "y" => Some(Role::Labels),
        _ => None,
    };
    let (split, word) = match name.split_once('_') {
        Some((word @ ("x" | "y"), split) | (split, word @ ("images" | "labels"))) => {
            (Split::named(split)?, word)
        }
        None if name.len() > 1 => (Split::Train, name.as_str()),
        _ => return None,
    };
    Some((split, of_word(word)?))
}

fn has_training_images(entries: &[Entry]) -> bool {
    let wanted = Some((Split::Train, Role::Images));
    entries.iter().any(|entry| role(&entry.name) == wanted)
}

/// The `.npz` files in a directory that have training images or cannot be read, in the order of their names.
fn archives_in(dir: &Path) -> Vec<PathBuf> {
    let files = entry::files_with_extension(dir, "npz").into_iter();
    let opened: Vec<_> = files
        .map(|path| (entries_in_archive(&path), path))
        .collect();
    let good = opened.iter().filter(|(entries, _)| {
        let entries = entries.as_ref();
        entries.is_ok_and(|entries| has_training_images(entries))
    });
    let good: Vec<PathBuf> = good.map(|(_, path)| path.clone()).collect();
    if !good.is_empty() {
        return good;
    }
    // A damaged file is better named than overlooked.
    let damaged = opened.into_iter().filter(|(entries, _)| entries.is_err());
    damaged.map(|(_, path)| path).collect()
}

fn recognise(dir: &Path) -> Option<Recognised> {
    let archives = archives_in(dir);
    let has = if archives.is_empty() {
        let entries = entries_in_directory(dir).ok()?;
        let images = entries
            .iter()
            .find(|entry| role(&entry.name) == Some((Split::Train, Role::Images)))?;
        file_name(&images.path)
    } else {
        let names: Vec<String> = archives.iter().map(|path| file_name(path)).collect();
        list_of(&names)
    };
    Some(Recognised {
        dir: dir.to_owned(),
        reason: format!("has {has}"),
    })
}

/// The `.npz` file that `data.name` names, if there are several.
fn choose(dir: &Path, archives: &[PathBuf], name: &str) -> Result<PathBuf, DataError> {
    if let [archive] = archives {
        return Ok(archive.clone());
    }
    let stem = |path: &Path| {
        path.file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let named = |path: &&PathBuf| plain_name(&stem(path)) == plain_name(name);
    archives.iter().find(named).cloned().ok_or_else(|| {
        let stems: Vec<String> = archives.iter().map(|path| stem(path)).collect();
        wrong(
            dir,
            format!(
                "has several data sets: {}; set data.name to one of them",
                list_of(&stems)
            ),
        )
    })
}

fn list(dir: &Path, options: &ListOptions) -> Result<Listing, DataError> {
    let archives = archives_in(dir);
    let entries = if archives.is_empty() {
        entries_in_directory(dir)?
    } else {
        entries_in_archive(&choose(dir, &archives, &options.name)?)?
    };
    if !has_training_images(&entries) {
        return Err(wrong(dir, format!("expected {}", SOURCE.expects)));
    }
    let mut stamp = blake3::Hasher::new();
    let (mut groups, mut parts, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let mut first: Option<(Pixels, String)> = None;
    for split in Split::ALL {
        let Some((images, labels)) = pair(dir, &entries, split)? else {
            continue;
        };
        let found = pixels(images)?;
        notes.extend(found.note.clone());
        let labels_found = label_values(labels)?;
        if labels_found.len() != found.count {
            return Err(DataError(format!(
                "{} has {} images, but {} has {} labels: they do not match",
                images.title(),
                found.count,
                labels.title(),
                labels_found.len()
            )));
        }
        match &first {
            Some((known, title)) if known.shape != found.shape => {
                return Err(DataError(format!(
                    "{}: image shape {:?} (channels, height, width) differs from {title}, {:?}: all images must have the \
                     same shape",
                    images.title(),
                    found.shape,
                    known.shape
                )));
            }
            Some(_) => {}
            None => first = Some((found.clone(), images.title())),
        }
        stamp_path(&mut stamp, &images.path)?;
        stamp_path(&mut stamp, &labels.path)?;
        groups.push(Labels {
            split,
            file: labels.title(),
            classes: labels_found,
        });
        parts.push(Part {
            path: images.path.clone(),
            name: images.short_title(),
            images: found.count,
            store: images.store.clone(),
            offset: found.offset,
            lead: 0,
            layout: found.layout,
            fortran: found.fortran,
        });
    }
    let shape = first.map_or((0, 0, 0), |(pixels, _)| pixels.shape);
    let classes = listed_classes(dir)?.unwrap_or_else(|| numbered_classes(&groups));
    let (labels, counts) = join_labels(&groups, classes.len())?;
    stamp_labels(&mut stamp, &classes, &labels);
    notes.dedup();
    Ok(Listing {
        classes,
        labels,
        counts,
        format: PixelFormat::Raw(shape.0, shape.1, shape.2),
        stamp: stamp.finalize(),
        notes,
        warnings: Vec::new(),
        legacy_fingerprint: None,
        items: Box::new(Arrays { shape, parts }),
    })
}

/// The images and the labels of a split; `None` if it has neither.
fn pair<'a>(
    dir: &Path,
    entries: &'a [Entry],
    split: Split,
) -> Result<Option<(&'a Entry, &'a Entry)>, DataError> {
    let one = |wanted: Role| {
        let found = entries
            .iter()
            .filter(|entry| role(&entry.name) == Some((split, wanted)));
        let found: Vec<&Entry> = found.collect();
        match found.as_slice() {
            [] => Ok(None),
            [entry] => Ok(Some(*entry)),
            several => {
                let titles: Vec<String> = several.iter().map(|entry| entry.title()).collect();
                let what = format!("{} mean the same: remove one", list_of(&titles));
                Err(wrong(dir, what))
            }
        }
    };
    match (one(Role::Images)?, one(Role::Labels)?) {
        (None, None) => Ok(None),
        (Some(images), Some(labels)) => Ok(Some((images, labels))),
        (Some(images), None) => Err(DataError(format!("{} has no labels", images.title()))),
        (None, Some(labels)) => Err(DataError(format!("{} has no images", labels.title()))),
    }
}

#[cfg(test)]
mod tests;
