//! Samples CPU, memory, disk and GPUs: a thread that sends a sample to the hub every few seconds.
//!
//! It delays nothing: it does not communicate with the trainer, the hub ends without waiting for it, and the session
//! waits only briefly for it. If a call to a file system or a driver blocks, the thread is abandoned.

mod gpu;
mod proc;

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use fs_err as fs;

use super::hub_handle::HubHandle;
use crate::event::SystemSample;
use crate::threads::{self, Delays};
use gpu::Gpus;
use proc::Ticks;

/// How long the end of a session waits for a sample in progress. A driver library should not be called during the exit
/// of the process.
const PATIENCE: Duration = Duration::from_millis(100);

/// The files with a container's memory limit, memory usage and usage statistics, for control groups version 2 and 1.
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

/// What to sample, and how often.
#[derive(Debug, Clone)]
pub struct SystemSampling {
    /// The time between two samples.
    pub every: Duration,
    /// The run directory. The free space of its file system is sampled.
    pub dir: PathBuf,
    /// The CUDA device index of the GPU used for training, if any.
    pub gpu: Option<u32>,
}

/// The sampling thread. Dropping this ends it.
#[derive(Debug)]
pub(super) struct SamplerThread {
    stop: Option<Sender<()>>,
    ended: Receiver<()>,
}

impl SamplerThread {
    /// Starts the thread. It takes the first sample at once.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(hub: HubHandle, watch: SystemSampling) -> io::Result<Self> {
        let (stop, stopped) = bounded(0);
        let (end, ended) = bounded::<()>(0);
        threads::start("system", move || {
            run(&hub, watch, &stopped);
            drop(end);
        })?;
        Ok(Self {
            stop: Some(stop),
            ended,
        })
    }
}

impl Drop for SamplerThread {
    fn drop(&mut self) {
        self.stop.take();
        let _ = self.ended.recv_timeout(PATIENCE);
    }
}

fn run(hub: &HubHandle, watch: SystemSampling, stopped: &Receiver<()>) {
    let every = watch.every;
    let mut sampler = Sampler::new(watch);
    while hub.send_system_sample(sampler.sample())
        && stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout)
    {}
}

/// Takes samples. Stores the state of the previous sample, which is needed to compute rates.
struct Sampler {
    dir: PathBuf,
    gpus: Gpus,
    machine: Option<Ticks>,
    process: Option<(u64, Instant)>,
    delays: Delays,
    delays_taken: Option<Instant>,
}

impl Sampler {
    fn new(SystemSampling { dir, gpu, .. }: SystemSampling) -> Self {
        Self {
            dir,
            gpus: Gpus::open(gpu),
            machine: None,
            process: None,
            delays: Delays::default(),
            delays_taken: None,
        }
    }

    /// Takes one sample. Rates are unknown in the first one.
    fn sample(&mut self) -> SystemSample {
        let (used, total) = memory().unzip();
        let disk = rustix::fs::statvfs(&self.dir).ok();
        let bytes = |blocks: u64, size: u64| blocks.saturating_mul(size);
        SystemSample {
            cpu: self.machine_share(),
            cores: u32::try_from(threads::cores()).ok(),
            load: read("/proc/loadavg", proc::load),
            process_cpu: self.process_cores(),
            process_waiting: self.process_waiting(),
            memory_used: used,
            memory_total: total,
            process_rss: read("/proc/self/status", proc::resident),
            disk_free: disk
                .as_ref()
                .map(|disk| bytes(disk.f_bavail, disk.f_frsize)),
            disk_total: disk
                .as_ref()
                .map(|disk| bytes(disk.f_blocks, disk.f_frsize)),
            gpus: self.gpus.sample(),
        }
        .bounded()
    }

    /// The fraction of all CPU time that was used since the previous sample, 0 to 1.
    fn machine_share(&mut self) -> Option<f32> {
        let now = read("/proc/stat", proc::machine_ticks)?;
        let before = self.machine.replace(now)?;
        now.share_since(before).map(|share| rounded(share, 1e3))
    }

