//! Class names, and what is worth knowing about classes with few images.

use super::super::super::Counts;
use super::name::{first_few, plural};
use crate::limits::{LONGEST_NAME, check_classes};

/// Checks the number of classes and the length of their names.
///
/// # Errors
/// What is wrong and what was expected, without the file's name.
pub(in crate::images::source) fn check(classes: &[String]) -> Result<(), String> {
    check_classes(classes.len())?;
    let is_long = |name: &&String| name.chars().count() > LONGEST_NAME;
    classes.iter().find(is_long).map_or(Ok(()), |name| {
        Err(format!(
            "the class {name} has a name of more than {LONGEST_NAME} characters"
        ))
    })
}

/// A warning about the classes without training images. `train` has the number of training images of each class.
pub(in crate::images::source) fn empty(classes: &[String], train: &[usize]) -> Option<String> {
    let (count, names) = with_images(classes, train, 0)?;
    Some(format!(
        "{} without training images: {names}. The network keeps an output for each.",
        plural(count, "class", "classes")
    ))
}

/// A note about the classes with one training image. It matters only if validation images are cut from the training split.
pub(in crate::images::source) fn single(
    classes: &[String],
    train: &[usize],
    counts: Counts,
) -> Option<String> {
    if counts.valid.is_some() {
        return None;
    }
    let (count, names) = with_images(classes, train, 1)?;
    Some(format!(
        "{} with a single training image, which stays in the training split: {names}.",
        plural(count, "class", "classes")
    ))
}

/// Number and names of the classes with this many training images.
fn with_images(classes: &[String], train: &[usize], images: usize) -> Option<(usize, String)> {
    let classes = classes.iter().zip(train);
    let those = classes.filter(|(_, count)| **count == images);
    let names: Vec<_> = those.map(|(name, _)| name.clone()).collect();
    (!names.is_empty()).then(|| (names.len(), first_few(names)))
}
