//! A child with a session of its own, so that no terminal's hang-up, Ctrl-C or Ctrl-Z ever reaches it.
//!
//! The only `unsafe` of the command line: std has no safe way to call setsid(2) between fork and exec, and a child that
//! called it itself would be within reach for a moment.

#![expect(
    unsafe_code,
    reason = "CommandExt::pre_exec: setsid(2) is async-signal-safe, and nothing else is done there"
)]

use std::os::unix::process::CommandExt;
use std::process::Command;

/// The command's process will lead a session of its own, without a terminal.
pub(super) fn own_session(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec only async-signal-safe functions may be called: this is one system call, which neither
    // allocates nor takes a lock.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(())
        })
    }
}
