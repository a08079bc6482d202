//! The handle of a hub, with which front ends and other threads subscribe, send requests and add events.

use crossbeam_channel::{Receiver, Sender, bounded};

use super::answer;
use crate::event::{Event, Level, Request, SystemSample};
use crate::files::Dir;
use crate::link::{BUSY, Feed, Link, Queries};

/// Access to a hub. It can be cloned, and it may outlive the session without delaying its end.
#[derive(Debug, Clone)]
pub struct HubHandle {
    pub(super) requests: Sender<Request>,
    pub(super) subscribe: Sender<Sender<Feed>>,
    pub(super) asides: Sender<Event>,
    pub(super) dir: Option<Dir>,
}

impl HubHandle {
    /// A new link for a front end. It may lag by `backlog` records (at least 2) before it gets a snapshot instead.
    pub fn link(&self, backlog: usize) -> Link {
        Link {
            requests: Some(self.requests.clone()),
            control: None,
            queries: self.queries(|| {}),
            replays: None,
            feed: self.subscribe(backlog),
        }
    }

    /// A snapshot and the records that follow, with the backlog of [`HubHandle::link`].
    pub(super) fn subscribe(&self, backlog: usize) -> Receiver<Feed> {
        let (sender, feed) = bounded(backlog.max(2));
        // If the hub has ended, the sender is dropped and the feed is closed.
        let _ = self.subscribe.send(sender);
        feed
    }

    /// Starts a thread that answers queries; it calls `turn` before each. `None` if the run has no files or the thread
    /// cannot be started.
    pub(super) fn queries(&self, turn: impl FnMut() + Send + 'static) -> Option<Queries> {
        answer::start(self.dir.clone()?, turn)
    }

    /// Sends a request of a client outside this process to the trainer and records the request with its requester
    /// (`by`).
    ///
    /// # Errors
    /// A message for the requester, if the trainer cannot accept the request.
    pub fn ask(&self, request: Request, by: String) -> Result<(), &'static str> {
        let Request { id, command } = request;
        // What cannot be sent is not recorded.
        if self.requests.is_full() {
            return Err(BUSY);
        }
        let _ = self.asides.send(Event::Asked { id, command, by });
        let link = Link {
            requests: Some(self.requests.clone()),
            ..Link::only(crossbeam_channel::never())
        };
        link.send(request)
    }

    /// Adds a line to the run's log.
    pub fn note(&self, level: Level, text: String) {
        let _ = self.asides.send(Event::Log { level, text });
    }

    /// Sends a system sample to the hub. Returns false if the hub has ended.
    pub(super) fn send_system_sample(&self, sample: SystemSample) -> bool {
        self.asides.send(Event::System(Box::new(sample))).is_ok()
    }
}
