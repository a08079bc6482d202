//! The terminal: setup, output and restoration.
//!
//! [`Tty`] is a duplicate of stdout. [`Painter`] encodes ratatui's cells in as few bytes as possible and sends each
//! frame as one synchronized update, through an [`outlet`] that does not block on a stalled connection. [`Session`]
//! sets the terminal up and restores it, also after a panic. The terminal is never queried, and if it disappears no
//! error is printed.

mod abort;
mod bell;
mod outlet;
mod painter;
mod pen;
mod session;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use painter::Painter;
pub(super) use session::Session;

/// The terminal of stdout, through a duplicated descriptor, so that fds 1 and 2 can be redirected.
#[derive(Debug)]
pub struct Tty(File);

/// Limits a terminal size to what can be drawn: a terminal can report 65,535 columns and rows, whose cells would
/// exhaust the memory.
pub(super) fn drawable(columns: u16, rows: u16) -> (u16, u16) {
    (columns.min(1000), rows.min(500))
}

impl Tty {
    /// Duplicates stdout.
    ///
    /// # Errors
    /// If stdout is closed.
    pub fn open() -> io::Result<Self> {
        let fd: OwnedFd = rustix::io::dup(rustix::stdio::stdout())?;
        Ok(Self(File::from(fd)))
    }

    /// Columns and rows. Unlike crossterm's function, this does not run another program if the terminal was
    /// disconnected.
    ///
    /// # Errors
    /// If the terminal was disconnected.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        let size = rustix::termios::tcgetwinsize(&self.0)?;
        Ok(drawable(size.ws_col, size.ws_row))
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Whether the terminal accepts bytes within this time.
    fn is_writable(&self, timeout: Duration) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::OUT)];
        let timeout = Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let ready = poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0);
        ready && fds.iter().all(|fd| fd.revents().contains(PollFlags::OUT))
    }

    /// Waits until the terminal accepts bytes again. Needed if another process made the descriptor non-blocking.
    fn wait(&self) -> io::Result<()> {
        let mut fds = [PollFd::new(&self.0, PollFlags::OUT)];
        poll(
            &mut fds,
            Some(&Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            }),
        )?;
        let closed = fds
            .iter()
            .any(|fd| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR));
        if closed {
            Err(io::ErrorKind::BrokenPipe.into())
        } else {
            Ok(())
        }
    }
}

impl Write for Tty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
