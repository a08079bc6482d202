//! Words to people. A reader that went away is no reason to panic, so `println!` is not used.

use std::env;
use std::io::{self, Write};

use crate::tui::utf8_locale;

/// What an ASCII terminal is shown instead.
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

/// A text on stdout.
pub(super) fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{}", shown(text));
}

/// A text on stderr.
pub(super) fn complain(text: &str) {
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

/// Without control characters: class names and paths come from outside, and would command the terminal.
fn clean(text: &str) -> String {
    let shown = |c: char| !c.is_control() || c == '\n' || c == '\t';
    text.chars()
        .map(|c| if shown(c) { c } else { '\u{fffd}' })
        .collect()
}

/// Our own signs in ASCII; what others wrote, such as names and paths, stays as it is.
fn ascii(text: &str) -> String {
    ASCII.iter().fold(text.to_owned(), |text, (sign, plain)| {
        text.replace(*sign, plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_commands_the_terminal() {
        assert_eq!(clean("a\x1b[31mb\r\n\tc"), "a\u{fffd}[31mb\u{fffd}\n\tc");
    }

    #[test]
    fn our_signs_have_ascii_forms() {
        assert_eq!(ascii("3×3 → ±1 – …"), "3x3 -> +-1 - ...");
    }
}
