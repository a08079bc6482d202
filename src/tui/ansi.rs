//! Cells as lines of text with colours, for what is printed and not shown on the screen.
//!
//! crossterm's styles would do it with a sequence for each attribute; the screen's own [`Pen`] sends one for all that
//! changes, and knows the colours a theme can name.

use ratatui::buffer::Buffer;
use unicode_width::UnicodeWidthStr;

use super::terminal::Pen;

/// The rows of a buffer, each by itself: it begins and ends in the terminal's own colours, without a line break. Blanks
/// at the end that look like nothing are left out.
pub fn lines(buffer: &Buffer) -> Vec<String> {
    let columns = usize::from(buffer.area.width).max(1);
    buffer.content.chunks(columns).map(line).collect()
}

fn line(cells: &[ratatui::buffer::Cell]) -> String {
    let plain = Pen::default();
    let shown = cells
        .iter()
        .rposition(|cell| cell.symbol() != " " || Pen::of(cell) != plain)
        .map_or(0, |last| last + 1);
    let mut text = String::new();
    let mut pen = plain;
    let mut covered = 0;
    for cell in cells.iter().take(shown) {
        // A wide character has the next cell too.
        if covered > 0 {
            covered -= 1;
            continue;
        }
        covered = cell.symbol().width().saturating_sub(1);
        text.push_str(&pen.to(Pen::of(cell)));
        pen = Pen::of(cell);
        text.push_str(cell.symbol());
    }
    text.push_str(&pen.to(plain));
    text
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::{Color, Modifier, Style};

    use super::*;

    #[test]
    fn a_row_ends_as_it_began_and_sends_no_more_than_it_must() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 8, 3));
        let red = Style::new().fg(Color::Red);
        buffer.set_string(0, 0, "ab", red);
        buffer.set_string(3, 0, "c", red.add_modifier(Modifier::BOLD));
        buffer.set_string(0, 1, "日x", Style::new());
        buffer.set_style(Rect::new(0, 2, 2, 1), Style::new().bg(Color::Indexed(9)));
        assert_eq!(
            lines(&buffer),
            [
                "\x1b[31mab\x1b[39m \x1b[1;31mc\x1b[m",
                "日x",
                "\x1b[48;5;9m  \x1b[49m"
            ]
        );
        assert!(lines(&Buffer::default()).is_empty());
    }
}
