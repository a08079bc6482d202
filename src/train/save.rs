//! The checkpoint writer. The state is copied at a step boundary and written by a separate thread, so that training
//! waits for the copy only.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use tch::Tensor;

use crate::checkpoint::{
    Candidate, NamedTensor, PendingCheckpoint, SavedCheckpoint, State, Store, encode, removable,
};
use crate::event::{CheckpointReason, Request};
use crate::model::{Plan, Weights, to_vec};
use crate::stopwatch::Moment;

/// Number of snapshots that may be queued for the writer.
const QUEUE: usize = 2;
/// Longest wait for the journal to write a mark; after that the checkpoint is completed without it.
const JOURNAL: Duration = Duration::from_secs(30);

/// A copy of the training state at a step boundary.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) state: State,
    /// The weights used for evaluation.
    pub(super) evaluated: Weights,
    /// The trained weights, if the EMA weights are evaluated instead.
    pub(super) weights: Option<Weights>,
    /// Optimizer state by tensor name.
    pub(super) optimizer: Vec<(&'static str, Tensor)>,
    pub(super) metadata: SaveMetadata,
}

/// Why a checkpoint is saved, and what its manifest and its event contain.
#[derive(Debug, Clone, Copy)]
pub(super) struct SaveMetadata {
    pub(super) reason: CheckpointReason,
    /// The request to answer once it is written.
    pub(super) request: Option<Request>,
    /// Whether these are the best weights by validation accuracy so far.
    pub(super) best: bool,
    pub(super) valid_accuracy: Option<f64>,
    /// Milliseconds since the Unix epoch.
    pub(super) created_ms: u64,
    /// Milliseconds that training waited for the copy.
    pub(super) pause_ms: f64,
}

/// The result of writing a snapshot.
#[derive(Debug)]
pub(super) struct SaveResult {
    pub(super) metadata: SaveMetadata,
    pub(super) global_step: u64,
    pub(super) epoch: u32,
    pub(super) result: Result<SavedCheckpoint, String>,
    /// Errors after the checkpoint was written, in updating `LATEST` and `BEST` and removing old checkpoints.
    pub(super) warnings: Vec<String>,
    pub(super) write_ms: f64,
    /// Number of the save.
    pub(super) mark: u64,
}

impl SaveResult {
    fn failed(snapshot: &Snapshot, why: String) -> Self {
        Self {
            metadata: snapshot.metadata,
            global_step: snapshot.state.global_step,
            epoch: snapshot.state.epoch,
            result: Err(why),
            warnings: Vec::new(),
            write_ms: 0.0,
            mark: snapshot.state.mark,
        }
    }
}

/// The trainer's handle of the writer thread.
#[derive(Debug)]
pub(super) struct Saver {
    work: Option<Sender<Snapshot>>,
    written: Receiver<SaveResult>,
    thread: Option<JoinHandle<()>>,
    /// Number of snapshots passed to the writer and not reported as written yet.
    waiting: usize,
}

impl Saver {
    /// Starts the writer thread of a run directory. `marks` receives the number of each mark that the journal has
    /// written.
    ///
    /// # Errors
    /// If the thread cannot be created.
    pub(super) fn new(
        run_dir: &Path,
        plan: &Plan,
        keep: usize,
        best: Option<u64>,
        marks: Option<Receiver<u64>>,
    ) -> Result<Self, String> {
        let (work, snapshots) = unbounded();
        let (results, written) = unbounded();
        let mut writer = Writer {
            store: Store::new(run_dir),
            plan: plan.clone(),
            keep,
            best,
            marks,
            marked: 0,
        };
        let thread = Builder::new()
            .name("checkpoints".to_owned())
            .spawn(move || {
                // An earlier process may have been killed before it removed old checkpoints.
                let _ = writer.remove_old();
                for snapshot in snapshots {
                    // A panic of libtorch here must only fail this checkpoint, not the run.
                    let write = AssertUnwindSafe(|| writer.write(&snapshot));
                    let written = catch_unwind(write).unwrap_or_else(|panic| {
                        SaveResult::failed(&snapshot, super::explain(&*panic))
                    });
                    let _ = results.send(written);
                }
            })
            .map_err(|error| format!("cannot start the checkpoint thread: {error}"))?;
        Ok(Self {
            work: Some(work),
            written,
            thread: Some(thread),
            waiting: 0,
        })
    }

    /// Whether the queue is full.
    pub(super) fn is_busy(&self) -> bool {
        self.waiting >= QUEUE
    }

