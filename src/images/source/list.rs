//! CSV list: a table with the columns `path` and `label`, and optionally `split`.

use std::fs;
use std::path::Path;

use super::super::parallel::parallel;
use super::super::{Counts, DataError, Listing, PixelFormat};
use super::common::{Split, stamp_file, stamp_labels, stamp_path};
use super::folder::THREADS;
use super::folder::classes as class_notes;
use super::folder::name::{first_few, plural, shown, shown_path};
use super::folder::paths::{Files, Paths, below};
use super::{ListOptions, Recognised, Source};
use crate::config::SourceName;
use classes::{Classes, classes};
use rows::Rows;
use tables::{Choice, choose, labelled, tables};

mod classes;
mod rows;
mod tables;

pub(super) const SOURCE: Source = Source {
    name: SourceName::Csv,
    title: "CSV list",
    expects: "a CSV file with the columns path and label, and optionally split",
    recognise,
    list,
};

/// Files that a thread checks at a time.
const CHECKED_AT_ONCE: usize = 1024;

fn recognise(dir: &Path) -> Option<Recognised> {
    let tables = tables(dir).ok()?;
    let names: Vec<_> = labelled(&tables).map(|table| table.name.clone()).collect();
    let verb = match names.len() {
        0 => return None,
        1 => "has",
        _ => "have",
    };
    Some(Recognised {
        dir: dir.to_owned(),
        reason: format!("{} {verb} columns for path and label", first_few(names)),
    })
}

fn list(dir: &Path, options: &ListOptions) -> Result<Listing, DataError> {
    let Choice {
        tables,
        mut notes,
        mut warnings,
    } = choose(dir, &options.name)?;
    let mut rows = Rows::default();
    let mut stamp = blake3::Hasher::new();
    for (table, split) in &tables {
        rows.read(table, *split)?;
        stamp_path(&mut stamp, &table.file)?;
    }
    let Classes { names, labels } = classes(dir, &rows, options.order)?;
    let label_of = |row: usize| rows.label(row).and_then(|text| labels.get(text)).copied();
    let images = rows.images(&|row| label_of(row).unwrap_or(0))?;
    if images.repeated > 0 {
        warnings.push(format!(
            "{} the path of an earlier row with the same label and split, and {} left out (such as {}).",
            plural(images.repeated, "row repeats", "rows repeat"),
            if images.repeated == 1 { "is" } else { "are" },
            images.first_repeated
        ));
    }
    let mut paths = Paths::default();
    let mut labels = Vec::with_capacity(images.rows.len());
    let mut counts = Counts::default();
    let mut train = vec![0; names.len()];
    for &row in &images.rows {
        let label = label_of(row).unwrap_or(0);
        paths.push(b"", rows.path(row));
        labels.push(label);
        match rows.split(row) {
            Split::Train => {
                counts.train += 1;
                if let Some(count) = train.get_mut(usize::from(label)) {
                    *count += 1;
                }
            }
            Split::Valid => *counts.valid.get_or_insert(0) += 1,
            Split::Test => *counts.test.get_or_insert(0) += 1,
        }
    }
    paths.shrink();
    if counts.train == 0 {
        return Err(rows.wrong("there are no rows of the training split"));
    }
    stamp_files(&mut stamp, dir, &paths, &|image| {
        images
            .rows
            .get(image)
            .map_or_else(String::new, |row| rows.place(*row))
    })
    .map_err(|what| rows.wrong(&what))?;
    let sizes = [Some(counts.train), counts.valid, counts.test];
    stamp.update(format!("{sizes:?}").as_bytes());
    stamp_labels(&mut stamp, &names, &labels);
    warnings.extend(class_notes::empty(&names, &train));
    notes.extend(class_notes::single(&names, &train, counts));
    Ok(Listing {
        classes: names,
        labels,
        counts,
        format: PixelFormat::Encoded,
        stamp: stamp.finalize(),
        notes,
        warnings,
        legacy_fingerprint: None,
        items: Box::new(Files {
            root: dir.to_owned(),
            paths,
        }),
    })
}

/// Checks that each path is a file, and adds path, size and modification time to the stamp. `place` is where an image is
/// listed, for the error.
fn stamp_files(
    stamp: &mut blake3::Hasher,
    dir: &Path,
    paths: &Paths,
    place: &(dyn Fn(usize) -> String + Sync),
) -> Result<(), String> {
    let parts = parallel(THREADS, paths.len().div_ceil(CHECKED_AT_ONCE), |part| {
        let first = part * CHECKED_AT_ONCE;
        let mut hasher = blake3::Hasher::new();
        let mut unusable = Vec::new();
        for image in first..paths.len().min(first + CHECKED_AT_ONCE) {
            let path = paths.relative(image);
            let what = match fs::metadata(below(dir, &path)) {
                Ok(file) if file.is_file() => {
                    stamp_file(&mut hasher, &shown(&path), &file);
                    continue;
                }
                Ok(_) => "not a regular file".to_owned(),
                Err(error) => error.to_string(),
            };
            unusable.push((image, what));
        }
        (hasher.finalize(), unusable)
    });
    let mut unusable = Vec::new();
    for (hash, missing) in parts {
        stamp.update(hash.as_bytes());
        unusable.extend(missing);
    }
    if unusable.is_empty() {
        return Ok(());
    }
    let backslash = unusable
        .iter()
        .any(|(image, _)| paths.relative(*image).contains(&b'\\'));
    let count = unusable.len();
    let lines = unusable.iter().map(|(image, what)| {
        format!(
            "{} ({}: {what})",
            shown(&paths.relative(*image)),
            place(*image)
        )
    });
    Err(format!(
        "{count} of {} cannot be used: {}; expected paths of image files, absolute or relative to {}{}",
        plural(paths.len(), "listed file", "listed files"),
        first_few(lines),
        shown_path(dir),
        if backslash {
            ", with / between directories"
        } else {
            ""
        }
    ))
}

#[cfg(test)]
mod tests;
