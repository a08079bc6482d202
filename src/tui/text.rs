//! Text for the screen: removes control characters from external text, truncates and wraps it, and formats numbers with
//! a constant width.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::symbols::Symbols;
use crate::metrics::Interval;

/// The text without control characters, escape sequences, direction marks and invisible characters. Line breaks and
/// tabs become spaces.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            // CSI: the one-character form of `ESC [`.
            '\u{9b}' => skip_sequence(&mut chars),
            '\n' | '\t' => out.push(' '),
            _ if hidden(c) => {}
            _ => out.push(c),
        }
    }
    out
}

/// Whether the character is a control character (C0, C1, DEL), a direction mark, or has no width and is not an accent.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Skips the rest of an escape sequence: after `[` up to its final byte, a string up to BEL or ST, else one character.
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

/// External text prepared for the screen: cleaned, in ASCII if required, truncated to `width` columns with an ellipsis.
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

/// The text truncated to `width` columns. If it is cut, it ends with the ellipsis.
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

/// The width of a text, columns.
pub(super) fn columns(text: &str) -> u16 {
    text.width().min(usize::from(u16::MAX)) as u16
}

/// The text wrapped into lines of at most `width` columns, at spaces where possible.
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

/// A number with `decimals` digits, right-aligned in `width` columns. If it does not fit, it is in scientific notation.
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
        // A value that rounds to zero has no sign.
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

/// Formats an optional number like [`number`]; `dash` stands for a missing value.
pub(super) fn maybe(value: Option<f64>, decimals: usize, width: usize, dash: &str) -> String {
    value.map_or_else(
        || format!("{dash:>width$}"),
        |value| number(value, decimals, width),
    )
}

/// A share (0 to 1) as `85.12%`, always seven columns.
pub(super) fn percent(share: Option<f64>, dash: &str) -> String {
    match share {
        Some(share) if share.is_finite() => format!("{:>6.2}%", share * 100.0),
        Some(_) => format!("{:>7}", "nan"),
        None => format!("{dash:>7}"),
    }
}

/// A share (0 to 1) as `85%`, always four columns.
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

/// The distance of a value from the farther end of its interval as `±.008`, in the symbols of the screen; four columns
/// wider than `plus_minus`. A distance that is not 0 is not shown as 0.
pub(super) fn margin(measured: Option<(f64, Interval)>, symbols: &Symbols) -> String {
    measured.map_or_else(String::new, |(value, interval)| {
        let least = if interval.low < interval.high {
            0.001
        } else {
            0.0
        };
        format!(
            "{}{}",
            symbols.plus_minus,
            score(interval.reach(value).max(least))
        )
    })
}

/// The distance of a share from the farther end of its interval as `±0.75`, in percentage points.
pub(super) fn points(measured: Option<(f64, Interval)>, symbols: &Symbols) -> String {
    measured.map_or_else(String::new, |(value, interval)| {
        let least = if interval.low < interval.high {
            0.01
        } else {
            0.0
        };
        let reach = (interval.reach(value) * 100.0).max(least);
        format!("{}{reach:.2}", symbols.plus_minus)
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

/// Skips the parameters of a control sequence and its final byte.
fn skip_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(c) = chars.peek().copied() {
        // A character that cannot belong to the sequence ends it, so that a truncated sequence does not swallow text.
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
    fn terminal_control_sequences_are_removed() {
        assert_eq!(clean("a\u{1b}[31mred\u{1b}[0m b"), "ared b");
        assert_eq!(
            clean("t\u{1b}]0;title\u{7}x\u{1b}]8;;http://a\u{1b}\\y"),
            "txy"
        );
        assert_eq!(clean("a\r\nb\tc\u{9b}1md\u{7f}\u{202e}e\u{1b}"), "a b cde");
        assert_eq!(clean("\u{1b}[12"), "");
    }

    #[test]
    fn text_is_truncated_by_columns_and_not_within_wide_characters() {
        assert_eq!(fit("T-shirt/top", 11, "…"), "T-shirt/top");
        assert_eq!(fit("T-shirt/top", 7, "…"), "T-shir…");
        assert_eq!(fit("長靴長靴", 6, "…"), "長靴…");
        assert_eq!(fit("abc", 0, "…"), "");
    }

    #[test]
    fn numbers_have_a_constant_width() {
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
