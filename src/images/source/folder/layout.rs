//! Which directories are splits and which are classes.

use std::path::Path;

use super::super::super::DataError;
use super::super::common::Split;
use super::entries::{Level, Skipped};
use super::name::{SPLIT_WORDS, few, shown, shown_path, title};

/// The layouts that are understood, for errors.
pub(super) const LAYOUTS: &str = "expected a directory of images per class, either directly (cat/1.jpg, dog/2.jpg) or below \
     train, val and test (train/cat/1.jpg, val/cat/2.jpg, test/cat/3.jpg)";

/// The directories of a data set.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// The splits that exist: training first.
    pub(super) parts: Vec<Part>,
    /// What is skipped at these levels.
    pub(super) skipped: Skipped,
    /// Warnings, one sentence each.
    pub(super) warnings: Vec<String>,
}

/// A split and its class directories.
#[derive(Debug)]
pub(super) struct Part {
    /// Which split.
    pub(super) split: Split,
    /// Its directory, relative to the data directory; empty if that has the class directories itself.
    pub(super) dir: Vec<u8>,
    /// The names of the class directories, in byte order.
    pub(super) classes: Vec<Vec<u8>>,
}

impl Layout {
    /// Reads the upper levels of a data directory.
    ///
    /// # Errors
    /// If a directory cannot be read, two directories are the same split, or there are no class directories.
    pub(super) fn read(root: &Path) -> Result<Self, DataError> {
        let top = Level::read(root, b"")?;
        let mut splits = Vec::new();
        for name in &top.dirs {
            if let Some(split) = split_of(name) {
                splits.push((split, Level::read(root, name)?));
            }
        }
        let has_classes =
            |(split, level): &(Split, Level)| *split == Split::Train && !level.dirs.is_empty();
        if splits.iter().any(has_classes) {
            return Self::of_splits(root, top, splits);
        }
        Self::of_classes(root, top, &splits)
    }

    /// The layout with a directory per split.
    fn of_splits(root: &Path, top: Level, splits: Vec<(Split, Level)>) -> Result<Self, DataError> {
        let mut layout = Self::default();
        let ignored = top.dirs.iter().filter(|name| split_of(name).is_none());
        let ignored: Vec<_> = ignored.map(Vec::as_slice).collect();
        if !ignored.is_empty() {
            layout.warnings.push(format!(
                "Directories that are no split are ignored: {}. The splits are {SPLIT_WORDS}.",
                few(ignored)
            ));
        }
        for wanted in Split::ALL {
            let mut levels = splits.iter().filter(|(split, _)| *split == wanted);
            if let (Some((_, a)), Some((_, b))) = (levels.next(), levels.next()) {
                return Err(DataError(format!(
                    "{}: the directories {} and {} are both the {} split; expected one: join them, or rename or move \
                     the one that is not to be used",
                    shown_path(root),
                    shown(&a.path),
                    shown(&b.path),
                    title(wanted)
                )));
            }
        }
        layout.leave_out(top);
        let mut splits = splits;
        splits.sort_by_key(|(split, _)| *split);
        for (split, mut level) in splits {
            let classes = std::mem::take(&mut level.dirs);
            if !classes.is_empty() {
                layout.parts.push(Part {
                    split,
                    dir: level.path.clone(),
                    classes,
                });
                layout.leave_out(level);
                continue;
            }
            layout.without_classes(root, split, level)?;
        }
        Ok(layout)
    }

    /// A validation or test directory without class directories.
    fn without_classes(
        &mut self,
        root: &Path,
        split: Split,
        level: Level,
    ) -> Result<(), DataError> {
        let path = shown(&level.path);
        if level.images.count == 0 {
            self.warnings.push(format!(
                "The directory {path} contains neither class directories nor images and is ignored."
            ));
        } else if split == Split::Test {
            self.warnings.push(format!(
                "The {} have no class directories, so they are unlabelled and are not used as a test split; \
                 `epochtop predict {}` classifies them after the training.",
                level.direct_images(),
                shown_path(&root.join(&path))
            ));
        } else {
            return Err(DataError(format!(
                "{}: there are {}, but no class directories; expected the class directories of the training split there \
                 ({path}/cat/1.jpg). Without a {path} directory, validation images are cut from the training split",
                shown_path(root),
                level.direct_images()
            )));
        }
        self.skipped.merge(level.skipped);
        Ok(())
    }

    /// The layout with class directories directly in the data directory.
    fn of_classes(root: &Path, top: Level, splits: &[(Split, Level)]) -> Result<Self, DataError> {
        let fail = |what: String| {
            Err(DataError(format!(
                "{}: {what}; {LAYOUTS}",
                shown_path(root)
            )))
        };
        if top.dirs.is_empty() {
            return fail(if top.images.count == 0 {
                "contains neither class directories nor images".to_owned()
            } else {
                format!(
                    "there are {}, but no class directories",
                    top.direct_images()
                )
            });
        }
        let evaluated = |split: Split| split != Split::Train;
        let with_classes = splits
            .iter()
            .find(|(split, level)| evaluated(*split) && !level.dirs.is_empty());
        if let Some((_, level)) = with_classes {
            return fail(format!(
                "the directory {} has class directories, but there is no train directory with class directories",
                shown(&level.path)
            ));
        }
        if splits.len() == top.dirs.len() {
            return fail(format!(
                "there are no class directories in {}",
                few(top.dirs.iter().map(Vec::as_slice))
            ));
        }
        let mut layout = Self::default();
        let like_splits = splits.iter().filter(|(split, _)| evaluated(*split));
        let like_splits: Vec<_> = like_splits
            .map(|(_, level)| level.path.as_slice())
            .collect();
        if !like_splits.is_empty() {
            layout.warnings.push(format!(
                "Taken as a class like the others, because there is no train directory with class directories: {}.",
                few(like_splits)
            ));
        }
        let mut top = top;
        layout.parts.push(Part {
            split: Split::Train,
            dir: Vec::new(),
            classes: std::mem::take(&mut top.dirs),
        });
        layout.leave_out(top);
        Ok(layout)
    }

    /// Counts what lies beside the directories of a level.
    fn leave_out(&mut self, level: Level) {
        if level.images.count > 0 {
            self.warnings.push(format!(
                "The {}, such as {}, belong to no class and are skipped.",
                level.direct_images(),
                shown(&level.images.first)
            ));
        }
        self.skipped.merge(level.skipped);
    }
}

/// The split that a directory is by its name.
pub(super) fn split_of(name: &[u8]) -> Option<Split> {
    str::from_utf8(name).ok().and_then(Split::named)
}
