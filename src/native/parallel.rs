//! Work spread over libtorch's own threads: a second pool would fight the first for the cores.
#![expect(
    unsafe_code,
    reason = "hands disjoint pieces of a slice to several threads"
)]

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

// SAFETY: the signature is that of native.cpp, which calls the task once for each index below `count`, on any thread,
// and returns when all have returned.
unsafe extern "C" {
    fn epochtop_parallel(
        count: usize,
        task: extern "C" fn(*mut c_void, usize),
        context: *mut c_void,
    );
    fn epochtop_keep_memory();
}

/// Keeps freed memory for the next step instead of giving it back to the system. For a process that trains.
pub fn keep_memory() {
    // SAFETY: sets three numbers of the C library's allocator.
    unsafe { epochtop_keep_memory() };
}

struct Context<'a> {
    body: &'a (dyn Fn(usize) + Sync),
    panicked: AtomicBool,
}

extern "C" fn call(context: *mut c_void, index: usize) {
    // SAFETY: `context` is the `Context` of `for_each`, which waits for all calls and is only read here.
    let context = unsafe { &*context.cast::<Context<'_>>() };
    // A panic must not run through C++.
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
// SAFETY: only used to cut disjoint chunks of `T: Send` out of a slice that the caller holds mutably.
unsafe impl<T: Send> Sync for Base<T> {}

impl<T> Base<T> {
    /// SAFETY: chunk `index` of `size` lies in the slice, no two calls have the same index.
    unsafe fn chunk<'a>(&self, index: usize, size: usize) -> &'a mut [T] {
        // SAFETY: as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(index * size), size) }
    }
}

/// Calls `body` for each index below `count` with that part of `a` and of `b`, both cut into `count` equal parts. What
/// a part becomes depends on nothing but its index, so the number of threads changes no result.
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
        "{} and {} are no multiples of {count}",
        a.len(),
        b.len()
    );
    let (size_a, size_b) = (a.len() / count, b.len() / count);
    let (a, b) = (Base(a.as_mut_ptr()), Base(b.as_mut_ptr()));
    for_each(count, &|index| {
        // SAFETY: index < count and each comes once, so the chunks are inside and disjoint; the slices are borrowed
        // mutably until `for_each` returns.
        let (a, b) = unsafe { (a.chunk(index, size_a), b.chunk(index, size_b)) };
        body(index, a, b);
    });
}
