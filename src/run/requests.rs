//! Requests to the run, their requesters and their status.

use super::history::push_bounded;
use super::marks::MarkKind;
use super::parts::CommandLine;
use super::state::RunState;
use crate::event::{Answer, Command, F64, Restoration};

/// Greatest number of retained requests.
const COMMANDS: usize = 16;

impl RunState {
    /// Records the requester of a request. This record can arrive after the trainer's answer.
    pub(super) fn asked(&mut self, id: u64, by: &str) {
        if let Some(known) = self.commands.iter_mut().find(|known| known.id == id) {
            known.by = Some(by.to_owned());
        }
        push_bounded(&mut self.askers, COMMANDS, (id, by.to_owned()));
    }

    /// Records the trainer's answer to a request.
    pub(super) fn acknowledged(&mut self, mut line: CommandLine) {
        match &line.answer {
            Answer::Accepted if line.command == Command::StopAfterEpoch => {
                // A second request is refused while the first one is pending.
                self.stop_after_epoch.get_or_insert(line.id);
            }
            Answer::Done { .. } => self.done(line.command, line.global_step),
            Answer::Accepted | Answer::Refused { .. } => {}
        }
        if line.answer != Answer::Accepted && self.stop_after_epoch == Some(line.id) {
            self.stop_after_epoch = None;
        }
        let requester = self.askers.iter().find(|(id, _)| *id == line.id);
        line.by = requester.map(|(_, by)| by.clone());
        if let Some(known) = self.commands.iter_mut().find(|known| known.id == line.id) {
            *known = line;
        } else {
            push_bounded(&mut self.commands, COMMANDS, line);
        }
    }

    /// Answers the pending requests of a run that was restored from a checkpoint.
    pub(super) fn answer_after(&mut self, restoration: &Restoration) {
        for line in &mut self.commands {
            if line.answer == Answer::Accepted {
                line.answer = answer_of(restoration, line);
            }
        }
    }

    /// Updates the state for a command that the trainer has completed.
    fn done(&mut self, command: Command, global_step: u64) {
        let kind = match command {
            Command::SetEpochs { epochs } => {
                self.epochs = epochs;
                MarkKind::Epochs { epochs }
            }
            Command::SetLearningRate { lr } => {
                self.base_lr = Some(F64(lr));
                MarkKind::LearningRate { lr: F64(lr) }
            }
            // The effects of these are reported by separate events.
            Command::Pause
            | Command::Resume
            | Command::Evaluate { .. }
            | Command::EvaluateBoth
            | Command::Checkpoint
            | Command::StopAfterEpoch
            | Command::CancelStopAfterEpoch
            | Command::Stop => return,
        };
        self.marks.push(global_step, kind);
    }
}

/// The answer to a request that was accepted before a checkpoint and had no answer there, after the run was restored
/// from that checkpoint.
fn answer_of(restoration: &Restoration, line: &CommandLine) -> Answer {
    let mut answers = restoration.answers.iter();
    if let Some((_, answer)) = answers.find(|(id, _)| *id == line.id) {
        return answer.clone();
    }
    // Journals of earlier versions have no answers, but the checkpoint exists.
    if line.command == Command::Checkpoint
        && line.global_step == restoration.global_step
        && !restoration.starts_over()
    {
        let note = restoration.checkpoint.clone();
        return Answer::Done { note };
    }
    let reason = "the process ended before the command was done".to_owned();
    Answer::Refused { reason }
}
