//! CIFAR-10 and CIFAR-100, in both forms in which their author publishes them: binary files, and Python pickles.
//!
//! Each image has 3,072 bytes in the order (channel, row, column), 32 × 32 pixels of three channels. In the binary files
//! one label (CIFAR-10) or two (CIFAR-100: coarse, then fine) precede it.

use std::path::{Path, PathBuf};

use super::super::{DataError, Listing, PixelFormat};
use super::arrays::{Arrays, Part};
use super::common::{
    Labels, Split, check_names, file_name, join_labels, list_of, listed_classes, numbered_classes,
    plain_name, stamp_labels, stamp_path, wrong,
};
use super::{ListOptions, Recognised, Source};
use crate::config::SourceName;

mod binary;
mod pickle;
mod pickled;

pub(super) const SOURCE: Source = Source {
    name: SourceName::Cifar,
    title: "CIFAR",
    expects: "data_batch_1.bin to data_batch_5.bin or data_batch_1 to data_batch_5 (CIFAR-10), train.bin or train with meta \
              (CIFAR-100)",
    recognise,
    list,
};

/// Channels, height and width of an image.
const SHAPE: (u32, u32, u32) = (3, 32, 32);
/// Bytes of an image.
const IMAGE: u64 = 3 * 32 * 32;
/// Directories in the published archives.
const BELOW: [&str; 4] = [
    "cifar-10-batches-bin",
    "cifar-10-batches-py",
    "cifar-100-binary",
    "cifar-100-python",
];

/// Which data set, in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Binary10,
    Pickled10,
    Binary100,
    Pickled100,
}

/// A data set in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set {
    dir: PathBuf,
    kind: Kind,
}

/// The labels in a file and where its images are.
struct Batch {
    labels: Vec<u16>,
    part: Part,
}

impl Kind {
    const ALL: [Self; 4] = [
        Self::Binary10,
        Self::Pickled10,
        Self::Binary100,
        Self::Pickled100,
    ];

    fn is_binary(self) -> bool {
        matches!(self, Self::Binary10 | Self::Binary100)
    }

    fn is_fine(self) -> bool {
        matches!(self, Self::Binary100 | Self::Pickled100)
    }

    /// The name of the data set.
    fn title(self) -> &'static str {
        if self.is_fine() {
            "CIFAR-100"
        } else {
            "CIFAR-10"
        }
    }

    /// The files of a split.
    fn files(self, split: Split) -> Vec<String> {
        let names: Vec<String> = match (split, self.is_fine()) {
            (Split::Train, false) => (1..=5).map(|n| format!("data_batch_{n}")).collect(),
            (Split::Train, true) => vec!["train".to_owned()],
            (Split::Test, false) => vec!["test_batch".to_owned()],
            (Split::Test, true) => vec!["test".to_owned()],
            (Split::Valid, _) => Vec::new(),
        };
        let extension = if self.is_binary() { ".bin" } else { "" };
        let names = names.into_iter();
        names.map(|name| format!("{name}{extension}")).collect()
    }

    /// The file with the class names.
    fn names_file(self) -> &'static str {
        match self {
            Self::Binary10 => "batches.meta.txt",
            Self::Pickled10 => "batches.meta",
            Self::Binary100 => "fine_label_names.txt",
            Self::Pickled100 => "meta",
        }
    }

    /// Number of images in a published file.
    fn usual(self, split: Split) -> usize {
        if self.is_fine() && split == Split::Train {
            50_000
        } else {
            10_000
        }
    }

    /// Whether a file has this form, by its size or its first byte.
    fn fits(self, path: &Path) -> bool {
        let Ok(meta) = path.metadata() else {
            return false;
        };
        // `train.bin` and `train` are also the names of other things: the size of records and the first byte of a pickle
        // tell them apart. `data_batch_1.bin` is a name of its own, so that a truncated file is named.
        let named = match self {
            Self::Binary10 => meta.len() % binary::record(Self::Binary100) != 0,
            Self::Binary100 => meta.len() % binary::record(self) == 0,
            Self::Pickled10 | Self::Pickled100 => pickled::begins(path),
        };
        meta.is_file() && meta.len() > 0 && named
    }
}

fn recognise(dir: &Path) -> Option<Recognised> {
    let sets = sets_in(dir);
    let first = sets.first()?;
    let is_one = sets
        .iter()
        .all(|set| set.kind.title() == first.kind.title());
    let files = first.present(Split::Train);
    let reason = if is_one {
        format!("has {}", list_of(&names_of(&files)))
    } else {
        "has CIFAR-10 and CIFAR-100".to_owned()
    };
    Some(Recognised {
        dir: if is_one {
            first.dir.clone()
        } else {
            dir.to_owned()
        },
        reason,
    })
}

