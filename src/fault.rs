//! Fault injection for tests. It is active in debug builds only; release builds ignore it.
//!
//! The environment variable `EPOCHTOP_FAULT` is a comma-separated list of faults:
//!
//! - `kill@OP:N` kills the process, like `kill -9`, just before its N-th operation OP. OP is an operation on the files
//!   of a checkpoint (`mkdir`, `create`, `write`, `fsync`, `rename`, `remove`, or `any` of them), or a training `step`, a
//!   `batch` of an evaluation or a `frame` of a screen. OP can also be the name of any file of a run, such as
//!   `events.jsonl` or `BEST`, for the operations that write this file, or `tb` for those of TensorBoard's files; or
//!   `read-step-000000040`, for each time that this checkpoint is opened to read its files.
//! - `abort@OP:N` and `panic@OP:N` abort the process or panic there; `hang@OP:N` blocks the thread forever.
//! - `ENOSPC@OP:N` (also EIO, EDQUOT, EFBIG, EROFS) makes the operation fail with that error; with a `+` after N, all
//!   later ones fail too.
//! - `oom@N` reports that GPU memory is exhausted, before training step N.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Mutex;

use rustix::io::Errno;

/// Names of the fault points that are not file operations.
const MOMENTS: [&str; 3] = ["step", "batch", "frame"];

/// The effect of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The operation fails with this error number of the operating system.
    Fails(i32),
    /// The process is killed.
    Kill,
    /// The process aborts, as C++ code does.
    Abort,
    /// The thread panics.
    Panic,
    /// The operation never returns, as on a disk that does not respond.
    Hang,
}

/// A fault: its effect, and the operation at which it occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The effect.
    pub kind: FaultKind,
    /// Name of the operation, or `any`.
    pub op: String,
    /// Index of the operation among those of the same name, from 1.
    pub nth: u64,
    /// Whether all later operations are affected too.
    pub and_later: bool,
}

impl Fault {
    /// Parses a fault such as `ENOSPC@write:3`; `None` if the text is not a fault.
    fn parse(text: &str) -> Option<Self> {
        let (what, place) = text.trim().split_once('@')?;
        let (op, nth) = place.split_once(':').unwrap_or((place, "1"));
        let and_later = nth.ends_with('+');
        let kind = match what {
            "kill" => FaultKind::Kill,
            "abort" => FaultKind::Abort,
            "panic" => FaultKind::Panic,
            "hang" => FaultKind::Hang,
            "ENOSPC" => FaultKind::Fails(Errno::NOSPC.raw_os_error()),
            "EIO" => FaultKind::Fails(Errno::IO.raw_os_error()),
            "EDQUOT" => FaultKind::Fails(Errno::DQUOT.raw_os_error()),
            "EFBIG" => FaultKind::Fails(Errno::FBIG.raw_os_error()),
            "EROFS" => FaultKind::Fails(Errno::ROFS.raw_os_error()),
            _ => return None,
        };
        Some(Self {
            kind,
            op: op.to_owned(),
            nth: nth.trim_end_matches('+').parse().ok()?,
            and_later,
        })
    }

    fn applies(&self, op: &str, counts: &BTreeMap<String, u64>) -> bool {
        let count = counts.get(&self.op).copied().unwrap_or(0);
        let matches = self.op == op || self.op == "any" && !MOMENTS.contains(&op);
        matches && (count == self.nth || self.and_later && count > self.nth)
    }
}

/// The planned faults, and how often each operation has been executed.
#[derive(Debug, Default)]
struct Plan {
    faults: Vec<Fault>,
    counts: BTreeMap<String, u64>,
}

impl Plan {
    /// Counts an operation on a file; returns the fault that applies to it.
    fn count_file(&mut self, file: &str) -> Option<Fault> {
        *self.counts.entry(file.to_owned()).or_default() += 1;
        let mut faults = self.faults.iter();
        let hit = faults.find(|fault| fault.op == file && fault.applies(file, &self.counts));
        hit.cloned()
    }

    /// Counts an operation; returns the fault that applies to it.
    fn count(&mut self, op: &str) -> Option<Fault> {
        *self.counts.entry(op.to_owned()).or_default() += 1;
        if !MOMENTS.contains(&op) {
            *self.counts.entry("any".to_owned()).or_default() += 1;
        }
        let hit = self
            .faults
            .iter()
            .find(|fault| fault.applies(op, &self.counts));
        hit.cloned()
    }
}

static OF_PROCESS: Mutex<Option<Plan>> = Mutex::new(None);

thread_local! {
    static OF_THREAD: RefCell<Option<Plan>> = const { RefCell::new(None) };
}

/// A fault point just before an operation: injects the planned fault, if one applies.
///
/// # Errors
/// The injected error.
pub fn before(op: &str) -> io::Result<()> {
    inject(op, |plan| plan.count(op))
}

