//! The terminal: how it is taken, written to, and given back.
//!
//! [`Tty`] is a private duplicate of stdout; [`Painter`] turns ratatui's cells into as few bytes as possible and sends each
//! frame in one piece, inside a synchronized update, through an [`outlet`] that a stalled line cannot hold up. [`Session`] takes the terminal and gives it back, also on a panic.
//! Nothing here asks the terminal anything, and no error of a vanished terminal gets out of here as noise.

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

/// The terminal behind stdout, through a descriptor of its own: fds 1 and 2 may go elsewhere meanwhile.
#[derive(Debug)]
pub struct Tty(File);

/// A size that can be drawn: a terminal may claim 65,535 columns and rows, whose cells take more memory than there is.
pub(super) fn drawable(columns: u16, rows: u16) -> (u16, u16) {
    (columns.min(1000), rows.min(500))
}

impl Tty {
    /// A duplicate of stdout.
    ///
    /// # Errors
    /// When there is no stdout.
    pub fn open() -> io::Result<Self> {
        let fd: OwnedFd = rustix::io::dup(rustix::stdio::stdout())?;
        Ok(Self(File::from(fd)))
    }

    /// Columns and rows. Unlike crossterm's, this starts no other program when the terminal is gone.
    ///
    /// # Errors
    /// When it is gone.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        let size = rustix::termios::tcgetwinsize(&self.0)?;
        Ok(drawable(size.ws_col, size.ws_row))
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Whether the terminal takes bytes within this time.
    fn takes(&self, patience: Duration) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::OUT)];
        let patience = Timespec {
            tv_sec: patience.as_secs() as i64,
            tv_nsec: i64::from(patience.subsec_nanos()),
        };
        let ready = poll(&mut fds, Some(&patience)).is_ok_and(|ready| ready > 0);
        ready && fds.iter().all(|fd| fd.revents().contains(PollFlags::OUT))
    }

    /// Waits until the terminal takes bytes again, if somebody made the descriptor non-blocking.
    fn wait(&self) -> io::Result<()> {
        let mut fds = [PollFd::new(&self.0, PollFlags::OUT)];
        poll(
            &mut fds,
            Some(&Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            }),
        )?;
        let gone = fds
            .iter()
            .any(|fd| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR));
        if gone {
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
