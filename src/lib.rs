//! Train an image classifier with libtorch; watch it, steer it and trust its numbers from a terminal.
//!
//! ```text
//!              Command ▼ (crossbeam)
//!  ┌──────────┐  Event   ┌─────────┐  Feed = Snapshot|Live  ┌──────────────┐
//!  │ train    │ ───────► │ session │ ─────────────────────► │ tui          │  view(&App, &Theme)
//!  │ (libtorch│          │  ::hub  │ ─────────────────────► │ headless     │  one line per epoch
//!  │  thread) │          │         │ ─────────────────────► │ ::server     │  a socket: attach, ctl
//!  └──────────┘          └─────────┘ ──► events.jsonl       └──────────────┘
//!                                           └─ view: the same Feed, read from the file
//! ```
//!
//! `epochtop train` on a terminal is two of these: one process trains and serves its socket, the other is a screen at it.
//!
//! 1. The trainer turns a [`config::Config`] into [`event::Event`]s and obeys [`event::Command`]s between steps.
//! 2. The hub stamps each event into a [`event::Record`], folds it into [`run::RunState`], appends it to the journal
//!    and passes it on.
//! 3. A subscriber gets one snapshot, then live records; one that falls behind gets another snapshot.
//! 4. A front end holds a [`link::Link`] and cannot tell a thread, a socket and a file apart.
//! 5. The screen is `view(&App, &Theme)`; `App` changes only in `update`.
//!
//! The modules below stand in the order of their layers: a module uses only what stands above it in this list.
//! `tests/viewer/layers.rs` reads the sources and holds the order.

// layer 0: data types and numbers
pub mod config;
pub mod random;

pub mod metrics;

pub mod event;
pub mod fault;
pub mod idx;

// layer 1: the run and its files
pub mod checkpoint;
pub mod files;
pub mod link;
pub mod report;
pub mod run;

// layer 2: the engine, the only place that knows libtorch
#[cfg(feature = "train")]
pub mod native;

#[cfg(feature = "train")]
mod kernels;

#[cfg(feature = "train")]
pub mod data;
#[cfg(feature = "train")]
pub mod inference;
#[cfg(feature = "train")]
pub mod model;
#[cfg(feature = "train")]
pub mod train;

// layer 2: the session
pub mod session;

// layer 2: the screen
pub mod tui;

// layer 3: what puts the parts together
pub mod cli;
