//! Text output. `println!` is not used because it panics when the pipe is closed.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::session::run_argument;
use crate::shell;
use crate::tui::utf8_locale;

/// Replacements for terminals without UTF-8.
const ASCII: [(char, &str); 9] = [
    ('×', "x"),
    ('–', "-"),
    ('→', "->"),
    ('±', "+-"),
    ('…', "..."),
    ('√', "sqrt"),
    ('━', "#"),
    ('·', "-"),
    ('\u{fffd}', "?"),
];

/// The command that starts this program: its name if it is found in PATH, else its path.
pub(super) fn program() -> String {
    let own = env::current_exe().unwrap_or_default();
    let name = own.file_name().unwrap_or_default();
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file());
    let same = found.is_some_and(|path| path.canonicalize().ok() == own.canonicalize().ok());
    let shown = if same { PathBuf::from(name) } else { own };
    argument(shown)
}

/// An argument as a word of a shell command that is printed.
pub(super) fn argument(word: impl AsRef<OsStr>) -> String {
    shell::quote(word, !utf8_locale(|key| env::var(key).ok()))
}

/// The word that names a run in a command that is printed.
pub(super) fn run_word(run: &Path) -> String {
    argument(run_argument(run))
}

/// Whether output was lost for another reason than a closed pipe.
static LOST: AtomicBool = AtomicBool::new(false);

/// Prints a text to stdout.
pub(super) fn print_line(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "{}", shown(text)) {
        // A closed pipe (for example `| head`) is not an error.
        let lost = error.kind() != io::ErrorKind::BrokenPipe;
        if lost && !LOST.swap(true, Ordering::Relaxed) {
            print_error(&format!("error: standard output: {error}"));
        }
    }
}

/// Whether all output was written. A closed pipe does not count as an error.
pub(super) fn output_complete() -> bool {
    !LOST.load(Ordering::Relaxed)
}

/// Prints a JSON value to stdout, without the replacements of [`print_line`]. Returns whether it was written; a closed
/// pipe does not count as an error.
pub(super) fn print_json(value: &serde_json::Value) -> bool {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", json_text(value)).and_then(|()| out.flush()) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => true,
        Err(error) => {
            print_error(&format!("error: standard output: {error}"));
            false
        }
    }
}

/// A JSON value as text over several lines. Characters that a terminal does not show are escaped: they can only be within
/// strings.
pub(super) fn json_text(value: &serde_json::Value) -> String {
    let mut text = String::new();
    for c in format!("{value:#}").chars() {
        if shell::is_invisible(c) && c != '\n' {
            let units = c.encode_utf16(&mut [0; 2]).to_vec();
            text.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            text.push(c);
        }
    }
    text
}

/// Prints a text to stderr.
pub(super) fn print_error(text: &str) {
    let mut out = io::stderr().lock();
    let _ = writeln!(out, "{}", shown(text));
}

fn shown(text: &str) -> String {
    let text = clean(text.trim_end());
    if utf8_locale(|key| env::var(key).ok()) {
        text
    } else {
        ascii(&text)
    }
}

/// Replaces control characters and bidirectional overrides, because class names and paths are untrusted input.
fn clean(text: &str) -> String {
    let odd = |c: char| shell::is_invisible(c) && c != '\n' && c != '\t';
    text.chars()
        .map(|c| if odd(c) { '\u{fffd}' } else { c })
        .collect()
}

/// Replaces the special characters of this program by ASCII; other text, such as names and paths, is not changed.
fn ascii(text: &str) -> String {
    ASCII.iter().fold(text.to_owned(), |text, (sign, plain)| {
        text.replace(*sign, plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(clean("a\x1b[31mb\r\n\tc"), "a\u{fffd}[31mb\u{fffd}\n\tc");
        assert_eq!(clean("\u{202e}drow"), "\u{fffd}drow");
    }

    /// Before: a C1 control character in a text of a run reached the terminal.
    #[test]
    fn json_has_no_characters_that_control_the_terminal() {
        let value = serde_json::json!({ "a": "\u{1b}\u{9b}31m\u{202e}é" });
        let text = json_text(&value);
        assert_eq!(text, "{\n  \"a\": \"\\u001b\\u009b31m\\u202eé\"\n}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default(),
            value
        );
    }

    #[test]
    fn special_characters_have_ascii_replacements() {
        assert_eq!(ascii("3×3 → ±1 – …"), "3x3 -> +-1 - ...");
    }
}
