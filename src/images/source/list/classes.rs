//! The classes of a list.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use super::super::super::DataError;
use super::super::common::{Split, listed_classes};
use super::super::folder::classes::check;
use super::super::folder::name::{first_few, shown};
use super::super::folder::order;
use super::rows::Rows;
use crate::config::ClassOrder;

/// The classes of a list.
#[derive(Debug)]
pub(super) struct Classes {
    /// Their names, indexed by label.
    pub(super) names: Vec<String>,
    /// The label for each text in the column of labels.
    pub(super) labels: Vec<u16>,
}

/// Determines the classes. Labels are names, or numbers that are indices into `classes.txt` if there is one.
///
/// # Errors
/// If labels are several at once, out of range, too many or too few, or evaluated but not trained.
pub(super) fn classes(dir: &Path, rows: &Rows, order: ClassOrder) -> Result<Classes, DataError> {
    let texts: Vec<_> = rows.texts.iter().map(|(text, _)| text.as_slice()).collect();
    refuse_several(rows, &texts)?;
    let numbers: Option<Vec<u64>> = texts.iter().map(|text| number(text)).collect();
    let classes = match numbers {
        None => named(&texts, order),
        Some(numbers) => match listed_classes(dir)? {
            Some(names) => return indexed(rows, &numbers, names),
            None => numbered(&numbers),
        },
    };
    check(&classes.names).map_err(|what| rows.wrong(&what))?;
    if let [_] | [] = classes.names.as_slice() {
        return Err(rows.wrong(&format!(
            "there are fewer than two classes ({}), and at least two are needed",
            classes.names.join("")
        )));
    }
    refuse_untrained(rows, &classes)?;
    Ok(classes)
}

/// A label that is a number.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_digit);
    str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// Classes by name.
fn named(texts: &[&[u8]], by: ClassOrder) -> Classes {
    let mut sorted = texts.to_vec();
    sorted.sort_unstable_by(|a, b| order::compare(by, a, b));
    let position = |text: &&[u8]| {
        let place = sorted.binary_search_by(|other| order::compare(by, other, text));
        place.unwrap_or_default() as u16
    };
    Classes {
        labels: texts.iter().map(position).collect(),
        names: sorted.iter().map(|text| shown(text)).collect(),
    }
}

/// Classes that are numbers, in numeric order.
fn numbered(numbers: &[u64]) -> Classes {
    let sorted: BTreeSet<u64> = numbers.iter().copied().collect();
    let sorted: Vec<u64> = sorted.into_iter().collect();
    let position = |number: &u64| sorted.binary_search(number).unwrap_or_default() as u16;
    Classes {
        labels: numbers.iter().map(position).collect(),
        names: sorted.iter().map(u64::to_string).collect(),
    }
}

/// Classes of `classes.txt`.
fn indexed(rows: &Rows, numbers: &[u64], names: Vec<String>) -> Result<Classes, DataError> {
    let mut labels = Vec::with_capacity(numbers.len());
    for (number, (_, row)) in numbers.iter().zip(&rows.texts) {
        if *number >= names.len() as u64 {
            return Err(rows.wrong(&format!(
                "{}: label {number} is out of range: classes.txt has {} names, for the labels 0 to {}",
                rows.place(*row),
                names.len(),
                names.len().saturating_sub(1)
            )));
        }
        labels.push(*number as u16);
    }
    Ok(Classes { names, labels })
}

/// Refuses cells that contain several of the labels.
fn refuse_several(rows: &Rows, texts: &[&[u8]]) -> Result<(), DataError> {
    let known: HashSet<&[u8]> = texts.iter().copied().collect();
    for (text, row) in &rows.texts {
        for separator in [b'|', b';', b','] {
            let parts = text.split(|byte| *byte == separator).map(unquoted);
            if parts.clone().count() > 1 && parts.clone().all(|part| known.contains(part)) {
                return Err(rows.wrong(&format!(
                    "{}: \"{}\" is several labels ({}); expected one label per image, several are not supported",
                    rows.place(*row),
                    shown(text),
                    first_few(parts.map(shown))
                )));
            }
        }
    }
    Ok(())
}

/// A part of a cell without the brackets and quotes of a Python list.
fn unquoted(part: &[u8]) -> &[u8] {
    let mut part = part;
    while let [b' ' | b'[' | b'\'' | b'"', rest @ ..] | [rest @ .., b' ' | b']' | b'\'' | b'"'] =
        part
    {
        part = rest;
    }
    part
}

/// Refuses classes that occur in the validation or test split only.
fn refuse_untrained(rows: &Rows, classes: &Classes) -> Result<(), DataError> {
    let label = |row: usize| rows.label(row).and_then(|text| classes.labels.get(text));
    let mut trained = vec![false; classes.names.len()];
    for row in (0..rows.len()).filter(|row| rows.split(*row) == Split::Train) {
        if let Some(trained) = label(row).and_then(|label| trained.get_mut(usize::from(*label))) {
            *trained = true;
        }
    }
    if !trained.contains(&true) || !trained.contains(&false) {
        // Without any training row, that is the error.
        return Ok(());
    }
    let untrained = classes
        .names
        .iter()
        .zip(trained)
        .filter(|(_, trained)| !trained);
    Err(rows.wrong(&format!(
        "the validation or test split has classes that the training split lacks: {}; remove their rows, or add training \
         images of these classes",
        first_few(untrained.map(|(name, _)| name.clone()))
    )))
}
