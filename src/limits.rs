//! Limits of data sets, journals and messages. Writers and readers use the same values, so that a run never writes what
//! cannot be read, and data beyond them are refused before training.

/// Channels of an image: 1 for grey, 3 for colour.
pub const CHANNELS: [u32; 2] = [1, 3];
/// Longest side of an image, pixels.
pub const LONGEST_SIDE: u32 = 4096;
/// Smallest and largest side to which images are resized, pixels (`data.size`).
pub const SIZES: [u32; 2] = [16, 512];
/// Longest side, pixels, with which image files of one size are used as they are if `data.size` is not set. Larger ones
/// would make a training unexpectedly slow.
pub const KEPT_SIZE: u32 = 128;
/// Side to which other images are resized if `data.size` is not set, pixels.
pub const DEFAULT_SIZE: u32 = 64;
/// Most classes.
pub const MOST_CLASSES: usize = 4096;
/// Most classes for which an evaluation computes the intervals of the AUC and of each class, and prints a row for each class.
/// Above, a class usually has too few images for a useful interval, and the table would fill many screens.
pub const DETAILED_CLASSES: usize = 200;
/// Longest name of a class, characters.
pub const LONGEST_NAME: usize = 200;
/// Most images in the gallery.
pub const MOST_GALLERY: usize = 1024;
/// Longest side of the gallery's images, pixels: larger images are stored reduced. The whole gallery then has at most
/// 12 MiB, in a journal line as well as in a snapshot.
pub const GALLERY_SIDE: u32 = 64;
/// Longest side of an image in the reply to a query, pixels: larger images are sent reduced.
pub const REPLY_SIDE: u32 = 256;
/// Longest line of a journal with its newline, bytes.
pub const JOURNAL_LINE: u64 = 64 << 20;
/// Longest message of a client, bytes.
pub const FROM_CLIENT: u32 = 64 << 10;
/// Longest message of a trainer, bytes.
pub const FROM_TRAINER: u32 = 256 << 20;

/// Checks the shape of an image: channels, height and width.
///
/// # Errors
/// The shape and what was expected.
pub fn check_image((channels, height, width): (u32, u32, u32)) -> Result<(), String> {
    let side = 1..=LONGEST_SIDE;
    if CHANNELS.contains(&channels) && side.contains(&height) && side.contains(&width) {
        return Ok(());
    }
    Err(format!(
        "images of {channels} channels and {height}×{width} pixels; expected 1 (grey) or 3 (colour) channels and sides \
         of 1 to {LONGEST_SIDE} pixels"
    ))
}

/// Checks the number of classes.
///
/// # Errors
/// The number and what was expected.
pub fn check_classes(classes: usize) -> Result<(), String> {
    if classes <= MOST_CLASSES {
        return Ok(());
    }
    Err(format!(
        "{classes} classes; expected at most {MOST_CLASSES}"
    ))
}

/// A note on what evaluations leave out for this number of classes, if anything.
pub fn many_classes_note(classes: usize) -> Option<String> {
    (classes > DETAILED_CLASSES).then(|| {
        format!(
            "{classes} classes: above {DETAILED_CLASSES}, the mean AUC and the F1 of single classes have no intervals, and printed tables \
             have only the classes with the lowest F1"
        )
    })
}

/// The class index of a label.
///
/// # Errors
/// The label and its image, if it is negative or beyond the most classes.
pub fn class_index(label: i64, image: usize) -> Result<u16, String> {
    let index = u16::try_from(label).ok();
    index
        .filter(|index| usize::from(*index) < MOST_CLASSES)
        .ok_or_else(|| {
            format!(
                "label {label} of image {image} is out of range: expected 0 to {}",
                MOST_CLASSES - 1
            )
        })
}
