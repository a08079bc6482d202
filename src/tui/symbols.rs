//! The symbols of the screen, in Unicode and in ASCII. Each character is one column wide.

/// All symbols that the panels draw with.
#[derive(Debug)]
pub(super) struct Symbols {
    /// Whether characters beyond ASCII may be drawn.
    pub(super) unicode: bool,
    pub(super) ellipsis: &'static str,
    pub(super) rule: &'static str,
    pub(super) axis: &'static str,
    pub(super) tick: &'static str,
    pub(super) guide: &'static str,
    pub(super) threshold: &'static str,
    pub(super) focus: &'static str,
    pub(super) gauge: &'static str,
    pub(super) gauge_rest: &'static str,
    /// Horizontal bars, from the smallest part of a cell to a full cell.
    pub(super) bar: &'static [&'static str],
    pub(super) bar_rest: &'static str,
    /// Vertical bars, from the smallest part of a cell to a full cell.
    pub(super) column: &'static [&'static str],
    /// Shades of a cell, from light to dark.
    pub(super) shades: [&'static str; 4],
    /// A horizontal line that marks a level in a column.
    pub(super) level: &'static str,
    pub(super) plus_minus: &'static str,
    pub(super) up: &'static str,
    pub(super) down: &'static str,
    pub(super) clipped: &'static str,
    pub(super) above: &'static str,
    pub(super) below: &'static str,
    pub(super) bad_point: &'static str,
    pub(super) train: &'static str,
    pub(super) valid: &'static str,
    pub(super) right: &'static str,
    pub(super) wrong: &'static str,
    pub(super) right_small: &'static str,
    pub(super) starting: &'static str,
    pub(super) training: &'static str,
    pub(super) measuring: &'static str,
    pub(super) paused: &'static str,
    pub(super) saving: &'static str,
    pub(super) stopping: &'static str,
    pub(super) warning: &'static str,
    /// The best point of a curve.
    pub(super) best: &'static str,
    /// A requested checkpoint.
    pub(super) requested: &'static str,
    /// Training resumed after a pause.
    pub(super) resumed: &'static str,
    /// A change of the learning rate.
    pub(super) rate: &'static str,
    /// The position of a replay on its slider.
    pub(super) knob: &'static str,
    /// Marks on the filled and on the unfilled part of a gauge.
    pub(super) notches: [&'static str; 2],
    /// Multiplication sign of a playback speed.
    pub(super) times: &'static str,
    /// Marks a mean over several steps instead of an exact value.
    pub(super) about: &'static str,
    pub(super) dash: &'static str,
    pub(super) arrow: &'static str,
    pub(super) dot: &'static str,
    pub(super) keys_move: &'static str,
    pub(super) keys_scroll: &'static str,
    /// Markers that distinguish the compared runs.
    pub(super) runs: [&'static str; 8],
    /// The best of the compared runs.
    pub(super) winner: &'static str,
    /// Corners of a box: top left, top right, bottom left, bottom right.
    pub(super) corners: [&'static str; 4],
    pub(super) side: &'static str,
}

/// Symbols for UTF-8 terminals.
pub(super) static UNICODE: Symbols = Symbols {
    unicode: true,
    ellipsis: "…",
    rule: "─",
    axis: "│",
    tick: "┤",
    guide: "┊",
    threshold: "╌",
    focus: "▸",
    gauge: "━",
    gauge_rest: "─",
    bar: &["╸", "━"],
    bar_rest: "─",
    column: &["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    shades: ["░", "▒", "▓", "█"],
    level: "━",
    plus_minus: "±",
    up: "▲",
    down: "▼",
    clipped: "▲",
    above: "↑",
    below: "↓",
    bad_point: "×",
    train: "━",
    valid: "●",
    right: "✓",
    wrong: "✗",
    right_small: "·",
    starting: "○",
    training: "●",
    measuring: "◆",
    paused: "‖",
    saving: "◇",
    stopping: "■",
    warning: "⚠",
    best: "★",
    requested: "◆",
    resumed: "▸",
    rate: "λ",
    knob: "●",
    notches: ["┿", "┼"],
    times: "×",
    about: "≈",
    dash: "–",
    arrow: "→",
    dot: "·",
    keys_move: "←→↑↓",
    keys_scroll: "↑↓",
    runs: ["●", "◆", "■", "▶", "○", "◇", "□", "▷"],
    winner: "★",
    corners: ["╭", "╮", "╰", "╯"],
    side: "│",
};

/// Symbols for all other terminals.
pub(super) static ASCII: Symbols = Symbols {
    unicode: false,
    ellipsis: "~",
    rule: "-",
    axis: "|",
    tick: "+",
    guide: ".",
    threshold: "-",
    focus: ">",
    gauge: "=",
    gauge_rest: "-",
    bar: &["#"],
    bar_rest: ".",
    column: &["#"],
    shades: [":", "+", "%", "#"],
    level: "=",
    plus_minus: "+-",
    up: "+",
    down: "-",
    clipped: "^",
    above: "^",
    below: "v",
    bad_point: "!",
    train: "=",
    valid: "o",
    right: "v",
    wrong: "x",
    right_small: ".",
    starting: "o",
    training: "*",
    measuring: "#",
    paused: "=",
    saving: "+",
    stopping: "#",
    warning: "!",
    best: "*",
    requested: "C",
    resumed: ">",
    rate: "L",
    knob: "O",
    notches: ["+", "+"],
    times: "x",
    about: "~",
    dash: "-",
    arrow: "->",
    dot: "-",
    keys_move: "arrows",
    keys_scroll: "up down",
    runs: ["o", "x", "#", "+", "@", "%", "=", "~"],
    winner: "*",
    corners: ["+", "+", "+", "+"],
    side: "|",
};

/// The symbols to draw with.
pub(super) fn symbols(ascii: bool) -> &'static Symbols {
    if ascii { &ASCII } else { &UNICODE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_distinct_without_colours() {
        for set in [&UNICODE, &ASCII] {
            assert_ne!(set.train, set.valid);
            assert_ne!(set.right, set.wrong);
            assert_ne!(set.right_small, set.wrong);
            assert_ne!(set.up, set.down);
            assert_ne!(set.gauge, set.gauge_rest);
            assert_ne!(set.bar.last(), Some(&set.bar_rest));
            assert!(set.shades.windows(2).all(|pair| pair[0] != pair[1]));
        }
    }
}
