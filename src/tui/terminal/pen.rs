//! Encodes changes of style as escape sequences.

use ratatui::buffer::Cell;
use ratatui::style::{Color, Modifier};

/// The style in which the terminal draws the next character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::tui) struct Pen {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

impl Pen {
    /// The style of a cell.
    pub(in crate::tui) fn of(cell: &Cell) -> Self {
        Self {
            fg: cell.fg,
            bg: cell.bg,
            modifier: cell.modifier,
        }
    }

    /// The escape sequence that changes this style to another; empty if they are equal.
    pub(in crate::tui) fn to(self, pen: Self) -> String {
        if pen == self {
            return String::new();
        }
        let mut codes: Vec<String> = Vec::new();
        let mut from = self;
        if !pen.modifier.contains(from.modifier) {
            codes.push("0".to_owned());
            from = Self::default();
        }
        codes.extend(modifier_codes(pen.modifier - from.modifier));
        if pen.fg != from.fg {
            codes.push(color_code(pen.fg, 30));
        }
        if pen.bg != from.bg {
            codes.push(color_code(pen.bg, 40));
        }
        // A reset alone is shorter without its code.
        let codes = if codes == ["0"] {
            String::new()
        } else {
            codes.join(";")
        };
        format!("\x1b[{codes}m")
    }
}

fn modifier_codes(modifier: Modifier) -> impl Iterator<Item = String> {
    const CODES: [(Modifier, u8); 5] = [
        (Modifier::BOLD, 1),
        (Modifier::DIM, 2),
        (Modifier::ITALIC, 3),
        (Modifier::UNDERLINED, 4),
        (Modifier::REVERSED, 7),
    ];
    CODES
        .into_iter()
        .filter(move |(known, _)| modifier.contains(*known))
        .map(|(_, code)| code.to_string())
}

/// The SGR code of a colour; `base` is 30 for the foreground and 40 for the background.
fn color_code(color: Color, base: u8) -> String {
    let sixteen = |index: u8| (base + if index < 8 { index } else { 52 + index }).to_string();
    match color {
        Color::Reset => (base + 9).to_string(),
        Color::Black => sixteen(0),
        Color::Red => sixteen(1),
        Color::Green => sixteen(2),
        Color::Yellow => sixteen(3),
        Color::Blue => sixteen(4),
        Color::Magenta => sixteen(5),
        Color::Cyan => sixteen(6),
        Color::Gray => sixteen(7),
        Color::DarkGray => sixteen(8),
        Color::LightRed => sixteen(9),
        Color::LightGreen => sixteen(10),
        Color::LightYellow => sixteen(11),
        Color::LightBlue => sixteen(12),
        Color::LightMagenta => sixteen(13),
        Color::LightCyan => sixteen(14),
        Color::White => sixteen(15),
        Color::Indexed(index) => format!("{};5;{index}", base + 8),
        Color::Rgb(r, g, b) => format!("{};2;{r};{g};{b}", base + 8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_have_their_sgr_codes() {
        assert_eq!(color_code(Color::Red, 30), "31");
        assert_eq!(color_code(Color::LightRed, 30), "91");
        assert_eq!(color_code(Color::White, 40), "107");
        assert_eq!(color_code(Color::Reset, 40), "49");
        assert_eq!(color_code(Color::Rgb(1, 2, 3), 40), "48;2;1;2;3");
    }
}
