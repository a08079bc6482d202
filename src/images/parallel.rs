//! Work on several threads with a result that does not depend on them.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The results of `work(0)` to `work(count - 1)` in this order, computed by this thread and up to `threads - 1` others. If the
/// system allows fewer, there are fewer.
pub fn parallel<T: Send>(threads: usize, count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let numbers = numbers.take_while(|number| *number < count);
        numbers.map(|number| (number, work(number))).collect()
    };
    let mut results: Vec<(usize, T)> = thread::scope(|scope| {
        let start = |_| thread::Builder::new().spawn_scoped(scope, worker).ok();
        let others: Vec<_> = (1..threads.min(count)).filter_map(start).collect();
        let mut results: Vec<_> = worker();
        for other in others {
            results.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        results
    });
    results.sort_unstable_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_have_the_order_of_the_work() {
        for threads in [0, 1, 3, 50] {
            let squares = parallel(threads, 20, |number| number * number);
            assert_eq!(
                squares,
                (0..20).map(|number| number * number).collect::<Vec<_>>()
            );
        }
    }
}
