//! Writes frames to the terminal in a separate thread, so that a stalled or slow connection does not delay keys.
//!
//! At most one frame is being written. Meanwhile none is drawn, and the next frame shows the state at its own time, so
//! frames are dropped and never queue up. After a slow write there is a pause of a few times its duration: otherwise
//! the response to a key would wait behind frames that are buffered on the way to the terminal.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::bell::Bell;
use super::{Tty, painter::Sink};

/// A longer write counts as slow.
const SLOW: Duration = Duration::from_millis(20);
/// The pause after a slow write, as a multiple of its duration, and its maximum.
const PAUSE: u32 = 3;
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// A writer that passes frames to the thread.
#[derive(Debug)]
pub(in crate::tui) struct Outlet {
    tty: Tty,
    frame: Vec<u8>,
    frames: Sender<Vec<u8>>,
    state: State,
    bell: Bell,
}

/// The state of the output.
#[derive(Debug, Clone, Default)]
pub(in crate::tui) struct State {
    /// A frame is being written.
    busy: Arc<AtomicBool>,
    /// The terminal was disconnected.
    closed: Arc<AtomicBool>,
    /// Bytes of all frames passed to the thread.
    sent: Arc<AtomicU64>,
}

impl State {
    /// Whether another frame can be accepted. Also true if the terminal was disconnected: writing then returns the
    /// error.
    pub(in crate::tui) fn is_free(&self) -> bool {
        !self.busy.load(Ordering::Acquire) || self.closed.load(Ordering::Acquire)
    }

    /// Bytes of all frames so far.
    pub(in crate::tui) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Outlet {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// If the descriptor cannot be duplicated or the thread cannot be started.
    pub(super) fn start(tty: Tty) -> io::Result<Self> {
        let (frames, queue) = bounded(1);
        let (bell, rings) = Bell::new();
        let state = State::default();
        let (writer, shared) = (tty.try_clone()?, state.clone());
        crate::threads::start("frames", move || write(writer, &queue, &rings, &shared))?;
        Ok(Self {
            tty,
            frame: Vec::new(),
            frames,
            state,
            bell,
        })
    }

    pub(super) fn bell(&self) -> Bell {
        self.bell.clone()
    }

    pub(super) fn state(&self) -> State {
        self.state.clone()
    }
}

fn write(mut tty: Tty, frames: &Receiver<Vec<u8>>, rings: &Receiver<Vec<u8>>, state: &State) {
    loop {
        // Notifications are written between frames, never within one.
        let frame = select! {
            recv(frames) -> frame => frame,
            recv(rings) -> ring => {
                let written = ring.is_ok_and(|ring| tty.write_all(&ring).is_ok());
                if !written {
                    state.closed.store(true, Ordering::Release);
                    return;
                }
                continue;
            }
        };
        let Ok(frame) = frame else { return };
        let began = Instant::now();
        if tty.write_all(&frame).is_err() {
            state.closed.store(true, Ordering::Release);
            return;
        }
        let took = began.elapsed();
        if took > SLOW {
            thread::sleep((took * PAUSE).min(MAX_PAUSE));
        }
        state.busy.store(false, Ordering::Release);
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Passes the frame to the thread. While another one is being written, the frame stays buffered until the next
    /// flush.
    fn flush(&mut self) -> io::Result<()> {
        if self.state.closed.load(Ordering::Acquire) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !self.frame.is_empty() && !self.state.busy.swap(true, Ordering::AcqRel) {
            let frame = std::mem::take(&mut self.frame);
            self.state
                .sent
                .fetch_add(frame.len() as u64, Ordering::Relaxed);
            return self
                .frames
                .try_send(frame)
                .map_err(|_| io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }
}

impl Sink for Outlet {
    fn size(&self) -> io::Result<(u16, u16)> {
        self.tty.size()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use std::fs::File;
    use std::io::Read;

    use super::*;

    fn wait(mut wanted: impl FnMut() -> bool) {
        let began = Instant::now();
        while !wanted() {
            assert!(began.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// With a stalled connection the screen continues. When it accepts bytes again, complete frames arrive in order.
    #[test]
    fn a_stalled_connection_does_not_block_and_gets_complete_frames_in_order() {
        let (mut read, write) = std::io::pipe().unwrap();
        let mut outlet = Outlet::start(Tty(File::from(std::os::fd::OwnedFd::from(write)))).unwrap();
        let state = outlet.state();
        // More than the buffer of a pipe.
        outlet.write_all(&vec![b'a'; 200_000]).unwrap();
        outlet.flush().unwrap();
        assert!(!state.is_free());
        let began = Instant::now();
        for _ in 0..100 {
            outlet.write_all(b"b").unwrap();
            outlet.flush().unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(1), "it blocked");
        let mut bytes = vec![0; 200_000];
        read.read_exact(&mut bytes).unwrap();
        assert!(bytes.iter().all(|byte| *byte == b'a'));
        wait(|| state.is_free());
        outlet.write_all(b"c").unwrap();
        outlet.flush().unwrap();
        let mut rest = vec![0; 101];
        read.read_exact(&mut rest).unwrap();
        assert!(rest.iter().take(100).all(|byte| *byte == b'b') && rest.last() == Some(&b'c'));
        // When the other end is closed, the next frame returns an error.
        drop(read);
        wait(|| state.is_free());
        outlet.write_all(b"d").unwrap();
        let _ = outlet.flush();
        wait(|| outlet.flush().is_err());
    }
}
