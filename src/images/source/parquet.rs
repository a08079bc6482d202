//! Parquet files as Hugging Face publishes image data sets: a column of image files, a column of labels, and the class names
//! in the metadata of the files.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::{DataError, Listing, PixelFormat};
use super::common::{
    Labels, Split, check_names, join_labels, list_of, listed_classes, numbered_classes, plain_name,
    stamp_file, stamp_labels, wrong,
};
use super::{ListOptions, Recognised, Source};
use crate::config::SourceName;
use crate::limits::class_index;

mod columns;
mod files;
mod rows;
mod words;

use columns::Columns;
use files::{Files, data_sets_in};
use rows::{Rows, Shard};
use words::Words;

pub(super) const SOURCE: Source = Source {
    name: SourceName::Parquet,
    title: "Parquet files",
    expects: "train-00000-of-….parquet with columns image and label, in the directory or in data/ (Hugging Face)",
    recognise,
    list,
};

fn recognise(dir: &Path) -> Option<Recognised> {
    let sets = data_sets_in(dir);
    let first = sets.first()?;
    let name = |(_, path): &(Split, std::path::PathBuf)| {
        let name = path.strip_prefix(&first.dir).unwrap_or(path);
        name.display().to_string()
    };
    let reason = match sets.len() {
        1 => format!("has {}", first.paths.first().map(name)?),
        _ => format!("has Parquet files in {}", titles(&sets)),
    };
    Some(Recognised {
        dir: if sets.len() == 1 {
            first.dir.clone()
        } else {
            dir.to_owned()
        },
        reason,
    })
}

fn titles(sets: &[Files]) -> String {
    let titles: Vec<String> = sets.iter().map(Files::title).collect();
    list_of(&titles)
}

/// The files of the data set that `data.name` names, if there are several.
fn choose(dir: &Path, mut sets: Vec<Files>, name: &str) -> Result<Files, DataError> {
    if sets.is_empty() {
        return Err(wrong(dir, format!("expected {}", SOURCE.expects)));
    }
    let titles = titles(&sets);
    if sets.len() > 1 {
        sets.retain(|set| plain_name(&set.title()) == plain_name(name));
    }
    sets.pop().ok_or_else(|| {
        let what = format!("has several data sets: {titles}; set data.name to one of them");
        wrong(dir, what)
    })
}

/// The labels of one file as they are written: numbers, or numbers of words in the order of their first occurrence.
struct Column {
    split: Split,
    shard: Shard,
    values: Vec<Option<i64>>,
}

fn list(dir: &Path, options: &ListOptions) -> Result<Listing, DataError> {
    let files = choose(dir, data_sets_in(dir), &options.name)?;
    files.check_complete()?;
    let (mut notes, mut warnings) = (files.notes.clone(), Vec::new());
    let mut chosen: Option<Columns> = None;
    let mut words = Words::default();
    let mut read = Vec::new();
    for (split, path) in &files.paths {
        let name = path.strip_prefix(&files.dir).unwrap_or(path);
        let shard = Shard::open(path, &name.to_string_lossy(), chosen.as_ref())?;
        if chosen.is_none() {
            notes.extend(shard.columns.notes());
            chosen = Some(shard.columns.clone());
        }
        let values = shard.labels(&mut words)?;
        read.push(Column {
            split: *split,
            shard,
            values,
        });
    }
    for split in [Split::Valid, Split::Test] {
        warnings.extend(drop_unlabelled(&mut read, split));
    }
    read.retain(|column| !column.values.is_empty());
    let named = chosen.map(|columns| columns.classes).unwrap_or_default();
    let listed = listed_classes(&files.dir)?;
    let known = if words.count() > 0 {
        Some(number_words(&mut read, &words, listed)?)
    } else {
        listed.or_else(|| (!named.is_empty()).then_some(named))
    };
    let groups = read.iter().map(labels_of);
    let groups = groups.collect::<Result<Vec<Labels>, DataError>>()?;
    let classes = known.unwrap_or_else(|| numbered_classes(&groups));
    let file = files.paths.first().map_or(dir, |(_, path)| path);
    check_names(file, &classes)?;
    let (labels, counts) = join_labels(&groups, classes.len())?;
    let mut stamp = blake3::Hasher::new();
    for column in &read {
        stamp_file(&mut stamp, &column.shard.name, &column.shard.meta);
    }
    stamp_labels(&mut stamp, &classes, &labels);
    let shards = read.into_iter().map(|column| column.shard).collect();
    Ok(Listing {
        classes,
        labels,
        counts,
        format: PixelFormat::Encoded,
        stamp: stamp.finalize(),
        notes,
        warnings,
        legacy_fingerprint: None,
        items: Box::new(Rows { shards }),
    })
}

/// Leaves out a split without labels, as the test splits of competitions are, whose labels are all null or −1.
fn drop_unlabelled(read: &mut Vec<Column>, split: Split) -> Option<String> {
    let values = read.iter().filter(|column| column.split == split);
    let mut values = values.flat_map(|column| &column.values).peekable();
    values.peek()?;
    if !values.all(|value| matches!(value, None | Some(-1))) {
        return None;
    }
    let first = read.iter().find(|column| column.split == split);
    let name = first.map_or_else(String::new, |column| column.shard.name.clone());
    read.retain(|column| column.split != split);
    Some(format!(
        "{name}: the split has no labels (all are null or -1): it is left out"
    ))
}

fn labels_of(column: &Column) -> Result<Labels, DataError> {
    let file = column.shard.path.display().to_string();
    let label = |(row, value): (usize, &Option<i64>)| {
        let value = value.ok_or_else(|| format!("row {row} has no label (null)"));
        value.and_then(|value| class_index(value, row))
    };
    let labels = column.values.iter().enumerate().map(label);
    Ok(Labels {
        split: column.split,
        classes: labels
            .collect::<Result<Vec<u16>, String>>()
            .map_err(|what| wrong(&file, what))?,
        file,
    })
}

/// Turns the numbers of words into class indices, and returns the class names: those in `classes.txt`, else the words of
/// the training images in the order of their bytes.
///
/// # Errors
/// If a label is not among the class names.
fn number_words(
    read: &mut [Column],
    words: &Words,
    listed: Option<Vec<String>>,
) -> Result<Vec<String>, DataError> {
    let train = read.iter().filter(|column| column.split == Split::Train);
    let used = train.flat_map(|column| column.values.iter().flatten());
    let used: BTreeSet<&str> = used.filter_map(|id| words.name(*id)).collect();
    let classes = listed.unwrap_or_else(|| used.into_iter().map(str::to_owned).collect());
    let index = |id: i64| {
        let name = words.name(id)?;
        let index = classes.iter().position(|class| class == name)?;
        Some(index as i64)
    };
    let indices: Vec<Option<i64>> = (0..words.count()).map(index).collect();
    for column in read {
        for (row, value) in column.values.iter_mut().enumerate() {
            let Some(id) = *value else {
                continue;
            };
            *value = indices.get(id as usize).copied().flatten();
            if value.is_none() {
                let name = words.name(id).unwrap_or("");
                let what = format!(
                    "label {name:?} of row {row} is not among the classes: {}",
                    shortened(&classes)
                );
                return Err(wrong(&column.shard.path, what));
            }
        }
    }
    Ok(classes)
}

/// The first class names, for a message.
fn shortened(classes: &[String]) -> String {
    let first: Vec<String> = classes.iter().take(10).cloned().collect();
    match classes.len() - first.len() {
        0 => list_of(&first),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests;
