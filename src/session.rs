//! The process side of a run: the hub between trainer and front ends, and the files of a run directory.
//!
//! [`Session::start`] joins a trainer's events with files and subscribers; [`headless`] is the front end without a
//! screen; [`replay`] makes a [`crate::link::Link`] of a journal,
//! [`Server`] and [`connect`] make one of a socket. Nothing here knows libtorch or the screen.

mod answer;
mod append;
mod client;
mod clock;
mod door;
mod files;
pub mod headless;
mod hook;
mod hub;
mod journal;
mod live;
mod located;
mod meta;
mod others;
mod output;
mod overview;
mod prefix;
mod replay;
mod rundir;
mod server;
pub mod sockets;
mod system;
mod tensorboard;
pub mod wire;

pub use append::Journal;
pub use client::{Connected, connect};
pub use door::Door;
pub use files::RunFiles;
pub use hook::{Hook, HookRun};
pub use hub::{Session, TrainerEnds};
pub use journal::{JournalState, live_records};
pub use live::{RunTarget, find, live, who};
pub use located::{Located, locate_checkpoint};
pub use meta::{Meta, RunOutcome};
pub use others::beside;
pub use output::Redirect;
pub use overview::{Litter, Overview, Status, litter, overviews, size, status};
pub use prefix::{Moment, Prefix, prefix};
pub use replay::replay;
pub use rundir::{RunDir, default_name, resolve, summaries};
pub use server::Server;
pub use system::Watch;
