//! The part of `data check` about images that occur twice.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

use super::print::print_line;
use super::progress::Progress;
use crate::config::DataConfig;
use crate::event::Split;
use crate::files::Dir;
use crate::images::audit::{self, Duplicate, Duplicates, Likeness, MOST_COMPARED};
use crate::images::{DUPLICATES, DataError, Dataset, KEY, Listing, cache_dir};

/// Prints how many images duplicate others, with a warning for each kind that spoils a result, and writes them to a file in
/// the directory of packed images.
pub(super) fn print(
    dataset: &Dataset,
    config: &DataConfig,
    listing: &Listing,
) -> Result<(), DataError> {
    let duplicates = {
        let mut line = Progress::new();
        audit::duplicates(dataset, &mut |what, done, total| {
            line.show(what, done as u64, total as u64);
        })?
    };
    lines(&duplicates, dataset)
        .iter()
        .for_each(|line| print_line(line));
    if !duplicates.pairs.is_empty() {
        print_line(&match write(&duplicates, dataset, config, listing) {
            Ok(path) => format!("note: the duplicates are listed in {}", path.display()),
            Err(error) => format!(
                "warning: the duplicates cannot be listed in a file: {}",
                error.0
            ),
        });
    }
    Ok(())
}

/// What was found, as notes and warnings.
fn lines(duplicates: &Duplicates, dataset: &Dataset) -> Vec<String> {
    let mut lines = Vec::new();
    let splits = [
        (Split::Train, &dataset.train),
        (Split::Valid, &dataset.valid),
        (Split::Test, &dataset.test),
    ];
    for (split, images) in splits {
        for (of, _) in splits {
            let found: Vec<&Duplicate> = duplicates.between(split, of).collect();
            if found.is_empty() {
                continue;
            }
            let kinds = kinds(&found);
            let (count, name) = (found.len(), split.name());
            lines.push(if split == of {
                format!("note: {count} of {} {name} images duplicate another one ({kinds})", images.len())
            } else {
                format!(
                    "warning: {count} of {} {name} images are also in {} ({kinds}): results on them are optimistic",
                    images.len(),
                    of.name()
                )
            });
        }
    }
    let conflicts = duplicates
        .pairs
        .iter()
        .filter(|pair| pair.image.label != pair.of.label);
    let conflicts = conflicts.count();
    if conflicts > 0 {
        lines.push(format!(
            "warning: {conflicts} duplicates have another label than their original"
        ));
    }
    if !duplicates.is_complete {
        lines.push(format!(
            "note: only exact duplicates were looked for, as there are more than {MOST_COMPARED} images"
        ));
    }
    if lines.is_empty() {
        lines.push("note: no image duplicates another one".to_owned());
    }
    lines
}

/// How many of the duplicates are of each kind, such as "12 exact, 20 near, 5 mirrored".
pub(super) fn kinds(found: &[&Duplicate]) -> String {
    let kinds = Likeness::ALL.map(|likeness| {
        let of_kind = found.iter().filter(|pair| pair.likeness == likeness);
        format!("{} {}", of_kind.count(), likeness.name())
    });
    kinds.join(", ")
}

/// Writes the duplicates as CSV. Returns the path.
fn write(
    duplicates: &Duplicates,
    dataset: &Dataset,
    config: &DataConfig,
    listing: &Listing,
) -> Result<PathBuf, DataError> {
    let names = names(dataset, listing);
    let name = |number: u32| names.get(number as usize).cloned().unwrap_or_default();
    let class = |label: u16| {
        let class = dataset.info.classes.get(usize::from(label));
        class.cloned().unwrap_or_default()
    };
    let mut table = csv::Writer::from_writer(Vec::new());
    let header = [
        "likeness",
        "difference",
        "split",
        "image",
        "class",
        "original_split",
        "original",
        "original_class",
    ];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(duplicates.pairs.iter().map(|pair| {
        let Duplicate {
            image,
            of,
            likeness,
            difference,
        } = *pair;
        [
            likeness.name().to_owned(),
            format!("{difference:.2}"),
            image.split.name().to_owned(),
            name(image.number),
            class(image.label),
            of.split.name().to_owned(),
            name(of.number),
            class(of.label),
        ]
    }));
    let written = rows.iter().try_for_each(|row| table.write_record(row));
    let bytes = written.map_err(io::Error::from).and_then(|()| {
        table
            .into_inner()
            .map_err(|error| io::Error::other(error.to_string()))
    });
    let dir = cache_dir(config)?;
    let key = dataset.fingerprint.get(..KEY).unwrap_or_default();
    let file = format!("{key}.{DUPLICATES}");
    let path = dir.join(&file);
    let stored = bytes.and_then(|bytes| {
        fs_err::create_dir_all(&dir)?;
        Dir::open(&dir)?.replace(&file, &bytes)
    });
    stored.map_err(|error| DataError(format!("{}: {error}", path.display())))?;
    Ok(path)
}

/// The names of the images by their number in the dataset, which has none of those that were left out.
fn names(dataset: &Dataset, listing: &Listing) -> Vec<String> {
    let all = (0..listing.labels.len()).map(|index| listing.items.name(index));
    let skipped: HashSet<&String> = dataset.skipped.iter().map(|(name, _)| name).collect();
    all.filter(|name| !skipped.contains(name)).collect()
}
