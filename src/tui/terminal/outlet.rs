//! Frames on their way to the terminal, in a thread of their own: a line that is stalled or slow holds up no key.
//!
//! At most one frame is under way. While it is, none is drawn; the next one shows what is then, so frames are dropped
//! and never pile up. After a slow one there is a pause of a few times as long, or keys' echoes would queue behind frames
//! somewhere between here and the person.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::bell::Bell;
use super::{Tty, painter::Sink};

/// A write that took longer was slow.
const SLOW: Duration = Duration::from_millis(20);
/// The pause after it, in its own length, and at most.
const PAUSE: u32 = 3;
const LONGEST: Duration = Duration::from_secs(1);

/// Where frames go in.
#[derive(Debug)]
pub(in crate::tui) struct Outlet {
    tty: Tty,
    frame: Vec<u8>,
    frames: Sender<Vec<u8>>,
    state: State,
    bell: Bell,
}

/// How the frame under way is doing.
#[derive(Debug, Clone, Default)]
pub(in crate::tui) struct State {
    busy: Arc<AtomicBool>,
    gone: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
}

impl State {
    /// Whether another frame can be taken. A terminal that is gone takes it, and says so.
    pub(in crate::tui) fn is_free(&self) -> bool {
        !self.busy.load(Ordering::Acquire) || self.gone.load(Ordering::Acquire)
    }

    /// Bytes of all frames that were handed over.
    pub(in crate::tui) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Outlet {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// When there is no descriptor or no thread to be had.
    pub(super) fn start(tty: Tty) -> io::Result<Self> {
        let (frames, queue) = bounded(1);
        let (bell, rings) = Bell::new();
        let state = State::default();
        let (writer, doing) = (tty.try_clone()?, state.clone());
        Builder::new()
            .name("frames".to_owned())
            .spawn(move || write(writer, &queue, &rings, &doing))?;
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
        // Between frames, never inside one.
        let frame = select! {
            recv(frames) -> frame => frame,
            recv(rings) -> ring => {
                let told = ring.is_ok_and(|ring| tty.write_all(&ring).is_ok());
                if !told {
                    state.gone.store(true, Ordering::Release);
                    return;
                }
                continue;
            }
        };
        let Ok(frame) = frame else { return };
        let began = Instant::now();
        if tty.write_all(&frame).is_err() {
            state.gone.store(true, Ordering::Release);
            return;
        }
        let took = began.elapsed();
        if took > SLOW {
            thread::sleep((took * PAUSE).min(LONGEST));
        }
        state.busy.store(false, Ordering::Release);
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Hands the frame over. While another is under way it stays, and goes with the next.
    fn flush(&mut self) -> io::Result<()> {
        if self.state.gone.load(Ordering::Acquire) {
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

    /// A line that takes nothing: the screen goes on, and what is sent when it takes again is in order.
    #[test]
    fn a_stalled_line_holds_up_nobody_and_gets_whole_frames_in_order() {
        let (mut read, write) = std::io::pipe().unwrap();
        let mut outlet = Outlet::start(Tty(File::from(std::os::fd::OwnedFd::from(write)))).unwrap();
        let state = outlet.state();
        // More than a pipe holds.
        outlet.write_all(&vec![b'a'; 200_000]).unwrap();
        outlet.flush().unwrap();
        assert!(!state.is_free());
        let began = Instant::now();
        for _ in 0..100 {
            outlet.write_all(b"b").unwrap();
            outlet.flush().unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(1), "it waited");
        let mut bytes = vec![0; 200_000];
        read.read_exact(&mut bytes).unwrap();
        assert!(bytes.iter().all(|byte| *byte == b'a'));
        wait(|| state.is_free());
        outlet.write_all(b"c").unwrap();
        outlet.flush().unwrap();
        let mut rest = vec![0; 101];
        read.read_exact(&mut rest).unwrap();
        assert!(rest.iter().take(100).all(|byte| *byte == b'b') && rest.last() == Some(&b'c'));
        // The other end goes away: that is told with the next frame.
        drop(read);
        wait(|| state.is_free());
        outlet.write_all(b"d").unwrap();
        let _ = outlet.flush();
        wait(|| outlet.flush().is_err());
    }
}
