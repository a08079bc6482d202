//! Progress of work that is waited for, on one line of the terminal that is gone when the work is done.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line changes at most.
const GAP: Duration = Duration::from_millis(100);

/// A line on stderr, if that is a terminal; else nothing.
pub(super) struct Progress {
    shown: bool,
    there: bool,
    last: Option<Instant>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            shown: false,
            there: io::stderr().is_terminal(),
            last: None,
        }
    }

    /// What is done of what.
    pub(super) fn say(&mut self, what: &str, done: u64, total: u64) {
        let due = self.last.is_none_or(|last| last.elapsed() >= GAP);
        if !self.there || (!due && done < total) {
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
