//! Panics of libraries that are caught and become errors, and are therefore not reported.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Calls `body`; `None` if it panicked. The panic is not reported.
pub fn caught<T>(body: impl FnOnce() -> T) -> Option<T> {
    let before = CATCHING.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(body));
    CATCHING.set(before);
    result.ok()
}

/// Whether a panic of this thread is caught. Panic hooks ask this before they report one.
pub fn is_catching() -> bool {
    CATCHING.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_none_and_only_then_hooks_are_quiet() {
        assert_eq!(caught(is_catching), Some(true));
        assert!(!is_catching());
        assert_eq!(caught(|| -> u8 { panic!("expected by this test") }), None);
        assert!(!is_catching());
    }
}
