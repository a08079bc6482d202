//! Messages to the screen, and the effects that it requests.

use std::sync::Arc;

use crossterm::event::KeyEvent;

use super::exit::Exit;
use crate::event::Request;
use crate::link::{Feed, Query, Reply};
use crate::run::Replay;

/// An event that [`update`](super::update()) handles.
#[derive(Debug, Clone)]
pub enum Msg {
    /// A message from the run.
    Feed(Feed),
    /// The feed of the run was closed.
    FeedClosed,
    /// The answer to the query with this id.
    Reply(u64, Reply),
    /// Queries are not or no longer answered.
    QueriesUnavailable,
    /// The records for a replay, or why they could not be read.
    ReplayLoaded(Result<Arc<Replay>, String>),
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// A mouse event.
    Mouse {
        /// Column, from 0.
        column: u16,
        /// Row, from 0.
        row: u16,
        /// The kind of event.
        kind: MouseKind,
    },
    /// The new size of the terminal: columns, rows.
    Resize(u16, u16),
    /// The current time, ms since 1970.
    Tick(u64),
    /// A frame was drawn.
    Drawn {
        /// Render time, µs.
        micros: u64,
        /// Bytes sent so far, for all frames.
        bytes: u64,
    },
    /// A request could not be sent.
    Unsent {
        /// Id of the request.
        id: u64,
        /// The reason.
        reason: String,
    },
    /// Close the screen when the run has finished.
    LeaveWhenDone,
    /// Close the screen immediately.
    Terminated,
    /// Suspend the screen: the shell gets the terminal.
    Suspended,
    /// The process was resumed after it was stopped.
    Foreground,
    /// The terminal was disconnected.
    HungUp,
}

/// An action that [`update`](super::update()) requests from the event loop.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send a request to the trainer.
    Send(Request),
    /// Request control of the run.
    RequestControl,
    /// Send a query to the session, with this id.
    Query(u64, Query),
    /// Load the records of the run for a replay.
    LoadReplay,
    /// Clear and redraw the screen.
    Repaint,
    /// Ring the bell or send a desktop notification with this text, which has no control characters.
    Notify(String),
    /// Close the screen.
    Leave(Exit),
}

/// The kind of a mouse event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MouseKind {
    /// The main button was pressed.
    Click,
    /// The wheel was scrolled up.
    WheelUp,
    /// The wheel was scrolled down.
    WheelDown,
}
