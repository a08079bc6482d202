//! Words to people. A reader that went away is no reason to panic, so `println!` is not used.

use std::io::{self, Write};

/// A text on stdout.
pub(super) fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{}", clean(text.trim_end()));
}

/// A text on stderr.
pub(super) fn complain(text: &str) {
    let mut out = io::stderr().lock();
    let _ = writeln!(out, "{}", clean(text.trim_end()));
}

/// Without control characters: class names and paths come from outside, and would command the terminal.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}
