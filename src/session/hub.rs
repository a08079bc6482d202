//! The hub of a run. It numbers and timestamps events, updates the state, writes records to the files and sends them to
//! subscribers.

use std::collections::VecDeque;
use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select, unbounded};

use super::clock::now_ms;
use super::files::{Failure, Note, RunFiles};
use super::hub_handle::HubHandle;
use super::system::{SamplerThread, SystemSampling};
use crate::event::{Event, Level, Phase, Record, Request};
use crate::link::{Feed, Link};
use crate::run::{RunState, clock};
use crate::{stopwatch, threads};

/// Records by which a subscriber may lag before it gets a snapshot instead.
const BACKLOG: usize = 1024;
/// Capacity of the queue of requests to the trainer.
const REQUESTS: usize = 64;
/// How long the hub waits for events before it tries again to send a snapshot to a lagging subscriber, and otherwise.
const CATCH_UP: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_secs(3600);
/// Interval of the attempts to write what could not be written to the run's files.
const RETRY: Duration = Duration::from_secs(1);
/// Longest wait at the end of a run for files that cannot be written.
const SETTLE: Duration = Duration::from_secs(5);
/// Number of recent request IDs that are stored, so that a repeated request is recorded once.
const REMEMBERED: usize = 256;

/// A running hub.
#[derive(Debug)]
pub struct Session {
    handle: HubHandle,
    marks: Receiver<u64>,
    hub: JoinHandle<RunState>,
    watching: Option<SamplerThread>,
}

/// The trainer's ends of a session: the sender of its events and the receiver of requests. The event channel is
/// unbounded, because the trainer must never wait for a disk or a screen.
pub type TrainerEnds = (Sender<Event>, Receiver<Request>);

impl Session {
    /// Starts the hub of a new run. Its records are written to `files`, if given.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(files: Option<RunFiles>) -> io::Result<(Self, TrainerEnds)> {
        Self::resume(files, RunState::default())
    }

    /// Starts the hub of a run that continues from `state`.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn resume(files: Option<RunFiles>, state: RunState) -> io::Result<(Self, TrainerEnds)> {
        let (event_sender, events) = unbounded();
        let (requests, request_receiver) = bounded(REQUESTS);
        let (subscribe, subscriptions) = unbounded();
        let (asides, aside_receiver) = unbounded();
        let (marked, marks) = unbounded();
        let dir = files.as_ref().map(|files| files.dir().clone());
        let hub = Hub::new(files, state, marked);
        let hub = threads::start("hub", move || {
            hub.run(&events, subscriptions, aside_receiver)
        })?;
        let handle = HubHandle {
            requests,
            subscribe,
            asides,
            dir,
        };
        let session = Self {
            handle,
            marks,
            hub,
            watching: None,
        };
        Ok((session, (event_sender, request_receiver)))
    }

    /// Starts sampling the machine's load until the run ends.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn watch(&mut self, watch: SystemSampling) -> io::Result<()> {
        self.watching = Some(SamplerThread::start(self.handle.clone(), watch)?);
        Ok(())
    }

    /// A new link for a front end: a snapshot, then the records that follow.
    pub fn link(&self) -> Link {
        self.handle.link(BACKLOG)
    }

    /// A handle with which front ends and other threads access the hub.
    pub fn handle(&self) -> HubHandle {
        self.handle.clone()
    }

    /// The sender of requests to the trainer.
    pub fn requests(&self) -> Sender<Request> {
        self.handle.requests.clone()
    }

    /// Receives the number of each mark once it is in the journal on the disk. If that takes several attempts, earlier
    /// marks are skipped.
    pub fn marks(&self) -> Receiver<u64> {
        self.marks.clone()
    }

    /// Waits until the trainer has dropped its ends. Returns the final state.
    pub fn join(self) -> RunState {
        drop(self.handle);
        let state = self.hub.join().unwrap_or_default();
        drop(self.watching);
        state
    }
}

struct Hub {
    state: RunState,
    /// The start of this process, and the time of the run by then in milliseconds.
    started_at: (Instant, u64),
    files: Option<RunFiles>,
    /// The last attempt to write what could not be written.
    tried: Instant,
    subscribers: Vec<Subscriber>,
    marked: Sender<u64>,
    /// The newest mark, if it is not in the journal on the disk yet.
    mark: Option<u64>,
    /// IDs of the latest requests that are in the journal.
    recorded_requests: VecDeque<u64>,
    /// Whether the trainer has reported its start.
    started: bool,
    /// The latest system sample from before the start.
    early_sample: Option<Event>,
}

