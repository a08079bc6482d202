//! How the machine is doing: a thread beside the trainer that looks every few seconds and tells the hub.
//!
//! It holds nothing up. It never speaks with the trainer, the hub ends without asking it, and it ends with the session, or
//! is left behind where a call into a file system or a driver does not come back.

mod gpu;
mod proc;

use std::io;
use std::path::PathBuf;
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use fs_err as fs;

use super::door::Door;
use crate::event::SystemSample;
use gpu::Gpus;
use proc::Ticks;

/// How long the end of a session waits for a look that is being taken: a driver's library should not be called while the
/// process is taken down.
const PATIENCE: Duration = Duration::from_millis(100);

/// Where a container finds its limit of memory, what it has taken, and of what: control groups of version 2 and 1.
const GROUPS: [(&str, &str, &str); 2] = [
    (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory.current",
        "/sys/fs/cgroup/memory.stat",
    ),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
];

/// What is looked at, and how often.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Time between two looks.
    pub every: Duration,
    /// The run directory, for the file system it lies on.
    pub dir: PathBuf,
    /// The GPU that is trained on, by CUDA's number.
    pub gpu: Option<u32>,
}

/// A thread that looks; it ends with this.
#[derive(Debug)]
pub(super) struct Watching {
    stop: Option<Sender<()>>,
    ended: Receiver<()>,
}

impl Watching {
    /// Looks at once, and then as often as is asked for.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(door: Door, watch: Watch) -> io::Result<Self> {
        let (stop, stopped) = bounded(0);
        let (end, ended) = bounded::<()>(0);
        Builder::new().name("system".to_owned()).spawn(move || {
            run(&door, watch, &stopped);
            drop(end);
        })?;
        Ok(Self {
            stop: Some(stop),
            ended,
        })
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stop.take();
        let _ = self.ended.recv_timeout(PATIENCE);
    }
}

fn run(door: &Door, watch: Watch, stopped: &Receiver<()>) {
    let every = watch.every;
    let mut looker = Looker::new(watch);
    while door.tell_system(looker.look())
        && stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout)
    {}
}

/// What a look needs of the looks before.
struct Looker {
    dir: PathBuf,
    gpus: Gpus,
    machine: Option<Ticks>,
    process: Option<(u64, Instant)>,
}

impl Looker {
    fn new(Watch { dir, gpu, .. }: Watch) -> Self {
        Self {
            dir,
            gpus: Gpus::open(gpu),
            machine: None,
            process: None,
        }
    }

    /// One look. What takes two of them is not known the first time.
    fn look(&mut self) -> SystemSample {
        let (used, total) = memory().unzip();
        let disk = rustix::fs::statvfs(&self.dir).ok();
        let bytes = |blocks: u64, size: u64| blocks.saturating_mul(size);
        SystemSample {
            cpu: self.machine_share(),
            cores: thread::available_parallelism()
                .ok()
                .and_then(|cores| u32::try_from(cores.get()).ok()),
            load: read("/proc/loadavg", proc::load),
            process_cpu: self.process_cores(),
            memory_used: used,
            memory_total: total,
            process_rss: read("/proc/self/status", proc::resident),
            disk_free: disk
                .as_ref()
                .map(|disk| bytes(disk.f_bavail, disk.f_frsize)),
            disk_total: disk
                .as_ref()
                .map(|disk| bytes(disk.f_blocks, disk.f_frsize)),
            gpus: self.gpus.look(),
        }
        .bounded()
    }

    fn machine_share(&mut self) -> Option<f32> {
        let now = read("/proc/stat", proc::machine_ticks)?;
        let before = self.machine.replace(now)?;
        now.share_since(before).map(|share| rounded(share, 1e3))
    }

    fn process_cores(&mut self) -> Option<f32> {
        let now = read("/proc/self/stat", proc::process_ticks)?;
        let moment = Instant::now();
        let (before, then) = self.process.replace((now, moment))?;
        let seconds = moment.duration_since(then).as_secs_f64();
        let worked = now.saturating_sub(before) as f64 / ticks_per_second()?;
        let cores = (worked / seconds) as f32;
        cores.is_finite().then(|| rounded(cores, 1e2))
    }
}

/// A journal of days should not be full of digits that are noise.
fn rounded(value: f32, parts: f32) -> f32 {
    (value * parts).round() / parts
}

/// Memory taken and in all: the container's, where that is given less than the machine has.
fn memory() -> Option<(u64, u64)> {
    let (used, total) = read("/proc/meminfo", proc::memory)?;
    let text = |path: &str| fs::read_to_string(path).ok();
    let contained = GROUPS.iter().find_map(|(max, current, stat)| {
        proc::contained(total, &text(max)?, &text(current)?, &text(stat)?)
    });
    Some(contained.unwrap_or((used, total)))
}

