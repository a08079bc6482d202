//! Reads keys, mouse events, resizes and hang-up in a separate thread.
//!
//! crossterm 0.29 loops forever on a terminal that was hung up. Therefore poll(2) is called before every read, and once
//! it has reported a hang-up the terminal is not accessed again.
//!
//! crossterm's default event source (mio, edge-triggered) loses a key that arrives together with a resize until the
//! next key press, and makes this loop spin until then. The source of its feature `use-dev-tty` polls each time
//! instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use crossterm::event::{self, Event, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::msg::{MouseKind, Msg};
use super::terminal::drawable;

/// Maximum wait for input, and maximum delay until [`Reader::stop`] takes effect.
const WAIT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};
/// Timeout for crossterm's poll. With `use-dev-tty` a timeout of zero does not check the terminal at all.
const READY: Duration = Duration::from_millis(1);
/// Capacity of the message queue, for keys pressed while the screen is blocked in a write.
const QUEUE_LEN: usize = 256;

/// The thread that reads the terminal.
#[derive(Debug)]
pub(super) struct Reader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Stops the thread and waits until it no longer accesses the terminal. The receiver of its messages must already
    /// be dropped.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread {
            let _ = thread.join();
        }
    }
}

/// Starts the thread that reads the terminal.
pub(super) fn spawn() -> (Receiver<Msg>, Reader) {
    let (send, receive) = bounded(QUEUE_LEN);
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let spawned = thread::Builder::new()
        .name("input".to_owned())
        .spawn(move || {
            let closed = read(&send, &flag).is_err();
            if closed {
                let _ = send.send(Msg::HungUp);
            }
        });
    // If the thread cannot be started, keys do not work, but the screen still shows the run and signals can close it.
    let thread = spawned.ok();
    (receive, Reader { stop, thread })
}

/// Error: the terminal was disconnected.
struct TerminalClosed;

/// The result of poll(2) on the terminal.
enum PollResult {
    /// No input before the timeout.
    Timeout,
    /// Input can be read.
    Input,
}

fn read(send: &Sender<Msg>, stop: &AtomicBool) -> Result<(), TerminalClosed> {
    let mut size = None;
    while !stop.load(Ordering::Relaxed) {
        let polled = wait()?;
        // The size is read directly: it is cheap and cannot block, while crossterm is only called if there is input.
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
        if matches!(polled, PollResult::Timeout) {
            continue;
        }
        while event::poll(READY).map_err(|_| TerminalClosed)? {
            let msg = match event::read().map_err(|_| TerminalClosed)? {
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
            check_open()?;
        }
    }
    Ok(())
}

/// The message for a mouse event, if it is used. Events arrive only if the mouse is captured.
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

fn wait() -> Result<PollResult, TerminalClosed> {
    poll_terminal(&WAIT)
}

/// Checks, before each further read, that the terminal was not disconnected.
fn check_open() -> Result<PollResult, TerminalClosed> {
    poll_terminal(&Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    })
}

fn poll_terminal(timeout: &Timespec) -> Result<PollResult, TerminalClosed> {
    let mut fds = [PollFd::from_borrowed_fd(
        rustix::stdio::stdin(),
        PollFlags::IN,
    )];
    match poll(&mut fds, Some(timeout)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(PollResult::Timeout),
        Ok(_) => {}
        Err(_) => return Err(TerminalClosed),
    }
    let events = fds.first().map_or(PollFlags::empty(), PollFd::revents);
    if events.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
        Err(TerminalClosed)
    } else {
        Ok(PollResult::Input)
    }
}
