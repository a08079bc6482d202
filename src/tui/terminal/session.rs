//! Sets the terminal up for the screen, and restores it when the screen is closed or panics. A disconnected terminal is
//! not restored.

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
use crate::caught;

/// Alternate screen, reset style, clear, hide cursor, bracketed paste (so that pasted text is not interpreted as keys).
const ENTER: &[u8] = b"\x1b[?1049h\x1b[m\x1b[2J\x1b[?25l\x1b[?2004h";
/// Report mouse buttons and the wheel, in SGR encoding, which wide screens need. Motion is not reported, unlike with
/// crossterm's command: it is not used and would load a slow connection.
const CAPTURE_MOUSE: &[u8] = b"\x1b[?1000h\x1b[?1006h";
/// End synchronized update, no bracketed paste, release mouse (even if this screen did not capture it: one that was
/// killed may have), reset style, show cursor, main screen.
pub(super) const LEAVE: &[u8] =
    b"\x1b[?2026l\x1b[?2004l\x1b[?1006l\x1b[?1000l\x1b[m\x1b[?25h\x1b[?1049l";
/// Maximum wait, when the screen is closed, for a terminal that accepts no bytes.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The active screen, for the panic hook.
static ACTIVE: Mutex<Option<ActiveScreen>> = Mutex::new(None);

/// The thread of the active screen, and what is needed to restore its terminal.
struct ActiveScreen {
    owner: ThreadId,
    tty: Tty,
    /// The terminal settings to restore.
    before: Termios,
}

/// The terminal while the screen is open. Dropping it restores the terminal.
#[derive(Debug)]
pub(in crate::tui) struct Session {
    terminal: Terminal<Painter<Outlet>>,
    state: State,
    bell: Bell,
}

impl Session {
    /// Sets the terminal up. `mouse`: also captures the mouse.
    ///
    /// # Errors
    /// If the terminal cannot be set up; it is then restored.
    pub(in crate::tui) fn enter(mut tty: Tty, mouse: bool) -> io::Result<Self> {
        install_hook();
        let spare = tty.try_clone()?;
        let before = sane(tcgetattr(&tty.0)?);
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&tty.0, OptionalActions::Now, &raw)?;
        abort::arm(&spare, &before);
        *ACTIVE.lock().unwrap_or_else(PoisonError::into_inner) = Some(ActiveScreen {
            owner: thread::current().id(),
            tty: spare,
            before,
        });
        let entered = tty
            .write_all(ENTER)
            .and_then(|()| tty.write_all(if mouse { CAPTURE_MOUSE } else { b"" }))
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

    /// The state of the output.
    pub(in crate::tui) fn state(&self) -> State {
        self.state.clone()
    }

    /// The sender of notifications.
    pub(in crate::tui) fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// Closes the session without restoring the terminal, which was disconnected.
    pub(in crate::tui) fn abandon(self) {
        ACTIVE.lock().unwrap_or_else(PoisonError::into_inner).take();
        abort::disarm();
        drop(self);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Wait for the last frame, which would otherwise be drawn over later output.
        let began = Instant::now();
        while !self.state.is_free() && began.elapsed() < CLOSE_TIMEOUT {
            thread::sleep(Duration::from_millis(5));
        }
        restore();
    }
}

/// The settings to restore: those found, unless a killed screen left the terminal in raw mode; then the usual ones.
fn sane(mut found: Termios) -> Termios {
    let cooked = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
    if !found.local_modes.intersects(cooked) {
        // The defaults of a new terminal for the flags that raw mode clears.
        found.local_modes |= cooked | LocalModes::IEXTEN;
        found.input_modes |= InputModes::ICRNL | InputModes::IXON;
        found.output_modes |= OutputModes::OPOST;
    }
    found
}

