//! Reads the part of a journal up to a checkpoint, to restore a run from it.

use std::io;

use super::journal::{discarded_ranges, each, is_live, is_test};
use super::rundir::RunDir;
use crate::event::{Answer, Event, Record};
use crate::run::RunState;

/// The part of a journal up to a checkpoint.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JournalPrefix {
    /// The state at the checkpoint.
    pub state: RunState,
    /// The number of the last record of this part.
    pub after: u64,
    /// The number of later steps, which will be repeated.
    pub redone: u64,
    /// The number of the last record in the journal.
    pub last: u64,
    /// The answers to requests in the records after this part, by id.
    pub answers: Vec<(u64, Answer)>,
    /// Whether the journal has no mark of this checkpoint, because the end of the journal was lost.
    pub torn: bool,
}

/// The position of a checkpoint in its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckpointPosition {
    /// The number of its mark in the journal.
    pub mark: u64,
    /// The number of training steps.
    pub global_step: u64,
    /// Whether the epoch's validation had been completed.
    pub epoch_done: bool,
}

/// Finds the end of the part up to a checkpoint: its mark, or else the last record before any of a later step. The
/// state is left empty.
fn end(run: &RunDir, at: CheckpointPosition) -> io::Result<JournalPrefix> {
    let path = run.journal();
    let discarded = discarded_ranges(&path)?;
    let (mut marked, mut before, mut reached, mut last) = (None, 0, 0, 0);
    let mut beyond = false;
    each(&path, |record| {
        last = last.max(record.seq);
        if !is_live(record.seq, &discarded) {
            return;
        }
        if matches!(record.event, Event::Marked { mark } if mark == at.mark) {
            marked = Some(record.seq);
        }
        let step = match &record.event {
            Event::Steps(window) => Some(window.global_step),
            Event::EpochFinished(row) => {
                // The epoch's validation came after the checkpoint, so it will be repeated.
                beyond |= row.global_step == at.global_step && !at.epoch_done;
                Some(row.global_step)
            }
            _ => None,
        };
        reached = step.unwrap_or(0).max(reached);
        beyond |= step.is_some_and(|step| step > at.global_step);
        if !beyond {
            before = record.seq;
        }
    })?;
    Ok(JournalPrefix {
        after: marked.unwrap_or(before),
        redone: reached.saturating_sub(at.global_step),
        last,
        torn: marked.is_none(),
        ..JournalPrefix::default()
    })
}

/// Reads the part of a journal up to a checkpoint. `take` is called with each of its valid records.
///
/// # Errors
/// An I/O error that names the path.
pub fn prefix(
    run: &RunDir,
    at: CheckpointPosition,
    mut take: impl FnMut(&Record),
) -> io::Result<JournalPrefix> {
    read_to(run, end(run, at)?, &mut take)
}

/// Reads a journal of which nothing is used, because its run has no checkpoint and starts over.
///
/// # Errors
/// An I/O error that names the path.
pub fn nothing(run: &RunDir) -> io::Result<JournalPrefix> {
    let whole = end(run, CheckpointPosition::default())?;
    let nothing = JournalPrefix {
        after: 0,
        torn: false,
        ..whole
    };
    read_to(run, nothing, &mut |_| {})
}

