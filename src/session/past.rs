//! What a journal tells of the time before a checkpoint, for a run that goes on from there.

use std::io;

use super::journal::{each, given_up, is_live};
use super::rundir::RunDir;
use crate::event::{Event, Record};
use crate::run::RunState;

/// A run's story up to a checkpoint.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Past {
    /// The picture at that moment.
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

/// Where the story of a checkpoint ends: at its mark, or at the last record that tells of its steps.
fn end(run: &RunDir, mark: u64, global_step: u64) -> io::Result<Past> {
    let path = run.journal();
    let given_up = given_up(&path)?;
    let (mut marked, mut before, mut reached, mut last) = (None, 0, 0, 0);
    let mut beyond = false;
    each(&path, |record| {
        last = last.max(record.seq);
        if !is_live(record.seq, &given_up) {
            return;
        }
        let step = match &record.event {
            Event::Marked { mark: own } if *own == mark => {
                marked = Some(record.seq);
                None
            }
            Event::Steps(window) => Some(window.global_step),
            Event::EpochFinished(row) => Some(row.global_step),
            _ => None,
        };
        reached = step.unwrap_or(0).max(reached);
        beyond |= step.is_some_and(|step| step > global_step);
        if !beyond {
            before = record.seq;
        }
    })?;
    Ok(Past {
        after: marked.unwrap_or(before),
        redone: reached.saturating_sub(global_step),
        last,
        torn: marked.is_none(),
        ..Past::default()
    })
}

/// The story up to the checkpoint with this mark; `take` is given each of its records.
///
/// # Errors
/// The path and why it cannot be read.
pub fn past(
    run: &RunDir,
    (mark, global_step): (u64, u64),
    mut take: impl FnMut(&Record),
) -> io::Result<Past> {
    let mut past = end(run, mark, global_step)?;
    let mut given_up = given_up(&run.journal())?;
    given_up.push((past.after, u64::MAX));
    let mut state = RunState::default();
    each(&run.journal(), |record| {
        if is_live(record.seq, &given_up) {
            state.apply(record);
            take(record);
        } else if super::journal::is_test(&record.event) {
            state.test_looks = state.test_looks.saturating_add(1);
        }
    })?;
    // The next record's number follows on the last one's, whether that counts or not.
    state.seq = past.last;
    past.state = state;
    Ok(past)
}
