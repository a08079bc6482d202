//! Text that is safe to draw and keeps its columns: names from outside made clean, cut to a width, and numbers whose
//! width does not change while they do.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::symbols::Symbols;
use crate::metrics::Interval;

/// The text without control characters, escape sequences and marks that turn or hide what stands beside them.
/// Line breaks and tabs become spaces.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            // The one-character form of `ESC [`.
            '\u{9b}' => skip_sequence(&mut chars),
            '\n' | '\t' => out.push(' '),
            _ if hidden(c) => {}
            _ => out.push(c),
        }
    }
    out
}

/// Control characters (C0, C1, DEL), direction marks and characters of no width that are no accents.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Passes over the rest of an escape sequence: `[` up to its final byte, a string up to BEL or ST, else one character.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            skip_sequence(chars);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || c == '\u{9c}' {
                    return;
                }
                if c == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    return;
                }
            }
        }
        Some(c) if !c.is_control() => {
            chars.next();
        }
        _ => {}
    }
}

/// A text from outside: clean, in the characters this screen can show, at most `width` columns with an ellipsis.
pub(super) fn outside(text: &str, width: usize, symbols: &Symbols) -> String {
    let mut text = clean(text);
    if !symbols.unicode {
        text = text
            .chars()
            .map(|c| if c.is_ascii() { c } else { '?' })
            .collect();
    }
    fit(&text, width, symbols.ellipsis)
}

/// At most `width` columns of the text; what is cut is replaced by the ellipsis.
pub(super) fn fit(text: &str, width: usize, ellipsis: &str) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(ellipsis.width());
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        out.push(c);
    }
    if width >= ellipsis.width() {
        out.push_str(ellipsis);
    }
    out
}

/// Columns of a text.
pub(super) fn columns(text: &str) -> u16 {
    text.width().min(usize::from(u16::MAX)) as u16
}

/// The text in lines of at most `width` columns, broken at spaces where there are any.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if width == 0 {
        return lines;
    }
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if line.width() + c.width().unwrap_or(0) > width {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A number with `decimals`, right-aligned in `width`; one that does not fit is written in powers of ten.
pub(super) fn number(value: f64, decimals: usize, width: usize) -> String {
    let text = if value.is_nan() {
        "nan".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 {
            "inf".to_owned()
        } else {
            "-inf".to_owned()
        }
    } else {
        // What rounds to nothing has no sign.
        let value = if value.abs() < 0.5 * 10_f64.powi(-(decimals as i32)) {
            0.0
        } else {
            value
        };
        let plain = format!("{value:.decimals$}");
        if plain.len() <= width {
            plain
        } else {
            format!("{value:.0e}")
        }
    };
    format!("{text:>width$}")
}

/// A number that may not be there yet; `dash` stands for it then.
pub(super) fn maybe(value: Option<f64>, decimals: usize, width: usize, dash: &str) -> String {
    value.map_or_else(
        || format!("{dash:>width$}"),
        |value| number(value, decimals, width),
    )
}

/// A share as `85.12%`, always seven columns.
pub(super) fn percent(share: Option<f64>, dash: &str) -> String {
    match share {
        Some(share) if share.is_finite() => format!("{:>6.2}%", share * 100.0),
        Some(_) => format!("{:>7}", "nan"),
        None => format!("{dash:>7}"),
    }
}

/// A share as `85%`, always four columns.
pub(super) fn short_percent(share: f64) -> String {
    if share.is_finite() {
        format!("{:>3.0}%", share * 100.0)
    } else {
        " nan".to_owned()
    }
}

/// A score between 0 and 1 as `.874`, always four columns.
pub(super) fn score(value: f64) -> String {
    if !value.is_finite() {
        return " nan".to_owned();
    }
    let text = format!("{value:.3}");
    match text.strip_prefix('0') {
        Some(fraction) => fraction.to_owned(),
        None => format!("{value:.2}"),
    }
}

/// Half of an interval as `±.008`, in the symbols of the screen; as wide as `plus_minus` and four.
pub(super) fn margin(interval: Option<Interval>, symbols: &Symbols) -> String {
    interval.map_or_else(String::new, |interval| {
        format!("{}{}", symbols.plus_minus, score(interval.half_width()))
    })
}

/// Half of an interval of a share as `±0.75`, in points.
pub(super) fn points(interval: Option<Interval>, symbols: &Symbols) -> String {
    interval.map_or_else(String::new, |interval| {
        format!("{}{:.2}", symbols.plus_minus, interval.half_width() * 100.0)
    })
}

/// A count in three columns: `999`, `12k`, `.3M`, `40M`.
pub(super) fn short_count(n: u64) -> String {
    let in_units = |unit: f64| (n as f64 / unit).round() as u64;
    match n {
        0..1_000 => n.to_string(),
        1_000..99_500 => format!("{}k", in_units(1e3)),
        99_500..950_000 => format!(".{}M", in_units(1e5)),
        _ => format!("{}M", in_units(1e6)),
    }
}

/// A count with commas.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Passes over parameters up to the final byte.
fn skip_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(c) = chars.peek().copied() {
        // What cannot belong to the sequence ends it, so a cut one eats no text.
        if !('\u{20}'..='\u{7e}').contains(&c) {
            return;
        }
        chars.next();
        if c >= '@' {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_comes_through() {
        assert_eq!(clean("a\u{1b}[31mred\u{1b}[0m b"), "ared b");
        assert_eq!(
            clean("t\u{1b}]0;title\u{7}x\u{1b}]8;;http://a\u{1b}\\y"),
            "txy"
        );
        assert_eq!(clean("a\r\nb\tc\u{9b}1md\u{7f}\u{202e}e\u{1b}"), "a b cde");
        assert_eq!(clean("\u{1b}[12"), "");
    }

    #[test]
    fn cut_by_columns_and_never_in_a_wide_character() {
        assert_eq!(fit("T-shirt/top", 11, "…"), "T-shirt/top");
        assert_eq!(fit("T-shirt/top", 7, "…"), "T-shir…");
        assert_eq!(fit("長靴長靴", 6, "…"), "長靴…");
        assert_eq!(fit("abc", 0, "…"), "");
    }

    #[test]
    fn numbers_keep_their_columns() {
        for value in [
            0.0,
            0.431_23,
            12.3,
            123_456_789.0,
            f64::NAN,
            f64::INFINITY,
            -1e-300,
        ] {
            assert_eq!(number(value, 4, 6).len(), 6, "{value}");
        }
        for value in [0.0, 0.999_9, 1.0, 0.5] {
            assert_eq!(score(value).len(), 4, "{value}");
            assert_eq!(percent(Some(value), "-").len(), 7);
            assert_eq!(short_percent(value).len(), 4);
        }
        for (n, shown) in [
            (0, "0"),
            (999, "999"),
            (1_499, "1k"),
            (99_499, "99k"),
            (99_500, ".1M"),
            (949_999, ".9M"),
            (950_000, "1M"),
        ] {
            assert_eq!(short_count(n), shown);
        }
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1,234,567");
    }

    #[test]
    fn wrapped_lines_fit_and_lose_no_word() {
        let lines = wrap("the quick brown averyveryverylongword fox", 8);
        assert!(lines.iter().all(|line| line.width() <= 8), "{lines:?}");
        assert_eq!(
            lines.concat().replace(' ', ""),
            "thequickbrownaveryveryverylongwordfox"
        );
    }
}
