//! Taking the terminal and giving it back: on leaving, on a panic, and not at all when it is gone.

use std::io::{self, IsTerminal, Write};
use std::panic;
use std::sync::{Mutex, Once, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use rustix::termios::{InputModes, LocalModes, OptionalActions, OutputModes, Termios};
use rustix::termios::{tcgetattr, tcsetattr};

use super::bell::Bell;
use super::outlet::{Outlet, State};
use super::{Painter, Tty, abort};

/// Alternate screen, cleared, no cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[m\x1b[2J\x1b[?25l";
/// End of a frame, plain letters, cursor, main screen.
pub(super) const LEAVE: &[u8] = b"\x1b[?2026l\x1b[m\x1b[?25h\x1b[?1049l";
/// How long leaving waits for a terminal that takes nothing.
const PATIENCE: Duration = Duration::from_millis(500);

/// The screen that is up, for the panic hook: which thread owns it and how it is put back.
static UP: Mutex<Option<Up>> = Mutex::new(None);

struct Up {
    owner: ThreadId,
    tty: Tty,
    before: Termios,
}

/// The terminal while it is ours.
#[derive(Debug)]
pub(in crate::tui) struct Session {
    terminal: Terminal<Painter<Outlet>>,
    state: State,
    bell: Bell,
}

impl Session {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When it cannot be taken; then it is as it was.
    pub(in crate::tui) fn enter(mut tty: Tty) -> io::Result<Self> {
        install_hook();
        let spare = tty.try_clone()?;
        let before = sane(tcgetattr(&tty.0)?);
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&tty.0, OptionalActions::Now, &raw)?;
        abort::arm(&spare, &before);
        *UP.lock().unwrap_or_else(PoisonError::into_inner) = Some(Up {
            owner: thread::current().id(),
            tty: spare,
            before,
        });
        let entered = tty
            .write_all(ENTER)
            .and_then(|()| Outlet::start(tty))
            .and_then(|outlet| {
                let (state, bell) = (outlet.state(), outlet.bell());
                Terminal::new(Painter::new(outlet)).map(|terminal| (terminal, state, bell))
            });
        match entered {
            Ok((terminal, state, bell)) => Ok(Self {
                terminal,
                state,
                bell,
            }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    /// The terminal to draw on.
    pub(in crate::tui) fn terminal(&mut self) -> &mut Terminal<Painter<Outlet>> {
        &mut self.terminal
    }

    /// How the frame under way is doing.
    pub(in crate::tui) fn state(&self) -> State {
        self.state.clone()
    }

    /// What tells somebody who looks elsewhere.
    pub(in crate::tui) fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// The terminal is gone: nothing is written to it any more.
    pub(in crate::tui) fn abandon(self) {
        UP.lock().unwrap_or_else(PoisonError::into_inner).take();
        abort::disarm();
        drop(self);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The last frame goes first, or it would be drawn over what comes after.
        let began = Instant::now();
        while !self.state.is_free() && began.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
        restore();
    }
}

/// What a terminal is set to, or, where a screen that was killed has left it raw, what it should be.
fn sane(mut found: Termios) -> Termios {
    let cooked = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
    if !found.local_modes.intersects(cooked) {
        // What a new terminal has of what was taken from it.
        found.local_modes |= cooked | LocalModes::IEXTEN;
        found.input_modes |= InputModes::ICRNL | InputModes::IXON;
        found.output_modes |= OutputModes::OPOST;
    }
    found
}

/// Gives the terminal back once; whatever fails, fails silently.
fn restore() {
    abort::disarm();
    let up = UP.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(Up {
        mut tty, before, ..
    }) = up
    {
        // A terminal that takes nothing would hold us for ever.
        if tty.takes(PATIENCE) {
            let _ = tty.write_all(LEAVE);
        }
        let _ = tcsetattr(&tty.0, OptionalActions::Now, &before);
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
                .map(|up| up.owner);
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
