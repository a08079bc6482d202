//! Failures on purpose, for tests of what happens then. Only debug builds have them; in others nothing is looked up.
//!
//! `EPOCHTOP_FAULT` names them, separated by commas: `kill@OP:N` ends the process as `kill -9` does just before the N-th
//! operation OP on a checkpoint's files (`mkdir`, `create`, `write`, `fsync`, `rename`, `remove`, or `any` of them) of this
//! process, or before its N-th training `step`, `batch` of an evaluation or `frame` of a screen; `abort@` and `panic@` let it
//! abort or panic there instead, `hang@` never come back from there; `ENOSPC@OP:N` (EIO, EDQUOT, EFBIG, EROFS) lets
//! it fail, a `+` behind N also all that follow. `oom@N` runs out of GPU memory before training step N.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;

use rustix::io::Errno;

/// Places that are no operation on files.
const MOMENTS: [&str; 3] = ["step", "batch", "frame"];

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// The operation fails with this error of the system's.
    Fails(i32),
    /// The process is killed.
    Kill,
    /// It aborts, as C++ code does.
    Abort,
    /// The thread panics.
    Panic,
    /// The operation takes for ever, as on a disk that does not answer.
    Hang,
}

/// What goes wrong, and at which operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub harm: Harm,
    /// Name of the operation, or `any`.
    pub op: String,
    /// Which of them, from 1.
    pub nth: u64,
    /// All later ones too.
    pub on: bool,
}

impl Fault {
    /// Reads `ENOSPC@write:3`; `None` for anything else.
    fn parse(text: &str) -> Option<Self> {
        let (what, place) = text.trim().split_once('@')?;
        let (op, nth) = place.split_once(':').unwrap_or((place, "1"));
        let on = nth.ends_with('+');
        let harm = match what {
            "kill" => Harm::Kill,
            "abort" => Harm::Abort,
            "panic" => Harm::Panic,
            "hang" => Harm::Hang,
            "ENOSPC" => Harm::Fails(Errno::NOSPC.raw_os_error()),
            "EIO" => Harm::Fails(Errno::IO.raw_os_error()),
            "EDQUOT" => Harm::Fails(Errno::DQUOT.raw_os_error()),
            "EFBIG" => Harm::Fails(Errno::FBIG.raw_os_error()),
            "EROFS" => Harm::Fails(Errno::ROFS.raw_os_error()),
            _ => return None,
        };
        Some(Self {
            harm,
            op: op.to_owned(),
            nth: nth.trim_end_matches('+').parse().ok()?,
            on,
        })
    }

    fn hits(&self, op: &str, counts: &BTreeMap<String, u64>) -> bool {
        let count = counts.get(&self.op).copied().unwrap_or(0);
        let concerned = self.op == op || self.op == "any" && !MOMENTS.contains(&op);
        concerned && (count == self.nth || self.on && count > self.nth)
    }
}

/// Faults and how often each operation was met.
#[derive(Debug, Default)]
struct Plan {
    faults: Vec<Fault>,
    counts: BTreeMap<String, u64>,
}

impl Plan {
    fn meet(&mut self, op: &str) -> Option<Fault> {
        *self.counts.entry(op.to_owned()).or_default() += 1;
        if !MOMENTS.contains(&op) {
            *self.counts.entry("any".to_owned()).or_default() += 1;
        }
        let hit = self
            .faults
            .iter()
            .find(|fault| fault.hits(op, &self.counts));
        hit.cloned()
    }
}

static OF_PROCESS: Mutex<Option<Plan>> = Mutex::new(None);

thread_local! {
    static OF_THREAD: RefCell<Option<Plan>> = const { RefCell::new(None) };
}

/// Just before an operation on files: fails, or ends the process, where a test wants it.
///
/// # Errors
/// What the test wants.
pub fn before(op: &str) -> io::Result<()> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    let own = OF_THREAD.with_borrow_mut(|plan| plan.as_mut().map(|plan| plan.meet(op)));
    let hit = own.unwrap_or_else(|| {
        let mut plan = OF_PROCESS
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        plan.get_or_insert_with(of_environment).meet(op)
    });
    match hit.map(|fault| fault.harm) {
        None => Ok(()),
        Some(Harm::Fails(errno)) => Err(io::Error::from_raw_os_error(errno)),
        Some(Harm::Abort) => std::process::abort(),
        Some(Harm::Panic) => std::panic::panic_any(format!("a panic on purpose, before {op}")),
        Some(Harm::Hang) => loop {
            std::thread::park();
        },
        Some(Harm::Kill) => {
            let own = rustix::process::getpid();
            let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
            Ok(())
        }
    }
}

/// A place where the process may be killed.
pub fn moment(name: &str) {
    // Nothing can fail here but the process.
    let _ = before(name);
}

fn of_environment() -> Plan {
    let text = std::env::var("EPOCHTOP_FAULT").unwrap_or_default();
    Plan {
        faults: text.split(',').filter_map(Fault::parse).collect(),
        counts: BTreeMap::new(),
    }
}

/// Runs something on this thread with a fault; tells also how many operations there were.
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

/// Runs out of GPU memory, as libtorch would say it, where `oom@N` names this step.
pub fn before_step(step: u64) {
    moment("step");
    if cfg!(debug_assertions)
        && let Ok(fault) = std::env::var("EPOCHTOP_FAULT")
        && fault.split(',').any(|fault| fault == format!("oom@{step}"))
    {
        let words = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which \
                     1.20 GiB is free.";
        std::panic::panic_any(format!(
            "called `Result::unwrap()` on an `Err` value: Torch({words:?})"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_operation_fails_and_with_a_plus_all_that_follow() {
        let met = |text: &str| {
            let ((), all) = (
                (),
                with(Fault::parse(text), || {
                    ["write", "fsync", "write", "write"].map(|op| before(op).is_err())
                }),
            );
            all
        };
        assert_eq!(met("EIO@write:2"), ([false, false, true, false], 4));
        assert_eq!(met("EIO@write:2+").0, [false, false, true, true]);
        assert_eq!(met("ENOSPC@any:2").0, [false, true, false, false]);
        assert_eq!(met("nonsense").0, [false; 4]);
    }
}
