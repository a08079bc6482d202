//! The runtime of a run: the hub between the trainer and the front ends, and the files of a run directory.
//!
//! [`Session::start`] passes a trainer's events to files and subscribers. [`headless`] is the front end without a
//! screen. A [`crate::link::Link`] to a run comes from a journal ([`replay`]) or from a socket ([`Server`] and
//! [`connect`]). This module depends neither on libtorch nor on the screen.

mod answer;
mod append;
mod appender;
mod checkpoint_location;
mod client;
mod clock;
mod compared;
mod epochs_csv;
mod files;
pub mod headless;
mod hook;
mod hub;
mod hub_handle;
mod journal;
mod journal_prefix;
mod known_runs;
mod litter;
mod live;
mod log_file;
mod meta;
mod output;
mod overview;
mod predictions;
mod process;
mod replay;
mod rundir;
mod server;
pub mod sockets;
mod system;
mod tensorboard;
pub mod wire;
mod writer;

pub use append::Journal;
pub use checkpoint_location::{CheckpointLocation, locate_checkpoint};
pub use client::{Connection, connect};
pub use compared::compared_runs;
pub use files::RunFiles;
pub use hook::{Hook, HookRun};
pub use hub::{Session, TrainerEnds};
pub use hub_handle::HubHandle;
pub use journal::{JournalState, live_records};
pub use journal_prefix::{CheckpointPosition, JournalPrefix, nothing, prefix};
pub use known_runs::{is_name, remember, run_argument};
pub use litter::{Deletable, deletable, remove_unstarted};
pub use live::{RunTarget, client_name, find, live};
pub use log_file::{LOG, LogFile};
pub use meta::{Meta, RunOutcome};
pub use output::Redirect;
pub use overview::{Overview, Status, outcome_of, overviews, size, status};
pub use process::{host, process_mark};
pub use replay::replay;
pub use rundir::{RunDir, RunsDir, resolve, summaries};
pub use server::Server;
pub use system::SystemSampling;