    /// Queues a snapshot for writing.
    ///
    /// # Errors
    /// The metadata of the snapshot, if the writer thread has ended.
    pub(super) fn enqueue(&mut self, snapshot: Snapshot) -> Result<(), SaveMetadata> {
        let metadata = snapshot.metadata;
        let accepted = self
            .work
            .as_ref()
            .is_some_and(|work| work.send(snapshot).is_ok());
        if accepted {
            self.waiting += 1;
            return Ok(());
        }
        Err(metadata)
    }

    /// The next result that is available, without waiting.
    pub(super) fn poll(&mut self) -> Option<SaveResult> {
        self.count(self.written.try_recv().ok())
    }

    /// Waits for the next result; `None` if the queue is empty.
    pub(super) fn wait(&mut self) -> Option<SaveResult> {
        if self.waiting == 0 {
            return None;
        }
        let written = self.written.recv().ok();
        if written.is_none() {
            // The writer thread has ended; the queued snapshots are lost.
            self.waiting = 0;
        }
        self.count(written)
    }

    fn count(&mut self, written: Option<SaveResult>) -> Option<SaveResult> {
        self.waiting -= usize::from(written.is_some()).min(self.waiting);
        written
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        drop(self.work.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The state of the writer thread.
struct Writer {
    store: Store,
    plan: Plan,
    keep: usize,
    best: Option<u64>,
    marks: Option<Receiver<u64>>,
    /// The newest mark that the journal has written.
    marked: u64,
}

impl Writer {
    fn write(&mut self, snapshot: &Snapshot) -> SaveResult {
        let began = Moment::now();
        let (metadata, state) = (snapshot.metadata, &snapshot.state);
        let result = self.try_write(snapshot).map_err(|error| error.to_string());
        let warnings = match &result {
            Ok(_) => self.update_links(state.global_step, metadata.best),
            Err(_) => Vec::new(),
        };
        SaveResult {
            metadata,
            global_step: state.global_step,
            epoch: state.epoch,
            result,
            warnings,
            write_ms: began.elapsed().as_secs_f64() * 1000.0,
            mark: state.mark,
        }
    }

    fn try_write(&mut self, snapshot: &Snapshot) -> io::Result<SavedCheckpoint> {
        let Snapshot {
            state, metadata, ..
        } = snapshot;
        let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
        let model = encode(&snapshot.evaluated.named(&self.plan)).map_err(invalid)?;
        let optimizer = encode(&optimizer_tensors(snapshot)).map_err(invalid)?;
        let step = state.global_step;
        // A requested checkpoint stays pinned, also if its step is saved again.
        let pinned_before = self.store.manifest(step).is_ok_and(|old| old.pinned);
        let draft = PendingCheckpoint {
            state: state.clone(),
            reason: reason(metadata.reason).to_owned(),
            pinned: pinned_before || metadata.reason == CheckpointReason::Requested,
            valid_accuracy: metadata.valid_accuracy,
            created_ms: metadata.created_ms,
            files: vec![
                ("model.safetensors", model),
                ("optim.safetensors", optimizer),
            ],
        };
        let store = self.store.clone();
        store.save(&draft, || self.wait_for_journal(state.mark))
    }

    /// Waits until the journal has written `mark`. A checkpoint with its final name may be resumed from, and then the
    /// journal must contain everything before it.
    fn wait_for_journal(&mut self, mark: u64) {
        let Some(marks) = &self.marks else { return };
        let deadline = Instant::now() + JOURNAL;
        while self.marked < mark {
            match marks.recv_deadline(deadline) {
                Ok(newer) => self.marked = newer,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Updates `LATEST` and `BEST` and removes old checkpoints. Returns the errors; none of them affects the
    /// checkpoint.
    fn update_links(&mut self, step: u64, best: bool) -> Vec<String> {
        let mut errors = Vec::new();
        errors.extend(self.store.point("LATEST", step).err());
        if best {
            self.best = Some(step);
            errors.extend(self.store.point("BEST", step).err());
        }
        errors.extend(self.remove_old());
        errors.iter().map(ToString::to_string).collect()
    }

    /// Removes the checkpoints that `checkpoint.keep` does not retain. Returns the errors.
    fn remove_old(&self) -> Vec<io::Error> {
        let all: Vec<Candidate> = self
            .store
            .steps()
            .into_iter()
            .map(|global_step| Candidate {
                global_step,
                pinned: self
                    .store
                    .manifest(global_step)
                    .is_ok_and(|manifest| manifest.pinned),
            })
            .collect();
        let removable = removable(&all, self.keep, self.best).into_iter();
        removable
            .filter_map(|old| self.store.remove(old).err())
            .collect()
    }
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