struct Subscriber {
    feed: Sender<Feed>,
    /// It missed records and needs a snapshot before further records.
    stale: bool,
}

impl Hub {
    fn new(files: Option<RunFiles>, state: RunState, marked: Sender<u64>) -> Self {
        Self {
            started_at: (Instant::now(), state.run_ms()),
            state,
            files,
            tried: Instant::now(),
            subscribers: Vec::new(),
            marked,
            mark: None,
            recorded_requests: VecDeque::with_capacity(REMEMBERED),
            started: false,
            early_sample: None,
        }
    }

    fn run(
        mut self,
        events: &Receiver<Event>,
        mut subscriptions: Receiver<Sender<Feed>>,
        mut asides: Receiver<Event>,
    ) -> RunState {
        loop {
            select! {
                recv(events) -> event => match event {
                    Ok(event) => {
                        self.admit(&subscriptions);
                        self.take_trainer_event(event);
                    }
                    Err(_) => break,
                },
                recv(subscriptions) -> feed => match feed {
                    Ok(feed) => self.subscribers.push(Subscriber { feed, stale: true }),
                    // All handles are dropped. A closed channel would make the loop spin.
                    Err(_) => subscriptions = crossbeam_channel::never(),
                },
                recv(asides) -> event => match event {
                    Ok(event) => {
                        self.admit(&subscriptions);
                        self.take_aside(event);
                    }
                    Err(_) => asides = crossbeam_channel::never(),
                },
                // A lagging subscriber gets a snapshot once it has room, even if no further events arrive.
                default(self.timeout()) => {}
            }
            self.retry_files();
            self.refresh();
        }
        self.admit(&subscriptions);
        // The last chance to write what followed the end of the run.
        let now = Instant::now();
        let failures = self.settle(now);
        self.report(failures, now);
        // Every subscriber must get the final state. No later record would trigger a snapshot.
        for subscriber in self
            .subscribers
            .drain(..)
            .filter(|subscriber| subscriber.stale)
        {
            let _ = subscriber.feed.send_timeout(
                Feed::Snapshot(Box::new(self.state.clone())),
                Duration::from_secs(1),
            );
        }
        self.state
    }

    /// Sends their first snapshot to the subscribers that are waiting. This comes before each event, so that a subscriber
    /// gets every event that was sent after its subscription as a record.
    fn admit(&mut self, subscriptions: &Receiver<Sender<Feed>>) {
        let waiting = subscriptions.try_iter();
        let waiting = waiting.map(|feed| Subscriber { feed, stale: true });
        self.subscribers.extend(waiting);
        self.refresh();
    }

    /// How long to wait for an event.
    fn timeout(&self) -> Duration {
        if self.subscribers.iter().any(|subscriber| subscriber.stale) {
            CATCH_UP
        } else if self.files.as_ref().is_some_and(RunFiles::is_behind) {
            RETRY
        } else {
            IDLE
        }
    }

    /// Handles an event of the trainer.
    fn take_trainer_event(&mut self, event: Event) {
        let starts = matches!(event, Event::RunStarted(_));
        self.take(event);
        if starts {
            self.started = true;
            if let Some(sample) = self.early_sample.take() {
                self.take(sample);
            }
        }
    }

    /// Handles an event that is not from the trainer. A repeated request is recorded once. System samples are recorded
    /// only between the start and the end of the run: before the start, the clock of a restored run still has its old
    /// time.
    fn take_aside(&mut self, event: Event) {
        if matches!(event, Event::System(_)) && !self.started {
            self.early_sample = Some(event);
            return;
        }
        if matches!(event, Event::System(_)) && self.state.outcome.is_some() {
            return;
        }
        if let Event::Asked { id, .. } = event {
            if self.recorded_requests.contains(&id) {
                return;
            }
            if self.recorded_requests.len() >= REMEMBERED {
                self.recorded_requests.pop_front();
            }
            self.recorded_requests.push_back(id);
        }
        self.take(event);
    }

    /// Records an event and sends it to the subscribers, after the stops of this process before it.
    fn take(&mut self, event: Event) {
        for (from, to) in stopwatch::take_stops() {
            self.note_stop(from, to);
        }
        let now = Instant::now();
        if matches!(event, Event::RunFinished { .. }) {
            self.finish(event, now);
        } else {
            self.record(event, now);
        }
    }

    /// Records the end of the run. Before the outcome is written to `run.json`, all other files are flushed to the disk;
    /// before it is reported, `run.json` is too. What cannot be written within a deadline is reported with it.
    fn finish(&mut self, event: Event, now: Instant) {
        let deadline = now + SETTLE;
        let failures = self.settle(deadline);
        self.report(failures, now);
        let record = self.stamp(event, now);
        let note = self.files.as_mut().and_then(|files| files.write(&record));
        let failures = self.settle(deadline);
        self.pass_on(record);
        self.note(note, now);
        self.report(failures, now);
    }

