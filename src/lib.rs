//! Train an image classifier with libtorch; monitor, control and evaluate it from a terminal.
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
//! `epochtop train` on a terminal runs two processes: one trains and serves its socket, the other shows the screen.
//!
//! 1. The trainer reads a [`config::Config`], emits [`event::Event`]s and executes [`event::Command`]s between steps.
//! 2. The hub adds sequence number and time to each event ([`event::Record`]), applies it to [`run::RunState`], appends
//!    it to the journal and sends it to the subscribers.
//! 3. A subscriber receives one snapshot, then live records; if it falls behind, it receives another snapshot.
//! 4. A front end uses a [`link::Link`], which is the same for a thread, a socket and a file.
//! 5. The screen is `view(&App, &Theme)`; `App` changes only in `update`.
//!
//! The modules are listed in the order of their layers: a module may only use modules above it in this list.
//! `tests/viewer/layers.rs` reads the sources and checks the order.

// layer 0: data types and numbers
pub mod limits;

pub mod config;
pub mod random;

pub mod metrics;

pub mod caught;
pub mod event;
pub mod fault;
pub mod shell;
pub mod stopwatch;
pub mod threads;

// layer 1: the run and its files
pub mod checkpoint;
pub mod files;
pub mod images;
pub mod link;
pub mod report;
pub mod run;

// layer 2: the trainer, the only layer that uses libtorch
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

// layer 3: the command line, which connects the parts
pub mod cli;
