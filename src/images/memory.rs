//! The memory that this process may still use.

use std::path::Path;

use crate::threads::control_group;

/// Available memory in bytes: that of the machine or of the control group, whichever is less; `None` if unknown.
pub(super) fn available() -> Option<u64> {
    [machine(), group()].into_iter().flatten().min()
}

fn machine() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    kib.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

/// What the control group of this process, or one above it, leaves.
fn group() -> Option<u64> {
    let number = |path: &Path| {
        std::fs::read_to_string(path)
            .ok()?
            .trim()
            .parse::<u64>()
            .ok()
    };
    let group = control_group("memory")?;
    let left = group.ancestors().filter_map(|dir| {
        let limit = number(&dir.join("memory.max"))
            .or_else(|| number(&dir.join("memory.limit_in_bytes")))?;
        let used = number(&dir.join("memory.current"))
            .or_else(|| number(&dir.join("memory.usage_in_bytes")))?;
        Some(limit.saturating_sub(used))
    });
    left.min()
}
