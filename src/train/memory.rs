//! What libtorch says when memory runs out, in words that help.

/// A failure for want of memory: what was asked for, what there is, and what to change. `None` for any other failure.
pub(super) fn explain(message: &str, batch_size: i64, accumulate: i64) -> Option<String> {
    let (device, asked, free) = cuda(message).or_else(|| cpu(message))?;
    let free = free.map_or_else(String::new, |free| format!(", {free} is free"));
    let (half, parts) = ((batch_size / 2).max(2), accumulate.max(1) * 2);
    Some(format!(
        "out of {device} memory with train.batch_size = {batch_size}: {asked} was asked for{free}. Use train.batch_size = \
         {half}, or train.accumulate = {parts} for the same batch in smaller parts"
    ))
}

/// The device, what was asked for and what is free.
type Shortage = (&'static str, String, Option<String>);

/// "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.20 GiB is free. …"
fn cuda(message: &str) -> Option<Shortage> {
    let text = message.split_once("CUDA out of memory")?.1;
    let asked = between(text, "Tried to allocate ", ". ")?;
    let free = between(text, "of which ", " is free").map(str::to_owned);
    Some(("GPU", asked.to_owned(), free))
}

/// "… DefaultCPUAllocator: can't allocate memory: you tried to allocate 25690112 bytes. Error code 12 (…)"
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

/// What the system could still give.
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
    fn what_cuda_says_is_told_with_what_to_do() {
        let message = "libtorch: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of \
                       which 1.20 GiB is free. Including non-PyTorch memory, this process has 77.90 GiB memory in use.";
        assert_eq!(
            explain(message, 4096, 1).as_deref(),
            Some(
                "out of GPU memory with train.batch_size = 4096: 2.00 GiB was asked for, 1.20 GiB is free. Use \
                 train.batch_size = 2048, or train.accumulate = 2 for the same batch in smaller parts"
            )
        );
    }

    #[test]
    fn what_the_cpu_says_is_counted_in_gib() {
        let message = "libtorch: [enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you \
                       tried to allocate 3221225472 bytes. Error code 12 (Cannot allocate memory)";
        let told = explain(message, 512, 2).unwrap_or_default();
        assert!(
            told.contains("out of main memory with train.batch_size = 512: 3.00 GiB was asked for"),
            "{told}"
        );
        assert!(told.contains("train.accumulate = 4"), "{told}");
    }

    #[test]
    fn other_failures_are_left_as_they_are() {
        assert_eq!(
            explain("libtorch: Target 9 is out of bounds.", 256, 1),
            None
        );
    }
}
