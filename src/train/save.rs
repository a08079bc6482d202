//! The checkpoint writer. The state is copied at a step boundary and written by a separate thread, so that training
//! waits for the copy only.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use tch::Tensor;

use crate::checkpoint::{
    Candidate, NamedTensor, PendingCheckpoint, SavedCheckpoint, State, Store, encode, removable,
};
use crate::config::BestBy;
use crate::event::{CheckpointReason, Request, Validation};
use crate::files::Dir;
use crate::model::{Plan, Weights, to_vec};
use crate::stopwatch::Moment;
use crate::{native, threads};

/// Number of snapshots that may be queued for the writer.
const QUEUE: usize = 2;
/// Longest wait until a mark is in the journal on the disk; after that the checkpoint is completed without it.
const JOURNAL: Duration = Duration::from_secs(10);

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
    /// Whether these are the best weights so far.
    pub(super) best: bool,
    pub(super) validated: Option<Validation>,
    pub(super) best_by: BestBy,
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
    /// The first attempt failed and was reported; this is another one.
    pub(super) again: bool,
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
            again: false,
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
        run_dir: &Dir,
        plan: &Plan,
        keep: usize,
        marks: Option<Receiver<u64>>,
    ) -> Result<Self, String> {
        let (work, snapshots) = unbounded();
        let (results, written) = unbounded();
        let mut writer = Writer {
            store: Store::within(run_dir),
            plan: plan.clone(),
            keep,
            marks,
            marked: 0,
            journal_late: false,
            unsaved_best: None,
        };
        let thread = threads::start("checkpoints", move || {
            // Copies are limited by the memory; a second set of threads would compete with those of the training.
            native::compute_alone();
            // An earlier process may have been killed before it removed old checkpoints.
            let _ = writer.remove_old();
            for snapshot in snapshots {
                for written in writer.write(snapshot) {
                    let _ = results.send(written);
                }
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
        let first = written.as_ref().is_some_and(|written| !written.again);
        self.waiting -= usize::from(first).min(self.waiting);
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
    marks: Option<Receiver<u64>>,
    /// The newest mark that is in the journal on the disk.
    marked: u64,
    /// Whether the last mark did not get there in time.
    journal_late: bool,
    /// The best weights so far, if they could not be saved. They are nowhere else on disk, so this is tried again with
    /// every later save.
    unsaved_best: Option<Snapshot>,
}

impl Writer {
    /// Writes a snapshot, after the best one if that could not be saved before. Returns the result of each.
    fn write(&mut self, snapshot: Snapshot) -> Vec<SaveResult> {
        let earlier = self.unsaved_best.take().filter(|_| !snapshot.metadata.best);
        let mut results = Vec::new();
        for (mut snapshot, again) in earlier
            .into_iter()
            .map(|earlier| (earlier, true))
            .chain([(snapshot, false)])
        {
            // A panic of libtorch here must only fail this checkpoint, not the run.
            let write = AssertUnwindSafe(|| self.try_snapshot(&snapshot));
            let mut written = catch_unwind(write)
                .unwrap_or_else(|panic| SaveResult::failed(&snapshot, super::explain(&*panic)));
            written.again = again;
            let failed = written.result.is_err();
            if failed && snapshot.metadata.best {
                // The result answers the request, so it is not answered again.
                snapshot.metadata.request = None;
                self.unsaved_best = Some(snapshot);
            }
            // The first failure has been reported.
            if !(failed && again) {
                results.push(written);
            }
        }
        results
    }

    fn try_snapshot(&mut self, snapshot: &Snapshot) -> SaveResult {
        let began = Moment::now();
        let (metadata, state) = (snapshot.metadata, &snapshot.state);
        let result = self.try_write(snapshot).map_err(|error| error.to_string());
        let mut warnings = match &result {
            Ok(_) => self.update_links(),
            Err(_) => Vec::new(),
        };
        if result.is_ok() && self.journal_late {
            warnings.push(
                "events.jsonl cannot be written to the disk: a run restored from this checkpoint would lack the records \
                 of earlier steps"
                    .to_owned(),
            );
        }
        SaveResult {
            metadata,
            global_step: state.global_step,
            epoch: state.epoch,
            result,
            warnings,
            write_ms: began.elapsed().as_secs_f64() * 1000.0,
            mark: state.mark,
            again: false,
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
            validated: metadata.validated,
            best_by: metadata.best_by,
            created_ms: metadata.created_ms,
            files: vec![
                ("model.safetensors", model),
                ("optim.safetensors", optimizer),
            ],
        };
        let store = self.store.clone();
        store.save(&draft, || self.wait_for_journal(state.mark))
    }

    /// Waits until `mark` is in the journal on the disk. A checkpoint with its final name may be resumed from, and then
    /// the journal should contain everything before it. The wait is limited, because the weights are worth more than the
    /// records; and while the journal cannot be written, only the first checkpoint waits.
    fn wait_for_journal(&mut self, mark: u64) {
        let Some(marks) = &self.marks else { return };
        let longest = if self.journal_late {
            Duration::ZERO
        } else {
            JOURNAL
        };
        let deadline = Instant::now() + longest;
        self.journal_late = false;
        while self.marked < mark && !self.journal_late {
            match marks.recv_deadline(deadline) {
                Ok(newer) => self.marked = newer,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    self.journal_late = true;
                }
            }
        }
    }

    /// Updates `LATEST` and `BEST` and removes old checkpoints. Returns the errors; none of them affects the
    /// checkpoint.
    fn update_links(&self) -> Vec<String> {
        let mut errors = self.store.update_pointers();
        errors.extend(self.remove_old());
        errors.iter().map(ToString::to_string).collect()
    }

    /// Removes the checkpoints that `checkpoint.keep` does not retain. Returns the errors. Nothing is removed if it is
    /// not known which checkpoint is the best.
    fn remove_old(&self) -> Vec<io::Error> {
        let best = match self.store.best() {
            Ok(best) => best.map(|best| best.global_step),
            Err(error) => return vec![error],
        };
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
        let removable = removable(&all, self.keep, best).into_iter();
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
