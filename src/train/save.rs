//! The checkpoint writer. The state is copied at a step boundary and written by a separate thread, so that training
//! waits for the copy only.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use tch::Tensor;

use super::draft::draft;
use crate::checkpoint::{Depth, SavedCheckpoint, State, Store, removable, save_outside, step_name};
use crate::config::BestBy;
use crate::event::{CheckpointReason, Request, Validation};
use crate::files::Dir;
use crate::model::{Plan, Weights};
use crate::stopwatch::Moment;
use crate::{native, threads};

/// Number of snapshots that may be queued for the writer.
const QUEUE: usize = 2;
/// Time after which training no longer waits for a checkpoint that is being written: the disk may never respond.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait until a mark is in the journal on the disk; after that the checkpoint is completed without it.
const JOURNAL: Duration = Duration::from_secs(5);

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

impl Snapshot {
    /// The same snapshot, sharing the tensors, which nobody changes.
    pub(super) fn shallow_clone(&self) -> Self {
        let optimizer = self.optimizer.iter();
        Self {
            state: self.state.clone(),
            evaluated: self.evaluated.shallow_clone(),
            weights: self.weights.as_ref().map(Weights::shallow_clone),
            optimizer: optimizer
                .map(|(name, tensor)| (*name, tensor.shallow_clone()))
                .collect(),
            metadata: self.metadata,
        }
    }
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
    /// An attempt to write it has failed and was reported; this is another one.
    pub(super) again: bool,
}

/// The result of writing a snapshot.
#[derive(Debug)]
pub(super) struct SaveResult {
    pub(super) metadata: SaveMetadata,
    pub(super) global_step: u64,
    pub(super) epoch: u32,
    pub(super) result: io::Result<SavedCheckpoint>,
    /// What was removed to make room, and errors after the checkpoint was written: in updating `LATEST` and `BEST` and
    /// in removing old checkpoints.
    pub(super) warnings: Vec<String>,
    pub(super) write_ms: f64,
    /// Number of the save.
    pub(super) mark: u64,
}

/// Whether an error means that the disk is full, so that it can pass.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// A change in how the writer gets on.
#[derive(Debug, Clone, Copy)]
pub(super) enum WriterChange {
    /// It has been writing the checkpoint of this step for longer than [`PATIENCE`].
    Late { global_step: u64 },
    /// It is no longer late.
    Recovered,
}

