//! Parallel loops on libtorch's own threads, as a second thread pool would compete with it for the cores.
#![expect(
    unsafe_code,
    reason = "passes disjoint chunks of a slice to several threads"
)]

use std::ffi::{c_uint, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

// SAFETY: the signatures match native.cpp. `epochtop_parallel` calls the task once for each index below `count`, on any
// thread, and returns after all calls have returned.
unsafe extern "C" {
    fn epochtop_parallel(
        count: usize,
        task: extern "C" fn(*mut c_void, usize),
        context: *mut c_void,
    );
    fn epochtop_keep_memory();
    fn epochtop_make_team(threads: c_uint);
    fn epochtop_compute_alone();
    fn epochtop_at_exit(handler: extern "C" fn());
}

/// Configures the C allocator to reuse freed memory for the next step instead of returning it to the system. Intended
/// for training processes.
pub fn keep_memory() {
    // SAFETY: only sets parameters of the C library's allocator.
    unsafe { epochtop_keep_memory() };
}

/// Makes the calling thread the first of a team of `threads` threads of OpenMP, which exists until the calling thread
/// ends. The process ends if the threads cannot be created.
pub(crate) fn make_team(threads: u32) {
    // SAFETY: runs an empty function on these threads.
    unsafe { epochtop_make_team(threads) };
}

/// Calls `handler` when the program or a library ends the process with `exit`.
pub(crate) fn at_exit(handler: extern "C" fn()) {
    // SAFETY: only stores the function.
    unsafe { epochtop_at_exit(handler) };
}

/// Makes libtorch compute without further threads when it is called from the calling thread.
pub(crate) fn compute_alone() {
    // SAFETY: only sets the calling thread's number of threads.
    unsafe { epochtop_compute_alone() };
}

struct Context<'a> {
    body: &'a (dyn Fn(usize) + Sync),
    panicked: AtomicBool,
}

extern "C" fn call(context: *mut c_void, index: usize) {
    // SAFETY: `context` is the `Context` of `for_each`, which outlives all calls. It is only read here.
    let context = unsafe { &*context.cast::<Context<'_>>() };
    // A panic must not unwind through C++.
    if catch_unwind(AssertUnwindSafe(|| (context.body)(index))).is_err() {
        context.panicked.store(true, Ordering::Relaxed);
    }
}

fn for_each(count: usize, body: &(dyn Fn(usize) + Sync)) {
    let mut context = Context {
        body,
        panicked: AtomicBool::new(false),
    };
    // SAFETY: `context` outlives the call.
    unsafe { epochtop_parallel(count, call, (&raw mut context).cast()) };
    assert!(
        !context.panicked.load(Ordering::Relaxed),
        "a kernel panicked"
    );
}

struct Base<T>(*mut T);
// SAFETY: only used to create disjoint chunks of `T: Send` from a slice that the caller borrows mutably.
unsafe impl<T: Send> Sync for Base<T> {}

impl<T> Base<T> {
    /// SAFETY: chunk `index` of length `size` must be inside the slice, and no two calls may have the same index.
    unsafe fn chunk<'a>(&self, index: usize, size: usize) -> &'a mut [T] {
        // SAFETY: guaranteed by the caller.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(index * size), size) }
    }
}

/// Calls `body` in parallel for each index below `count`, with chunk `index` of `a` and of `b`, which are both divided
/// into `count` equal chunks. A chunk's result depends only on its index, so the number of threads does not affect
/// results.
///
/// # Panics
/// If a length is not a multiple of `count`, or `body` panics.
pub(crate) fn for_chunks<A: Send, B: Send>(
    count: usize,
    a: &mut [A],
    b: &mut [B],
    body: impl Fn(usize, &mut [A], &mut [B]) + Sync,
) {
    if count == 0 {
        return;
    }
    assert!(
        a.len().is_multiple_of(count) && b.len().is_multiple_of(count),
        "lengths {} and {} must be multiples of {count}",
        a.len(),
        b.len()
    );
    let (size_a, size_b) = (a.len() / count, b.len() / count);
    let (a, b) = (Base(a.as_mut_ptr()), Base(b.as_mut_ptr()));
    for_each(count, &|index| {
        // SAFETY: index < count and each index is used once, so the chunks are inside the slices and disjoint. The
        // slices are borrowed mutably until `for_each` returns.
        let (a, b) = unsafe { (a.chunk(index, size_a), b.chunk(index, size_b)) };
        body(index, a, b);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads help each other, so a chunk may be processed by any of them.
    #[test]
    fn every_chunk_is_processed_once() {
        for count in [1_usize, 2, 7, 1000] {
            let mut sums = vec![0_usize; count];
            for _ in 0..10 {
                for_chunks(count, &mut sums, &mut [(); 0], |index, sum, _| {
                    sum.iter_mut().for_each(|sum| *sum += index + 1);
                });
            }
            let expected: Vec<usize> = (1..=count).map(|index| 10 * index).collect();
            assert_eq!(sums, expected);
        }
    }
}
