//! Execution of requests at step and batch boundaries.

use std::time::Duration;

use super::super::control::WaitOutcome;
use super::{Flow, Trainer};
use crate::event::{CheckpointReason, Command, Phase, Request, Split, check_epochs, check_lr};
use crate::stopwatch::Moment;

/// Interval at which finished checkpoint writes are reported during a pause.
const LISTEN: Duration = Duration::from_millis(50);

/// Accepted requests that have not been executed yet, and whether the run is paused.
#[derive(Debug, Default)]
pub(super) struct PendingRequests {
    pub(super) stop: Option<Request>,
    pub(super) stop_after_epoch: Option<Request>,
    /// Evaluations to run at the next step boundary.
    pub(super) evaluations: Vec<Request>,
    /// Whether the run is paused.
    paused: bool,
}

impl Trainer {
    /// Executes the requests received since the last boundary. `within` is what the trainer is doing: an evaluation
    /// requested during another evaluation runs at the next step boundary.
    pub(super) fn handle_requests(&mut self, within: Phase) -> Flow {
        self.report_finished_saves();
        while let Some(request) = self.control.next(self.global_step) {
            if self.execute(request) == Flow::Stop {
                return Flow::Stop;
            }
        }
        if within == Phase::Training && !self.pending.evaluations.is_empty() {
            return self.evaluate_on_request();
        }
        Flow::Go
    }

    fn execute(&mut self, request: Request) -> Flow {
        let step = self.global_step;
        match request.command {
            Command::Pause if self.pending.paused => {
                self.control.done(request, step, "already paused");
            }
            Command::Pause => {
                self.control.done(request, step, format!("at step {step}"));
                return self.wait_while_paused();
            }
            Command::Resume if self.pending.paused => {
                self.pending.paused = false;
                self.control.done(request, step, format!("at step {step}"));
            }
            Command::Resume => self.control.done(request, step, "was not paused"),
            Command::Evaluate {
                split: Split::Train,
            } => {
                let reason = "only the validation and test splits are evaluated during training";
                self.control.refuse(request, step, reason);
            }
            Command::Evaluate { split: Split::Test } if self.test.is_empty() => {
                let reason = "the data have no test split: `evaluate` without --split test (key e) evaluates the validation \
                              split";
                self.control.refuse(request, step, reason);
            }
            Command::Evaluate { .. } | Command::EvaluateBoth => {
                self.detail = true;
                self.pending.evaluations.push(request);
            }
            Command::Checkpoint => self.checkpoint_on_request(request),
            Command::SetLearningRate { lr } => self.set_lr(request, lr),
            Command::SetEpochs { epochs } => self.set_epochs(request, epochs),
            Command::StopAfterEpoch => {
                if self.pending.stop_after_epoch.is_some() {
                    let reason = "already requested: the run ends after this epoch";
                    self.control.refuse(request, step, reason);
                } else {
                    self.pending.stop_after_epoch = Some(request);
                }
            }
            Command::CancelStopAfterEpoch => self.cancel_stop_after_epoch(request),
            Command::Stop => {
                self.pending.stop = Some(request);
                return Flow::Stop;
            }
        }
        Flow::Go
    }

    fn set_lr(&mut self, request: Request, lr: f64) {
        if let Err(reason) = check_lr(lr) {
            return self.control.refuse(request, self.global_step, reason);
        }
        // The window of the steps so far must be reported with the old rate.
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

    fn cancel_stop_after_epoch(&mut self, request: Request) {
        let step = self.global_step;
        let note = match self.pending.stop_after_epoch.take() {
            Some(pending) => {
                self.control.refuse(pending, step, "taken back");
                format!("the run does not stop after epoch {}", self.epoch)
            }
            None => "no stop was pending".to_owned(),
        };
        self.control.done(request, step, note);
    }

    fn checkpoint_on_request(&mut self, request: Request) {
        self.close_window();
        self.save_async(CheckpointReason::Requested, Some(request));
    }

    /// Waits until the run is resumed or stopped. All other requests are executed during the pause, including an
    /// evaluation if the run was paused within one; that one then continues after the pause.
    pub(super) fn wait_while_paused(&mut self) -> Flow {
        self.close_window();
        let (before, began) = (self.phase, Moment::now());
        self.pending.paused = true;
        self.set_phase(Phase::Paused);
        let mut flow = Flow::Go;
        while self.pending.paused && flow == Flow::Go {
            // A requested checkpoint is reported as soon as it is written, also during a pause.
            self.report_finished_saves();
            let next = match self.control.wait(self.global_step, LISTEN) {
                WaitOutcome::Received(next) => next,
                WaitOutcome::TimedOut => continue,
                // Without a sender no resume request can arrive, so the pause would never end.
                WaitOutcome::Disconnected => break,
            };
            flow = self.execute(next);
            if flow == Flow::Go && !self.pending.evaluations.is_empty() {
                flow = self.evaluate_on_request();
            }
            if self.pending.paused {
                self.set_phase(Phase::Paused);
            }
        }
        self.pending.paused = false;
        self.paused += began.elapsed();
        self.set_phase(before);
        self.window.restart_clock();
        self.clock.skip();
        flow
    }

    /// Executes the pending evaluations: first those of the validation split, which need no test images.
    fn evaluate_on_request(&mut self) -> Flow {
        self.close_window();
        let before = self.phase;
        let valid = Command::Evaluate {
            split: Split::Valid,
        };
        let requests = std::mem::take(&mut self.pending.evaluations).into_iter();
        let no_test = self.test.is_empty();
        let (valid, test) =
            requests.partition(|request: &Request| no_test || request.command == valid);
        let mut flow = self.evaluate_for(valid, Self::evaluate_valid);
        if flow == Flow::Go {
            flow = self.evaluate_for(test, Self::evaluate_test);
        } else {
            // Refused with all other pending requests.
            self.pending.evaluations.extend(test);
        }
        self.window.restart_clock();
        self.clock.skip();
        if flow == Flow::Go {
            self.set_phase(before);
        }
        flow
    }

    /// Evaluates once and answers all `requests` with the note of the evaluation. Does nothing without requests.
    fn evaluate_for(
        &mut self,
        requests: Vec<Request>,
        evaluate: fn(&mut Self) -> Option<String>,
    ) -> Flow {
        if requests.is_empty() {
            return Flow::Go;
        }
        let note = evaluate(self);
        let step = self.global_step;
        for request in requests {
            if let Some(note) = &note {
                self.control.done(request, step, note.clone());
            } else {
                let reason = "the run was stopped before it finished";
                self.control.refuse(request, step, reason);
            }
        }
        if note.is_some() { Flow::Go } else { Flow::Stop }
    }
}
