//! What curves are drawn with, as fine as the terminal has it.

use crate::config::ChartMode;

/// The dots of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dots {
    /// Braille, 2 × 4.
    #[default]
    Braille,
    /// Half blocks, 1 × 2.
    HalfBlock,
    /// One ASCII character, which tells about where in the cell the curve passes.
    Ascii,
}

impl Dots {
    /// What is to be drawn with: as configured, or the finest the environment tells of. A screen that keeps to ASCII has
    /// ASCII only. `lookup` reads a variable.
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

    /// Dots of a cell from side to side.
    pub(super) fn across(self) -> usize {
        match self {
            Self::HalfBlock => 1,
            Self::Braille | Self::Ascii => 2,
        }
    }

    /// Dots of a cell from top to bottom.
    pub(super) fn down(self) -> usize {
        match self {
            Self::HalfBlock => 2,
            Self::Braille | Self::Ascii => 4,
        }
    }
}

/// The console of the Linux kernel: a font of 256 or 512 characters, none of them braille. GNU screen says so of what it runs
/// in, too.
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
    fn the_finest_that_can_be_shown_unless_told_otherwise() {
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
