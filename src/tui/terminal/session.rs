//! Taking the terminal and giving it back: on leaving, on a panic, and not at all when it is gone.

use std::io::{self, IsTerminal, Write};
use std::panic;
use std::sync::{Mutex, Once, PoisonError};
use std::thread::{self, ThreadId};

use ratatui::Terminal;

use super::{Painter, Tty};

/// Alternate screen, cleared, no cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[2J\x1b[?25l";
/// End of a frame, plain letters, cursor, main screen.
const LEAVE: &[u8] = b"\x1b[?2026l\x1b[m\x1b[?25h\x1b[?1049l";

/// The screen that is up, for the panic hook: which thread owns it and how it is put back.
static UP: Mutex<Option<(ThreadId, Tty)>> = Mutex::new(None);

/// The terminal while it is ours.
#[derive(Debug)]
pub(in crate::tui) struct Session {
    terminal: Terminal<Painter<Tty>>,
}

impl Session {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When it cannot be taken; then it is as it was.
    pub(in crate::tui) fn enter(mut tty: Tty) -> io::Result<Self> {
        install_hook();
        let spare = tty.try_clone()?;
        crossterm::terminal::enable_raw_mode()?;
        *UP.lock().unwrap_or_else(PoisonError::into_inner) = Some((thread::current().id(), spare));
        let entered = tty
            .write_all(ENTER)
            .and_then(|()| Terminal::new(Painter::new(tty)));
        match entered {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    /// The terminal to draw on.
    pub(in crate::tui) fn terminal(&mut self) -> &mut Terminal<Painter<Tty>> {
        &mut self.terminal
    }

    /// The terminal is gone: nothing is written to it any more.
    pub(in crate::tui) fn abandon(self) {
        UP.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(self);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back once; whatever fails, fails silently.
fn restore() {
    let up = UP.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((_, mut tty)) = up {
        let _ = tty.write_all(LEAVE);
        let _ = crossterm::terminal::disable_raw_mode();
    }
}

/// While the screen is up, a panic of its thread puts the terminal back before it is reported, and a panic of another
/// thread is not written over it: the run tells its own end.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let owner = UP
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
                .map(|(owner, _)| *owner);
            match owner {
                // Where stderr leads to a file, the report belongs there; on the screen it would only be a blot.
                Some(owner) if owner != thread::current().id() => {
                    if !io::stderr().is_terminal() {
                        before(info);
                    }
                }
                Some(_) => {
                    restore();
                    before(info);
                }
                None => before(info),
            }
        }));
    });
}
