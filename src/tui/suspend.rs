//! Ctrl-Z and `fg`: the shell has the terminal for a while.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use rustix::process::{getpgrp, getpid, getsid, kill_current_process_group, kill_process};

use super::exit::Signals;

/// How long the group's stop may take to arrive.
const ARRIVE: Duration = Duration::from_millis(50);
/// How long it may take until the process has heard that it goes on.
const HEARD: Duration = Duration::from_secs(1);

/// Stops this process and those it was started with, until the shell goes on with them. Where no shell could do that,
/// nothing happens. The terminal must have been given back.
pub(super) fn stop(signals: &Signals) {
    if !shell_waits() {
        return;
    }
    signals.resumed.store(false, Ordering::Relaxed);
    // make or cargo, which started us, must stop too, or the shell would wait for them.
    let _ = kill_current_process_group(Signal::TSTP);
    let began = Instant::now();
    while !signals.suspend.load(Ordering::Relaxed) && began.elapsed() < ARRIVE {
        thread::sleep(Duration::from_millis(1));
    }
    let _ = kill_process(getpid(), Signal::STOP);
    // Here the process goes on. The thread that hears of it may be late: told after the screen is up again, it would be taken
    // down once more, with the keys that were pressed meanwhile.
    let began = Instant::now();
    while !signals.resumed.load(Ordering::Relaxed) && began.elapsed() < HEARD {
        thread::sleep(Duration::from_millis(1));
    }
    signals.suspend.store(false, Ordering::Relaxed);
    signals.resumed.store(false, Ordering::Relaxed);
}

/// Whether a shell with job control watches our process group: the leader's parent is of the same session, and not of the
/// group.
fn shell_waits() -> bool {
    let group = getpgrp();
    let parent = parent_of(group);
    let Some(parent) = parent else { return false };
    let same_session = getsid(Some(parent)).ok() == getsid(None).ok();
    same_session && rustix::process::getpgid(Some(parent)).is_ok_and(|other| other != group)
}

fn parent_of(pid: Pid) -> Option<Pid> {
    if pid == getpid() {
        return rustix::process::getppid();
    }
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let stat = std::fs::read_to_string(path).ok()?;
    let mut fields = stat.rsplit(") ").next()?.split(' ');
    Pid::from_raw(fields.nth(1)?.parse().ok()?)
}
