//! Error messages for libtorch's out-of-memory errors.

/// The message for an out-of-memory error: the requested and the free memory, and which settings to change. `None` for
/// any other error.
pub(super) fn explain(message: &str, batch_size: i64, accumulate: i64) -> Option<String> {
    let (device, requested, free) = cuda(message).or_else(|| cpu(message))?;
    let free = free.map_or_else(String::new, |free| format!(", {free} is free"));
    let (half, parts) = ((batch_size / 2).max(2), accumulate.max(1) * 2);
    Some(format!(
        "out of {device} memory with train.batch_size = {batch_size}: {requested} requested{free}. Use \
         train.batch_size = {half}, or train.accumulate = {parts} for the same batch in smaller parts"
    ))
}

/// The kind of memory, the size that was requested, and the size that is free.
type Shortage = (&'static str, String, Option<String>);

/// Parses "CUDA out of memory. Tried to allocate 2.00 GiB. … of which 1.20 GiB is free. …".
fn cuda(message: &str) -> Option<Shortage> {
    let text = message.split_once("CUDA out of memory")?.1;
    let requested = between(text, "Tried to allocate ", ". ")?;
    let free = between(text, "of which ", " is free").map(str::to_owned);
    Some(("GPU", requested.to_owned(), free))
}

/// Parses "… DefaultCPUAllocator: can't allocate memory: you tried to allocate 25690112 bytes. Error code 12 (…)".
fn cpu(message: &str) -> Option<Shortage> {
    let text = message.split_once("DefaultCPUAllocator")?.1;
    let bytes: f64 = between(text, "tried to allocate ", " bytes")?
        .parse()
        .ok()?;
    Some((
        "main",
        format!("{:.2} GiB", bytes / (1_u64 << 30) as f64),
        available(),
    ))
}

/// Available memory of the system.
fn available() -> Option<String> {
    let text = fs_err::read_to_string("/proc/meminfo").ok()?;
    let kib: f64 = between(&text, "MemAvailable:", "kB")?.trim().parse().ok()?;
    Some(format!("{:.2} GiB", kib / (1_u64 << 20) as f64))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = text.split_once(before)?.1;
    rest.split_once(after).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_error_is_explained_with_a_remedy() {
        let message = "libtorch: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 \
                       GiB of which 1.20 GiB is free. Including non-PyTorch memory, this process has 77.90 GiB \
                       memory in use.";
        assert_eq!(
            explain(message, 4096, 1).as_deref(),
            Some(
                "out of GPU memory with train.batch_size = 4096: 2.00 GiB requested, 1.20 GiB is free. Use \
                 train.batch_size = 2048, or train.accumulate = 2 for the same batch in smaller parts"
            )
        );
    }

    #[test]
    fn cpu_error_is_explained_in_gib() {
        let message = "libtorch: [enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate \
                       memory: you tried to allocate 3221225472 bytes. Error code 12 (Cannot allocate memory)";
        let text = explain(message, 512, 2).unwrap_or_default();
        assert!(
            text.contains("out of main memory with train.batch_size = 512: 3.00 GiB requested"),
            "{text}"
        );
        assert!(text.contains("train.accumulate = 4"), "{text}");
    }

    #[test]
    fn other_errors_are_not_explained() {
        assert_eq!(
            explain("libtorch: Target 9 is out of bounds.", 256, 1),
            None
        );
    }
}
