//! The hub of a run. It numbers and timestamps events, updates the state, writes records to the files and sends them to
//! subscribers.

use std::collections::VecDeque;
use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select, unbounded};

use super::clock::now_ms;
use super::files::RunFiles;
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
        let hub = Hub {
            started_at: (Instant::now(), state.run_ms()),
            state,
            files,
            subscribers: Vec::new(),
            marked,
            recorded_requests: VecDeque::with_capacity(REMEMBERED),
            started: false,
            early_sample: None,
        };
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

    /// Receives the number of each mark once it is flushed to the journal, or once the write has failed.
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
    subscribers: Vec<Subscriber>,
    marked: Sender<u64>,
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
    fn run(
        mut self,
        events: &Receiver<Event>,
        mut subscriptions: Receiver<Sender<Feed>>,
        mut asides: Receiver<Event>,
    ) -> RunState {
        loop {
            select! {
                recv(events) -> event => match event {
                    Ok(event) => self.take_trainer_event(event),
                    Err(_) => break,
                },
                recv(subscriptions) -> feed => match feed {
                    Ok(feed) => self.subscribers.push(Subscriber { feed, stale: true }),
                    // All handles are dropped. A closed channel would make the loop spin.
                    Err(_) => subscriptions = crossbeam_channel::never(),
                },
                recv(asides) -> event => match event {
                    Ok(event) => self.take_aside(event),
                    Err(_) => asides = crossbeam_channel::never(),
                },
                // A lagging subscriber gets a snapshot once it has room, even if no further events arrive.
                default(self.timeout()) => {}
            }
            self.refresh();
        }
        self.subscribers.extend(
            subscriptions
                .try_iter()
                .map(|feed| Subscriber { feed, stale: true }),
        );
        // The run is over: the last chance to write what failed before.
        if let Some(Err(text)) = self.files.as_mut().map(RunFiles::finish) {
            let level = Level::Error;
            let record = self.stamp(Event::Log { level, text }, Instant::now());
            self.pass_on(record);
        }
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

    /// How long to wait for an event.
    fn timeout(&self) -> Duration {
        if self.subscribers.iter().any(|subscriber| subscriber.stale) {
            CATCH_UP
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
        self.record(event, Instant::now());
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
        let problem = self
            .files
            .as_mut()
            .and_then(|files| files.write(&record).err());
        if let Event::Marked { mark } = record.event {
            self.files.iter().for_each(RunFiles::flush);
            // Also sent after a failed write, so that a full disk does not block the checkpoint.
            let _ = self.marked.send(mark);
        }
        self.pass_on(record);
        let warning = self.files.as_mut().and_then(RunFiles::take_warning);
        for (level, text) in [(Level::Error, problem), (Level::Warn, warning)] {
            let Some(text) = text else { continue };
            let record = self.stamp(Event::Log { level, text }, at);
            // What cannot be written now is written with the next record.
            let _ = self.files.as_mut().map(|files| files.write(&record));
            self.pass_on(record);
        }
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
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    fn log(i: usize) -> Event {
        Event::Log {
            level: Level::Info,
            text: i.to_string(),
        }
    }

    /// Reads a feed to its end. Returns the final state and the number of snapshots.
    fn final_state(link: &Link) -> (RunState, usize) {
        let (mut state, mut snapshots) = (RunState::default(), 0);
        for feed in &link.feed {
            match feed {
                Feed::Snapshot(snapshot) => {
                    state = *snapshot;
                    snapshots += 1;
                }
                Feed::Live(record) => state.apply(&record),
                other => panic!("{other:?}"),
            }
        }
        (state, snapshots)
    }

    #[test]
    fn lagging_subscriber_ends_with_the_same_state() {
        let (session, (events, _requests)) = Session::start(None).unwrap();
        let slow = session.link();
        for i in 0..5 * BACKLOG {
            events.send(log(i)).unwrap();
        }
        let late = session.link();
        let listener = std::thread::spawn(move || final_state(&slow));
        for i in 0..10 {
            events.send(log(i)).unwrap();
        }
        drop(events);
        let (late, _) = final_state(&late);
        let (slow, snapshots) = listener.join().unwrap();
        let state = session.join();
        assert_eq!(state.seq as usize, 5 * BACKLOG + 10);
        assert_eq!(late, state);
        assert_eq!(slow, state);
        assert!(snapshots >= 1);
    }

    /// Regression test: a lagging subscriber got no snapshot until the next event, for example during a pause.
    #[test]
    fn lagging_subscriber_catches_up_without_further_events() {
        let (session, (events, _requests)) = Session::start(None).unwrap();
        let slow = session.handle().link(4);
        for i in 0..100 {
            events.send(log(i)).unwrap();
        }
        let mut state = RunState::default();
        while state.seq < 100 {
            match slow.feed.recv_timeout(Duration::from_secs(10)).unwrap() {
                Feed::Snapshot(snapshot) => state = *snapshot,
                Feed::Live(record) => state.apply(&record),
                other => panic!("{other:?}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(events);
        session.join();
    }

    #[test]
    fn front_end_that_never_reads_does_not_block_the_hub() {
        let (session, (events, _requests)) = Session::start(None).unwrap();
        let _stalled = session.link();
        for i in 0..3 * BACKLOG {
            events.send(log(i)).unwrap();
        }
        drop(events);
        assert_eq!(session.join().seq as usize, 3 * BACKLOG);
    }

    #[test]
    fn requests_reach_the_trainer() {
        let (session, (events, requests)) = Session::start(None).unwrap();
        let link = session.link();
        let request = crate::link::request(crate::event::Command::Pause);
        link.send(request).unwrap();
        assert_eq!(requests.recv().unwrap(), request);
        drop((events, requests));
        assert!(link.send(request).is_err());
        session.join();
    }
}
