//! Threads where the system limits their number.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::thread::{self, Builder, JoinHandle};

use fs_err as fs;

/// The number of cores that this process may use, from its affinity and the quota of its control group. A quota is
/// rounded: with 1.5 cores, two threads are faster than one.
pub fn cores() -> usize {
    let whole = thread::available_parallelism().map_or(1, NonZero::get);
    match (quota(), allowed()) {
        // The standard library rounds the quota down.
        (Some(quota), Some(allowed)) => allowed.min((quota.round() as usize).max(whole)),
        _ => whole,
    }
}

/// The number of cores in the affinity mask of this process.
fn allowed() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    count_of(list.trim())
}

/// The number of cores in a list such as `0-3,8`.
fn count_of(list: &str) -> Option<usize> {
    let mut count: usize = 0;
    for range in list.split(',') {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
        count = count.checked_add(to.checked_sub(from)?.checked_add(1)?)?;
    }
    Some(count)
}

/// The quota of processor time of this process's control group or one above it, in cores.
fn quota() -> Option<f64> {
    let quota = |text: &str, period: Option<&str>| {
        let mut words = text.split_ascii_whitespace().chain(period);
        let quota: f64 = words.next()?.parse().ok()?;
        let period: f64 = words.next()?.trim().parse().ok()?;
        (quota > 0.0 && period > 0.0).then_some(quota / period)
    };
    let read = |dir: &Path, name: &str| fs::read_to_string(dir.join(name)).ok();
    let mut least = None::<f64>;
    for dir in control_group("cpu")?.ancestors() {
        let period = read(dir, "cpu.cfs_period_us");
        let found = read(dir, "cpu.max")
            .or_else(|| read(dir, "cpu.cfs_quota_us"))
            .and_then(|text| quota(&text, period.as_deref()));
        least = [least, found].into_iter().flatten().reduce(f64::min);
    }
    least
}

/// The directory of this process's control group: that of the controller in version 1, or of version 2.
pub fn control_group(controller: &str) -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let root = Path::new("/sys/fs/cgroup");
    groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let root = if controllers.is_empty() {
            root.to_owned()
        } else if controllers.split(',').any(|known| known == controller) {
            root.join(controllers)
        } else {
            return None;
        };
        // In a container the path may be that of the host; the group is then at the root.
        let dir = root.join(path.trim_start_matches('/'));
        Some(if dir.is_dir() { dir } else { root })
    })
}

/// Starts a thread.
///
/// # Errors
/// If it cannot be created; the message names the limits that apply.
pub fn start<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let thread = Builder::new().name(name.to_owned()).spawn(body);
    thread.map_err(|error| {
        let text = format!("cannot create the thread {name:?}: {error}; {}", limits());
        io::Error::new(error.kind(), text)
    })
}

/// How many threads, at most `wanted`, can be created now in addition to the existing ones.
pub fn possible(wanted: usize) -> usize {
    let gate = Arc::new(RwLock::new(()));
    let closed = gate.write();
    let mut made = Vec::new();
    while made.len() < wanted {
        let gate = Arc::clone(&gate);
        match Builder::new().spawn(move || drop(gate.read())) {
            Ok(thread) => made.push(thread),
            Err(_) => break,
        }
    }
    drop(closed);
    let count = made.len();
    for thread in made {
        let _ = thread.join();
    }
    count
}

/// The time that each thread of this process has waited for a core.
#[derive(Debug, Default)]
pub struct Delays(HashMap<OsString, u64>);

/// Nanoseconds that threads have waited for a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waited {
    /// Sum over all threads.
    pub sum: u64,
    /// Of the thread that has waited longest.
    pub longest: u64,
}

impl Delays {
    /// The time waited since the previous call; `None` if the system does not report it.
    pub fn since_last(&mut self) -> Option<Waited> {
        let mut now = HashMap::new();
        for task in fs::read_dir("/proc/self/task").ok()?.flatten() {
            // The thread may end meanwhile.
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            if let Some(delay) = waited(&text) {
                now.insert(task.file_name(), delay);
            }
        }
        if now.is_empty() {
            return None;
        }
        let mut all = Waited::default();
        for (task, delay) in &now {
            let since = delay.saturating_sub(*self.0.get(task).unwrap_or(delay));
            all.sum = all.sum.saturating_add(since);
            all.longest = all.longest.max(since);
        }
        self.0 = now;
        Some(all)
    }
}

/// The second number of `/proc/PID/schedstat`: nanoseconds waited for a core.
fn waited(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The limits on the number of threads of this process, and what to do.
pub fn limits() -> String {
    let user = fs::read_to_string("/proc/self/limits").ok();
    let user = user.as_deref().and_then(|text| {
        let line = text.lines().find_map(|l| l.strip_prefix("Max processes"));
        line?.split_whitespace().next().map(str::to_owned)
    });
    let group = control_group("pids").and_then(|dir| fs::read_to_string(dir.join("pids.max")).ok());
    let group = group.unwrap_or_else(|| "not set".to_owned());
    format!(
        "the system allows no more threads: check `ulimit -u` (now {}), the pids limit of the control group (now {}) \
         and free memory, or end other processes",
        user.as_deref().unwrap_or("unknown"),
        group.trim()
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn cores_in_a_list_are_counted() {
        assert_eq!(count_of("0-3,8"), Some(5));
        assert_eq!(count_of("7"), Some(1));
        assert_eq!((count_of(""), count_of("3-1")), (None, None));
        let known = thread::available_parallelism().unwrap().get();
        assert!(cores() >= known && Some(cores()) <= allowed().max(Some(known)));
    }

    #[test]
    fn possible_threads_are_counted_and_ended() {
        assert_eq!(possible(0), 0);
        assert_eq!(possible(3), 3);
    }

    #[test]
    fn waiting_time_is_the_second_number_of_schedstat() {
        assert_eq!(waited("91337 4242 17\n"), Some(4242));
        assert_eq!(waited(""), None);
        assert_eq!(waited("1 x 2"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn threads_that_share_a_core_wait_for_it() {
        let mut delays = Delays::default();
        assert_eq!(
            delays.since_last(),
            Some(Waited::default()),
            "the first call"
        );
        let work = || {
            let mut sum = 0_u64;
            for i in 0..20_000_000_u64 {
                sum = std::hint::black_box(sum ^ i);
            }
        };
        thread::scope(|scope| {
            for _ in 0..4 * cores() {
                scope.spawn(work);
            }
            thread::sleep(std::time::Duration::from_millis(50));
            delays.since_last();
        });
        let longest = delays.0.values().max();
        assert!(longest.is_some_and(|ns| *ns > 0));
    }

    #[test]
    fn limits_name_what_restricts_the_number_of_threads() {
        let text = limits();
        assert!(text.contains("ulimit -u") && text.contains("pids limit"));
    }

    #[test]
    fn started_thread_has_its_name() {
        let thread = start("a name", || thread::current().name().map(str::to_owned));
        assert_eq!(thread.unwrap().join().unwrap().as_deref(), Some("a name"));
    }
}
