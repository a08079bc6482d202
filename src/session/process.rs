//! Recognises the process that a run was last written by, also if its PID has been used again since.

use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use super::meta::Meta;

/// The name of this host.
pub fn host() -> String {
    let names = rustix::system::uname();
    names.nodename().to_string_lossy().into_owned()
}

/// The boot, the PID namespace and the start time of this process; empty if they are not known.
pub fn process_mark() -> String {
    mark_of("self").unwrap_or_default()
}

/// A process that writes to a run, or did so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) host: String,
    /// As [`process_mark`].
    pub(super) process: String,
}

/// What is known about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Running,
    Gone,
    /// It is on another host or in another container, or was recorded by an earlier version of this program.
    Unknown,
}

impl Holder {
    /// This process.
    pub(super) fn own() -> Self {
        Self {
            pid: std::process::id(),
            host: host(),
            process: process_mark(),
        }
    }

    /// The process that `run.json` names as training the run; `None` if it names none.
    pub(super) fn recorded(meta: &Meta) -> Option<Self> {
        let running = meta.outcome == super::RunOutcome::Running && !meta.host.is_empty();
        running.then(|| Self {
            pid: meta.pid,
            host: meta.host.clone(),
            process: meta.process.clone(),
        })
    }

    /// Whether the process is running.
    pub(super) fn seen(&self) -> Seen {
        if self.host != host() {
            return Seen::Unknown;
        }
        if self.process.is_empty() {
            // Only the PID is known, and another process may have it now.
            let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
            let gone = pid.is_none_or(|pid| test_kill_process(pid) == Err(Errno::SRCH));
            return if gone { Seen::Gone } else { Seen::Unknown };
        }
        if mark_of(&self.pid.to_string()).is_some_and(|mark| mark == self.process) {
            return Seen::Running;
        }
        let own = process_mark();
        let (mut now, mut then) = (own.split(' '), self.process.split(' '));
        let (same_boot, same_namespace) = (now.next() == then.next(), now.next() == then.next());
        if own.is_empty() || same_boot && !same_namespace {
            Seen::Unknown
        } else {
            Seen::Gone
        }
    }
}

/// The mark of a process of this PID namespace; `None` if it is not running. Zombies do not count.
fn mark_of(pid: &str) -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The state is the third field, the start time the 22nd; the second can contain spaces.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let started = fields.nth(18).filter(|_| !matches!(state, "Z" | "X"))?;
    Some(format!("{} {} {started}", boot.trim(), namespace.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_with_the_same_pid_is_not_mistaken_for_the_recorded_one() {
        let own = Holder::own();
        assert_eq!(own.seen(), Seen::Running);
        let with = |change: fn(&mut Holder)| {
            let mut other = own.clone();
            change(&mut other);
            other.seen()
        };
        // Another start time, another boot, a PID that cannot exist, another container, another host, an old record.
        assert_eq!(with(|one| one.process.push('0')), Seen::Gone);
        assert_eq!(with(|one| one.process.insert(0, 'x')), Seen::Gone);
        assert_eq!(with(|one| one.pid = u32::MAX), Seen::Gone);
        let container = |one: &mut Holder| one.process = one.process.replace("pid:", "pid:1");
        assert_eq!(with(container), Seen::Unknown);
        assert_eq!(with(|one| one.host.push('2')), Seen::Unknown);
        assert_eq!(with(|one| one.process.clear()), Seen::Unknown);
    }
}
