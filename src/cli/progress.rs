//! A progress line on the terminal, erased when the work is done.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Minimum time between two updates of the line.
const UPDATE_INTERVAL: Duration = Duration::from_millis(100);

/// A progress line on stderr; prints nothing if stderr is not a terminal.
pub(super) struct Progress {
    shown: bool,
    is_terminal: bool,
    last: Option<Instant>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            shown: false,
            is_terminal: io::stderr().is_terminal(),
            last: None,
        }
    }

    /// Shows how many of `total` images are done.
    pub(super) fn show(&mut self, what: &str, done: u64, total: u64) {
        let due = self
            .last
            .is_none_or(|last| last.elapsed() >= UPDATE_INTERVAL);
        if !self.is_terminal || (!due && done < total) {
            return;
        }
        self.last = Some(Instant::now());
        self.shown = true;
        let share = done * 100 / total.max(1);
        let _ = write!(
            io::stderr(),
            "\r\x1b[K{what}: {done} of {total} images, {share} %"
        );
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
