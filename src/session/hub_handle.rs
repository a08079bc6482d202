//! The handle of a hub, with which front ends and other threads subscribe, send requests and add events.

use crossbeam_channel::{Sender, bounded};

use super::answer;
use crate::event::{Event, Level, Request, SystemSample};
use crate::files::Dir;
use crate::link::{Feed, Link};

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
        let (sender, feed) = bounded(backlog.max(2));
        // If the hub has ended, the sender is dropped and the link's feed is closed.
        let _ = self.subscribe.send(sender);
        Link {
            requests: Some(self.requests.clone()),
            control: None,
            queries: self.dir.clone().and_then(answer::start),
            replays: None,
            feed,
        }
    }

    /// Sends a request of a client outside this process to the trainer and records the request with its requester
    /// (`by`).
    ///
    /// # Errors
    /// A message for the requester, if the trainer cannot accept the request.
    pub fn ask(&self, request: Request, by: String) -> Result<(), &'static str> {
        let Request { id, command } = request;
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
