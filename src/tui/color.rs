//! The colour depth of the terminal, and the conversion of colours to it. No other module converts colours.

use ratatui::style::Color;

/// The number of colours that a terminal supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorDepth {
    /// No colours, only modifiers such as bold and reversed.
    None,
    /// The 16 colours of the terminal's palette.
    Ansi16,
    /// The fixed palette of 256 colours.
    #[default]
    Ansi256,
    /// 24-bit colour.
    True,
}

impl ColorDepth {
    /// Detects the depth from the environment: `NO_COLOR`, then `COLORTERM`, then `TERM`. `lookup` returns the value of
    /// a variable.
    pub fn detect(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name| lookup(name).unwrap_or_default();
        if !get("NO_COLOR").is_empty() {
            Self::None
        } else if matches!(get("COLORTERM").as_str(), "truecolor" | "24bit") {
            Self::True
        } else if get("TERM").contains("256color") {
            Self::Ansi256
        } else {
            Self::Ansi16
        }
    }

    /// The nearest colour that a terminal of this depth can show.
    pub(super) fn reduce(self, color: Color) -> Color {
        match (self, color) {
            (Self::None, _) => Color::Reset,
            (Self::Ansi256, Color::Rgb(r, g, b)) => Color::Indexed(to_256([r, g, b])),
            (Self::Ansi16, Color::Rgb(r, g, b)) => to_16([r, g, b]),
            (Self::Ansi16, Color::Indexed(index)) => to_16(of_256(index)),
            // No conversion is needed: true colour shows everything, and named colours exist on every terminal.
            _ => color,
        }
    }
}

/// Whether the character encoding of the locale is UTF-8. `lookup` returns the value of a variable.
pub fn utf8_locale(lookup: impl Fn(&str) -> Option<String>) -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(lookup)
        .find(|value| !value.is_empty())
        .is_some_and(|value| {
            let value = value.to_ascii_lowercase();
            value.contains("utf-8") || value.contains("utf8")
        })
}

/// Channel values of the 6×6×6 cube in the 256-colour palette.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// xterm's values of the 16 colours. Terminals differ, so these are approximate.
const SIXTEEN: [([u8; 3], Color); 16] = [
    ([0, 0, 0], Color::Black),
    ([205, 0, 0], Color::Red),
    ([0, 205, 0], Color::Green),
    ([205, 205, 0], Color::Yellow),
    ([0, 0, 238], Color::Blue),
    ([205, 0, 205], Color::Magenta),
    ([0, 205, 205], Color::Cyan),
    ([229, 229, 229], Color::Gray),
    ([127, 127, 127], Color::DarkGray),
    ([255, 85, 85], Color::LightRed),
    ([85, 255, 85], Color::LightGreen),
    ([255, 255, 85], Color::LightYellow),
    ([92, 92, 255], Color::LightBlue),
    ([255, 85, 255], Color::LightMagenta),
    ([85, 255, 255], Color::LightCyan),
    ([255, 255, 255], Color::White),
];

fn distance(a: [u8; 3], b: [u8; 3]) -> u32 {
    a.into_iter()
        .zip(b)
        .map(|(a, b)| u32::from(a.abs_diff(b)).pow(2))
        .sum()
}

fn to_16(rgb: [u8; 3]) -> Color {
    SIXTEEN
        .into_iter()
        .min_by_key(|(known, _)| distance(*known, rgb))
        .map_or(Color::Reset, |(_, color)| color)
}

fn to_256(rgb: [u8; 3]) -> u8 {
    (16..=255)
        .min_by_key(|index| distance(of_256(*index), rgb))
        .unwrap_or(0)
}

fn of_256(index: u8) -> [u8; 3] {
    match index {
        0..=15 => SIXTEEN
            .get(usize::from(index))
            .map_or([0; 3], |(rgb, _)| *rgb),
        16..=231 => {
            let i = index - 16;
            [i / 36, i / 6 % 6, i % 6].map(|step| CUBE.get(usize::from(step)).copied().unwrap_or(0))
        }
        232..=255 => [8 + 10 * (index - 232); 3],
    }
}

/// The red, green and blue values of a colour, using xterm's values for named colours. `None` for the terminal's
/// default colour.
pub(super) fn rgb(color: Color) -> Option<[u8; 3]> {
    match color {
        Color::Reset => None,
        Color::Rgb(r, g, b) => Some([r, g, b]),
        Color::Indexed(index) => Some(of_256(index)),
        named => SIXTEEN
            .iter()
            .find(|(_, known)| *known == named)
            .map(|(rgb, _)| *rgb),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(pairs: &[(&str, &str)]) -> ColorDepth {
        ColorDepth::detect(|name| {
            pairs
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn depth_is_detected_from_the_environment() {
        assert_eq!(
            depth(&[("NO_COLOR", "1"), ("COLORTERM", "truecolor")]),
            ColorDepth::None
        );
        assert_eq!(
            depth(&[("NO_COLOR", ""), ("COLORTERM", "truecolor")]),
            ColorDepth::True
        );
        assert_eq!(depth(&[("TERM", "tmux-256color")]), ColorDepth::Ansi256);
        assert_eq!(depth(&[("TERM", "linux")]), ColorDepth::Ansi16);
        assert_eq!(depth(&[]), ColorDepth::Ansi16);
    }

    #[test]
    fn first_nonempty_locale_variable_decides() {
        let locale = |pairs: &[(&str, &str)]| {
            utf8_locale(|name| {
                pairs
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(locale(&[("LANG", "de_DE.UTF-8")]));
        assert!(locale(&[
            ("LC_ALL", ""),
            ("LC_CTYPE", "C.utf8"),
            ("LANG", "C")
        ]));
        assert!(!locale(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(!locale(&[]));
    }

    #[test]
    fn colours_are_reduced_to_the_nearest() {
        assert_eq!(
            ColorDepth::Ansi256.reduce(Color::Rgb(255, 0, 0)),
            Color::Indexed(196)
        );
        assert_eq!(
            ColorDepth::Ansi256.reduce(Color::Rgb(128, 128, 128)),
            Color::Indexed(244)
        );
        assert_eq!(
            ColorDepth::Ansi16.reduce(Color::Rgb(250, 250, 250)),
            Color::White
        );
        assert_eq!(ColorDepth::Ansi16.reduce(Color::Indexed(160)), Color::Red);
        assert_eq!(ColorDepth::None.reduce(Color::Red), Color::Reset);
        for index in 16..=255 {
            assert_eq!(of_256(to_256(of_256(index))), of_256(index));
        }
    }
}
