//! How the threads of OpenMP wait for each other, chosen by what is measured while running.
//!
//! A thread that has finished its part of a loop spins for milliseconds in case the next loop follows at once. Alone on
//! the machine that is fastest. With other busy processes it takes the core from the thread it waits for: two threads on
//! two cores lose three quarters of their speed to one other process. OpenMP spins only a moment while it has more
//! threads than there are cores, so further, idle threads exist as long as the training threads wait for a core.
//!
//! The environment variables `OMP_WAIT_POLICY` and `GOMP_SPINCOUNT` have precedence.

use std::env;
use std::sync::OnceLock;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

use crate::native;
use crate::threads::{self, Delays};

/// Time between two measurements.
const EVERY: Duration = Duration::from_millis(200);
/// Share of the time that a training thread waits for a core from which the machine counts as shared. Alone it is about
/// 0.01, as the threads that serve screens and files hardly work. With one other busy process on two cores it is 0.2 to 0.5.
const SHARED: f64 = 0.1;
/// How long threads wait without spinning after the last measurement above it.
const HOLD: Duration = Duration::from_millis(1500);
/// Maximum number of further threads.
const MOST: usize = 64;

/// Starts to choose how the `working` threads of OpenMP wait, once per process.
pub(super) fn choose(working: usize) {
    static STARTED: OnceLock<bool> = OnceLock::new();
    let by_user = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"];
    // A single thread does not wait. With more threads than cores, OpenMP does not spin.
    let needless = working < 2 || working > threads::cores();
    let further = (threads::cores() + 1).saturating_sub(working);
    if needless || further > MOST || by_user.iter().any(|name| env::var_os(name).is_some()) {
        return;
    }
    STARTED.get_or_init(|| threads::start("waiting", move || watch(further)).is_ok());
}

/// Measures forever, and keeps further threads while the machine is shared.
fn watch(further: usize) {
    let mut delays = Delays::default();
    let (mut idle, mut seen, mut at) = (None, None::<Instant>, Instant::now());
    loop {
        thread::sleep(EVERY);
        let Some(waited) = delays.since_last() else {
            return; // not Linux
        };
        let passed = at.elapsed();
        at = Instant::now();
        if waited.longest as f64 > SHARED * passed.as_nanos() as f64 {
            seen = Some(at);
        }
        match seen {
            Some(seen) if seen.elapsed() < HOLD => idle = idle.or_else(|| IdleTeam::new(further)),
            Some(_) | None => idle = None,
        }
    }
}

/// Threads of OpenMP without work.
struct IdleTeam {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl IdleTeam {
    /// Creates `further` threads and the one they belong to; `None` if the system does not allow them.
    fn new(further: usize) -> Option<Self> {
        // OpenMP ends the process if it cannot create a thread.
        if threads::possible(further + 1) <= further {
            return None;
        }
        let (end, ended) = bounded::<()>(0);
        let team = move || {
            native::make_team(further as u32 + 1);
            let _ = ended.recv();
        };
        Some(Self {
            thread: Some(threads::start("idle", team).ok()?),
            end: Some(end),
        })
    }
}

impl Drop for IdleTeam {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_threads_end_with_their_owner() {
        for _ in 0..3 {
            let team = IdleTeam::new(1);
            assert!(team.is_some());
            drop(team);
        }
    }
}