/// Restores the terminal of the active screen, if there is one. Errors are ignored.
fn restore() {
    abort::disarm();
    let active = ACTIVE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(ActiveScreen {
        mut tty, before, ..
    }) = active
    {
        // Writing to a terminal that accepts no bytes would block forever.
        if tty.is_writable(CLOSE_TIMEOUT) {
            let _ = tty.write_all(LEAVE);
        }
        let _ = tcsetattr(&tty.0, OptionalActions::Now, &before);
    }
}

/// While a screen is open, a panic in its thread restores the terminal before it is reported. A panic in another thread
/// is not printed over the screen; the run itself reports its failure.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if caught::is_catching() {
                return;
            }
            let owner = ACTIVE
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
                .map(|active| active.owner);
            match owner {
                // The report is printed only if stderr is redirected; on the terminal it would corrupt the screen.
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

    /// A pseudo-terminal and its emulated screen.
    struct TestTerminal {
        tty: Tty,
        screen: Arc<Mutex<Parser>>,
        /// Keeps the pseudo-terminal open.
        _master: Mutex<Box<dyn MasterPty + Send>>,
    }

    impl TestTerminal {
        fn new() -> Self {
            let pair = native_pty_system().openpty(PtySize::default()).unwrap();
            let path = pair.master.tty_name().unwrap();
            let flags = OFlags::RDWR | OFlags::NOCTTY;
            let file = File::from(rustix::fs::open(path, flags, Mode::empty()).unwrap());
            let screen = Arc::new(Mutex::new(Parser::default()));
            let emulator = Arc::clone(&screen);
            let mut reader = pair.master.try_clone_reader().unwrap();
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = reader.read(&mut bytes) {
                    emulator.lock().unwrap().process(&bytes[..n]);
                }
            });
            Self {
                tty: Tty(file),
                screen,
                _master: Mutex::new(pair.master),
            }
        }

        /// Waits until the alternate screen is on or off, and the mouse captured or released.
        fn wait(&self, open: bool, mouse: bool) {
            let began = Instant::now();
            loop {
                let found = {
                    let parser = self.screen.lock().unwrap();
                    let screen = parser.screen();
                    let captured = screen.mouse_protocol_mode() != MouseProtocolMode::None;
                    let sgr = screen.mouse_protocol_encoding() == MouseProtocolEncoding::Sgr;
                    assert!(!captured || sgr);
                    (screen.alternate_screen(), captured)
                };
                if found == (open, mouse) {
                    return;
                }
                assert!(began.elapsed() < Duration::from_secs(30), "{found:?}");
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// A single test, as a process can only have one screen at a time.
    #[test]
    fn the_terminal_and_mouse_are_restored_on_exit_panic_and_abort() {
        for mouse in [false, true] {
            let terminal = TestTerminal::new();
            let enter = |tty: &Tty| Session::enter(tty.try_clone().unwrap(), mouse).unwrap();
            // The screen is closed, which includes Ctrl-Z and signals: both end the event loop.
            let session = enter(&terminal.tty);
            terminal.wait(true, mouse);
            drop(session);
            terminal.wait(false, false);
            // The thread of the screen panics.
            thread::scope(|scope| {
                let screen = scope.spawn(|| {
                    let _session = enter(&terminal.tty);
                    terminal.wait(true, mouse);
                    panic!("on purpose");
                });
                assert!(screen.join().is_err());
            });
            terminal.wait(false, false);
            // The process aborts.
            let session = enter(&terminal.tty);
            terminal.wait(true, mouse);
            abort::restore();
            terminal.wait(false, false);
            drop(session);
        }
    }

    /// Also releases a mouse that a killed screen left captured, even if this screen did not capture it.
    #[test]
    fn leave_undoes_enter_and_capture_mouse() {
        let mut terminal = Parser::default();
        terminal.process(&[ENTER, CAPTURE_MOUSE, LEAVE].concat());
        let screen = terminal.screen();
        assert_eq!(screen.mouse_protocol_mode(), MouseProtocolMode::None);
        let encoding = screen.mouse_protocol_encoding();
        assert_eq!(encoding, MouseProtocolEncoding::Default);
        assert!(!screen.alternate_screen() && !screen.hide_cursor());
    }
}
