//! Temporary names.

use super::TEMPORARY;

/// Whether a name is a temporary one of a file or directory that `known` accepts: `.tmp-NAME-0123456789abcdef`; in
/// earlier versions also `.tmp-NAME`, `.tmp-NAME-1234` and `NAME.tmp-1234`, with the PID.
pub fn is_temporary(name: &str, known: impl Fn(&str) -> bool) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(rest) = name.strip_prefix(TEMPORARY) {
        let is_end = |end: &str| is_random(end) || is_number(end);
        let parts = rest.rsplit_once('-');
        known(rest) || parts.is_some_and(|(file, end)| known(file) && is_end(end))
    } else {
        let parts = name.split_once(".tmp-");
        parts.is_some_and(|(file, pid)| known(file) && is_number(pid))
    }
}

/// Whether a text is the random part of a temporary name.
pub fn is_random(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
