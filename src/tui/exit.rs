//! Why the screen was closed, and the flags that signals set for it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Flags that signal handlers set and the event loop polls.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// Close the screen when the run has finished.
    pub leave: Arc<AtomicBool>,
    /// Close the screen immediately.
    pub terminate: Arc<AtomicBool>,
    /// Suspend: return the terminal to the shell (SIGTSTP).
    pub suspend: Arc<AtomicBool>,
    /// The process was resumed (SIGCONT); another program may have changed the terminal meanwhile.
    pub resumed: Arc<AtomicBool>,
}

/// Why the screen was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The run has finished, after a request to close the screen then.
    Finished,
    /// The user closed the screen after the run had ended, or a replay.
    Left,
    /// The user detached from a run that continues.
    Detached,
    /// The user suspended the screen; the shell gets the terminal.
    Suspended,
    /// The process was resumed after SIGSTOP; the screen must be set up again.
    Foreground,
    /// A signal closed the screen.
    Terminated,
    /// The terminal was disconnected; the process continues without a screen.
    HungUp,
}
