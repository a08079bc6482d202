//! Checkpoints as files: bytes, names, proof of wholeness, and which to keep. No tensor is known here.
//!
//! A checkpoint is a directory `checkpoints/step-000001234/`. It is made under a temporary name, each file flushed to
//! disk, `MANIFEST.json` with lengths and hashes last, and then renamed: what has the final name is whole, and whoever
//! reads it checks that. `LATEST` and `BEST` beside it name one each, for people; nothing depends on them.

mod keep;
mod manifest;
mod state;
mod store;
mod tensors;
mod verify;

pub use keep::{Candidate, superfluous};
pub use manifest::{Entry, FORMAT, Manifest};
pub use state::{BestSoFar, Computed, State};
pub use store::{Draft, Saved, Store, read_state, step_name, step_of};
pub use tensors::{NamedTensor, decode, encode};
pub use verify::{Depth, Flaw, verify, verify_bytes};

#[cfg(test)]
mod tests;
