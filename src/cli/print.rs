//! Words to people. A reader that went away is no reason to panic, so `println!` is not used.

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// What to type for this program: its name where the shell would find it, else its path.
pub(super) fn program() -> String {
    let own = env::current_exe().unwrap_or_default();
    let name = own.file_name().unwrap_or_default();
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file());
    let same = found.is_some_and(|path| path.canonicalize().ok() == own.canonicalize().ok());
    let shown = if same { PathBuf::from(name) } else { own };
    shown.display().to_string()
}

/// Whether something said has not got through, and was to.
static LOST: AtomicBool = AtomicBool::new(false);

/// A text on stdout.
pub(super) fn say(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "{}", shown(text)) {
        // A reader that went away wanted no more.
        let lost = error.kind() != io::ErrorKind::BrokenPipe;
        if lost && !LOST.swap(true, Ordering::Relaxed) {
            complain(&format!("error: standard output: {error}"));
        }
    }
}

/// Whether all that was said got through, as far as anybody wanted it.
pub(super) fn all_told() -> bool {
    !LOST.load(Ordering::Relaxed)
}

/// A value on stdout, for programs: nothing is made pretty or safe that JSON does not escape itself. Whether it got through;
/// a reader that went away wanted no more.
pub(super) fn say_json(value: &serde_json::Value) -> bool {
    let mut out = io::stdout().lock();
    match writeln!(out, "{value:#}").and_then(|()| out.flush()) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => true,
        Err(error) => {
            complain(&format!("error: standard output: {error}"));
            false
        }
    }
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

/// Without what would command the terminal or turn its text round: class names and paths come from outside.
fn clean(text: &str) -> String {
    let odd = |c: char| {
        c.is_control() && c != '\n' && c != '\t'
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars()
        .map(|c| if odd(c) { '\u{fffd}' } else { c })
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
        assert_eq!(clean("\u{202e}drow"), "\u{fffd}drow");
    }

    #[test]
    fn our_signs_have_ascii_forms() {
        assert_eq!(ascii("3×3 → ±1 – …"), "3x3 -> +-1 - ...");
    }
}
