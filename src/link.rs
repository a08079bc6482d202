//! What a front end holds of a run: it asks through one end and is told through the other.
//!
//! A thread, a socket and a file look alike behind a [`Link`], so a screen cannot tell a live run from a replay. What the
//! bounded state of a run cannot hold is asked for as a [`Query`].

mod query;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use serde::{Deserialize, Serialize};

use crate::event::{Command, Record, Request};
use crate::run::{Replay, RunState};

pub use query::{Earlier, Filter, ImagePage, ImageRow, Queries, Query, Reply, StepValues};

/// Why a request could not be sent that can be sent later.
pub const BUSY: &str = "the trainer has too many requests waiting: try again in a moment";

/// What a subscriber is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feed {
    /// The whole state: first of all, and again whenever the subscriber fell behind.
    Snapshot(Box<RunState>),
    /// The next record.
    Live(Box<Record>),
    /// Whether this front end may steer from now on.
    Control(bool),
    /// A request got no further than the connection.
    Unsent {
        /// Its number.
        id: u64,
        /// Why.
        reason: String,
    },
    /// Nothing more comes, though the run has not told its end.
    Gone {
        /// What is known about it.
        reason: String,
    },
}

/// Where the whole story of a run is asked for, to be told again; its records are read when it is.
#[derive(Debug, Clone)]
pub struct Replays {
    /// Down.
    pub ask: Sender<()>,
    /// Up: the story, or why there is none.
    pub told: Receiver<Result<Arc<Replay>, String>>,
}

/// Both ends of a front end's connection to a run.
#[derive(Debug, Clone)]
pub struct Link {
    /// Requests go down here; `None` for a run that can only be watched, such as a replay.
    pub requests: Option<Sender<Request>>,
    /// Asks to steer, where another front end does; `None` where there is nothing to ask.
    pub control: Option<Sender<()>>,
    /// Questions go down here and replies come up.
    pub queries: Option<Queries>,
    /// The run's story from its beginning, where its records are there to be read.
    pub replays: Option<Replays>,
    /// The run's story comes up here.
    pub feed: Receiver<Feed>,
}

impl Link {
    /// A link that only tells.
    pub fn only(feed: Receiver<Feed>) -> Self {
        Self {
            requests: None,
            control: None,
            queries: None,
            replays: None,
            feed,
        }
    }

    /// Sends a request without waiting.
    ///
    /// # Errors
    /// A sentence for the person who asked, when nobody can take the request.
    pub fn send(&self, request: Request) -> Result<(), &'static str> {
        let Some(requests) = &self.requests else {
            return Err("this is a replay: there is no trainer to ask");
        };
        requests.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => BUSY,
            TrySendError::Disconnected(_) => "the trainer has ended",
        })
    }
}

/// A request with a number no other request has, whichever process or machine made it.
pub fn request(command: Command) -> Request {
    static PROCESS: LazyLock<u64> =
        LazyLock::new(|| RandomState::new().hash_one(std::process::id()) << 32);
    static NEXT: AtomicU32 = AtomicU32::new(1);
    Request {
        id: *PROCESS | u64::from(NEXT.fetch_add(1, Ordering::Relaxed)),
        command,
    }
}
