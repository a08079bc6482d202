//! From the trainer's state to a checkpoint's files.

use std::io;
use std::path::Path;

use crate::checkpoint::{Kept, NamedTensor, Saved, State, Store, encode, superfluous};
use crate::model::{Plan, Weights, to_vec};
use crate::train::optim::Optimizer;

/// Writes checkpoints and lets old ones go.
#[derive(Debug)]
pub(super) struct Saver {
    store: Store,
    keep: usize,
    kept: Vec<(Kept, Saved)>,
    best: Option<u64>,
}

/// A checkpoint that is written, and what went wrong besides.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) saved: Saved,
    pub(super) complaints: Vec<io::Error>,
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
        self.saved(global_step).is_some()
    }

    fn saved(&self, global_step: u64) -> Option<&Saved> {
        let found = self
            .kept
            .iter()
            .find(|(kept, _)| kept.global_step == global_step);
        found.map(|(_, saved)| saved)
    }

    /// Saves weights, optimizer and state; removes what the keep policy says. The same step has the same weights, so
    /// of a step that is saved already only the state, which may have changed since, is written again.
    ///
    /// # Errors
    /// When the checkpoint is not whole on disk.
    pub(super) fn save(
        &mut self,
        plan: &Plan,
        (evaluated, weights): (&Weights, &Weights),
        optimizer: &Optimizer,
        state: &State,
        (pinned, best): (bool, bool),
    ) -> io::Result<Outcome> {
        let step = state.global_step;
        let json = serde_json::to_vec_pretty(state)?;
        let saved = if let Some(saved) = self.saved(step).cloned() {
            self.store.replace(step, "state.json", &json)?;
            saved
        } else {
            let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
            let model = encode(&evaluated.named(plan)).map_err(invalid)?;
            let memory = encode(&memory_tensors(optimizer, evaluated, weights)).map_err(invalid)?;
            let files = [
                ("model.safetensors", model),
                ("optim.safetensors", memory),
                ("state.json", json),
            ];
            let saved = self.store.save(step, &files)?;
            let kept = Kept {
                global_step: step,
                pinned: false,
            };
            self.kept.push((kept, saved.clone()));
            saved
        };
        for (kept, _) in self
            .kept
            .iter_mut()
            .filter(|(kept, _)| kept.global_step == step)
        {
            kept.pinned |= pinned;
        }
        if best {
            self.best = Some(step);
        }
        Ok(Outcome {
            saved,
            complaints: self.tidy(step, best),
        })
    }

    /// Names the newest and the best, and removes what is superfluous. The checkpoint is safe whatever fails here.
    fn tidy(&mut self, step: u64, best: bool) -> Vec<io::Error> {
        let mut complaints = Vec::new();
        complaints.extend(self.store.point("LATEST", step).err());
        if best {
            complaints.extend(self.store.point("BEST", step).err());
        }
        let all: Vec<Kept> = self.kept.iter().map(|(kept, _)| kept.clone()).collect();
        for old in superfluous(&all, self.keep, self.best) {
            complaints.extend(self.store.remove(old).err());
            self.kept.retain(|(kept, _)| kept.global_step != old);
        }
        complaints
    }
}

/// The optimizer's memory, and the weights it goes on from where others are evaluated.
fn memory_tensors(
    optimizer: &Optimizer,
    evaluated: &Weights,
    weights: &Weights,
) -> Vec<NamedTensor> {
    let mut named = optimizer.state();
    if !std::ptr::eq(evaluated, weights) {
        named.extend([("weights", &weights.flat), ("statistics", &weights.stats)]);
    }
    named
        .into_iter()
        .map(|(name, tensor)| (name.to_owned(), tensor.size(), to_vec(tensor)))
        .collect()
}
