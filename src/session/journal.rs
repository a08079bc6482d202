//! Reading `events.jsonl`: the story of a run that ended, or of one still going on.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use crossbeam_channel::bounded;
use fs_err::File;

use crate::event::Record;
use crate::link::{Feed, Link};
use crate::run::RunState;

/// A line longer than this is no record of ours.
const LONGEST: u64 = 64 << 20;
/// More bad lines than this are not told one by one.
const PROBLEMS: usize = 20;

/// What a journal told.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Replay {
    /// All readable records, folded.
    pub state: RunState,
    /// Lines that were no records, with their number and what was wrong. A torn last line is no problem: the writer
    /// was stopped, or has not finished it yet.
    pub problems: Vec<String>,
}

/// Folds a journal.
///
/// # Errors
/// The path and why it cannot be read.
pub(super) fn read(path: &Path) -> io::Result<Replay> {
    let file = File::open(path)?;
    let mut reader = BufReader::new(file);
    let mut replay = Replay::default();
    let mut number = 0_u64;
    loop {
        let mut line = Vec::new();
        let read = io::Read::take(&mut reader, LONGEST).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(replay);
        }
        number += 1;
        let whole = line.ends_with(b"\n");
        match serde_json::from_slice::<Record>(&line) {
            Ok(record) => replay.state.apply(&record),
            Err(_) if !whole && (line.len() as u64) < LONGEST => return Ok(replay),
            Err(_) if replay.problems.len() >= PROBLEMS => {}
            Err(error) => replay
                .problems
                .push(format!("{}:{number}: no record: {error}", path.display())),
        }
    }
}

/// A journal's last picture as a link, so that the screen shows it like a run.
pub fn replay(path: &Path) -> io::Result<(Link, Replay)> {
    let replay = read(path)?;
    let (sender, feed) = bounded(1);
    let _ = sender.send(Feed::Snapshot(Box::new(replay.state.clone())));
    Ok((
        Link {
            requests: None,
            feed,
        },
        replay,
    ))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use crate::event::{Event, Level};

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
