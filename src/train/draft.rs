//! The content of a checkpoint.

use std::io;

use super::save::Snapshot;
use crate::checkpoint::{NamedTensor, PendingCheckpoint, encode};
use crate::event::CheckpointReason;
use crate::model::{Plan, to_vec};

/// The checkpoint of a snapshot; `pinned` as a requested one is.
pub(super) fn draft(
    snapshot: &Snapshot,
    plan: &Plan,
    pinned: bool,
) -> io::Result<PendingCheckpoint> {
    let Snapshot {
        state, metadata, ..
    } = snapshot;
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
    let model = encode(&snapshot.evaluated.named(plan)).map_err(invalid)?;
    let optimizer = encode(&optimizer_tensors(snapshot)).map_err(invalid)?;
    Ok(PendingCheckpoint {
        state: state.clone(),
        reason: reason(metadata.reason).to_owned(),
        pinned: pinned || metadata.reason == CheckpointReason::Requested,
        validated: metadata.validated,
        best_by: metadata.best_by,
        created_ms: metadata.created_ms,
        files: vec![
            ("model.safetensors", model),
            ("optim.safetensors", optimizer),
        ],
    })
}

fn reason(reason: CheckpointReason) -> &'static str {
    match reason {
        CheckpointReason::Periodic => "periodic",
        CheckpointReason::Requested => "requested",
        CheckpointReason::Final => "final",
    }
}

/// The tensors of `optim.safetensors`: the optimizer state and, if the EMA weights are evaluated, the trained weights.
fn optimizer_tensors(snapshot: &Snapshot) -> Vec<NamedTensor> {
    let trained = snapshot.weights.iter();
    let trained = trained.flat_map(|own| [("weights", &own.flat), ("statistics", &own.stats)]);
    let state = snapshot
        .optimizer
        .iter()
        .map(|(name, tensor)| (*name, tensor));
    state
        .chain(trained)
        .map(|(name, tensor)| (name.to_owned(), tensor.size(), to_vec(tensor)))
        .collect()
}
