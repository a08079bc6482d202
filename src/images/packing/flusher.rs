//! Flushing a file to the disk in the background.

use std::io;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, bounded};
use fs_err::File;

/// Flushes a file to the disk while it is written, so that little is left to flush at its end.
#[derive(Debug, Default)]
pub(super) struct Flusher {
    running: Option<(Sender<()>, JoinHandle<io::Result<()>>)>,
}

impl Flusher {
    /// Flushes what has been written so far, in a thread that the first request starts. Without a free thread, everything
    /// is flushed at the end.
    pub(super) fn request(&mut self, file: &File) {
        if self.running.is_none() {
            self.running = start(file).ok();
        }
        if let Some((requests, _)) = &self.running {
            // If one is waiting, it covers this request.
            let _ = requests.try_send(());
        }
    }

    /// Waits for the flush that is running. Only its own result has an error of an earlier write, not that of a later flush.
    ///
    /// # Errors
    /// The first error of a flush.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let Some((requests, thread)) = self.running.take() else {
            return Ok(());
        };
        drop(requests);
        let ended = thread.join();
        ended.unwrap_or_else(|_| Err(io::Error::other("the thread that flushes it ended early")))
    }
}

fn start(file: &File) -> io::Result<(Sender<()>, JoinHandle<io::Result<()>>)> {
    let file = file.try_clone()?;
    let (requests, received) = bounded(1);
    let flush = move || received.iter().try_for_each(|()| file.sync_data());
    let thread = thread::Builder::new().name("flush".to_owned());
    Ok((requests, thread.spawn(flush)?))
}
