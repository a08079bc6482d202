//! Image folder: a directory of images per class, as torchvision's `ImageFolder` and Hugging Face's `imagefolder` read it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::super::parallel::parallel;
use super::super::{Counts, DataError, Listing, PixelFormat};
use super::common::{Split, stamp_labels};
use super::{ListOptions, Source};
use crate::config::SourceName;
use entries::{Skipped, Tally};
use layout::{LAYOUTS, Layout, Part};
use name::{few, plural, shown, shown_path, title};
use paths::{Files, Paths, below, joined};
use walk::{ClassFiles, all_files, class_files};

pub(super) mod classes;
mod entries;
mod layout;
pub(super) mod name;
pub(super) mod order;
pub(super) mod paths;
mod recognise;
mod walk;

/// Threads that list directories. They mostly wait for the file system, so their number does not depend on the processor.
pub(super) const THREADS: usize = 4;

pub(super) const SOURCE: Source = Source {
    name: SourceName::Folder,
    title: "image folder",
    expects: "a directory of images per class, directly or below train, val and test",
    recognise: recognise::recognise,
    list,
};

/// The images of one class in one split: what a thread lists at a time.
struct Group {
    split: Split,
    label: u16,
    /// The class directory, relative to the data directory.
    dir: Vec<u8>,
}

/// The image files in a directory and below it, sorted; their classes do not matter.
///
/// # Errors
/// If a directory cannot be read.
pub(super) fn image_files(root: &Path) -> Result<Vec<PathBuf>, DataError> {
    let paths = all_files(root)?;
    Ok((0..paths.len())
        .map(|index| below(root, &paths.relative(index)))
        .collect())
}

fn list(root: &Path, options: &ListOptions) -> Result<Listing, DataError> {
    let layout = Layout::read(root)?;
    let classes = classes(root, &layout, options)?;
    let groups = groups(root, &layout.parts, &classes)?;
    let listed = parallel(THREADS, groups.len(), |index| {
        let group = groups.get(index).map(|group| group.dir.as_slice());
        class_files(root, group.unwrap_or_default(), options.order)
    });
    let mut tree = Tree::default();
    for (group, files) in groups.iter().zip(listed) {
        tree.add(group, files?);
    }
    tree.finish(root, &classes, layout)
}

/// The names of the classes, which are the class directories of the training split, indexed by label.
fn classes(root: &Path, layout: &Layout, options: &ListOptions) -> Result<Vec<Vec<u8>>, DataError> {
    let train = layout.parts.iter().find(|part| part.split == Split::Train);
    let mut classes = train.map_or_else(Vec::new, |part| part.classes.clone());
    let wrong = |what: String| DataError(format!("{}: {what}", shown_path(root)));
    let names: Vec<_> = classes.iter().map(|name| shown(name)).collect();
    classes::check(&names).map_err(wrong)?;
    if let [only] = names.as_slice() {
        return Err(wrong(format!(
            "there is one class directory, {only}, and at least two are needed; {LAYOUTS}"
        )));
    }
    classes.sort_unstable_by(|a, b| order::compare(options.order, a, b));
    Ok(classes)
}

/// All class directories, in the order in which their images are numbered.
fn groups(root: &Path, parts: &[Part], classes: &[Vec<u8>]) -> Result<Vec<Group>, DataError> {
    let numbered = classes.iter().zip(0..=u16::MAX);
    let labels: HashMap<&[u8], u16> = numbered
        .map(|(name, label)| (name.as_slice(), label))
        .collect();
    let mut groups = Vec::new();
    for part in parts {
        let mut unknown = Vec::new();
        for class in &part.classes {
            match labels.get(class.as_slice()) {
                Some(&label) => groups.push(Group {
                    split: part.split,
                    label,
                    dir: joined(&part.dir, class),
                }),
                None => unknown.push(joined(&part.dir, class)),
            }
        }
        if !unknown.is_empty() {
            let train = parts.first().map_or(&[][..], |part| &part.dir);
            return Err(DataError(format!(
                "{}: the {} split has classes that the training split lacks: {}; expected the names of the directories in {}. \
                 Rename or remove them, or add training images of these classes",
                shown_path(root),
                title(part.split),
                few(unknown.iter().map(Vec::as_slice)),
                shown(train)
            )));
        }
    }
    groups.sort_by_key(|group| (group.split, group.label));
    Ok(groups)
}

