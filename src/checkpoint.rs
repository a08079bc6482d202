//! Checkpoints as files: format, names, verification and retention. This module is independent of libtorch.
//!
//! A checkpoint is a directory `checkpoints/step-000001234/`. It is written under a temporary name; each file is
//! flushed to disk, `MANIFEST.json` with lengths and hashes last, and then the directory is renamed. So a directory
//! with the final name is complete, and readers verify that. The files `LATEST` and `BEST` in `checkpoints` each
//! contain the name of one checkpoint for users. The program never believes them: it rewrites them from the checkpoints
//! ([`Store::update_pointers`]).

mod manifest;
mod retention;
mod state;
mod store;
mod tensors;
mod verify;
mod write;

pub use manifest::{Entry, FORMAT, Manifest};
pub use retention::{Candidate, removable};
pub use state::{BestSoFar, ComputeSetup, State};
pub use store::{BestOnDisk, Store, is_leftover, is_set_aside, read_state, step_name, step_of};
pub use tensors::{NamedTensor, decode, encode};
pub use verify::{Depth, VerifyError, verify, verify_bytes};
pub use write::{PendingCheckpoint, SavedCheckpoint, save_outside};

#[cfg(test)]
pub(crate) mod tests;
