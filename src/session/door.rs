//! The door of a hub: where front ends and everybody else outside the trainer come in.

use std::path::PathBuf;

use crossbeam_channel::{Sender, bounded};

use super::answer;
use crate::event::{Event, Level, Request, SystemSample};
use crate::link::{Feed, Link};

/// Where front ends come in. It can be copied, and outlives the session without holding it up.
#[derive(Debug, Clone)]
pub struct Door {
    pub(super) requests: Sender<Request>,
    pub(super) subscribe: Sender<Sender<Feed>>,
    pub(super) asides: Sender<Event>,
    pub(super) dir: Option<PathBuf>,
}

impl Door {
    /// A new front end's link, which may lag behind by so many records.
    pub fn link(&self, backlog: usize) -> Link {
        let (sender, feed) = bounded(backlog.max(2));
        // A hub that has ended drops the sender, and the link says so.
        let _ = self.subscribe.send(sender);
        Link {
            requests: Some(self.requests.clone()),
            control: None,
            queries: self.dir.as_deref().and_then(answer::start),
            replays: None,
            feed,
        }
    }

    /// Passes on a request of somebody outside this process, and has it written down who asked.
    ///
    /// # Errors
    /// A sentence for who asked, when the trainer cannot take it.
    pub fn ask(&self, request: Request, by: String) -> Result<(), &'static str> {
        let Request { id, command } = request;
        let _ = self.asides.send(Event::Asked { id, command, by });
        let link = Link {
            requests: Some(self.requests.clone()),
            ..Link::only(crossbeam_channel::never())
        };
        link.send(request)
    }

    /// Has a line written into the run's log.
    pub fn note(&self, level: Level, text: String) {
        let _ = self.asides.send(Event::Log { level, text });
    }

    /// Tells how the machine is doing. False once nobody listens any more.
    pub(super) fn tell_system(&self, sample: SystemSample) -> bool {
        self.asides.send(Event::System(Box::new(sample))).is_ok()
    }
}
