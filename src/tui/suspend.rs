//! Job control: Ctrl-Z suspends the process, `fg` resumes it.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use rustix::process::{getpgrp, getpid, getsid, kill_current_process_group, kill_process};

use super::exit::Signals;

/// Maximum wait for the SIGTSTP that was sent to the process group.
const STOP_TIMEOUT: Duration = Duration::from_millis(50);
/// Maximum wait for the notification of SIGCONT.
const RESUME_TIMEOUT: Duration = Duration::from_secs(1);

/// Stops the process group of this process until the shell resumes it. Does nothing without a job-control shell. The
/// terminal must already be restored.
pub(super) fn stop(signals: &Signals) {
    if !shell_waits() {
        return;
    }
    signals.resumed.store(false, Ordering::Relaxed);
    // The whole group, so that make or cargo, which may have started this process, also stop; else the shell waits for
    // them.
    let _ = kill_current_process_group(Signal::TSTP);
    let began = Instant::now();
    while !signals.suspend.load(Ordering::Relaxed) && began.elapsed() < STOP_TIMEOUT {
        thread::sleep(Duration::from_millis(1));
    }
    let _ = kill_process(getpid(), Signal::STOP);
    // Here the process has been resumed. Wait for the thread that receives SIGCONT: if it set the flag after the screen
    // was set up, the screen would be closed and opened once more, and keys pressed meanwhile would be lost.
    let began = Instant::now();
    while !signals.resumed.load(Ordering::Relaxed) && began.elapsed() < RESUME_TIMEOUT {
        thread::sleep(Duration::from_millis(1));
    }
    signals.suspend.store(false, Ordering::Relaxed);
    signals.resumed.store(false, Ordering::Relaxed);
}

/// Whether a job-control shell waits for our process group: the parent of the group leader belongs to the same session,
/// but not to the group.
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
