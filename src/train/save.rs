//! From the trainer's state to a checkpoint's files: copied at a step boundary, written by a thread of its own, so that the
//! next step waits for the copy only.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use tch::Tensor;

use crate::checkpoint::{Candidate, Draft, NamedTensor, Saved, State, Store, encode, superfluous};
use crate::event::{CheckpointReason, Request};
use crate::model::{Plan, Weights, to_vec};

/// Copies that may wait for the disk at a time.
const QUEUE: usize = 2;
/// A journal that takes longer to write a mark down does not keep the checkpoint waiting.
const JOURNAL: Duration = Duration::from_secs(30);

/// The training at a step boundary, copied.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) state: State,
    /// The weights that are evaluated.
    pub(super) evaluated: Weights,
    /// Those that are trained, where that are others.
    pub(super) weights: Option<Weights>,
    /// What the optimizer remembers, by name.
    pub(super) memory: Vec<(&'static str, Tensor)>,
    pub(super) order: Order,
}

/// Why, and for whom, something is saved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) reason: CheckpointReason,
    pub(super) request: Option<Request>,
    /// The best weights by validation so far.
    pub(super) best: bool,
    pub(super) valid_accuracy: Option<f64>,
    pub(super) created_ms: u64,
    pub(super) pause_ms: f64,
}

/// What became of a snapshot.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) order: Order,
    pub(super) global_step: u64,
    pub(super) epoch: u32,
    pub(super) result: Result<Saved, String>,
    /// What went wrong besides.
    pub(super) complaints: Vec<String>,
    pub(super) write_ms: f64,
    /// Number of the save.
    pub(super) mark: u64,
}

impl Written {
    fn failed(snapshot: &Snapshot, why: String) -> Self {
        Self {
            order: snapshot.order,
            global_step: snapshot.state.global_step,
            epoch: snapshot.state.epoch,
            result: Err(why),
            complaints: Vec::new(),
            write_ms: 0.0,
            mark: snapshot.state.mark,
        }
    }
}

/// The trainer's end of the writer.
#[derive(Debug)]
pub(super) struct Saver {
    work: Option<Sender<Snapshot>>,
    written: Receiver<Written>,
    thread: Option<JoinHandle<()>>,
    waiting: usize,
}

impl Saver {
    /// Starts the writer of a run directory. `marks` tells which marks the journal holds.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn new(
        run_dir: &Path,
        plan: &Plan,
        keep: usize,
        best: Option<u64>,
        marks: Option<Receiver<u64>>,
    ) -> Result<Self, String> {
        let (work, snapshots) = unbounded();
        let (tell, written) = unbounded();
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
                // A process before this one may have been killed before it let them go.
                let _ = writer.let_go();
                for snapshot in snapshots {
                    // A failure of libtorch's in here is a checkpoint that was not written, no more.
                    let write = AssertUnwindSafe(|| writer.write(&snapshot));
                    let written = catch_unwind(write).unwrap_or_else(|panic| {
                        Written::failed(&snapshot, super::explain(&*panic))
                    });
                    let _ = tell.send(written);
                }
            })
            .map_err(|error| format!("no thread for checkpoints: {error}"))?;
        Ok(Self {
            work: Some(work),
            written,
            thread: Some(thread),
            waiting: 0,
        })
    }

    /// Whether another snapshot would have to wait long.
    pub(super) fn is_busy(&self) -> bool {
        self.waiting >= QUEUE
    }

    /// Hands a snapshot over; what was ordered comes back when nobody can take it.
    pub(super) fn hand_over(&mut self, snapshot: Snapshot) -> Result<(), Order> {
        let order = snapshot.order;
        let taken = self
            .work
            .as_ref()
            .is_some_and(|work| work.send(snapshot).is_ok());
        if taken {
            self.waiting += 1;
            return Ok(());
        }
        Err(order)
    }

    /// What has been written since the last call.
    pub(super) fn poll(&mut self) -> Option<Written> {
        self.count(self.written.try_recv().ok())
    }

    /// Waits for the next to be written; `None` when nothing waits.
    pub(super) fn wait(&mut self) -> Option<Written> {
        if self.waiting == 0 {
            return None;
        }
        let written = self.written.recv().ok();
        if written.is_none() {
            // The writer is gone, and what waited with it.
            self.waiting = 0;
        }
        self.count(written)
    }

    fn count(&mut self, written: Option<Written>) -> Option<Written> {
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

/// The thread's side.
struct Writer {
    store: Store,
    plan: Plan,
    keep: usize,
    best: Option<u64>,
    marks: Option<Receiver<u64>>,
    /// The newest mark that the journal holds.
    marked: u64,
}

impl Writer {
    fn write(&mut self, snapshot: &Snapshot) -> Written {
        let began = Instant::now();
        let (order, state) = (snapshot.order, &snapshot.state);
        let result = self.try_write(snapshot).map_err(|error| error.to_string());
        let complaints = match &result {
            Ok(_) => self.tidy(state.global_step, order.best),
            Err(_) => Vec::new(),
        };
        Written {
            order,
            global_step: state.global_step,
            epoch: state.epoch,
            result,
            complaints,
            write_ms: began.elapsed().as_secs_f64() * 1000.0,
            mark: state.mark,
        }
    }

    fn try_write(&mut self, snapshot: &Snapshot) -> io::Result<Saved> {
        let Snapshot { state, order, .. } = snapshot;
        let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
        let model = encode(&snapshot.evaluated.named(&self.plan)).map_err(invalid)?;
        let memory = encode(&memory_tensors(snapshot)).map_err(invalid)?;
        let step = state.global_step;
        // One that somebody asked for stays, also when its step is saved again.
        let pinned_before = self.store.manifest(step).is_ok_and(|old| old.pinned);
        let draft = Draft {
            state: state.clone(),
            reason: reason(order.reason).to_owned(),
            pinned: pinned_before || order.reason == CheckpointReason::Requested,
            valid_accuracy: order.valid_accuracy,
            created_ms: order.created_ms,
            files: vec![("model.safetensors", model), ("optim.safetensors", memory)],
        };
        let store = self.store.clone();
        store.save(&draft, || self.wait_for_journal(state.mark))
    }

    /// A checkpoint that has its name may be resumed from, and then the journal must tell all that came before it.
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

    /// Names the newest and the best, and removes what is superfluous. The checkpoint is safe whatever fails here.
    fn tidy(&mut self, step: u64, best: bool) -> Vec<String> {
        let mut complaints = Vec::new();
        complaints.extend(self.store.point("LATEST", step).err());
        if best {
            self.best = Some(step);
            complaints.extend(self.store.point("BEST", step).err());
        }
        complaints.extend(self.let_go());
        complaints.iter().map(ToString::to_string).collect()
    }

    /// Removes what the keep policy says; returns what went wrong.
    fn let_go(&self) -> Vec<io::Error> {
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
        let superfluous = superfluous(&all, self.keep, self.best).into_iter();
        superfluous
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

/// The optimizer's memory, and the weights it goes on from where others are evaluated.
fn memory_tensors(snapshot: &Snapshot) -> Vec<NamedTensor> {
    let own = snapshot.weights.iter();
    let own = own.flat_map(|own| [("weights", &own.flat), ("statistics", &own.stats)]);
    let memory = snapshot.memory.iter().map(|(name, tensor)| (*name, tensor));
    memory
        .chain(own)
        .map(|(name, tensor)| (name.to_owned(), tensor.size(), to_vec(tensor)))
        .collect()
}
