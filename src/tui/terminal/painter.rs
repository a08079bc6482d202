//! A ratatui backend that sends few bytes.
//!
//! Cursor moves are omitted between adjacent cells, a change of style is sent as one sequence with the differences
//! only, a frame is sent in one write, and an unchanged frame sends nothing. Colours are sent as given: the theme was
//! already reduced to the colours of the terminal, including `NO_COLOR`.

use std::fmt::Write as _;
use std::io::{self, Write};

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};

use super::Tty;
use super::pen::Pen;

/// A writer to a terminal of known size.
pub trait Sink: Write {
    /// Columns and rows of the terminal.
    ///
    /// # Errors
    /// If the terminal was disconnected.
    fn size(&self) -> io::Result<(u16, u16)>;
}

impl Sink for Tty {
    fn size(&self) -> io::Result<(u16, u16)> {
        Tty::size(self)
    }
}

/// A backend that buffers a frame and sends it in one write.
#[derive(Debug)]
pub struct Painter<W> {
    out: W,
    frame: String,
    pen: Pen,
    /// The position of the terminal's cursor, if it is known.
    cursor: Option<(u16, u16)>,
}

impl<W: Sink> Painter<W> {
    /// A painter for a terminal that has just been cleared.
    pub fn new(out: W) -> Self {
        Self {
            out,
            frame: String::new(),
            pen: Pen::default(),
            cursor: None,
        }
    }

    fn goto(&mut self, x: u16, y: u16) {
        match self.cursor {
            Some(at) if at == (x, y) => {}
            // A relative move within the row is shorter than an absolute position.
            Some((cx, cy)) if cy == y && cx < x => {
                let by = x - cx;
                let _ = if by == 1 {
                    write!(self.frame, "\x1b[C")
                } else {
                    write!(self.frame, "\x1b[{by}C")
                };
            }
            _ => {
                let _ = write!(
                    self.frame,
                    "\x1b[{};{}H",
                    u32::from(y) + 1,
                    u32::from(x) + 1
                );
            }
        }
        self.cursor = Some((x, y));
    }

    fn dip(&mut self, pen: Pen) {
        self.frame.push_str(&self.pen.to(pen));
        self.pen = pen;
    }
}

impl<W: Sink> Backend for Painter<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let columns = self.size()?.width;
        for (x, y, cell) in content {
            self.goto(x, y);
            self.dip(Pen::of(cell));
            self.frame.push_str(cell.symbol());
            // Terminals may disagree on the width of other characters; after them the position is sent again.
            let next = x.saturating_add(1);
            let narrow = cell.symbol().len() == 1 || drawn_narrow(cell.symbol());
            self.cursor = (narrow && next < columns).then_some((next, y));
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, _: P) -> io::Result<()> {
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.frame.push_str("\x1b[m\x1b[2J");
        self.pen = Pen::default();
        self.cursor = None;
        Ok(())
    }

    fn clear_region(&mut self, _: ClearType) -> io::Result<()> {
        self.clear()
    }

    fn size(&self) -> io::Result<Size> {
        self.out.size().map(Size::from)
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize {
            columns_rows: self.size()?,
            pixels: Size::ZERO,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let frame = format!("\x1b[?2026h{}\x1b[?2026l", self.frame);
        self.frame.clear();
        self.out.write_all(frame.as_bytes())?;
        self.out.flush()
    }
}

/// Whether the character is one column wide on all terminals: Latin letters, line drawing, blocks and braille. Symbols
/// such as ▲ and ⚠ are two columns wide on some terminals.
fn drawn_narrow(symbol: &str) -> bool {
    let mut chars = symbol.chars();
    let narrow = '\u{a1}'..='\u{24f}';
    matches!((chars.next(), chars.next()), (Some(c), None)
        if narrow.contains(&c) || matches!(c, '\u{2500}'..='\u{259f}' | '\u{2800}'..='\u{28ff}'))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use ratatui::Terminal;
    use ratatui::style::{Color, Modifier, Style};

    use super::*;

    #[derive(Debug, Default)]
    struct TestSink(Vec<u8>);

    impl Write for TestSink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink for TestSink {
        fn size(&self) -> io::Result<(u16, u16)> {
            Ok((20, 2))
        }
    }

    fn sent(terminal: &mut Terminal<Painter<TestSink>>, text: &str, style: Style) -> String {
        terminal
            .draw(|frame| {
                frame.buffer_mut().set_stringn(2, 1, text, 18, style);
            })
            .unwrap();
        String::from_utf8(std::mem::take(&mut terminal.backend_mut().out.0)).unwrap()
    }

    #[test]
    fn a_frame_is_one_update_and_an_unchanged_one_sends_nothing() {
        let mut terminal = Terminal::new(Painter::new(TestSink::default())).unwrap();
        let style = Style::new()
            .fg(Color::Indexed(75))
            .add_modifier(Modifier::BOLD);
        assert_eq!(
            sent(&mut terminal, "abc", style),
            "\x1b[?2026h\x1b[2;3H\x1b[1;38;5;75mabc\x1b[?2026l"
        );
        assert_eq!(sent(&mut terminal, "abc", style), "");
        assert_eq!(
            sent(&mut terminal, "abd", Style::new()),
            "\x1b[?2026h\x1b[2;3H\x1b[mabd\x1b[?2026l"
        );
    }
}
