//! Training: takes a configuration and a dataset, sends events, and handles requests between steps.
//!
//! `trainer` has the training loop, `step` the computation of one step, `clock` the timing of its parts, `optim` the
//! optimizers, `schedule` the learning rate, `control` the request and event channels, `save` the checkpoint writer.
//! [`crate::report`] computes the measures of an evaluation. Tensors are used on the trainer thread only, except for
//! the copies passed to the checkpoint writer. A panic or a libtorch error ends the run with a `RunFinished` event that
//! contains the error message.

mod average;
mod balance;
mod bare;
mod clock;
mod control;
mod device;
mod draft;
mod find;
mod health;
mod memory;
mod optim;
mod save;
mod schedule;
mod speed;
mod step;
mod trainer;
mod waiting;
mod window;

use std::any::Any;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, Once, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

pub use balance::class_weights;
pub use device::{
    choose as choose_device, cores, cuda_devices, gpu, kind as choose_kind, set_threads,
};
pub use find::{LrFindStep, Suggestion, run_lr_find, suggest as suggest_lr};
pub use optim::{Group, Layout, Optimizer, groups};
pub use schedule::Schedule;
pub use speed::{Speed, losses, speed};
pub use step::{Hyper, StepStats, clip_divisor, train_step};
pub use trainer::nothing_left;

use crate::checkpoint::State;
use crate::config::Config;
use crate::event::{Event, Outcome, Request, Restoration};
use crate::files::Dir;
use crate::images::Dataset;
use crate::{native, threads};

/// Everything needed to start a training run.
#[derive(Debug)]
pub struct Job {
    /// Name of the run.
    pub name: String,
    /// Its configuration.
    pub config: Config,
    /// Training, validation and test images.
    pub dataset: Dataset,
    /// The run directory; checkpoints are written to its `checkpoints/`.
    pub run_dir: Dir,
    /// Receives the number of each mark once the journal has it on disk. A checkpoint gets its final name only after
    /// its mark. `None` if the run has no journal.
    pub marks: Option<Receiver<u64>>,
    /// The checkpoint to resume from; `None` starts from fresh weights.
    pub resume: Option<Resume>,
    /// Whether nobody watches the run, so that a pause that only a user ends would last forever.
    pub unattended: bool,
}

/// A verified checkpoint to resume from, with the settings that apply from there on.
#[derive(Debug, Clone)]
pub struct Resume {
    /// Its directory.
    pub checkpoint: PathBuf,
    /// Contents of its `state.json`.
    pub state: State,
    /// Base learning rate after resuming.
    pub lr: f64,
    /// Total number of epochs.
    pub epochs: u32,
    /// Whether the checkpoint belongs to another run. Its best weights so far are then not taken over.
    pub fork: bool,
    /// Whether any setting differs from the one the checkpoint was written with.
    pub changed: bool,
    /// The record for the journal; the trainer adds notes to it.
    pub restoration: Restoration,
}

impl Resume {
    /// The number of threads to continue with. Unless `train.threads` is set, it is that of the checkpoint, also if there
    /// are fewer cores: another number of threads rounds differently.
    fn threads(&self, configured: i32) -> i32 {
        if configured > 0 || self.fork || !self.state.computed.device.starts_with("cpu") {
            return configured;
        }
        i32::try_from(self.state.computed.threads).unwrap_or(configured)
    }
}

/// The version of the libtorch in use.
pub fn libtorch_version() -> String {
    option_env!("EPOCHTOP_LIBTORCH")
        .unwrap_or("2.11")
        .to_owned()
}

/// Starts the trainer thread. Its last event is always `RunFinished`; the thread also returns the outcome.
///
/// The event channel should be unbounded, so that the trainer never waits for a receiver.
///
/// # Errors
/// If the thread cannot be created.
pub fn start(
    job: Job,
    events: Sender<Event>,
    requests: Receiver<Request>,
) -> std::io::Result<JoinHandle<Outcome>> {
    static AT_EXIT: Once = Once::new();
    AT_EXIT.call_once(|| native::at_exit(report_exit));
    threads::start("trainer", move || {
        let finished = events.clone();
        set_unfinished(Some(events.clone()));
        let (outcome, global_step) = match run(job, events, requests) {
            Ok(end) => end,
            Err(message) => (Outcome::Failed { message }, 0),
        };
        set_unfinished(None);
        // A closed event channel is not an error.
        let _ = finished.send(Event::RunFinished {
            outcome: outcome.clone(),
            global_step,
        });
        outcome
    })
}

/// The event channel of the run whose trainer has not finished.
static UNFINISHED: Mutex<Option<Sender<Event>>> = Mutex::new(None);

fn set_unfinished(events: Option<Sender<Event>>) {
    *UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner) = events;
}

/// Reports a run that is ended by a library which calls `exit`, as OpenMP does if it cannot create a thread. The journal
/// would end without a reason otherwise.
extern "C" fn report_exit() {
    let Some(events) = UNFINISHED.try_lock().ok().and_then(|mut run| run.take()) else {
        return;
    };
    let message = format!(
        "a library ended the process, see its message above; if it could not create a thread: {}",
        threads::limits()
    );
    let _ = writeln!(std::io::stderr(), "error: {message}");
    let outcome = Outcome::Failed { message };
    let finished = Event::RunFinished {
        outcome,
        global_step: 0,
    };
    if events.send(finished).is_ok() {
        // The session stores the event. The destructors of libtorch must not run while other threads use it.
        thread::sleep(Duration::from_secs(2));
        signal_hook::low_level::exit(1);
    }
}

/// Trains until the run ends. After a failure it saves the current state if that is possible.
fn run(
    job: Job,
    events: Sender<Event>,
    requests: Receiver<Request>,
) -> Result<(Outcome, u64), String> {
    let new = AssertUnwindSafe(|| trainer::Trainer::new(job, events, requests));
    let mut trainer = catch_unwind(new).map_err(|panic| explain(panic.as_ref()))??;
    catch_unwind(AssertUnwindSafe(|| trainer.run()))
        .unwrap_or_else(|panic| Err(trainer.rescue(&explain(panic.as_ref()))))
}

/// The message of a panic. libtorch's C++ stack trace is removed here; log.txt contains it.
fn explain(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("the trainer panicked without a message");
    let text = text.split("Exception raised from").next().unwrap_or(text);
    match text.split_once("Torch(\"") {
        Some((_, torch)) => {
            let message = torch
                .split("\\n")
                .next()
                .unwrap_or(torch)
                .trim_end_matches(['"', ')', ' ']);
            format!("libtorch: {message}")
        }
        None => text.lines().next().unwrap_or(text).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_panic_is_reported_without_its_stack_trace() {
        let text = "called `Result::unwrap()` on an `Err` value: Torch(\"CUDA out of memory. Tried 2 GiB\\nException \
                    raised from malloc at /x.cpp\\nframe #0\")";
        assert_eq!(
            explain(&text.to_owned()),
            "libtorch: CUDA out of memory. Tried 2 GiB"
        );
        assert_eq!(
            explain(&"index 3 is out of range"),
            "index 3 is out of range"
        );
        assert_eq!(explain(&17_u8), "the trainer panicked without a message");
    }
}
