//! Requests, carried out at a boundary.

use std::time::{Duration, Instant};

use super::super::control::Waited;
use super::{Flow, Trainer};
use crate::event::{CheckpointReason, Command, Phase, Request, check_epochs, check_lr};

/// How late a checkpoint written during a pause is told.
const LISTEN: Duration = Duration::from_millis(50);

/// Requests that are carried out later than they were read.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) stop: Option<Request>,
    pub(super) stop_after_epoch: Option<Request>,
    /// Evaluations that wait for the next step boundary.
    pub(super) evaluations: Vec<Request>,
    /// The run is paused.
    held: bool,
}

impl Trainer {
    /// Carries out what was asked since the last boundary. `within` is what the trainer is doing: an evaluation asked
    /// for while another is under way waits for the next step.
    pub(super) fn obey(&mut self, within: Phase) -> Flow {
        self.hear_saver();
        while let Some(request) = self.control.next(self.global_step) {
            if self.carry_out(request) == Flow::Stop {
                return Flow::Stop;
            }
        }
        if within == Phase::Training && !self.asked.evaluations.is_empty() {
            return self.evaluate_on_request();
        }
        Flow::Go
    }

    fn carry_out(&mut self, request: Request) -> Flow {
        let step = self.global_step;
        match request.command {
            Command::Pause if self.asked.held => {
                self.control.done(request, step, "was paused already");
            }
            Command::Pause => {
                self.control.done(request, step, format!("at step {step}"));
                return self.hold();
            }
            Command::Resume if self.asked.held => {
                self.asked.held = false;
                self.control.done(request, step, format!("at step {step}"));
            }
            Command::Resume => self.control.done(request, step, "was not paused"),
            Command::Evaluate => {
                self.detail = true;
                self.asked.evaluations.push(request);
            }
            Command::Checkpoint => self.checkpoint_on_request(request),
            Command::SetLearningRate { lr } => self.set_lr(request, lr),
            Command::SetEpochs { epochs } => self.set_epochs(request, epochs),
            Command::StopAfterEpoch => {
                if self.asked.stop_after_epoch.is_some() {
                    let reason = "asked for already: the run ends after this epoch";
                    self.control.refuse(request, step, reason);
                } else {
                    self.asked.stop_after_epoch = Some(request);
                }
            }
            Command::Stop => {
                self.asked.stop = Some(request);
                return Flow::Stop;
            }
        }
        Flow::Go
    }

    fn set_lr(&mut self, request: Request, lr: f64) {
        if let Err(reason) = check_lr(lr) {
            return self.control.refuse(request, self.global_step, reason);
        }
        // The steps so far had the old rate, and their window says so.
        self.close_window();
        self.lr = lr;
        let note = format!("base learning rate {lr:e}");
        self.control.done(request, self.global_step, note);
    }

    fn set_epochs(&mut self, request: Request, epochs: u32) {
        let step = self.global_step;
        if self.ending {
            return self.control.refuse(request, step, "all epochs are done");
        }
        if let Err(reason) = check_epochs(epochs, self.epoch) {
            return self.control.refuse(request, step, reason);
        }
        self.close_window();
        self.epochs = epochs;
        self.control.done(request, step, format!("{epochs} epochs"));
    }

    fn checkpoint_on_request(&mut self, request: Request) {
        self.close_window();
        self.save_beside(CheckpointReason::Requested, Some(request));
    }

    /// Holds until resumed or stopped. Everything else that is asked meanwhile is done while holding, an evaluation too
    /// where the pause came inside one: that one goes on afterwards.
    pub(super) fn hold(&mut self) -> Flow {
        self.close_window();
        let (before, began) = (self.phase, Instant::now());
        self.asked.held = true;
        self.say_phase(Phase::Paused);
        let mut flow = Flow::Go;
        while self.asked.held && flow == Flow::Go {
            // A checkpoint that was asked for is told when it is written, pause or not.
            self.hear_saver();
            let next = match self.control.wait(self.global_step, LISTEN) {
                Waited::For(next) => next,
                Waited::InVain => continue,
                // With nobody left who could ask, the pause could never end.
                Waited::ForNobody => break,
            };
            flow = self.carry_out(next);
            if flow == Flow::Go && !self.asked.evaluations.is_empty() {
                flow = self.evaluate_on_request();
            }
            if self.asked.held {
                self.say_phase(Phase::Paused);
            }
        }
        self.asked.held = false;
        self.paused += began.elapsed();
        self.say_phase(before);
        self.window.restart_clock();
        self.clock.skip();
        flow
    }

    fn evaluate_on_request(&mut self) -> Flow {
        self.close_window();
        let before = self.phase;
        let requests = std::mem::take(&mut self.asked.evaluations);
        let outcome = self.evaluate_now();
        self.window.restart_clock();
        self.clock.skip();
        let step = self.global_step;
        let Some(note) = outcome else {
            for request in requests {
                let reason = "stopped before it was done";
                self.control.refuse(request, step, reason);
            }
            return Flow::Stop;
        };
        for request in requests {
            self.control.done(request, step, note.clone());
        }
        self.say_phase(before);
        Flow::Go
    }
}
