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
    /// The original stdout and stderr.
    saved: Option<(OwnedFd, OwnedFd)>,
}

impl Redirect {
    /// Redirects stdout and stderr to `log`.
    ///
    /// # Errors
    /// If a file descriptor cannot be duplicated.
    pub fn to(log: &File) -> io::Result<Self> {
        let redirect = Self {
            saved: Some((dup(stdout())?, dup(stderr())?)),
        };
        dup2_stdout(log)?;
        dup2_stderr(log)?;
        Ok(redirect)
    }
}

impl Redirect {
    /// Makes the redirection permanent, because the terminal has been closed. The originals are closed too, so that a
    /// reader of a pipe does not wait for this process.
    pub fn keep(mut self) {
        self.saved = None;
    }
}

impl Drop for Redirect {
    fn drop(&mut self) {
        if let Some((stdout, stderr)) = &self.saved {
            // If this fails, the output continues to go to the log.
            let _ = dup2_stdout(stdout);
            let _ = dup2_stderr(stderr);
        }
    }
}
