//! How the screen is left, and what signals ask of it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What signals ask of the screen; handlers set these, and the screen looks.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// Leave as soon as the run has finished.
    pub leave: Arc<AtomicBool>,
    /// Leave at once.
    pub terminate: Arc<AtomicBool>,
    /// Give the terminal to the shell for a while.
    pub suspend: Arc<AtomicBool>,
    /// Back from having been stopped: the terminal may be another's by now.
    pub resumed: Arc<AtomicBool>,
}

/// Why the screen is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The run has finished, as was asked for.
    Finished,
    /// The user left, after the run had ended or from a replay.
    Left,
    /// The user left a run that goes on.
    Detached,
    /// The shell wants the terminal for a while.
    Suspended,
    /// The process goes on after it was stopped without notice.
    Foreground,
    /// A signal ended the screen.
    Terminated,
    /// The terminal is gone: go on without a screen.
    HungUp,
}
