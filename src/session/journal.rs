//! Reading `events.jsonl`, the journal of a run that has ended or is still going on.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::rundir::RunDir;
use crate::event::{Event, Record, Split};
use crate::files::open_read;
use crate::run::RunState;

/// A line longer than this is no record of ours.
pub(super) const LONGEST: u64 = 64 << 20;
/// More bad lines than this are not told one by one.
const PROBLEMS: usize = 20;

/// What a journal holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JournalState {
    /// All readable records, folded.
    pub state: RunState,
    /// Lines that are no records, with their number and the reason. A torn last line is no problem: the writer was stopped, or
    /// has not finished it yet.
    pub problems: Vec<String>,
}

/// Folds a journal.
///
/// # Errors
/// The path and why it cannot be read.
pub(super) fn read(path: &Path) -> io::Result<JournalState> {
    let mut found = JournalState::default();
    let given_up = given_up(path)?;
    found.problems = each(path, |record| {
        if is_live(record.seq, &given_up) {
            found.state.apply(record);
        } else if is_test(&record.event) {
            // Steps can be done again; what was seen of the test split cannot be unseen.
            found.state.test_looks = found.state.test_looks.saturating_add(1);
        }
    })?;
    Ok(found)
}

pub(super) fn is_test(event: &Event) -> bool {
    matches!(event, Event::EvalFinished(report) if report.split == Split::Test)
}

/// The stretches of a journal that tell of what was done again after a resume: records after the first number and before
/// the second.
pub(super) fn given_up(path: &Path) -> io::Result<Vec<(u64, u64)>> {
    let mut stretches = Vec::new();
    lines(path, |_, line, _| {
        // Most of a journal needs no parsing for this.
        if contains(line, b"\"event\":\"resumed\"")
            && let Ok(Record {
                seq,
                event: Event::Restored(resumed),
                ..
            }) = serde_json::from_slice(line)
        {
            stretches.push((resumed.after, seq));
        }
    })?;
    Ok(stretches)
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    // It stands near the beginning, behind two numbers.
    let head = line.get(..line.len().min(120)).unwrap_or_default();
    head.windows(part.len()).any(|window| window == part)
}

/// Whether a record still counts.
pub(super) fn is_live(seq: u64, given_up: &[(u64, u64)]) -> bool {
    !given_up
        .iter()
        .any(|&(after, before)| after < seq && seq < before)
}

/// Calls `take` with each record of a run that counts: those of steps that were done again after a resume do not.
///
/// # Errors
/// The path and why it cannot be read.
pub fn live_records(run: &RunDir, mut take: impl FnMut(&Record)) -> io::Result<()> {
    let path = run.journal();
    let given_up = given_up(&path)?;
    each(&path, |record| {
        if is_live(record.seq, &given_up) {
            take(record);
        }
    })?;
    Ok(())
}

/// Calls `take` with each record of a journal. Returns lines that were none, with their number and what was wrong.
pub(super) fn each(path: &Path, mut take: impl FnMut(&Record)) -> io::Result<Vec<String>> {
    let mut problems = Vec::new();
    lines(path, |number, line, whole| {
        match serde_json::from_slice::<Record>(line) {
            Ok(record) => take(&record),
            Err(_) if !whole && (line.len() as u64) < LONGEST => {}
            Err(_) if problems.len() >= PROBLEMS => {}
            Err(error) => {
                problems.push(format!("{}:{number}: no record: {error}", path.display()));
            }
        }
    })?;
    Ok(problems)
}

/// Calls `take` with the number of each line, the line, and whether it is whole.
fn lines(path: &Path, mut take: impl FnMut(u64, &[u8], bool)) -> io::Result<()> {
    let mut reader = BufReader::new(open_read(path)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = io::Read::take(&mut reader, LONGEST).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        take(number, &line, line.ends_with(b"\n"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use crate::event::{Level, Restoration};

    fn line(seq: u64) -> String {
        let event = Event::Log {
            level: Level::Info,
            text: format!("line {seq}"),
        };
        serde_json::to_string(&Record {
            seq,
            t_ms: seq,
            event,
        })
        .unwrap()
            + "\n"
    }

    #[test]
    fn a_torn_tail_costs_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let whole = line(1) + &line(2) + &line(3);
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let replay = read(&path).unwrap();
            assert!(
                replay.problems.is_empty(),
                "cut at {cut}: {:?}",
                replay.problems
            );
            assert!(replay.state.seq as usize >= whole[..cut].matches('\n').count());
        }
    }

    #[test]
    fn what_was_done_again_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let resumed = |seq, after| {
            let event = Event::Restored(Box::new(Restoration {
                after,
                ..Restoration::default()
            }));
            let record = Record {
                seq,
                t_ms: seq,
                event,
            };
            serde_json::to_string(&record).unwrap() + "\n"
        };
        // 3 and 4 are done again as 6; then all from 3 on once more, as 8.
        let once = (1..5).map(line).collect::<String>() + &resumed(5, 2) + &line(6);
        let twice = once.clone() + &resumed(7, 2) + &line(8);
        for (text, left) in [(once, vec![1, 2, 6]), (twice, vec![1, 2, 8])] {
            std::fs::write(&path, text).unwrap();
            let state = read(&path).unwrap().state;
            let told: Vec<String> = state.log.iter().map(|line| line.text.clone()).collect();
            let expected: Vec<String> = left.iter().map(|n| format!("line {n}")).collect();
            let told: Vec<&String> = told.iter().filter(|t| t.starts_with("line")).collect();
            assert_eq!(told, expected.iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn garbage_in_the_middle_is_named_and_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        std::fs::write(&path, line(1) + "not json\n" + &line(2)).unwrap();
        let replay = read(&path).unwrap();
        assert_eq!(replay.state.seq, 2);
        assert_eq!(replay.problems.len(), 1);
        assert!(replay.problems[0].contains(":2:"), "{:?}", replay.problems);
    }
}
