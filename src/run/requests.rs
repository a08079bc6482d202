//! What was asked of the run, by whom, and how far it has come.

use super::history::push_bounded;
use super::marks::MarkKind;
use super::parts::CommandLine;
use super::state::RunState;
use crate::event::{Answer, Command, F64};

/// Requests kept.
const COMMANDS: usize = 16;

impl RunState {
    /// Somebody asked. That may be told after the trainer has answered already.
    pub(super) fn asked(&mut self, id: u64, by: &str) {
        if let Some(known) = self.commands.iter_mut().find(|known| known.id == id) {
            known.by = Some(by.to_owned());
        }
        push_bounded(&mut self.askers, COMMANDS, (id, by.to_owned()));
    }

    /// The trainer has answered.
    pub(super) fn acknowledged(&mut self, mut line: CommandLine) {
        match &line.answer {
            Answer::Done { .. } => self.done(line.command, line.global_step),
            Answer::Accepted | Answer::Refused { .. } => {}
        }
        let asker = self.askers.iter().find(|(id, _)| *id == line.id);
        line.by = asker.map(|(_, by)| by.clone());
        if let Some(known) = self.commands.iter_mut().find(|known| known.id == line.id) {
            *known = line;
        } else {
            push_bounded(&mut self.commands, COMMANDS, line);
        }
    }
    /// Takes over what the trainer has changed on request.
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
            // What these change is told by events of their own.
            Command::Pause
            | Command::Resume
            | Command::Evaluate
            | Command::Checkpoint
            | Command::StopAfterEpoch
            | Command::Stop => return,
        };
        self.marks.push(global_step, kind);
    }
}
