//! Names of files and directories: which are images, which are clutter, and how they are shown.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::super::common::Split;

/// Extensions of the formats that are decoded.
const EXTENSIONS: [&str; 10] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff",
];

/// What macOS, Windows and Synology leave beside images. Names that start with a dot are hidden in any case.
const CLUTTER: [&str; 4] = ["__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir"];

/// Whether a file name has the extension of an image format, in any case.
pub(super) fn is_image(name: &[u8]) -> bool {
    let extension = Path::new(OsStr::from_bytes(name)).extension();
    extension.is_some_and(|found| EXTENSIONS.iter().any(|e| found.eq_ignore_ascii_case(e)))
}

/// Whether a file or directory is skipped for its name.
pub(in crate::images::source) fn is_hidden(name: &[u8]) -> bool {
    let is_clutter = |clutter: &&str| name.eq_ignore_ascii_case(clutter.as_bytes());
    name.starts_with(b".") || CLUTTER.iter().any(is_clutter)
}

/// A name or path for messages and as the name of a class. Control characters, backslashes and bytes that are not UTF-8 are
/// written as `\xNN`, so that two names are never shown alike.
pub(in crate::images::source) fn shown(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' {
                escape(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(c);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

/// As [`shown`].
pub(in crate::images::source) fn shown_path(path: &Path) -> String {
    shown(path.as_os_str().as_bytes())
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// The first few names for a message, as they are [`shown`].
pub(in crate::images::source) fn few<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> String {
    first_few(names.into_iter().map(shown))
}

/// The first few texts for a message, separated by commas; "…" stands for the others.
pub(in crate::images::source) fn first_few(texts: impl IntoIterator<Item = String>) -> String {
    const FEW: usize = 5;
    let mut texts = texts.into_iter();
    let mut first: Vec<_> = texts.by_ref().take(FEW).collect();
    if texts.next().is_some() {
        first.push("…".to_owned());
    }
    first.join(", ")
}

/// "1 file", "2 files": a number and its noun.
pub(in crate::images::source) fn plural(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// The name of a split in messages.
pub(in crate::images::source) fn title(split: Split) -> &'static str {
    match split {
        Split::Train => "training",
        Split::Valid => "validation",
        Split::Test => "test",
    }
}

/// The words that name a split, in any case.
pub(in crate::images::source) const SPLIT_WORDS: &str = "train or training; val, valid, validation or dev; test, testing, \
     eval or evaluation";
