//! Tests of the viewer without the training engine: architecture layers, the fold, the event loop, and screens as text.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed unwrap is the test's failure"
)]

mod colour;
mod compare;
mod docs;
mod driving;
mod edges;
mod finished_run;
mod fold;
mod fuzz;
mod headless;
#[cfg(target_os = "linux")]
mod hostile;
#[cfg(target_os = "linux")]
mod hostile_runs;
mod layers;
mod limits;
mod mouse;
mod named;
mod old_runs;
#[path = "../engine/pty.rs"]
#[allow(dead_code, reason = "most of its helpers are for training tests")]
mod pty;
mod questions;
mod replay;
mod run_clock;
mod screens;
mod screenshots;
mod sockets;
mod story;
mod sweep;
mod system;
mod themes;
