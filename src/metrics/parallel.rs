//! A parallel map over indices on all cores.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Builder};

/// The results of `work` for the indices `0..count`, in order. The assignment of indices to threads is not
/// deterministic, so `work` must depend only on its index.
pub(super) fn map<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(count);
    if threads <= 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return done;
            }
            done.push((number, work(number)));
        }
    };
    let mut all: Vec<(usize, T)> = thread::scope(|scope| {
        // At a limit on the number of threads, fewer of them do all the work: the results are the same.
        let spawn = |_| Builder::new().spawn_scoped(scope, take).ok();
        let others: Vec<_> = (1..threads).map_while(spawn).collect();
        let mut all = take();
        for other in others {
            match other.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_unstable_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, made)| made).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_complete_and_in_order() {
        assert_eq!(map(0, |i| i), [0_usize; 0]);
        assert_eq!(
            map(1000, |i| i * i),
            (0..1000).map(|i| i * i).collect::<Vec<_>>()
        );
    }
}
