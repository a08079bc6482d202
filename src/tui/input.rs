//! Keys, the mouse, resizes and hang-up, from a thread of their own.
//!
//! crossterm 0.29 spins for ever on a terminal that was hung up, so poll(2) is asked before every read, and once it has
//! told of a hang-up the terminal is never touched again.
//!
//! Its default way of reading (mio, told once of each readiness) forgets a key that comes together with a resize until the
//! next key is pressed, and leaves this loop spinning until then; the way of its feature `use-dev-tty` asks anew each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use crossterm::event::{self, Event, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::msg::{MouseKind, Msg};
use super::terminal::drawable;

/// How long a wait for input lasts at most; also how late the end of the screen is noticed.
const WAIT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};
/// Not zero, for which crossterm with `use-dev-tty` does not look at all.
const READY: Duration = Duration::from_millis(1);
/// Keys waiting for a screen that is stuck in a write.
const WAITING: usize = 256;

/// The thread that reads.
#[derive(Debug)]
pub(super) struct Reader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Ends it, and waits until it leaves the terminal alone. Its messages must not be waited for by then.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread {
            let _ = thread.join();
        }
    }
}

/// Starts reading.
pub(super) fn spawn() -> (Receiver<Msg>, Reader) {
    let (send, receive) = bounded(WAITING);
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let spawned = thread::Builder::new()
        .name("input".to_owned())
        .spawn(move || {
            let gone = read(&send, &flag).is_err();
            if gone {
                let _ = send.send(Msg::HungUp);
            }
        });
    // Without this thread there are no keys, but the run is still worth watching; signals end it.
    let thread = spawned.ok();
    (receive, Reader { stop, thread })
}

/// The terminal is gone.
struct Gone;

/// What poll(2) says of the terminal.
enum Said {
    Nothing,
    Input,
}

fn read(send: &Sender<Msg>, stop: &AtomicBool) -> Result<(), Gone> {
    let mut size = None;
    while !stop.load(Ordering::Relaxed) {
        let said = wait()?;
        // Asking the terminal costs nothing and cannot block; crossterm is left alone unless there is something to read.
        let now = rustix::termios::tcgetwinsize(rustix::stdio::stdin())
            .ok()
            .map(|size| drawable(size.ws_col, size.ws_row));
        if now != size
            && let Some((columns, rows)) = now
        {
            size = now;
            if send.send(Msg::Resize(columns, rows)).is_err() {
                return Ok(());
            }
        }
        if matches!(said, Said::Nothing) {
            continue;
        }
        while event::poll(READY).map_err(|_| Gone)? {
            let msg = match event::read().map_err(|_| Gone)? {
                Event::Key(key) if key.kind != KeyEventKind::Release => Msg::Key(key),
                Event::Resize(columns, rows) => {
                    let (columns, rows) = drawable(columns, rows);
                    Msg::Resize(columns, rows)
                }
                Event::Paste(text) => Msg::Paste(text),
                Event::Mouse(event) => match mouse(event) {
                    Some(msg) => msg,
                    None => continue,
                },
                _ => continue,
            };
            if send.send(msg).is_err() {
                return Ok(());
            }
            wait_no_longer()?;
        }
    }
    Ok(())
}

/// What of the mouse means anything. Nothing comes but where the mouse was taken.
fn mouse(event: MouseEvent) -> Option<Msg> {
    let kind = match event.kind {
        MouseEventKind::Down(MouseButton::Left) => MouseKind::Click,
        MouseEventKind::ScrollUp => MouseKind::WheelUp,
        MouseEventKind::ScrollDown => MouseKind::WheelDown,
        _ => return None,
    };
    let (column, row) = (event.column, event.row);
    Some(Msg::Mouse { column, row, kind })
}

fn wait() -> Result<Said, Gone> {
    ask(&WAIT)
}

/// Before each further read: the terminal may have gone since.
fn wait_no_longer() -> Result<Said, Gone> {
    ask(&Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    })
}

fn ask(timeout: &Timespec) -> Result<Said, Gone> {
    let mut fds = [PollFd::from_borrowed_fd(
        rustix::stdio::stdin(),
        PollFlags::IN,
    )];
    match poll(&mut fds, Some(timeout)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Said::Nothing),
        Ok(_) => {}
        Err(_) => return Err(Gone),
    }
    let said = fds.first().map_or(PollFlags::empty(), PollFd::revents);
    if said.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
        Err(Gone)
    } else {
        Ok(Said::Input)
    }
}