    /// Writes everything, trying until a deadline. Returns what cannot be written.
    fn settle(&mut self, deadline: Instant) -> Vec<Failure> {
        let files = self.files.as_mut();
        files.map_or_else(Vec::new, |files| files.settle(deadline))
    }

    /// Records what could not be written; nothing, if that is not new.
    fn report(&mut self, failures: Vec<Failure>, at: Instant) {
        if failures.is_empty() {
            let note = self.files.as_mut().and_then(RunFiles::recovered);
            self.note(note, at);
        }
        for (file, why) in failures {
            let file = file.to_owned();
            if !self.state.unwritten.iter().any(|one| one.file == file) {
                self.record(Event::NotWritten { file, why }, at);
            }
        }
        self.confirm_mark();
    }

    /// Tries again to write what could not be written, at intervals.
    fn retry_files(&mut self) {
        let Some(files) = &mut self.files else { return };
        if !files.is_behind() || self.tried.elapsed() < RETRY {
            return;
        }
        let note = files.retry();
        self.tried = Instant::now();
        self.note(note, self.tried);
        self.confirm_mark();
    }

    /// Reports the newest mark once the journal is on the disk with it.
    fn confirm_mark(&mut self) {
        if self.files.as_ref().is_none_or(RunFiles::is_flushed)
            && let Some(mark) = self.mark.take()
        {
            let _ = self.marked.send(mark);
        }
    }

    /// Records a note about the run's files. Writing it may fail and give another one.
    fn note(&mut self, note: Option<Note>, at: Instant) {
        if let Some((level, text)) = note {
            self.record(Event::Log { level, text }, at);
        }
    }

    /// Records a stop of this process as a pause of the run.
    fn note_stop(&mut self, from: Instant, to: Instant) {
        let phase = self.state.phase;
        if !self.started || self.state.outcome.is_some() || phase == Phase::Paused {
            return;
        }
        let took = clock(to.saturating_duration_since(from).as_millis() as u64);
        let text = format!(
            "the process was stopped for {took} (by SIGSTOP, or with its container): counted as a pause"
        );
        let paused = Phase::Paused;
        self.record(Event::Phase { phase: paused }, from);
        self.record(Event::Phase { phase }, to);
        let level = Level::Warn;
        self.record(Event::Log { level, text }, to);
    }

    /// Records an event that happened at a given time and sends it to the subscribers. A write error is sent as a log
    /// line.
    fn record(&mut self, event: Event, at: Instant) {
        let record = self.stamp(event, at);
        let note = self.files.as_mut().and_then(|files| files.write(&record));
        if let Event::Marked { mark } = record.event {
            self.mark = Some(mark);
            self.confirm_mark();
        }
        self.pass_on(record);
        self.note(note, at);
    }

    /// Makes a numbered, timestamped record of an event and applies it to the state.
    fn stamp(&mut self, event: Event, at: Instant) -> Record {
        let millis = |duration: Duration| duration.as_millis() as u64;
        let (started_at, before) = self.started_at;
        let record = Record {
            seq: self.state.seq + 1,
            t_ms: now_ms().saturating_sub(millis(at.elapsed())),
            run_ms: Some(before.saturating_add(millis(at.saturating_duration_since(started_at)))),
            event,
        };
        self.state.apply(&record);
        record
    }

    fn pass_on(&mut self, record: Record) {
        let record = Box::new(record);
        self.subscribers.retain_mut(|subscriber| {
            if subscriber.stale {
                return true;
            }
            match subscriber.feed.try_send(Feed::Live(record.clone())) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    subscriber.stale = true;
                    true
                }
                Err(TrySendError::Disconnected(_)) => false,
            }
        });
    }

    /// Sends a snapshot to each lagging subscriber whose queue is at most half full.
    fn refresh(&mut self) {
        let state = &self.state;
        self.subscribers.retain_mut(|subscriber| {
            let room = subscriber.feed.capacity().unwrap_or(BACKLOG) / 2;
            if !subscriber.stale || subscriber.feed.len() > room {
                return true;
            }
            match subscriber
                .feed
                .try_send(Feed::Snapshot(Box::new(state.clone())))
            {
                Ok(()) => {
                    subscriber.stale = false;
                    true
                }
                Err(TrySendError::Full(_)) => true,
                Err(TrySendError::Disconnected(_)) => false,
            }
        });
    }
}

#[cfg(test)]
mod tests;
