//! Where stdout and stderr go while a screen is up: libtorch and its kin print when they like, and would print over it.

use std::fs::File;
use std::io;

use rustix::fd::OwnedFd;
use rustix::io::dup;
use rustix::stdio::{dup2_stderr, dup2_stdout, stderr, stdout};

/// Stdout and stderr lead to a file until this is dropped.
#[derive(Debug)]
pub struct Redirect {
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Redirect {
    /// Leads both to `log`.
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
    /// Leaves both where they lead now, for good: the terminal they led to is gone.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Redirect {
    fn drop(&mut self) {
        // Failing to lead back leaves the log, and nothing better could be done.
        let _ = dup2_stdout(&self.stdout);
        let _ = dup2_stderr(&self.stderr);
    }
}
