//! The viewer without the engine: the order of layers, the laws of the fold, the loop, screens as text.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed unwrap is the test's failure"
)]

mod colour;
mod compare;
mod driving;
mod fold;
mod fuzz;
mod headless;
mod layers;
mod mouse;
mod named;
mod old_runs;
#[path = "../engine/pty.rs"]
#[allow(dead_code, reason = "most of it is about training")]
mod pty;
mod questions;
mod readme;
mod replay;
mod screens;
mod screenshots;
mod sockets;
mod story;
mod sweep;
mod system;
mod themes;
