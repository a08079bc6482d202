//! The connection of a client to a run: channels for requests and queries, and a feed of records.
//!
//! A [`Link`] hides whether the run is in a thread, behind a socket or in a file, so a screen works the same for a live
//! run and for a replay. Data that does not fit into the bounded state of a run is fetched with a [`Query`].

mod query;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use serde::{Deserialize, Serialize};

use crate::event::{Command, Record, Request};
use crate::run::{Replay, RunState};

pub use query::{
    EarlierPrediction, Filter, ImagePage, ImageRow, Queries, Query, Reply, StepValues,
};

/// Error of a request that can be retried: the queue of the trainer is full.
pub const BUSY: &str = "the trainer has too many pending requests: try again in a moment";

/// A message to a subscriber.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feed {
    /// The complete state: the first message, and again whenever the subscriber has missed records.
    Snapshot(Box<RunState>),
    /// The next record.
    Live(Box<Record>),
    /// Whether this client has control of the run from now on.
    Control(bool),
    /// A request did not reach the trainer.
    Unsent {
        /// Id of the request.
        id: u64,
        /// Why it was not delivered.
        reason: String,
    },
    /// The connection ended before the run reported its end. No further message follows.
    Gone {
        /// The known cause.
        reason: String,
        /// Whether the process of the trainer has ended.
        #[serde(default)]
        died: bool,
    },
}

/// Channels to load the replay of a run. The records are read only on request.
#[derive(Debug, Clone)]
pub struct ReplayRequests {
    /// Requests the replay.
    pub ask: Sender<()>,
    /// Receives the replay, or the reason why it could not be read.
    pub replay: Receiver<Result<Arc<Replay>, String>>,
}

/// A client's connection to a run.
#[derive(Debug, Clone)]
pub struct Link {
    /// Sends requests; `None` for a run that can only be watched, such as a replay.
    pub requests: Option<Sender<Request>>,
    /// Requests control of the run when another client has it; `None` if control cannot be requested.
    pub control: Option<Sender<()>>,
    /// Sends queries and receives the replies; `None` if the run cannot answer queries.
    pub queries: Option<Queries>,
    /// Loads the replay of the run; `None` if its records cannot be read.
    pub replays: Option<ReplayRequests>,
    /// Receives the snapshot and the records of the run.
    pub feed: Receiver<Feed>,
}

impl Link {
    /// A link that only receives.
    pub fn only(feed: Receiver<Feed>) -> Self {
        Self {
            requests: None,
            control: None,
            queries: None,
            replays: None,
            feed,
        }
    }

    /// Sends a request without blocking.
    ///
    /// # Errors
    /// A message for the user if the request cannot be delivered: the run is a replay or has ended, or [`BUSY`].
    pub fn send(&self, request: Request) -> Result<(), &'static str> {
        let Some(requests) = &self.requests else {
            return Err("this is a replay: commands are unavailable");
        };
        requests.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => BUSY,
            TrySendError::Disconnected(_) => "the trainer has ended",
        })
    }
}

/// A request with an id that is unique across processes and machines.
pub fn request(command: Command) -> Request {
    static PROCESS: LazyLock<u64> =
        LazyLock::new(|| RandomState::new().hash_one(std::process::id()) << 32);
    static NEXT: AtomicU32 = AtomicU32::new(1);
    Request {
        id: *PROCESS | u64::from(NEXT.fetch_add(1, Ordering::Relaxed)),
        command,
    }
}
