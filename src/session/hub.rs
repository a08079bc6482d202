//! The hub: stamps events, folds them, writes them down, passes them on.

use std::collections::VecDeque;
use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select, unbounded};

use super::clock::now_ms;
use super::door::Door;
use super::files::RunFiles;
use super::system::{Watch, Watching};
use crate::event::{Event, Level, Record, Request};
use crate::link::{Feed, Link};
use crate::run::RunState;

/// Records a subscriber may lag behind before it gets a snapshot instead.
const BACKLOG: usize = 1024;
/// Requests that may wait for the trainer.
const REQUESTS: usize = 64;
/// How soon a subscriber that fell behind is looked at again; and how long the hub sleeps when nobody is.
const CATCH_UP: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_secs(3600);
/// Requests remembered, so that one asked twice is written down once.
const REMEMBERED: usize = 256;

/// A running hub.
#[derive(Debug)]
pub struct Session {
    door: Door,
    marks: Receiver<u64>,
    hub: JoinHandle<RunState>,
    watching: Option<Watching>,
}

/// The trainer's ends of a session: where its events go, and where requests come from. The events' channel is
/// unbounded, because the trainer must never wait for a disk or a screen.
pub type TrainerEnds = (Sender<Event>, Receiver<Request>);

impl Session {
    /// Starts the hub of a run that writes these files.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(files: Option<RunFiles>) -> io::Result<(Self, TrainerEnds)> {
        Self::resume(files, RunState::default())
    }

    /// Starts the hub of a run that goes on from this state.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn resume(files: Option<RunFiles>, state: RunState) -> io::Result<(Self, TrainerEnds)> {
        let (event_sender, events) = unbounded();
        let (requests, request_receiver) = bounded(REQUESTS);
        let (subscribe, subscriptions) = unbounded();
        let (asides, aside_receiver) = unbounded();
        let (marked, marks) = unbounded();
        let dir = files.as_ref().map(|files| files.dir().to_owned());
        let hub = Hub {
            state,
            files,
            subscribers: Vec::new(),
            marked,
            asked: VecDeque::with_capacity(REMEMBERED),
            begun: false,
            early: None,
        };
        let hub = Builder::new()
            .name("hub".to_owned())
            .spawn(move || hub.run(&events, subscriptions, aside_receiver))?;
        let door = Door {
            requests,
            subscribe,
            asides,
            dir,
        };
        let session = Self {
            door,
            marks,
            hub,
            watching: None,
        };
        Ok((session, (event_sender, request_receiver)))
    }

    /// From now on until the run ends the machine is looked at.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn watch(&mut self, watch: Watch) -> io::Result<()> {
        self.watching = Some(Watching::start(self.door.clone(), watch)?);
        Ok(())
    }

    /// A new front end's link: a snapshot first, then what happens.
    pub fn link(&self) -> Link {
        self.door.link(BACKLOG)
    }

    /// Where front ends come in.
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// Where requests go.
    pub fn requests(&self) -> Sender<Request> {
        self.door.requests.clone()
    }

    /// Tells the number of each mark once the journal holds it, or once the disk has refused it.
    pub fn marks(&self) -> Receiver<u64> {
        self.marks.clone()
    }

    /// Waits until the trainer has let go of its end; returns the last state.
    pub fn join(self) -> RunState {
        drop(self.door);
        let state = self.hub.join().unwrap_or_default();
        drop(self.watching);
        state
    }
}

struct Hub {
    state: RunState,
    files: Option<RunFiles>,
    subscribers: Vec<Subscriber>,
    marked: Sender<u64>,
    /// Numbers of requests that are written down.
    asked: VecDeque<u64>,
    /// The trainer has said that it begins, and the latest look at the machine before it did.
    begun: bool,
    early: Option<Event>,
}

