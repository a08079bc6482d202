//! From the trainer's state to a checkpoint's files.

use std::io;
use std::path::Path;

use crate::checkpoint::{Kept, NamedTensor, Saved, State, Store, encode, superfluous};
use crate::model::{Plan, Weights, to_vec};
use crate::train::optim::AdamW;

/// Writes checkpoints and lets old ones go.
#[derive(Debug)]
pub(super) struct Saver {
    store: Store,
    keep: usize,
    kept: Vec<Kept>,
    best: Option<u64>,
}

impl Saver {
    pub(super) fn new(run_dir: &Path, keep: usize) -> Self {
        Self {
            store: Store::new(run_dir),
            keep,
            kept: Vec::new(),
            best: None,
        }
    }

    /// Whether this step is saved.
    pub(super) fn has(&self, global_step: u64) -> bool {
        self.kept.iter().any(|kept| kept.global_step == global_step)
    }

    /// Saves weights, optimizer and state; removes what the keep policy says.
    pub(super) fn save(
        &mut self,
        plan: &Plan,
        weights: &Weights,
        optimizer: &AdamW,
        state: &State,
        (pinned, best): (bool, bool),
    ) -> io::Result<Saved> {
        let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
        let model = encode(&weights.named(plan)).map_err(invalid)?;
        let memory = encode(&optimizer_tensors(optimizer)).map_err(invalid)?;
        let json = serde_json::to_vec_pretty(state)?;
        let files = [
            ("model.safetensors", model),
            ("optim.safetensors", memory),
            ("state.json", json),
        ];
        let saved = self.store.save(state.global_step, &files)?;
        self.store.point("LATEST", state.global_step)?;
        if best {
            self.store.point("BEST", state.global_step)?;
            self.best = Some(state.global_step);
        }
        match self
            .kept
            .iter_mut()
            .find(|kept| kept.global_step == state.global_step)
        {
            Some(kept) => kept.pinned |= pinned,
            None => self.kept.push(Kept {
                global_step: state.global_step,
                pinned,
            }),
        }
        for step in superfluous(&self.kept, self.keep, self.best) {
            self.store.remove(step)?;
            self.kept.retain(|kept| kept.global_step != step);
        }
        Ok(saved)
    }
}

fn optimizer_tensors(optimizer: &AdamW) -> Vec<NamedTensor> {
    let state = optimizer.state();
    [
        ("exp_avg", &state.exp_avg),
        ("exp_avg_sq", &state.exp_avg_sq),
        ("steps", &state.steps),
    ]
    .map(|(name, tensor)| (name.to_owned(), tensor.size(), to_vec(tensor)))
    .to_vec()
}
