//! The clock that stamps records.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, UTC; 0 on a machine whose clock is set before that.
pub(super) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
