//! `log.txt`: the plain log of a run.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use fs_err::File;

use super::appender::{Appender, Keep};

/// The file name in a run directory.
pub const LOG: &str = "log.txt";
/// Duration and interval of the last attempts to write it.
const LAST_ATTEMPTS: Duration = Duration::from_secs(2);
const ATTEMPT: Duration = Duration::from_millis(100);

/// Writes the log of a run. Lines that cannot be written wait, so that [`Write::write`] never fails.
#[derive(Debug)]
pub struct LogFile {
    file: Appender,
}

impl LogFile {
    /// Writes to a file that was opened for reading and appending.
    pub fn new(file: File) -> Self {
        Self {
            file: Appender::new(file, LOG),
        }
    }

    /// Flushes the log to the disk, with what could not be written before.
    ///
    /// # Errors
    /// Why that fails, also after a few seconds.
    pub fn finish(mut self) -> io::Result<()> {
        let deadline = Instant::now() + LAST_ATTEMPTS;
        loop {
            let flushed = self.file.flush();
            if flushed.is_ok() || Instant::now() >= deadline {
                return flushed;
            }
            std::thread::sleep(ATTEMPT);
        }
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What cannot be written waits.
        let _ = self.file.append(bytes.to_vec(), Keep::Always);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