fn read<T>(path: &str, parse: fn(&str) -> Option<T>) -> Option<T> {
    fs::read_to_string(path).ok().and_then(|text| parse(&text))
}

/// The unit of times in `/proc`.
#[cfg(target_os = "linux")]
fn ticks_per_second() -> Option<f64> {
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    (ticks > 0.0).then_some(ticks)
}

/// There is no `/proc` to measure in it.
#[cfg(not(target_os = "linux"))]
fn ticks_per_second() -> Option<f64> {
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::super::Session;
    use super::*;
    use crate::event::{Event, Outcome, Record};
    use crate::link::{Feed, Link};
    use crate::run::RunState;

    fn watch(every: Duration) -> Watch {
        Watch {
            every,
            dir: PathBuf::from("."),
            gpu: None,
        }
    }

    /// A session that is watched, and the trainer's end of it.
    fn watched(every: Duration) -> (Session, Link, Sender<Event>) {
        let (mut session, (events, _requests)) = Session::start(None).unwrap();
        let link = session.link();
        session.watch(watch(every)).unwrap();
        (session, link, events)
    }

    fn next(link: &Link) -> Record {
        loop {
            match link.feed.recv_timeout(Duration::from_secs(20)).unwrap() {
                Feed::Live(record) => return *record,
                Feed::Snapshot(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_first_look_comes_with_the_beginning_of_the_run_and_more_follow() {
        let (session, link, events) = watched(Duration::from_millis(1));
        // What is told before the run has begun would count as its time.
        thread::sleep(Duration::from_millis(20));
        events.send(Event::RunStarted(Box::default())).unwrap();
        assert!(matches!(next(&link).event, Event::RunStarted(_)));
        for _ in 0..3 {
            assert!(matches!(next(&link).event, Event::System(_)));
        }
        drop(events);
        let state = session.join();
        assert!(state.system.cpu.len() >= 3);
        assert!(state.system.latest.unwrap().disk_free.is_some());
    }

    #[test]
    fn nothing_is_told_after_the_last_word_and_the_end_waits_for_no_look() {
        let (session, link, events) = watched(Duration::from_secs(3600));
        events.send(Event::RunStarted(Box::default())).unwrap();
        while !matches!(next(&link).event, Event::System(_)) {}
        let door = session.door();
        let outcome = Outcome::Completed;
        events
            .send(Event::RunFinished {
                outcome,
                global_step: 1,
            })
            .unwrap();
        assert!(matches!(next(&link).event, Event::RunFinished { .. }));
        assert!(door.tell_system(SystemSample::default()));
        drop(events);
        // Would wait for an hour if it waited.
        let state: RunState = session.join();
        assert_eq!((state.system.cpu.len(), state.seq), (1, 3));
        assert!(!door.tell_system(SystemSample::default()), "nobody listens");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn two_looks_tell_all_there_is_to_know_of_a_linux_machine() {
        let mut looker = Looker::new(watch(Duration::ZERO));
        let first = looker.look();
        assert_eq!((first.cpu, first.process_cpu), (None, None));
        // The machine's clock ticks a hundred times a second.
        thread::sleep(Duration::from_millis(60));
        let second = looker.look();
        let known = [second.cpu, second.process_cpu, second.load];
        assert!(known.iter().all(Option::is_some), "{second:?}");
        let known = [
            second.memory_used,
            second.memory_total,
            second.process_rss,
            second.disk_free,
            second.disk_total,
        ];
        assert!(known.iter().all(|bytes| bytes.is_some_and(|b| b > 0)));
        assert!(second.process_rss < second.memory_total && second.cores > Some(0));
    }

    /// `cargo test --no-default-features --lib -- --ignored --nocapture what_a_look_costs`
    #[test]
    #[ignore = "it measures"]
    #[expect(clippy::print_stdout, reason = "what is measured is printed")]
    fn what_a_look_costs() {
        const LOOKS: u32 = 2000;
        let mut looker = Looker::new(watch(Duration::ZERO));
        let ticks = || read("/proc/self/stat", proc::process_ticks).unwrap();
        let (began, before) = (Instant::now(), ticks());
        let mut bytes = 0;
        for _ in 0..LOOKS {
            bytes = serde_json::to_string(&looker.look()).unwrap().len();
        }
        let took = began.elapsed() / LOOKS;
        let worked = (ticks() - before) as f64 / ticks_per_second().unwrap();
        println!(
            "a look: {took:?} of time, {:.3} ms of a processor, {bytes} bytes",
            worked * 1000.0 / f64::from(LOOKS)
        );
    }
}
