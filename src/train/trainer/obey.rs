//! Requests, carried out at a boundary.

use std::time::Instant;

use super::super::control::{check_lr, ends_pause};
use super::{Flow, Trainer};
use crate::event::{CheckpointReason, Command, Phase, Request};

impl Trainer {
    /// Carries out what was asked since the last boundary. `within` is what the trainer is doing: an evaluation asked
    /// for while another is under way waits for the next step.
    pub(super) fn obey(&mut self, within: Phase) -> Result<Flow, String> {
        while let Some(request) = self.control.next(self.global_step) {
            if self.carry_out(request)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        if within == Phase::Training && !self.evaluations.is_empty() {
            return self.evaluate_on_request();
        }
        Ok(Flow::Go)
    }

    fn carry_out(&mut self, request: Request) -> Result<Flow, String> {
        let step = self.global_step;
        match request.command {
            Command::Pause => return self.hold(request),
            Command::Resume => self.control.done(request, step, "was not paused"),
            Command::Evaluate => self.evaluations.push(request),
            Command::Checkpoint => self.checkpoint_on_request(request),
            Command::SetLearningRate { lr } => match check_lr(lr) {
                Ok(()) => {
                    self.lr = lr;
                    self.control
                        .done(request, step, format!("base learning rate {lr:e}"));
                }
                Err(reason) => self.control.refuse(request, step, reason),
            },
            Command::SetEpochs { epochs } if epochs >= self.epoch.max(1) => {
                self.epochs = epochs;
                self.control.done(request, step, format!("{epochs} epochs"));
            }
            Command::SetEpochs { .. } => {
                self.control.refuse(
                    request,
                    step,
                    format!("epoch {} is under way already", self.epoch),
                );
            }
            Command::StopAfterEpoch => self.stop_after_epoch = Some(request),
            Command::Stop => {
                self.stop = Some(request);
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Go)
    }

    fn checkpoint_on_request(&mut self, request: Request) {
        self.close_window();
        match self.save(CheckpointReason::Requested) {
            Ok(path) => self.control.done(request, self.global_step, path),
            Err(error) => self.control.refuse(request, self.global_step, error),
        }
    }

    /// Holds until resumed or stopped. Everything else that is asked meanwhile is done while holding, but evaluations,
    /// which wait for the end of the pause where the trainer is inside one already.
    fn hold(&mut self, request: Request) -> Result<Flow, String> {
        self.close_window();
        let (before, began) = (self.phase, Instant::now());
        self.say_phase(Phase::Paused);
        self.control.done(request, self.global_step, "paused");
        let mut flow = Flow::Go;
        while let Some(next) = self.control.wait(self.global_step) {
            match next.command {
                Command::Pause => self
                    .control
                    .done(next, self.global_step, "was paused already"),
                Command::Resume => self.control.done(next, self.global_step, "resumed"),
                Command::Evaluate if before == Phase::Training => {
                    self.evaluations.push(next);
                    flow = self.evaluate_on_request()?;
                }
                _ => flow = self.carry_out(next)?,
            }
            if ends_pause(next.command) || flow == Flow::Stop {
                break;
            }
            self.say_phase(Phase::Paused);
        }
        self.paused += began.elapsed();
        self.say_phase(before);
        self.window.restart_clock();
        Ok(flow)
    }

    fn evaluate_on_request(&mut self) -> Result<Flow, String> {
        self.close_window();
        let requests = std::mem::take(&mut self.evaluations);
        let began = Instant::now();
        let outcome = self.evaluate_now()?;
        self.paused += began.elapsed();
        self.window.restart_clock();
        let Some(note) = outcome else {
            for request in requests {
                self.control
                    .refuse(request, self.global_step, "stopped before it was done");
            }
            return Ok(Flow::Stop);
        };
        for request in requests {
            self.control.done(request, self.global_step, note.clone());
        }
        self.say_phase(Phase::Training);
        Ok(Flow::Go)
    }
}
