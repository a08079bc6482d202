//! Starts a child process in a separate session, so that a hang-up of the terminal, Ctrl-C or Ctrl-Z does not reach it.
//!
//! This is the only `unsafe` code of the command line: std has no safe way to call setsid(2) between fork and exec, and
//! if the child called it after exec, signals of the terminal could reach it in between.

#![expect(
    unsafe_code,
    reason = "CommandExt::pre_exec: the closure only calls setsid(2), which is async-signal-safe"
)]

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes the process of the command the leader of a new session without a controlling terminal.
pub(super) fn own_session(command: &mut Command) -> &mut Command {
    // SAFETY: only async-signal-safe functions may be called between fork and exec. setsid is a single system call that
    // neither allocates nor locks.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(())
        })
    }
}
