//! Recognition of an image folder by a look at a few entries.

use std::path::Path;

use super::super::Recognised;
use super::super::common::Split;
use super::entries::{Kind, entries};
use super::layout::split_of;
use super::name::{few, shown};
use super::paths::below;

/// Entries of a directory that are examined.
const LOOKED_AT: usize = 1024;
/// Directories of a directory that are looked into.
const LOOKED_INTO: usize = 8;
/// Levels below the directory at which images must appear: split, class, subdirectory.
const LEVELS: usize = 3;

/// Whether there are images in the directory or a few levels below it. If it contains nothing but one directory with class
/// directories or splits, as an unpacked archive often does, that one is returned.
pub(super) fn recognise(dir: &Path) -> Option<Recognised> {
    let top = Look::at(dir)?;
    let inner = top.only_directory().and_then(|name| {
        let path = below(dir, name);
        let inner = Look::at(&path)?;
        let is_root = !inner.has_image && (inner.has_train() || inner.dirs.len() > 1);
        is_root.then_some((path, inner, format!("its only directory {} ", shown(name))))
    });
    let (path, look, subject) = inner.unwrap_or((dir.to_owned(), top, String::new()));
    if !has_image(&path, &look, LEVELS) {
        return None;
    }
    let directories = few(look.dirs.iter().map(Vec::as_slice));
    let reason = if look.has_train() {
        let splits = look.dirs.iter().filter(|name| split_of(name).is_some());
        format!("has the splits {}", few(splits.map(Vec::as_slice)))
    } else if look.dirs.is_empty() {
        "has images, but no class directories".to_owned()
    } else {
        format!("has directories with images: {directories}")
    };
    Some(Recognised {
        dir: path,
        reason: subject + &reason,
    })
}

/// The first entries of a directory.
struct Look {
    /// Names of directories, in byte order.
    dirs: Vec<Vec<u8>>,
    /// Whether there is an image among the entries.
    has_image: bool,
}

impl Look {
    /// `None` if the directory cannot be read.
    fn at(dir: &Path) -> Option<Self> {
        let mut look = Self {
            dirs: Vec::new(),
            has_image: false,
        };
        for entry in entries(dir).ok()?.take(LOOKED_AT) {
            let entry = entry.ok()?;
            match entry.kind {
                Kind::Directory => look.dirs.push(entry.name),
                Kind::Image => look.has_image = true,
                Kind::Other | Kind::Hidden | Kind::BrokenLink => {}
            }
        }
        look.dirs.sort_unstable();
        Some(look)
    }

    /// The only directory, if it is not a split and its parent has no images of its own.
    fn only_directory(&self) -> Option<&[u8]> {
        match self.dirs.as_slice() {
            [only] if !self.has_image && split_of(only).is_none() => Some(only),
            _ => None,
        }
    }

    fn has_train(&self) -> bool {
        let is_train = |name: &Vec<u8>| split_of(name) == Some(Split::Train);
        self.dirs.iter().any(is_train)
    }
}

/// Whether there is an image in the directory, or in the first few directories at most `levels` below it.
fn has_image(dir: &Path, look: &Look, levels: usize) -> bool {
    if look.has_image {
        return true;
    }
    let Some(levels) = levels.checked_sub(1) else {
        return false;
    };
    look.dirs.iter().take(LOOKED_INTO).any(|name| {
        let path = below(dir, name);
        Look::at(&path).is_some_and(|look| has_image(&path, &look, levels))
    })
}
