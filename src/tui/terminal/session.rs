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

/// Alternate screen, cleared, no cursor; what is pasted is told as such, so that it is not taken for keys.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[m\x1b[2J\x1b[?25l\x1b[?2004h";
/// Buttons and the wheel, with places as decimal numbers, which wide screens need. Not every step the mouse makes, as
/// crossterm's own command asks for: nothing here follows it, and a slow line would carry it for nothing.
const TAKE_MOUSE: &[u8] = b"\x1b[?1000h\x1b[?1006h";
/// End of a frame, pastes as keys, no mouse (whether or not this screen took it: one that was killed may have), plain letters, cursor, main
/// screen.
pub(super) const LEAVE: &[u8] =
    b"\x1b[?2026l\x1b[?2004l\x1b[?1006l\x1b[?1000l\x1b[m\x1b[?25h\x1b[?1049l";
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
    /// Takes the terminal, and the mouse if that is wanted.
    ///
    /// # Errors
    /// When it cannot be taken; then it is as it was.
    pub(in crate::tui) fn enter(mut tty: Tty, mouse: bool) -> io::Result<Self> {
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
            .and_then(|()| tty.write_all(if mouse { TAKE_MOUSE } else { b"" }))
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use std::fs::File;
    use std::io::Read;
    use std::sync::Arc;

    use portable_pty::{MasterPty, PtySize, native_pty_system};
    use rustix::fs::{Mode, OFlags};
    use vt100::{MouseProtocolEncoding, MouseProtocolMode, Parser};

    use super::*;

    /// A terminal in memory and what it shows.
    struct Shown {
        tty: Tty,
        screen: Arc<Mutex<Parser>>,
        /// Nothing is left of it without this end.
        _master: Mutex<Box<dyn MasterPty + Send>>,
    }

    impl Shown {
        fn new() -> Self {
            let pair = native_pty_system().openpty(PtySize::default()).unwrap();
            let path = pair.master.tty_name().unwrap();
            let flags = OFlags::RDWR | OFlags::NOCTTY;
            let file = File::from(rustix::fs::open(path, flags, Mode::empty()).unwrap());
            let screen = Arc::new(Mutex::new(Parser::default()));
            let shown = Arc::clone(&screen);
            let mut reader = pair.master.try_clone_reader().unwrap();
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = reader.read(&mut bytes) {
                    shown.lock().unwrap().process(&bytes[..n]);
                }
            });
            Self {
                tty: Tty(file),
                screen,
                _master: Mutex::new(pair.master),
            }
        }

        /// Waits until the screen is up, or is gone and the mouse with it.
        fn wait(&self, up: bool, mouse: bool) {
            let began = Instant::now();
            loop {
                let found = {
                    let parser = self.screen.lock().unwrap();
                    let screen = parser.screen();
                    let taken = screen.mouse_protocol_mode() != MouseProtocolMode::None;
                    let decimal = screen.mouse_protocol_encoding() == MouseProtocolEncoding::Sgr;
                    assert!(!taken || decimal);
                    (screen.alternate_screen(), taken)
                };
                if found == (up, mouse) {
                    return;
                }
                assert!(began.elapsed() < Duration::from_secs(30), "{found:?}");
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// One after the other: only one screen is up in a process.
    #[test]
    fn the_mouse_is_taken_if_wanted_and_given_back_however_the_screen_ends() {
        for mouse in [false, true] {
            let shown = Shown::new();
            let enter = |tty: &Tty| Session::enter(tty.try_clone().unwrap(), mouse).unwrap();
            // It is left: also for Ctrl-Z and on a signal, which the loop ends with.
            let session = enter(&shown.tty);
            shown.wait(true, mouse);
            drop(session);
            shown.wait(false, false);
            // Its thread panics.
            thread::scope(|scope| {
                let screen = scope.spawn(|| {
                    let _session = enter(&shown.tty);
                    shown.wait(true, mouse);
                    panic!("on purpose");
                });
                assert!(screen.join().is_err());
            });
            shown.wait(false, false);
            // The process aborts.
            let session = enter(&shown.tty);
            shown.wait(true, mouse);
            abort::give_back();
            shown.wait(false, false);
            drop(session);
        }
    }

    /// A screen that was killed has left the mouse on; the next one that is left gives it back, whether it took it or not.
    #[test]
    fn leaving_gives_back_what_entering_took() {
        let mut terminal = Parser::default();
        terminal.process(&[ENTER, TAKE_MOUSE, LEAVE].concat());
        let screen = terminal.screen();
        assert_eq!(screen.mouse_protocol_mode(), MouseProtocolMode::None);
        let encoding = screen.mouse_protocol_encoding();
        assert_eq!(encoding, MouseProtocolEncoding::Default);
        assert!(!screen.alternate_screen() && !screen.hide_cursor());
    }
}
