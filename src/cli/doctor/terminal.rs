//! `doctor`: the capabilities of the terminal, detected from environment variables only; the terminal is never queried.

use std::env;

use super::Check;
use crate::cli::screen;
use crate::config::ChartMode;
use crate::tui::{ColorDepth, Dots};

/// Layers layers this program and the terminal, by the environment variable that indicates them.
const LAYERS: [(&str, &str); 3] = [
    ("TMUX", "in tmux"),
    ("STY", "in screen"),
    ("SSH_CONNECTION", "over SSH"),
];

pub(super) fn check() -> Check {
    match screen::available() {
        Ok(()) => {
            let size = crossterm::terminal::size().ok();
            Check::good("terminal", describe(size, |key| env::var(key).ok()))
        }
        Err(why) => Check::hint(
            "terminal",
            format!("no screen possible here ({why})"),
            "`train` prints a line per epoch instead",
        ),
    }
}

fn describe(size: Option<(u16, u16)>, lookup: impl Fn(&str) -> Option<String>) -> String {
    let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
    let colors = match ColorDepth::detect(&lookup) {
        ColorDepth::None => "no colours because NO_COLOR is set",
        ColorDepth::Ansi16 => "16 colours (neither COLORTERM nor TERM indicates more)",
        ColorDepth::Ansi256 => "256 colours",
        ColorDepth::True => "24-bit colours",
    };
    let mut words = vec![
        get("TERM").unwrap_or_else(|| "TERM is not set".to_owned()),
        size.map_or_else(|| "size unknown".to_owned(), |(w, h)| format!("{w}×{h}")),
        colors.to_owned(),
    ];
    if Dots::choose(ChartMode::Auto, false, &lookup) == Dots::HalfBlock {
        words.push("curves in half blocks (no braille support)".to_owned());
    }
    let layers = LAYERS.iter().filter(|(name, _)| get(name).is_some());
    words.extend(layers.map(|(_, words)| (*words).to_owned()));
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(size: Option<(u16, u16)>, pairs: &[(&str, &str)]) -> String {
        describe(size, |name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn terminal_capabilities_are_described_in_one_line() {
        let plain = [("TERM", "xterm-256color")];
        assert_eq!(
            described(Some((120, 40)), &plain),
            "xterm-256color, 120×40, 256 colours"
        );
        let far = [
            ("TERM", "tmux-256color"),
            ("COLORTERM", "truecolor"),
            ("SSH_CONNECTION", "10.0.0.1 50000 10.0.0.2 22"),
            ("TMUX", "/tmp/tmux-0/default,1,0"),
            ("STY", ""),
        ];
        let words = "tmux-256color, 80×24, 24-bit colours, in tmux, over SSH";
        assert_eq!(described(Some((80, 24)), &far), words);
        let bare = [("TERM", "vt220"), ("STY", "12.pts-0.host")];
        let words = "vt220, size unknown, 16 colours (neither COLORTERM nor TERM indicates more), in screen";
        assert_eq!(described(None, &bare), words);
        let mono = [("TERM", "xterm-256color"), ("NO_COLOR", "1")];
        assert!(described(None, &mono).ends_with("no colours because NO_COLOR is set"));
        assert!(described(None, &[]).starts_with("TERM is not set, "));
        let console = [("TERM", "linux")];
        assert!(described(None, &console).ends_with("curves in half blocks (no braille support)"));
    }
}