/// The trainer's handle of the writer thread.
#[derive(Debug)]
pub(super) struct Saver {
    work: Option<Sender<Snapshot>>,
    written: Receiver<SaveResult>,
    thread: Option<JoinHandle<()>>,
    /// The snapshots passed to the writer and not reported as written yet, oldest first.
    queued: VecDeque<Snapshot>,
    /// When the writer started with the oldest of them.
    since: Moment,
    /// Whether it was late at the last call of [`Saver::change`].
    was_late: bool,
    /// The best weights so far, if they could not be saved. They are nowhere else on disk, so this is tried again with
    /// every later save.
    unsaved_best: Option<Snapshot>,
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
        };
        let thread = threads::start("checkpoints", move || {
            // Copies are limited by the memory; a second set of threads would compete with those of the training.
            native::compute_alone();
            // An earlier process may have been killed before it removed old checkpoints.
            let _ = writer.remove_old();
            for snapshot in snapshots {
                let _ = results.send(writer.write(&snapshot));
            }
        })
        .map_err(|error| format!("cannot start the checkpoint thread: {error}"))?;
        Ok(Self {
            work: Some(work),
            written,
            thread: Some(thread),
            queued: VecDeque::new(),
            since: Moment::now(),
            was_late: false,
            unsaved_best: None,
        })
    }

    /// Whether the queue is full.
    pub(super) fn is_busy(&self) -> bool {
        self.queued.len() >= QUEUE
    }

    /// Whether snapshots are queued.
    pub(super) fn is_writing(&self) -> bool {
        !self.queued.is_empty()
    }

    /// Whether the snapshot that is being written takes longer than [`PATIENCE`].
    pub(super) fn is_late(&self) -> bool {
        self.is_writing() && self.since.elapsed() >= PATIENCE
    }

    /// Whether the writer has become late, or no longer is, since the last call.
    pub(super) fn change(&mut self) -> Option<WriterChange> {
        let late = self.is_late();
        if std::mem::replace(&mut self.was_late, late) == late {
            return None;
        }
        let late = self.queued.front().filter(|_| late);
        Some(
            late.map_or(WriterChange::Recovered, |late| WriterChange::Late {
                global_step: late.state.global_step,
            }),
        )
    }

    /// The requests that are answered once the queued snapshots are written.
    pub(super) fn requests(&self) -> Vec<Request> {
        let queued = self.queued.iter();
        queued
            .filter_map(|snapshot| snapshot.metadata.request)
            .collect()
    }

    /// Queues a snapshot for writing, after the best one if that could not be saved before.
    ///
    /// # Errors
    /// The metadata of the snapshot, if the writer thread has ended.
    pub(super) fn enqueue(&mut self, snapshot: Snapshot) -> Result<(), SaveMetadata> {
        let earlier = self.unsaved_best.take().filter(|_| !snapshot.metadata.best);
        earlier.map_or(Ok(()), |earlier| self.pass(earlier))?;
        self.pass(snapshot)
    }

    fn pass(&mut self, snapshot: Snapshot) -> Result<(), SaveMetadata> {
        let copy = snapshot.shallow_clone();
        if self
            .work
            .as_ref()
            .is_none_or(|work| work.send(copy).is_err())
        {
            return Err(snapshot.metadata);
        }
        if !self.is_writing() {
            self.since = Moment::now();
        }
        self.queued.push_back(snapshot);
        Ok(())
    }

    /// Retains the best weights while the queue is full. They are queued by [`Saver::poll`], unless there are better
    /// ones by then.
    pub(super) fn retain_best(&mut self, snapshot: Snapshot) {
        self.unsaved_best = Some(snapshot);
    }

    /// Whether the best weights could not be saved.
    pub(super) fn has_unsaved_best(&self) -> bool {
        self.unsaved_best.is_some()
    }

    /// The best weights, if they are not on disk yet.
    pub(super) fn unsaved_best(&self) -> Option<Snapshot> {
        let mut newest_first = self.unsaved_best.iter().chain(self.queued.iter().rev());
        let best = newest_first.find(|snapshot| snapshot.metadata.best);
        best.map(Snapshot::shallow_clone)
    }

    /// The next result that is available, without waiting.
    pub(super) fn poll(&mut self) -> Option<SaveResult> {
        if !self.is_busy()
            && let Some(best) = self.unsaved_best.take_if(|best| !best.metadata.again)
        {
            // If the writer has ended, it has been reported.
            let _ = self.pass(best);
        }
        self.wait(Duration::ZERO)
    }

    /// Waits for the next result; `None` after `timeout` or if the queue is empty.
    pub(super) fn wait(&mut self, timeout: Duration) -> Option<SaveResult> {
        if !self.is_writing() {
            return None;
        }
        match self.written.recv_timeout(timeout) {
            Ok(written) => {
                self.since = Moment::now();
                let snapshot = self.queued.pop_front();
                self.retain_if_failed(snapshot, &written);
                Some(written)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                // The writer thread has ended; the queued snapshots are lost.
                self.queued.clear();
                None
            }
        }
    }

    /// Retains a snapshot of the best weights whose save has failed, unless there are better ones by now.
    fn retain_if_failed(&mut self, snapshot: Option<Snapshot>, written: &SaveResult) {
        let replaced = self.queued.iter().any(|later| later.metadata.best);
        let failed = written.result.is_err() && written.metadata.best;
        if let Some(mut snapshot) = snapshot.filter(|_| failed && !replaced)
            && self.unsaved_best.is_none()
        {
            // The result answers the request, so it is not answered again.
            (snapshot.metadata.request, snapshot.metadata.again) = (None, true);
            self.unsaved_best = Some(snapshot);
        }
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        drop(self.work.take());
        // A writer that is still busy may never end, on a disk that does not respond.
        if let Some(thread) = self.thread.take().filter(|_| self.queued.is_empty()) {
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
}

impl Writer {
    fn write(&mut self, snapshot: &Snapshot) -> SaveResult {
        let began = Moment::now();
        let mut warnings = Vec::new();
        // A panic of libtorch here must only fail this checkpoint, not the run.
        let write = AssertUnwindSafe(|| self.try_write(snapshot, &mut warnings));
        let result = catch_unwind(write)
            .unwrap_or_else(|panic| Err(io::Error::other(super::explain(&*panic))));
        if result.is_ok() {
            let errors = self.update_links().into_iter();
            warnings.extend(errors.map(|error| format!("checkpoint written, but: {error}")));
        }
        if result.is_ok() && self.journal_late {
            warnings.push(
                "events.jsonl cannot be written to the disk: a run restored from this checkpoint would lack the records \
                 of earlier steps"
                    .to_owned(),
            );
        }
        SaveResult {
            metadata: snapshot.metadata,
            global_step: snapshot.state.global_step,
            epoch: snapshot.state.epoch,
            result,
            warnings,
            write_ms: began.elapsed().as_secs_f64() * 1000.0,
            mark: snapshot.state.mark,
        }
    }

    /// Writes a snapshot. If the disk is full, leftovers and then old checkpoints are removed, one at a time, until it
    /// fits. A message for each removal is added to `removals`.
    fn try_write(
        &mut self,
        snapshot: &Snapshot,
        removals: &mut Vec<String>,
    ) -> io::Result<SavedCheckpoint> {
        let step = snapshot.state.global_step;
        // A requested checkpoint stays pinned, also if its step is saved again.
        let pinned = self.store.manifest(step).is_ok_and(|old| old.pinned);
        let draft = draft(snapshot, &self.plan, pinned)?;
        let store = self.store.clone();
        let mut old = None;
        loop {
            let error = match store.save(&draft, || self.wait_for_journal(draft.state.mark)) {
                Err(error) if is_full(&error) => error,
                saved => return saved,
            };
            let leftovers = store.sweep();
            let removed = if leftovers.is_empty() {
                let old = old.get_or_insert_with(|| self.expendable().into_iter());
                old.find(|step| store.remove(*step).is_ok()).map(step_name)
            } else {
                Some(leftovers.join(", "))
            };
            let Some(removed) = removed else {
                return Err(error);
            };
            removals.push(format!(
                "the disk is full: removed checkpoints/{removed} to make room for {}",
                step_name(step)
            ));
        }
    }

    /// The checkpoints that can be removed to make room, oldest first: all but the newest that is verified, the best and
    /// those a user requested. None if it is not known which these are.
    fn expendable(&self) -> Vec<u64> {
        self.removable(1, Depth::Bytes).unwrap_or_default()
    }

    fn removable(&self, keep: usize, depth: Depth) -> io::Result<Vec<u64>> {
        let best = self.store.best()?.map(|best| best.global_step);
        Ok(removable(&self.store.candidates(depth)?, keep, best))
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
    fn update_links(&self) -> Vec<io::Error> {
        let mut errors = self.store.update_pointers();
        errors.extend(self.remove_old());
        errors
    }

    /// Removes the checkpoints that `checkpoint.keep` does not retain. Returns the errors. Nothing is removed if it is
    /// not known which checkpoint is the best.
    fn remove_old(&self) -> Vec<io::Error> {
        let old = match self.removable(self.keep, Depth::Lengths) {
            Ok(old) => old.into_iter(),
            Err(error) => return vec![error],
        };
        old.filter_map(|step| self.store.remove(step).err())
            .collect()
    }
}

/// Writes snapshots to a directory outside the run, under names with that of the run. Returns the result of each.
pub(super) fn write_outside(dir: &Path, plan: &Plan, snapshots: &[Snapshot]) -> Vec<SaveResult> {
    let save = |snapshot: &Snapshot| {
        let state = &snapshot.state;
        let name = format!("{}-{}", state.run, step_name(state.global_step));
        let dir = Dir::open(&std::path::absolute(dir)?)?;
        save_outside(&dir, &name, &draft(snapshot, plan, false)?)
    };
    let write = |snapshot: &Snapshot| {
        let began = Moment::now();
        let result = catch_unwind(AssertUnwindSafe(|| save(snapshot)));
        SaveResult {
            metadata: snapshot.metadata,
            global_step: snapshot.state.global_step,
            epoch: snapshot.state.epoch,
            result: result.unwrap_or_else(|panic| Err(io::Error::other(super::explain(&*panic)))),
            warnings: Vec::new(),
            write_ms: began.elapsed().as_secs_f64() * 1000.0,
            mark: snapshot.state.mark,
        }
    };
    snapshots.iter().map(write).collect()
}
