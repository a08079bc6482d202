//! `doctor`: what the screen would find, told by the environment alone; a terminal is never asked anything.

use std::env;

use super::Finding;
use crate::cli::screen;
use crate::config::ChartMode;
use crate::tui::{ColorDepth, Dots};

/// What stands between here and the eyes, by the variable that tells it.
const BETWEEN: [(&str, &str); 3] = [
    ("TMUX", "in tmux"),
    ("STY", "in screen"),
    ("SSH_CONNECTION", "over SSH"),
];

pub(super) fn finding() -> Finding {
    match screen::available() {
        Ok(()) => {
            let size = crossterm::terminal::size().ok();
            Finding::good("terminal", words(size, |key| env::var(key).ok()))
        }
        Err(why) => Finding::hint(
            "terminal",
            format!("no screen here ({why})"),
            "`train` then writes a line per epoch",
        ),
    }
}

fn words(size: Option<(u16, u16)>, lookup: impl Fn(&str) -> Option<String>) -> String {
    let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
    let colors = match ColorDepth::detect(&lookup) {
        ColorDepth::None => "no colours because NO_COLOR is set",
        ColorDepth::Ansi16 => "16 colours (neither COLORTERM nor TERM tells of more)",
        ColorDepth::Ansi256 => "256 colours",
        ColorDepth::True => "24-bit colours",
    };
    let mut words = vec![
        get("TERM").unwrap_or_else(|| "TERM is not set".to_owned()),
        size.map_or_else(|| "size unknown".to_owned(), |(w, h)| format!("{w}×{h}")),
        colors.to_owned(),
    ];
    if Dots::choose(ChartMode::Auto, false, &lookup) == Dots::HalfBlock {
        words.push("curves in half blocks (no braille here)".to_owned());
    }
    let between = BETWEEN.iter().filter(|(name, _)| get(name).is_some());
    words.extend(between.map(|(_, words)| (*words).to_owned()));
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(size: Option<(u16, u16)>, pairs: &[(&str, &str)]) -> String {
        words(size, |name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn one_line_tells_what_the_screen_would_find() {
        let plain = [("TERM", "xterm-256color")];
        assert_eq!(
            told(Some((120, 40)), &plain),
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
        assert_eq!(told(Some((80, 24)), &far), words);
        let bare = [("TERM", "vt220"), ("STY", "12.pts-0.host")];
        let words =
            "vt220, size unknown, 16 colours (neither COLORTERM nor TERM tells of more), in screen";
        assert_eq!(told(None, &bare), words);
        let mono = [("TERM", "xterm-256color"), ("NO_COLOR", "1")];
        assert!(told(None, &mono).ends_with("no colours because NO_COLOR is set"));
        assert!(told(None, &[]).starts_with("TERM is not set, "));
        let console = [("TERM", "linux")];
        assert!(told(None, &console).ends_with("curves in half blocks (no braille here)"));
    }
}
