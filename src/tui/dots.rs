//! The characters that curves are drawn with, at the finest resolution that the terminal supports.

use crate::config::ChartMode;

/// How a cell is divided into dots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dots {
    /// Braille characters: 2 × 4 dots (columns × rows).
    #[default]
    Braille,
    /// Half blocks: 1 × 2 dots.
    HalfBlock,
    /// One ASCII character, chosen by the approximate position of the curve in the cell.
    Ascii,
}

impl Dots {
    /// The configured mode, or with `auto` the finest one that the terminal named by `TERM` supports. With `ascii` the
    /// result is always ASCII. `lookup` returns the value of an environment variable.
    pub fn choose(mode: ChartMode, ascii: bool, lookup: impl Fn(&str) -> Option<String>) -> Self {
        match mode {
            ChartMode::Auto | ChartMode::Braille | ChartMode::Halfblock if ascii => Self::Ascii,
            ChartMode::Ascii => Self::Ascii,
            ChartMode::Halfblock => Self::HalfBlock,
            ChartMode::Auto if has_no_braille(&lookup("TERM").unwrap_or_default()) => {
                Self::HalfBlock
            }
            ChartMode::Auto | ChartMode::Braille => Self::Braille,
        }
    }

    /// Dot columns per cell.
    pub(super) fn across(self) -> usize {
        match self {
            Self::HalfBlock => 1,
            Self::Braille | Self::Ascii => 2,
        }
    }

    /// Dot rows per cell.
    pub(super) fn down(self) -> usize {
        match self {
            Self::HalfBlock => 2,
            Self::Braille | Self::Ascii => 4,
        }
    }
}

/// Whether `TERM` names the Linux console, whose font of 256 or 512 glyphs has no braille. GNU screen adds a prefix to
/// the name of the terminal that it runs in.
fn has_no_braille(term: &str) -> bool {
    let inner = term.strip_prefix("screen.").unwrap_or(term);
    inner.split('-').next() == Some("linux")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(mode: ChartMode, ascii: bool, term: &str) -> Dots {
        Dots::choose(mode, ascii, |name| {
            (name == "TERM" && !term.is_empty()).then(|| term.to_owned())
        })
    }

    #[test]
    fn auto_chooses_the_finest_supported_dots() {
        use ChartMode::{Ascii, Auto, Braille, Halfblock};
        for term in ["xterm-256color", "tmux", "screen.xterm", "linuxlike", ""] {
            assert_eq!(chosen(Auto, false, term), Dots::Braille, "{term}");
        }
        for term in ["linux", "linux-16color", "screen.linux"] {
            assert_eq!(chosen(Auto, false, term), Dots::HalfBlock, "{term}");
            assert_eq!(chosen(Braille, false, term), Dots::Braille, "{term}");
        }
        assert_eq!(chosen(Halfblock, false, "xterm"), Dots::HalfBlock);
        assert_eq!(chosen(Ascii, false, "xterm"), Dots::Ascii);
        for mode in [Auto, Braille, Halfblock, Ascii] {
            assert_eq!(chosen(mode, true, "linux"), Dots::Ascii, "{mode:?}");
        }
    }
}
