//! What clients may use of the trainer's resources: requests, lines in the log, and processor time.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A limit on a quantity: `burst` may be used at once, and `rate` per second in the long run.
#[derive(Debug)]
pub(super) struct Budget {
    burst: f64,
    rate: f64,
    available: Mutex<Available>,
}

#[derive(Debug)]
struct Available {
    /// Negative if it was used in advance.
    amount: f64,
    at: Instant,
}

impl Budget {
    pub(super) fn new(burst: f64, rate: f64) -> Self {
        let available = Mutex::new(Available {
            amount: burst,
            at: Instant::now(),
        });
        Self {
            burst,
            rate,
            available,
        }
    }

    /// Uses one unit if it is available. Returns whether it was.
    pub(super) fn take(&self) -> bool {
        let mut available = self.available();
        let enough = available.amount >= 1.0;
        if enough {
            available.amount -= 1.0;
        }
        enough
    }

    /// Uses `amount`, if necessary in advance. Returns how long the user must wait for it, at most `burst / rate` seconds.
    pub(super) fn spend(&self, amount: f64) -> Duration {
        let mut available = self.available();
        available.amount = (available.amount - amount).max(-self.burst);
        Duration::from_secs_f64((-available.amount).max(0.0) / self.rate)
    }

    /// What is available now.
    fn available(&self) -> MutexGuard<'_, Available> {
        let locked = self.available.lock();
        let mut available = locked.unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let new = now.saturating_duration_since(available.at).as_secs_f64() * self.rate;
        available.amount = (available.amount + new).min(self.burst);
        available.at = now;
        available
    }
}

/// The processor time, in seconds, that this thread has used since its previous call.
pub(super) fn processor_time() -> f64 {
    thread_local! { static BEFORE: Cell<Duration> = const { Cell::new(Duration::ZERO) } }
    let now = Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    now.saturating_sub(BEFORE.replace(now)).as_secs_f64()
}

/// Lowers the priority of this thread and of those that it starts. A priority below that of the trainer's threads keeps
/// them on their cores when a client's message arrives.
pub(super) fn lower_priority() {
    // On other systems the call concerns the whole process.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(10);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_allows_a_burst_and_then_its_rate() {
        let budget = Budget::new(3.0, 0.01);
        assert_eq!(
            [(); 5].map(|()| budget.take()),
            [true, true, true, false, false]
        );
        let wait = budget.spend(1.0).as_secs_f64();
        assert!((95.0..=100.0).contains(&wait), "{wait}");
        // However much is used at once, the wait is bounded.
        let wait = budget.spend(1e9).as_secs_f64();
        assert!((299.0..=300.0).contains(&wait), "{wait}");
        assert_eq!(Budget::new(3.0, 0.01).spend(2.0), Duration::ZERO);
    }

    #[test]
    fn processor_time_counts_work_but_not_sleep() {
        processor_time();
        std::thread::sleep(Duration::from_millis(50));
        let asleep = processor_time();
        let mut sum = 0_u64;
        while processor_time() < 1e-5 {
            (0..100_000_u64).for_each(|i| sum = std::hint::black_box(sum ^ i));
        }
        assert!(asleep < 0.04, "{asleep}");
    }
}
