//! Training: a configuration and data in, events out, requests obeyed between steps.
//!
//! Where to look: the loop is in `trainer`, what one step computes in `step`, where its time goes in `clock`, the
//! optimizer in `optim`, the learning rate in `schedule`, what a person may ask in `control`, saving in `save`, the numbers of an evaluation in
//! [`crate::report`]. Only this thread
//! touches tensors, but for copies that the writer of checkpoints is given; a panic or a libtorch error in it ends the run as a `RunFinished` that says why.

mod average;
mod bare;
mod clock;
mod control;
mod device;
mod find;
mod health;
mod memory;
mod optim;
mod save;
mod schedule;
mod speed;
mod step;
mod trainer;
mod window;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, Sender};

pub use device::{
    choose as choose_device, cores, cuda_devices, gpu, kind as choose_kind, set_threads,
};
pub use find::{Suggestion, Tried, find_lr, suggest as suggest_lr};
pub use optim::{Group, Layout, Optimizer, groups};
pub use schedule::Schedule;
pub use speed::{Speed, losses, speed};
pub use step::{Hyper, StepStats, clip_divisor, train_step};

use crate::checkpoint::State;
use crate::config::Config;
use crate::data::Dataset;
use crate::event::{Event, Outcome, Request, Restoration};

/// One training, ready to begin.
#[derive(Debug)]
pub struct Job {
    /// Name of the run.
    pub name: String,
    /// What to do.
    pub config: Config,
    /// What to learn from.
    pub dataset: Dataset,
    /// Where checkpoints go.
    pub run_dir: PathBuf,
    /// Tells which marks the journal holds; a checkpoint gets its name only after its mark. `None` where nobody keeps one.
    pub marks: Option<Receiver<u64>>,
    /// Where to go on from; `None` begins anew.
    pub resume: Option<Resume>,
}

/// A checkpoint to go on from. It has been verified.
#[derive(Debug, Clone)]
pub struct Resume {
    /// Its directory.
    pub checkpoint: PathBuf,
    /// What its `state.json` says.
    pub state: State,
    /// The base learning rate from here on.
    pub lr: f64,
    /// Epochs in all.
    pub epochs: u32,
    /// It is another run's: the best so far is left there.
    pub fork: bool,
    /// Settings are not what they were when it was written.
    pub changed: bool,
    /// What the journal is told; its notes grow by what the trainer finds out.
    pub told: Restoration,
}

/// The version of libtorch that computes.
pub fn libtorch_version() -> String {
    option_env!("EPOCHTOP_LIBTORCH")
        .unwrap_or("2.11")
        .to_owned()
}

/// Trains on a thread of its own. The last event is always `RunFinished`; the outcome is returned too.
///
/// The events' channel should be unbounded: the trainer never waits for those who watch.
///
/// # Errors
/// When the system gives no thread.
pub fn start(
    job: Job,
    events: Sender<Event>,
    requests: Receiver<Request>,
) -> std::io::Result<JoinHandle<Outcome>> {
    Builder::new().name("trainer".to_owned()).spawn(move || {
        let finished = events.clone();
        let (outcome, global_step) = match run(job, events, requests) {
            Ok(end) => end,
            Err(message) => (Outcome::Failed { message }, 0),
        };
        // Nobody listening any more is no reason to fail.
        let _ = finished.send(Event::RunFinished {
            outcome: outcome.clone(),
            global_step,
        });
        outcome
    })
}

/// Trains to the end, or to the first failure: then what was learnt is saved.
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

/// A panic in words. libtorch's errors carry a C++ stack trace that helps nobody on a screen; log.txt has it.
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
    fn a_libtorch_panic_is_told_without_its_stack_trace() {
        let text = "called `Result::unwrap()` on an `Err` value: Torch(\"CUDA out of memory. Tried 2 GiB\\nException raised from malloc at /x.cpp\\nframe #0\")";
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
