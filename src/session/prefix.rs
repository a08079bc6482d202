//! The part of a journal up to a checkpoint, for a run that is restored from there.

use std::io;

use super::journal::{each, given_up, is_live, is_test};
use super::rundir::RunDir;
use crate::event::{Event, Record};
use crate::run::RunState;

/// The part of a journal up to a checkpoint.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prefix {
    /// The state at that moment.
    pub state: RunState,
    /// Number of the record that marks it.
    pub after: u64,
    /// Steps that were done later and will be done again.
    pub redone: u64,
    /// Records of the journal, whether they count or not.
    pub last: u64,
    /// The journal has no mark of this checkpoint: its end is missing, and what there is ends before.
    pub torn: bool,
}

/// The moment of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The number of its save.
    pub mark: u64,
    /// Steps done.
    pub global_step: u64,
    /// Whether the epoch's validation had been made.
    pub epoch_done: bool,
}

/// Where the part of a checkpoint ends: at its mark, or at the last record that is not of a later step.
fn end(run: &RunDir, at: Moment) -> io::Result<Prefix> {
    let path = run.journal();
    let given_up = given_up(&path)?;
    let (mut marked, mut before, mut reached, mut last) = (None, 0, 0, 0);
    let mut beyond = false;
    each(&path, |record| {
        last = last.max(record.seq);
        if !is_live(record.seq, &given_up) {
            return;
        }
        if matches!(record.event, Event::Marked { mark } if mark == at.mark) {
            marked = Some(record.seq);
        }
        let step = match &record.event {
            Event::Steps(window) => Some(window.global_step),
            Event::EpochFinished(row) => {
                // An epoch's row that the checkpoint does not know of will be told again.
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
    Ok(Prefix {
        after: marked.unwrap_or(before),
        redone: reached.saturating_sub(at.global_step),
        last,
        torn: marked.is_none(),
        ..Prefix::default()
    })
}

/// The part up to the checkpoint with this mark; `take` is given each of its records that count.
///
/// # Errors
/// The path and why it cannot be read.
pub fn prefix(run: &RunDir, at: Moment, mut take: impl FnMut(&Record)) -> io::Result<Prefix> {
    let mut prefix = end(run, at)?;
    let mut given_up = given_up(&run.journal())?;
    given_up.push((prefix.after, u64::MAX));
    let mut state = RunState::default();
    each(&run.journal(), |record| {
        if is_live(record.seq, &given_up) {
            state.apply(record);
            take(record);
        } else if is_test(&record.event) {
            state.test_looks = state.test_looks.saturating_add(1);
        }
    })?;
    // The next record's number follows on the last one's, whether that counts or not.
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

    /// A journal of these events.
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

    fn at(mark: u64, global_step: u64, epoch_done: bool) -> Moment {
        Moment {
            mark,
            global_step,
            epoch_done,
        }
    }

    #[test]
    fn the_story_ends_at_the_mark_of_the_checkpoint() {
        let mark = |mark| Event::Marked { mark };
        let (_runs, run) = run(vec![steps(3), mark(1), steps(6), mark(2), steps(9)]);
        let mut told = 0;
        let prefix = prefix(&run, at(1, 3, false), |_| told += 1).unwrap();
        assert_eq!(
            (prefix.after, prefix.redone, prefix.last, told),
            (2, 6, 5, 2)
        );
        assert_eq!((prefix.state.global_step, prefix.state.seq), (3, 5));
        assert!(!prefix.torn);
    }

    #[test]
    fn without_its_mark_it_ends_before_the_first_record_that_goes_beyond() {
        let (_runs, run) = run(vec![steps(3), row(3), steps(6)]);
        let known = prefix(&run, at(7, 3, true), |_| {}).unwrap();
        assert_eq!((known.after, known.torn), (2, true));
        let unknown = prefix(&run, at(7, 3, false), |_| {}).unwrap();
        assert_eq!(unknown.after, 1, "the row is told again");
    }
}
