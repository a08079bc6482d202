//! What a front end holds of a run: it asks through one end and is told through the other.
//!
//! A thread, a socket and a file look alike behind a [`Link`], so a screen cannot tell a live run from a replay.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use serde::{Deserialize, Serialize};

use crate::event::{Command, Record, Request};
use crate::run::RunState;

/// What a subscriber is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feed {
    /// The whole state: first of all, and again whenever the subscriber fell behind.
    Snapshot(Box<RunState>),
    /// The next record.
    Live(Box<Record>),
}

/// Both ends of a front end's connection to a run.
#[derive(Debug, Clone)]
pub struct Link {
    /// Requests go down here; `None` for a run that can only be watched, such as a replay.
    pub requests: Option<Sender<Request>>,
    /// The run's story comes up here.
    pub feed: Receiver<Feed>,
}

impl Link {
    /// Sends a request without waiting.
    ///
    /// # Errors
    /// A sentence for the person who asked, when nobody can take the request.
    pub fn send(&self, request: Request) -> Result<(), &'static str> {
        let Some(requests) = &self.requests else {
            return Err("this is a replay: there is no trainer to ask");
        };
        requests.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => {
                "the trainer has too many requests waiting: try again in a moment"
            }
            TrySendError::Disconnected(_) => "the trainer has ended",
        })
    }
}

/// A request with a number no other request of this process has.
pub fn request(command: Command) -> Request {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let count = NEXT.fetch_add(1, Ordering::Relaxed);
    Request {
        id: u64::from(std::process::id()) << 32 | (count & 0xffff_ffff),
        command,
    }
}
