//! Reads the part of a journal up to a checkpoint, to restore a run from it.

use std::io;

use super::journal::{discarded_ranges, each, is_live, is_test};
use super::rundir::RunDir;
use crate::event::{Event, Record};
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
    /// Whether the journal has no mark of this checkpoint, because the end of the journal was lost.
    pub torn: bool,
}

/// The position of a checkpoint in its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    let mut prefix = end(run, at)?;
    let mut discarded = discarded_ranges(&run.journal())?;
    discarded.push((prefix.after, u64::MAX));
    let mut state = RunState::default();
    each(&run.journal(), |record| {
        if is_live(record.seq, &discarded) {
            state.apply(record);
            take(record);
        } else if is_test(&record.event) {
            state.test_looks = state.test_looks.saturating_add(1);
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
    use crate::event::{EpochSummary, StepWindow};

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
    fn without_a_mark_prefix_ends_before_the_first_later_record() {
        let (_runs, run) = run(vec![steps(3), row(3), steps(6)]);
        let known = prefix(&run, at(7, 3, true), |_| {}).unwrap();
        assert_eq!((known.after, known.torn), (2, true));
        let unknown = prefix(&run, at(7, 3, false), |_| {}).unwrap();
        assert_eq!(unknown.after, 1, "the epoch's validation will be repeated");
    }
}