/// A fault point just before an operation that writes the file `name`.
///
/// # Errors
/// The injected error.
pub fn before_file(name: &str) -> io::Result<()> {
    // The name of a temporary file contains that of the file that it replaces.
    let name = match name.strip_prefix(".tmp-").map(|rest| rest.rsplit_once('-')) {
        Some(Some((name, random))) if random.len() == 16 => name,
        _ => name,
    };
    inject(name, |plan| plan.count_file(name))
}

/// A fault point just before the files of the checkpoint `name` are read.
///
/// # Errors
/// The injected error.
pub fn before_reading(name: &str) -> io::Result<()> {
    let op = format!("read-{name}");
    inject(&op, |plan| plan.count_file(&op))
}

fn inject(op: &str, count: impl Fn(&mut Plan) -> Option<Fault>) -> io::Result<()> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    let own = OF_THREAD.with_borrow_mut(|plan| plan.as_mut().map(&count));
    let hit = own.unwrap_or_else(|| {
        let mut plan = OF_PROCESS
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        count(plan.get_or_insert_with(of_environment))
    });
    if hit.is_some() && std::env::var_os("EPOCHTOP_FAULT_SHOW").is_some() {
        let _ = writeln!(io::stderr(), "fault injected at {op}");
    }
    match hit.map(|fault| fault.kind) {
        None => Ok(()),
        Some(FaultKind::Fails(errno)) => Err(io::Error::from_raw_os_error(errno)),
        Some(FaultKind::Abort) => std::process::abort(),
        Some(FaultKind::Panic) => std::panic::panic_any(format!("an injected panic, before {op}")),
        Some(FaultKind::Hang) => loop {
            std::thread::park();
        },
        Some(FaultKind::Kill) => {
            let own = rustix::process::getpid();
            let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
            Ok(())
        }
    }
}

/// A fault point that is not a file operation. Faults that return an error have no effect here.
pub fn moment(name: &str) {
    // No operation follows that could fail.
    let _ = before(name);
}

fn of_environment() -> Plan {
    let text = std::env::var("EPOCHTOP_FAULT").unwrap_or_default();
    Plan {
        faults: text.split(',').filter_map(Fault::parse).collect(),
        counts: BTreeMap::new(),
    }
}

/// Runs `body` on this thread with a fault; also returns the number of file operations it executed.
pub fn with<T>(fault: Option<Fault>, body: impl FnOnce() -> T) -> (T, u64) {
    let plan = Plan {
        faults: fault.into_iter().collect(),
        counts: BTreeMap::new(),
    };
    OF_THREAD.set(Some(plan));
    let result = body();
    let plan = OF_THREAD.take().unwrap_or_default();
    (result, plan.counts.get("any").copied().unwrap_or(0))
}

/// The fault point before a training step. `oom@N` panics at step N with libtorch's message for exhausted GPU memory.
pub fn before_step(step: u64) {
    moment("step");
    if cfg!(debug_assertions)
        && let Ok(fault) = std::env::var("EPOCHTOP_FAULT")
        && fault.split(',').any(|fault| fault == format!("oom@{step}"))
    {
        let text = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which \
                     1.20 GiB is free.";
        std::panic::panic_any(format!(
            "called `Result::unwrap()` on an `Err` value: Torch({text:?})"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nth_operation_fails_and_with_a_plus_all_later_ones() {
        let failed = |text: &str| {
            let ((), all) = (
                (),
                with(Fault::parse(text), || {
                    ["write", "fsync", "write", "write"].map(|op| before(op).is_err())
                }),
            );
            all
        };
        assert_eq!(failed("EIO@write:2"), ([false, false, true, false], 4));
        assert_eq!(failed("EIO@write:2+").0, [false, false, true, true]);
        assert_eq!(failed("ENOSPC@any:2").0, [false, true, false, false]);
        assert_eq!(failed("nonsense").0, [false; 4]);
    }

    #[test]
    fn reads_of_a_checkpoint_are_not_counted_as_operations_on_files() {
        let (failed, operations) = with(Fault::parse("EIO@read-step-1:2+"), || {
            ["step-1", "step-2", "step-1", "step-1"].map(|name| before_reading(name).is_err())
        });
        assert_eq!((failed, operations), ([false, false, true, true], 0));
    }

    #[test]
    fn operations_of_a_file_are_counted_under_its_name() {
        let (failed, _) = with(Fault::parse("EDQUOT@BEST:2"), || {
            ["LATEST", "BEST", ".tmp-BEST-0123456789abcdef", "BEST"]
                .map(|name| before_file(name).is_err())
        });
        assert_eq!(failed, [false, false, true, false]);
    }
}