    /// The average number of cores used by this process since the previous sample.
    fn process_cores(&mut self) -> Option<f32> {
        let now = read("/proc/self/stat", proc::process_ticks)?;
        let taken_at = Instant::now();
        let (before, then) = self.process.replace((now, taken_at))?;
        let seconds = taken_at.duration_since(then).as_secs_f64();
        let worked = now.saturating_sub(before) as f64 / ticks_per_second()?;
        let cores = (worked / seconds) as f32;
        cores.is_finite().then(|| rounded(cores, 1e2))
    }

    /// The average number of threads of this process that waited for a core since the previous sample.
    fn process_waiting(&mut self) -> Option<f32> {
        let waited = self.delays.since_last()?;
        let now = Instant::now();
        let then = self.delays_taken.replace(now)?;
        let threads = waited.sum as f64 / now.duration_since(then).as_nanos() as f64;
        threads.is_finite().then(|| rounded(threads as f32, 1e2))
    }
}

/// Rounds to multiples of 1 / `parts`, because digits below the noise would only enlarge the journal.
fn rounded(value: f32, parts: f32) -> f32 {
    (value * parts).round() / parts
}

/// Used and total memory in bytes. If the container has a limit below the machine's memory, the container's values.
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

/// Clock ticks per second, the unit of times in `/proc`.
#[cfg(target_os = "linux")]
fn ticks_per_second() -> Option<f64> {
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    (ticks > 0.0).then_some(ticks)
}

/// `None`: only Linux has `/proc`.
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
    use std::thread;

    fn watch(every: Duration) -> SystemSampling {
        SystemSampling {
            every,
            dir: PathBuf::from("."),
            gpu: None,
        }
    }

    /// A session with system sampling, a link to it, and the trainer's event sender.
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
    fn sampling_starts_with_the_run() {
        let (session, link, events) = watched(Duration::from_millis(1));
        // Samples from before the start of the run must not count as part of its time.
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
    fn no_sample_is_recorded_after_the_end_and_join_does_not_wait() {
        let (session, link, events) = watched(Duration::from_secs(3600));
        events.send(Event::RunStarted(Box::default())).unwrap();
        while !matches!(next(&link).event, Event::System(_)) {}
        let hub = session.handle();
        let outcome = Outcome::Completed;
        events
            .send(Event::RunFinished {
                outcome,
                global_step: 1,
            })
            .unwrap();
        assert!(matches!(next(&link).event, Event::RunFinished { .. }));
        assert!(hub.send_system_sample(SystemSample::default()));
        drop(events);
        // If `join` waited for the next sample, this would take an hour.
        let state: RunState = session.join();
        assert_eq!((state.system.cpu.len(), state.seq), (1, 3));
        assert!(
            !hub.send_system_sample(SystemSample::default()),
            "the hub has ended"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn second_sample_is_complete_on_linux() {
        let mut sampler = Sampler::new(watch(Duration::ZERO));
        let first = sampler.sample();
        let rates = [first.cpu, first.process_cpu, first.process_waiting];
        assert_eq!(rates, [None; 3]);
        // The CPU times have a resolution of 10 ms.
        thread::sleep(Duration::from_millis(60));
        let second = sampler.sample();
        let known = [
            second.cpu,
            second.process_cpu,
            second.process_waiting,
            second.load,
        ];
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

    /// `cargo test --no-default-features --lib -- --ignored --nocapture cost_of_a_sample`
    #[test]
    #[ignore = "a measurement, not a test"]
    #[expect(clippy::print_stdout, reason = "the measurement is printed")]
    fn cost_of_a_sample() {
        const SAMPLES: u32 = 2000;
        let mut sampler = Sampler::new(watch(Duration::ZERO));
        let ticks = || read("/proc/self/stat", proc::process_ticks).unwrap();
        let (began, before) = (Instant::now(), ticks());
        let mut bytes = 0;
        for _ in 0..SAMPLES {
            bytes = serde_json::to_string(&sampler.sample()).unwrap().len();
        }
        let took = began.elapsed() / SAMPLES;
        let worked = (ticks() - before) as f64 / ticks_per_second().unwrap();
        println!(
            "a sample: {took:?} elapsed, {:.3} ms CPU time, {bytes} bytes",
            worked * 1000.0 / f64::from(SAMPLES)
        );
    }
}
