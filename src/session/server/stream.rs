//! Reading from and writing to the stream of a client, within limits of time.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::conversation::BUFFER;

/// Counts the bytes written to a client.
pub(super) struct CountedWriter<'a> {
    stream: &'a UnixStream,
    pub(super) written: u64,
}

impl<'a> CountedWriter<'a> {
    pub(super) fn new(stream: &'a UnixStream) -> Self {
        Self { stream, written: 0 }
    }
}

impl Write for CountedWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.stream.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Finds out whether a client reads, without its help: one that was stopped, or that hangs, does not.
///
/// On Linux, a socket is writable while at most a quarter of its send buffer is unread. A keep-alive is longer than that,
/// so the socket becomes writable again only when the client has read it. On systems where a socket is writable while it
/// has any room, the keep-alives fill the buffer, and the next write times out.
pub(super) struct ReadingCheck<'a> {
    stream: &'a UnixStream,
    patience: Duration,
    /// When the client had certainly read, and how many bytes had been written by then.
    since: (Instant, u64),
}

impl<'a> ReadingCheck<'a> {
    pub(super) fn new(stream: &'a UnixStream, patience: Duration) -> Self {
        Self {
            stream,
            patience,
            since: (Instant::now(), 0),
        }
    }

    /// Whether the client has read what was written, except for a few bytes.
    ///
    /// # Errors
    /// `TimedOut` if it has read nothing for too long.
    pub(super) fn check(&mut self, written: u64) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.stream, PollFlags::OUT)];
        let has_read = poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
        let (at, before) = self.since;
        // More than fits into the buffer has been written, so a slow client has read some of it.
        if has_read || written - before > 2 * BUFFER as u64 {
            self.since = (Instant::now(), written);
        } else if at.elapsed() >= self.patience {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(has_read)
    }
}

/// Whether the client has closed its end. What it sent before can still be read.
pub(super) fn has_hung_up(stream: &UnixStream) -> bool {
    let mut fds = [PollFd::new(stream, PollFlags::empty())];
    let _ = poll(&mut fds, Some(&Timespec::default()));
    fds.iter().any(|fd| fd.revents().contains(PollFlags::HUP))
}

/// Reads a message within a time limit.
pub(super) struct DeadlineReader<'a> {
    stream: &'a UnixStream,
    until: Option<Instant>,
    /// Time limit for the rest of the message after its first byte, if `until` is not set yet.
    rest: Duration,
}

impl<'a> DeadlineReader<'a> {
    /// The complete message must arrive before `until`.
    pub(super) fn until(stream: &'a UnixStream, until: Instant) -> Self {
        Self {
            stream,
            until: Some(until),
            rest: Duration::ZERO,
        }
    }

    /// Waits for the first byte without a limit, and at most `rest` for the remaining bytes.
    pub(super) fn after_first_byte(stream: &'a UnixStream, rest: Duration) -> Self {
        Self {
            stream,
            until: None,
            rest,
        }
    }
}

impl Read for DeadlineReader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self
            .until
            .map(|until| until.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(left)?;
        let read = self.stream.read(bytes)?;
        self.until.get_or_insert_with(|| Instant::now() + self.rest);
        Ok(read)
    }
}
