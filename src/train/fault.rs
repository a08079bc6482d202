//! Failures on purpose, for tests of what happens then. Only debug builds have them.

/// Fails as `EPOCHTOP_FAULT` says: `oom@N` runs out of GPU memory before step N, counted from 1.
pub(super) fn before_step(step: u64) {
    if cfg!(debug_assertions)
        && let Ok(fault) = std::env::var("EPOCHTOP_FAULT")
        && fault == format!("oom@{step}")
    {
        let words = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which \
                     1.20 GiB is free.";
        std::panic::panic_any(format!(
            "called `Result::unwrap()` on an `Err` value: Torch({words:?})"
        ));
    }
}