fn read_to(
    run: &RunDir,
    mut prefix: JournalPrefix,
    take: &mut dyn FnMut(&Record),
) -> io::Result<JournalPrefix> {
    let earlier = discarded_ranges(&run.journal())?;
    let mut discarded = earlier.clone();
    discarded.push((prefix.after, u64::MAX));
    let mut state = RunState::default();
    each(&run.journal(), |record| {
        if is_live(record.seq, &discarded) {
            state.apply(record);
            take(record);
        } else if is_test(&record.event) {
            state.test_evaluations = state.test_evaluations.saturating_add(1);
        } else if let Event::Acknowledged { id, answer, .. } = &record.event
            && *answer != Answer::Accepted
            && is_live(record.seq, &earlier)
        {
            prefix.answers.push((*id, answer.clone()));
        }
    })?;
    // Numbering continues after the last record, even if that record is discarded.
    state.seq = prefix.last;
    prefix.state = state;
    Ok(prefix)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::super::{Meta, RunFiles, Session};
    use super::*;
    use crate::event::{Command, EpochSummary, Restoration, Split, StepWindow};

    fn steps(global_step: u64) -> Event {
        Event::Steps(StepWindow {
            global_step,
            ..StepWindow::default()
        })
    }

    fn row(global_step: u64) -> Event {
        Event::EpochFinished(EpochSummary {
            global_step,
            ..EpochSummary::default()
        })
    }

    /// A run directory whose journal has these events.
    fn run(events: Vec<Event>) -> (tempfile::TempDir, RunDir) {
        let runs = tempfile::tempdir().unwrap();
        let run = RunDir::create(runs.path(), "one", "").unwrap();
        let files = RunFiles::create(&run.path, Meta::default()).unwrap();
        let (session, (sender, _requests)) = Session::start(Some(files)).unwrap();
        for event in events {
            sender.send(event).unwrap();
        }
        drop(sender);
        session.join();
        (runs, run)
    }

    fn at(mark: u64, global_step: u64, epoch_done: bool) -> CheckpointPosition {
        CheckpointPosition {
            mark,
            global_step,
            epoch_done,
        }
    }

    #[test]
    fn prefix_ends_at_the_mark_of_the_checkpoint() {
        let mark = |mark| Event::Marked { mark };
        let (_runs, run) = run(vec![steps(3), mark(1), steps(6), mark(2), steps(9)]);
        let mut count = 0;
        let prefix = prefix(&run, at(1, 3, false), |_| count += 1).unwrap();
        assert_eq!(
            (prefix.after, prefix.redone, prefix.last, count),
            (2, 6, 5, 2)
        );
        assert_eq!((prefix.state.global_step, prefix.state.seq), (3, 5));
        assert!(!prefix.torn);
    }

    #[test]
    fn request_that_was_done_stays_done_when_its_answer_is_discarded() {
        let saved = || Answer::Done {
            note: "checkpoints/step-000000003".to_owned(),
        };
        let acknowledged = |id, command, answer| Event::Acknowledged {
            id,
            command,
            answer,
            global_step: 3,
        };
        let (_runs, run) = run(vec![
            steps(3),
            acknowledged(1, Command::Checkpoint, Answer::Accepted),
            acknowledged(
                2,
                Command::Evaluate {
                    split: Split::Valid,
                },
                Answer::Accepted,
            ),
            acknowledged(3, Command::StopAfterEpoch, Answer::Accepted),
            Event::Marked { mark: 1 },
            acknowledged(1, Command::Checkpoint, saved()),
            acknowledged(3, Command::StopAfterEpoch, saved()),
        ]);
        let prefix = prefix(&run, at(1, 3, false), |_| {}).unwrap();
        assert_eq!(prefix.answers, [(1, saved()), (3, saved())]);
        let restored = |answers| Restoration {
            after: prefix.after,
            checkpoint: "checkpoints/step-000000003".to_owned(),
            global_step: 3,
            answers,
            ..Restoration::default()
        };
        let answers = |restoration| {
            let mut state = prefix.state.clone();
            state.apply(&Record {
                seq: prefix.last + 1,
                t_ms: 1,
                run_ms: None,
                event: Event::Restored(Box::new(restoration)),
            });
            let lines = state.commands.iter();
            lines.map(|line| line.answer.clone()).collect::<Vec<_>>()
        };
        let [one, two, three] = answers(restored(prefix.answers.clone()))
            .try_into()
            .unwrap();
        assert_eq!((one, three), (saved(), saved()));
        assert!(matches!(two, Answer::Refused { .. }), "{two:?}");
        // Earlier versions did not record the answers: the checkpoint is the proof.
        assert_eq!(answers(restored(Vec::new()))[0], saved());
    }

    #[test]
    fn run_that_starts_over_discards_every_record_but_keeps_their_numbers() {
        let (_runs, run) = run(vec![steps(3), Event::Marked { mark: 1 }, steps(6)]);
        let nothing = nothing(&run).unwrap();
        assert_eq!((nothing.after, nothing.redone, nothing.last), (0, 6, 3));
        assert_eq!((nothing.state.global_step, nothing.state.seq), (0, 3));
    }

    #[test]
    fn without_a_mark_prefix_ends_before_the_first_later_record() {
        let (_runs, run) = run(vec![steps(3), row(3), steps(6)]);
        let known = prefix(&run, at(7, 3, true), |_| {}).unwrap();
        assert_eq!((known.after, known.torn), (2, true));
        let unknown = prefix(&run, at(7, 3, false), |_| {}).unwrap();
        assert_eq!(unknown.after, 1, "the epoch's validation will be repeated");
    }
}