/// The images of all classes and splits.
#[derive(Default)]
struct Tree {
    paths: Paths,
    labels: Vec<u16>,
    counts: Counts,
    /// Number of images of each class in the training split, by label.
    train: Vec<usize>,
    stamp: blake3::Hasher,
    skipped: Skipped,
    nested: Tally,
    /// Class directories whose images all lie in subdirectories.
    indirect: Vec<Vec<u8>>,
}

impl Tree {
    /// Appends the images of a class.
    fn add(&mut self, group: &Group, files: ClassFiles) {
        let count = files.paths.len();
        match group.split {
            Split::Train => {
                self.counts.train += count;
                self.train.push(count);
            }
            Split::Valid => *self.counts.valid.get_or_insert(0) += count,
            Split::Test => *self.counts.test.get_or_insert(0) += count,
        }
        self.stamp.update(&[group.split as u8]);
        self.stamp.update(files.stamp.as_bytes());
        if count > 0 && files.nested.count == count {
            self.indirect.push(group.dir.clone());
        }
        self.paths.append(&files.paths);
        self.labels.extend(std::iter::repeat_n(group.label, count));
        self.nested.merge(files.nested);
        self.skipped.merge(files.skipped);
    }

    /// The listing of the whole directory.
    fn finish(
        mut self,
        root: &Path,
        classes: &[Vec<u8>],
        layout: Layout,
    ) -> Result<Listing, DataError> {
        if self.counts.train == 0 {
            return Err(DataError(format!(
                "{}: there are no images in the class directories of the training split ({}); {LAYOUTS}",
                shown_path(root),
                few(classes.iter().map(Vec::as_slice))
            )));
        }
        self.skipped.merge(layout.skipped);
        let mut warnings = layout.warnings;
        for (split, count) in [
            (Split::Valid, &mut self.counts.valid),
            (Split::Test, &mut self.counts.test),
        ] {
            if *count == Some(0) {
                *count = None;
                warnings.push(format!(
                    "The class directories of the {} split contain no images, so it is ignored.",
                    title(split)
                ));
            }
        }
        let names: Vec<_> = classes.iter().map(|name| shown(name)).collect();
        warnings.extend(classes::empty(&names, &self.train));
        warnings.extend(self.indirect_classes());
        warnings.extend(self.skipped.warnings());
        let mut notes = self.skipped.notes();
        notes.extend(self.nested_images());
        notes.extend(classes::single(&names, &self.train, self.counts));
        stamp_labels(&mut self.stamp, &names, &self.labels);
        self.paths.shrink();
        self.labels.shrink_to_fit();
        Ok(Listing {
            classes: names,
            labels: self.labels,
            counts: self.counts,
            format: PixelFormat::Encoded,
            stamp: self.stamp.finalize(),
            notes,
            warnings,
            legacy_fingerprint: None,
            items: Box::new(Files {
                root: root.to_owned(),
                paths: self.paths,
            }),
        })
    }

    fn nested_images(&self) -> Option<String> {
        let first = shown(&self.nested.first);
        (self.nested.count > 0).then(|| {
            format!(
                "{} in subdirectories of class directories, such as {first}; each belongs to the class of the upper directory.",
                plural(self.nested.count, "image", "images")
            )
        })
    }

    fn indirect_classes(&self) -> Option<String> {
        (!self.indirect.is_empty()).then(|| {
            format!(
                "{} with images only in subdirectories: {}. One level of directories is used as classes, as torchvision \
                 does; if the subdirectories are the classes (as for timm), move them up.",
                plural(self.indirect.len(), "class directory", "class directories"),
                few(self.indirect.iter().map(Vec::as_slice))
            )
        })
    }
}

#[cfg(test)]
mod tests;
