//! What can happen to the screen, and what it asks to be done.

use std::sync::Arc;

use crossterm::event::KeyEvent;

use super::exit::Exit;
use crate::event::Request;
use crate::link::{Feed, Query, Reply};
use crate::run::Replay;

/// What happened.
#[derive(Debug, Clone)]
pub enum Msg {
    /// Something came up the link.
    Feed(Feed),
    /// Nothing more can come up the link.
    FeedClosed,
    /// An answer to a question of this number.
    Reply(u64, Reply),
    /// Nobody answers questions.
    Unanswered,
    /// The run's story for a replay, or why there is none.
    Retold(Result<Arc<Replay>, String>),
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The mouse did something at a place of the screen, both from 0.
    Mouse {
        /// Where from left to right.
        column: u16,
        /// Where from top to bottom.
        row: u16,
        /// What.
        kind: MouseKind,
    },
    /// The terminal has this many columns and rows.
    Resize(u16, u16),
    /// The clock, ms since 1970.
    Tick(u64),
    /// A frame was drawn.
    Drawn {
        /// Time it took, µs.
        micros: u64,
        /// Bytes sent so far, of all frames.
        bytes: u64,
    },
    /// A request could not be sent.
    Unsent {
        /// Its number.
        id: u64,
        /// Why.
        reason: String,
    },
    /// Leave as soon as the run has finished.
    LeaveWhenDone,
    /// Leave at once.
    Terminated,
    /// The shell wants the terminal for a while.
    Suspended,
    /// The process goes on after it was stopped.
    Foreground,
    /// The terminal is gone.
    HungUp,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send this down the link.
    Send(Request),
    /// Ask to steer.
    Steer,
    /// Ask the session, under this number.
    Query(u64, Query),
    /// Have the run's story read, to tell it again.
    Retell,
    /// Draw everything anew.
    Repaint,
    /// Tell somebody who looks elsewhere; a text without control characters.
    Notify(String),
    /// The screen is done.
    Leave(Exit),
}

/// What a mouse did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MouseKind {
    /// The main button was pressed.
    Click,
    /// The wheel was turned away from the hand.
    WheelUp,
    /// The wheel was turned towards it.
    WheelDown,
}
