//! Quotes arguments for commands that are printed to be typed into a POSIX shell.

use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

/// An argument as a word of a shell command. Bytes that a screen cannot show or a terminal cannot copy (control
/// characters, invisible characters, bytes that are not UTF-8; with `ascii`, all that are not ASCII) are written as
/// octal numbers for `printf`.
pub fn quote(argument: impl AsRef<OsStr>, ascii: bool) -> String {
    let bytes = argument.as_ref().as_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:,+@%".contains(byte);
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && bytes.iter().all(is_plain) => text.to_owned(),
        Ok(text) if !text.chars().any(is_invisible) && (!ascii || text.is_ascii()) => {
            format!("'{}'", text.replace('\'', "'\\''"))
        }
        _ => format!("\"$(printf '{}')\"", octal(bytes)),
    }
}

/// The bytes for `printf`, unusual ones as octal numbers.
fn octal(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        if byte.is_ascii_graphic() && !b"'\\%\"$`!".contains(&byte) || byte == b' ' {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\{byte:03o}");
        }
    }
    text
}

/// Whether a character is a control character or changes the order or width of a line without being visible.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use std::process::Command;

    /// What a shell makes of the printed words.
    #[test]
    fn quoted_arguments_reach_the_program_unchanged() {
        let arguments: [&[u8]; 12] = [
            b"first-try",
            b"",
            b"two words",
            b"a;b $(id) c",
            b"it's `id` \"$HOME\" \\n !! 100%",
            b"~root",
            b"*",
            "größe-3×3".as_bytes(),
            b"caf\xe9/r",
            b"line\nbreak\tand\x1b[31m",
            "\u{202e}drow".as_bytes(),
            b"\xff'\\%s\"$`!",
        ];
        for bytes in arguments {
            for ascii in [false, true] {
                let word = quote(OsStr::from_bytes(bytes), ascii);
                assert!(!word.chars().any(is_invisible) && (!ascii || word.is_ascii()));
                let output = Command::new("sh")
                    .args(["-c", &format!("printf %s {word}")])
                    .output()
                    .unwrap();
                assert_eq!(output.stdout, bytes, "{word}");
            }
        }
        assert_eq!(quote("runs/first-try", false), "runs/first-try");
    }
}
