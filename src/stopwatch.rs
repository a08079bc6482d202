//! The time in which this process runs. While the process is stopped (SIGSTOP, a frozen container), it stands still.
//!
//! The system's monotonic clock goes on during a stop. So a thread gives a sign of life every [`SIGN`], and each reading
//! of this clock is one as well: if there was none for [`STOPPED`], the process was stopped.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::threads;

/// Interval between two signs of life.
const SIGN: Duration = Duration::from_millis(100);
/// Time without a sign of life that counts as a stop. On a busy machine a thread waits for a core, but not that long.
const STOPPED: Duration = Duration::from_millis(1500);
/// Greatest number of stops that are retained until [`take_stops`].
const STOPS: usize = 64;

static SIGNS: Mutex<Signs> = Mutex::new(Signs::new());

/// A point in the running time of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The current time.
    pub fn now() -> Self {
        let mut signs = signs();
        // Read while the lock is held, so that the times of different threads are in order.
        Self(signs.read(Instant::now()))
    }

    /// Running time since this moment.
    pub fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    /// Running time since an earlier moment.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Starts the thread that gives signs of life. Without it no stop is noticed. Only the first call has an effect.
///
/// # Errors
/// If the thread cannot be started.
pub fn start() -> io::Result<()> {
    let mut signs = signs();
    if signs.watched {
        return Ok(());
    }
    threads::start("stopwatch", || {
        loop {
            thread::sleep(SIGN);
            Moment::now();
        }
    })?;
    signs.watched = true;
    Ok(())
}

/// The stops of the process since the last call, each with its start and end.
pub fn take_stops() -> Vec<(Instant, Instant)> {
    let mut signs = signs();
    signs.read(Instant::now());
    std::mem::take(&mut signs.stops)
}

fn signs() -> MutexGuard<'static, Signs> {
    SIGNS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The signs of life so far.
#[derive(Debug)]
struct Signs {
    /// Whether the thread gives signs of life.
    watched: bool,
    /// The first and the last reading.
    times: Option<(Instant, Instant)>,
    /// Total duration of the stops.
    stopped: Duration,
    stops: Vec<(Instant, Instant)>,
}

impl Signs {
    const fn new() -> Self {
        Self {
            watched: false,
            times: None,
            stopped: Duration::ZERO,
            stops: Vec::new(),
        }
    }

    /// The running time since the first reading. Notices a stop.
    fn read(&mut self, now: Instant) -> Duration {
        let (first, last) = *self.times.get_or_insert((now, now));
        let gap = now.saturating_duration_since(last);
        if self.watched && gap >= STOPPED {
            self.stopped += gap;
            if self.stops.len() < STOPS {
                self.stops.push((last, now));
            }
        }
        self.times = Some((first, now.max(last)));
        now.saturating_duration_since(first)
            .saturating_sub(self.stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_does_not_count_as_running_time() {
        let beginning = Instant::now();
        let at = |ms| beginning + Duration::from_millis(ms);
        let mut signs = Signs::new();
        signs.watched = true;
        for ms in [0, 100, 200, 900] {
            assert_eq!(signs.read(at(ms)), Duration::from_millis(ms));
        }
        assert_eq!(signs.read(at(15_900)), Duration::from_millis(900));
        assert_eq!(signs.read(at(16_000)), Duration::from_secs(1));
        assert_eq!(signs.stops, [(at(900), at(15_900))]);
    }

    #[test]
    fn without_signs_of_life_a_gap_is_running_time() {
        let beginning = Instant::now();
        let mut signs = Signs::new();
        signs.read(beginning);
        let later = beginning + Duration::from_secs(15);
        assert_eq!(signs.read(later), Duration::from_secs(15));
        assert!(signs.stops.is_empty());
    }
}