fn names_of(files: &[PathBuf]) -> Vec<String> {
    files.iter().map(|file| file_name(file)).collect()
}

/// The data sets in a directory; if it has none, those in the directories below it. The binary form comes first.
fn sets_in(dir: &Path) -> Vec<Set> {
    let in_dir = |dir: PathBuf| {
        let sets = Kind::ALL.map(|kind| Set {
            dir: dir.clone(),
            kind,
        });
        let found = sets.into_iter();
        found.filter(|set| {
            let files = set.present(Split::Train);
            files.iter().any(|file| set.kind.fits(file))
        })
    };
    let own: Vec<Set> = in_dir(dir.to_owned()).collect();
    if !own.is_empty() {
        return own;
    }
    BELOW
        .iter()
        .flat_map(|below| in_dir(dir.join(below)))
        .collect()
}

impl Set {
    /// The files of a split that exist.
    fn present(&self, split: Split) -> Vec<PathBuf> {
        let files = self.kind.files(split).into_iter();
        let files = files.map(|name| self.dir.join(name));
        files.filter(|file| file.is_file()).collect()
    }

    fn batch(&self, file: &Path) -> Result<Batch, DataError> {
        if self.kind.is_binary() {
            binary::batch(file, self.kind)
        } else {
            pickled::batch(file)
        }
    }

    /// The published class names; `None` if their file is missing.
    fn class_names(&self) -> Result<Option<Vec<String>>, DataError> {
        let path = self.dir.join(self.kind.names_file());
        if !path.is_file() {
            return Ok(None);
        }
        let names = if self.kind.is_binary() {
            binary::names(&path)?
        } else {
            pickled::names(&path)?
        };
        check_names(&path, &names)?;
        Ok(Some(names))
    }
}

/// The data set that `data.name` names, if there are both.
fn choose(dir: &Path, sets: &[Set], name: &str) -> Result<Set, DataError> {
    let wanted = plain_name(name);
    let is_one = sets.windows(2).all(|pair| match pair {
        [a, b] => a.kind.title() == b.kind.title(),
        _ => true,
    });
    let named = |set: &&Set| is_one || plain_name(set.kind.title()) == wanted;
    let Some(set) = sets.iter().find(named) else {
        let what = if sets.is_empty() {
            format!("expected {}", SOURCE.expects)
        } else {
            "has CIFAR-10 and CIFAR-100; set data.name to \"cifar-10\" or \"cifar-100\"".to_owned()
        };
        return Err(wrong(dir, what));
    };
    Ok(set.clone())
}

fn list(dir: &Path, options: &ListOptions) -> Result<Listing, DataError> {
    let set = choose(dir, &sets_in(dir), &options.name)?;
    let (mut warnings, mut notes) = (Vec::new(), Vec::new());
    let mut stamp = blake3::Hasher::new();
    let (mut groups, mut parts) = (Vec::new(), Vec::new());
    for split in [Split::Train, Split::Test] {
        let files = set.present(split);
        warnings.extend(missing(&set, split, &files));
        for file in files {
            let batch = set.batch(&file)?;
            let usual = set.kind.usual(split);
            if batch.labels.len() != usual {
                notes.push(format!(
                    "{} has {} images; the published file has {usual}",
                    file_name(&file),
                    batch.labels.len()
                ));
            }
            stamp_path(&mut stamp, &file)?;
            groups.push(Labels {
                split,
                file: file.display().to_string(),
                classes: batch.labels,
            });
            parts.push(batch.part);
        }
    }
    let classes = match listed_classes(&set.dir)? {
        Some(names) => Some(names),
        None => set.class_names()?,
    };
    let classes = classes.unwrap_or_else(|| {
        notes.push(format!(
            "no {}: the classes are named by their numbers",
            set.kind.names_file()
        ));
        numbered_classes(&groups)
    });
    let (labels, counts) = join_labels(&groups, classes.len())?;
    stamp_labels(&mut stamp, &classes, &labels);
    Ok(Listing {
        classes,
        labels,
        counts,
        format: PixelFormat::Raw(SHAPE.0, SHAPE.1, SHAPE.2),
        stamp: stamp.finalize(),
        notes,
        warnings,
        legacy_fingerprint: None,
        items: Box::new(Arrays {
            shape: SHAPE,
            parts,
        }),
    })
}

/// A warning if only some files of a split are there.
fn missing(set: &Set, split: Split, present: &[PathBuf]) -> Option<String> {
    let present = names_of(present);
    let missing: Vec<String> = (set.kind.files(split).into_iter())
        .filter(|name| !present.contains(name))
        .collect();
    (!present.is_empty() && !missing.is_empty()).then(|| {
        format!(
            "{} lacks {}: only the images of {} are used",
            set.dir.display(),
            list_of(&missing),
            list_of(&present)
        )
    })
}

#[cfg(test)]
mod tests;