struct Subscriber {
    feed: Sender<Feed>,
    /// It missed records and needs a snapshot before it may hear any more.
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
                    Ok(event) => self.hear(event),
                    Err(_) => break,
                },
                recv(subscriptions) -> feed => match feed {
                    Ok(feed) => self.subscribers.push(Subscriber { feed, stale: true }),
                    // Nobody can subscribe any more; an exhausted channel would make the loop spin.
                    Err(_) => subscriptions = crossbeam_channel::never(),
                },
                recv(asides) -> event => match event {
                    Ok(event) => self.take_aside(event),
                    Err(_) => asides = crossbeam_channel::never(),
                },
                // Whoever is behind gets its state when it has room, though nothing more may happen for long.
                default(self.patience()) => {}
            }
            self.refresh();
        }
        self.subscribers.extend(
            subscriptions
                .try_iter()
                .map(|feed| Subscriber { feed, stale: true }),
        );
        // The end must arrive: whoever is behind now waits for no later record that could bring a snapshot.
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

    /// How long to wait for something to happen.
    fn patience(&self) -> Duration {
        if self.subscribers.iter().any(|subscriber| subscriber.stale) {
            CATCH_UP
        } else {
            IDLE
        }
    }

    /// What the trainer has to say.
    fn hear(&mut self, event: Event) {
        let begins = matches!(event, Event::RunStarted(_));
        self.take(event);
        if begins {
            self.begun = true;
            if let Some(early) = self.early.take() {
                self.take(early);
            }
        }
    }

    /// What others than the trainer have to say. A request that is asked again is the same request. How the machine is
    /// doing counts from when the run has begun, for before that its clock stands where it was left, to when it has ended.
    fn take_aside(&mut self, event: Event) {
        if matches!(event, Event::System(_)) && !self.begun {
            self.early = Some(event);
            return;
        }
        if matches!(event, Event::System(_)) && self.state.outcome.is_some() {
            return;
        }
        if let Event::Asked { id, .. } = event {
            if self.asked.contains(&id) {
                return;
            }
            if self.asked.len() >= REMEMBERED {
                self.asked.pop_front();
            }
            self.asked.push_back(id);
        }
        self.take(event);
    }

    fn take(&mut self, event: Event) {
        let record = self.stamp(event);
        let problem = self
            .files
            .as_mut()
            .and_then(|files| files.write(&record).err());
        if let Event::Marked { mark } = record.event {
            self.files.iter().for_each(RunFiles::flush);
            // A disk that takes no more must not keep the checkpoint waiting.
            let _ = self.marked.send(mark);
        }
        self.pass_on(record);
        if let Some(text) = problem {
            let record = self.stamp(Event::Log {
                level: Level::Error,
                text,
            });
            self.pass_on(record);
        }
    }

    fn stamp(&mut self, event: Event) -> Record {
        let record = Record {
            seq: self.state.seq + 1,
            t_ms: now_ms(),
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

    /// Gives the whole state to whoever needs it and has room.
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

    /// What a front end that listens to the end makes of its feed.
    fn snapshot(link: &Link) -> (RunState, usize) {
        let (mut state, mut snapshots) = (RunState::default(), 0);
        for feed in &link.feed {
            match feed {
                Feed::Snapshot(whole) => {
                    state = *whole;
                    snapshots += 1;
                }
                Feed::Live(record) => state.apply(&record),
                other => panic!("{other:?}"),
            }
        }
        (state, snapshots)
    }

    #[test]
    fn a_subscriber_that_fell_behind_ends_with_the_same_state() {
        let (session, (events, _requests)) = Session::start(None).unwrap();
        let slow = session.link();
        for i in 0..5 * BACKLOG {
            events.send(log(i)).unwrap();
        }
        let late = session.link();
        let listener = std::thread::spawn(move || snapshot(&slow));
        for i in 0..10 {
            events.send(log(i)).unwrap();
        }
        drop(events);
        let (late, _) = snapshot(&late);
        let (slow, snapshots) = listener.join().unwrap();
        let whole = session.join();
        assert_eq!(whole.seq as usize, 5 * BACKLOG + 10);
        assert_eq!(late, whole);
        assert_eq!(slow, whole);
        assert!(snapshots >= 1);
    }

    /// It was left without, as long as nothing more happened: in a pause, for as long as that lasted.
    #[test]
    fn a_subscriber_that_fell_behind_catches_up_though_nothing_more_happens() {
        let (session, (events, _requests)) = Session::start(None).unwrap();
        let slow = session.door().link(4);
        for i in 0..100 {
            events.send(log(i)).unwrap();
        }
        let mut state = RunState::default();
        while state.seq < 100 {
            match slow.feed.recv_timeout(Duration::from_secs(10)).unwrap() {
                Feed::Snapshot(whole) => state = *whole,
                Feed::Live(record) => state.apply(&record),
                other => panic!("{other:?}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(events);
        session.join();
    }

    #[test]
    fn a_front_end_that_never_reads_stops_nobody() {
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
