//! Redirects stdout and stderr to a file while a screen is shown, because output of libtorch and other libraries would
//! corrupt the screen.

use std::fs::File;
use std::io;

use rustix::fd::OwnedFd;
use rustix::io::dup;
use rustix::stdio::{dup2_stderr, dup2_stdout, stderr, stdout};

/// Redirects stdout and stderr to a file until it is dropped.
#[derive(Debug)]
pub struct Redirect {
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Redirect {
    /// Redirects stdout and stderr to `log`.
    ///
    /// # Errors
    /// If a file descriptor cannot be duplicated.
    pub fn to(log: &File) -> io::Result<Self> {
        let saved = Self {
            stdout: dup(stdout())?,
            stderr: dup(stderr())?,
        };
        dup2_stdout(log)?;
        dup2_stderr(log)?;
        Ok(saved)
    }
}

impl Redirect {
    /// Makes the redirection permanent, because the terminal has been closed.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Redirect {
    fn drop(&mut self) {
        // If this fails, the output continues to go to the log.
        let _ = dup2_stdout(&self.stdout);
        let _ = dup2_stderr(&self.stderr);
    }
}
