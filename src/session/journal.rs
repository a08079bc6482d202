//! Reads `events.jsonl`, the journal of a run. The run may have ended or may still be running.

use std::io::{self, BufReader};
use std::path::Path;

use super::rundir::{JOURNAL, RunDir};
use crate::event::{Event, Record, Split};
use crate::files::{open_read, read_line};
use crate::limits::JOURNAL_LINE;
use crate::run::RunState;

/// The maximum number of invalid lines that are reported.
const PROBLEMS: usize = 20;

/// The state and the errors from reading a journal.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JournalState {
    /// The state after all valid records.
    pub state: RunState,
    /// An error message with line number for each invalid line (at most 20). An incomplete last line is not an error:
    /// the writer was killed or is still writing it.
    pub problems: Vec<String>,
}

/// Appends a record as a line to `out`.
///
/// # Errors
/// `InvalidData` if readers would refuse the line because it is too long.
pub(super) fn write_line(record: &Record, out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    serde_json::to_writer(&mut *out, record)?;
    out.push(b'\n');
    let bytes = out.len() - start;
    if bytes as u64 > JOURNAL_LINE {
        let what = format!(
            "record {} has {bytes} bytes; a line of {JOURNAL} has at most {JOURNAL_LINE}",
            record.seq
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(())
}

/// Reads a journal and applies its valid records to a state.
///
/// # Errors
/// An I/O error that names the path.
pub(super) fn read(path: &Path) -> io::Result<JournalState> {
    let mut journal = JournalState::default();
    let discarded = discarded_ranges(path)?;
    journal.problems = each(path, |record| {
        if is_live(record.seq, &discarded) {
            journal.state.apply(record);
        } else if is_test(&record.event) {
            // Test-set evaluations still count after the steps before them were discarded: repeated use biases the
            // result.
            journal.state.test_evaluations = journal.state.test_evaluations.saturating_add(1);
        }
    })?;
    Ok(journal)
}

/// Whether the event is a test-set evaluation.
pub(super) fn is_test(event: &Event) -> bool {
    matches!(event, Event::EvalFinished(report) if report.split == Split::Test)
}

/// The ranges of records that were discarded by restoring an earlier checkpoint. Each range `(after, before)` excludes
/// both ends.
pub(super) fn discarded_ranges(path: &Path) -> io::Result<Vec<(u64, u64)>> {
    let mut ranges = Vec::new();
    lines(path, |_, line, _| {
        // Avoids parsing all other lines.
        if contains(line, b"\"event\":\"resumed\"")
            && let Ok(Record {
                seq,
                event: Event::Restored(resumed),
                ..
            }) = serde_json::from_slice(line)
        {
            ranges.push((resumed.after, seq));
        }
    })?;
    Ok(ranges)
}

/// Whether the first 120 bytes of the line contain `part`.
fn contains(line: &[u8], part: &[u8]) -> bool {
    // The event name follows two numbers, so it is near the start of the line.
    let head = line.get(..line.len().min(120)).unwrap_or_default();
    head.windows(part.len()).any(|window| window == part)
}

/// Whether a record is valid, that is, in none of the discarded ranges.
pub(super) fn is_live(seq: u64, discarded: &[(u64, u64)]) -> bool {
    !discarded
        .iter()
        .any(|&(after, before)| after < seq && seq < before)
}

/// Calls `take` with each valid record of a run. Records that were discarded by restoring an earlier checkpoint are
/// skipped.
///
/// # Errors
/// An I/O error that names the path.
pub fn live_records(run: &RunDir, mut take: impl FnMut(&Record)) -> io::Result<()> {
    let path = run.journal();
    let discarded = discarded_ranges(&path)?;
    each(&path, |record| {
        if is_live(record.seq, &discarded) {
            take(record);
        }
    })?;
    Ok(())
}

/// Calls `take` with each record of a journal. Returns an error message with line number for each invalid line.
pub(super) fn each(path: &Path, mut take: impl FnMut(&Record)) -> io::Result<Vec<String>> {
    let mut problems = Vec::new();
    lines(path, |number, line, complete| {
        let too_long = !complete && line.len() as u64 == JOURNAL_LINE;
        let what = match serde_json::from_slice::<Record>(line) {
            Ok(record) => return take(&record),
            Err(_) if problems.len() >= PROBLEMS => return,
            Err(_) if too_long => format!("longer than {JOURNAL_LINE} bytes: skipped"),
            Err(_) if !complete => return,
            Err(error) => format!("not a record: {error}"),
        };
        problems.push(format!("{}:{number}: {what}", path.display()));
    })?;
    Ok(problems)
}

/// Calls `take` with the number of each line, the line, and whether it is complete (ends with a newline). Of a line that
/// is too long only the beginning is read.
fn lines(path: &Path, mut take: impl FnMut(u64, &[u8], bool)) -> io::Result<()> {
    let mut reader = BufReader::new(open_read(path)?);
    let mut line = Vec::new();
    for number in 1.. {
        let read = read_line(&mut reader, JOURNAL_LINE, &mut line).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("{}:{number}: {error}", path.display()),
            )
        })?;
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
            run_ms: None,
            event,
        })
        .unwrap()
            + "\n"
    }

    #[test]
    fn incomplete_last_line_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let text = line(1) + &line(2) + &line(3);
        for cut in 0..=text.len() {
            std::fs::write(&path, &text[..cut]).unwrap();
            let replay = read(&path).unwrap();
            assert!(
                replay.problems.is_empty(),
                "cut at {cut}: {:?}",
                replay.problems
            );
            assert!(replay.state.seq as usize >= text[..cut].matches('\n').count());
        }
    }

    #[test]
    fn repeated_steps_count_once() {
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
                run_ms: None,
                event,
            };
            serde_json::to_string(&record).unwrap() + "\n"
        };
        // Records 3 and 4 are repeated as 6, then everything after 2 is repeated as 8.
        let once = (1..5).map(line).collect::<String>() + &resumed(5, 2) + &line(6);
        let twice = once.clone() + &resumed(7, 2) + &line(8);
        for (text, left) in [(once, vec![1, 2, 6]), (twice, vec![1, 2, 8])] {
            std::fs::write(&path, text).unwrap();
            let state = read(&path).unwrap().state;
            let logged: Vec<String> = state.log.iter().map(|line| line.text.clone()).collect();
            let expected: Vec<String> = left.iter().map(|n| format!("line {n}")).collect();
            let logged: Vec<&String> = logged.iter().filter(|t| t.starts_with("line")).collect();
            assert_eq!(logged, expected.iter().collect::<Vec<_>>());
        }
    }

    /// Regression test: the images of a gallery made a line that no reader took, in several pieces.
    #[test]
    fn a_line_that_readers_refuse_is_not_written_and_an_old_one_is_skipped() {
        let text = |bytes: usize| Record {
            seq: 2,
            t_ms: 1,
            run_ms: None,
            event: Event::Log {
                level: Level::Info,
                text: "x".repeat(bytes),
            },
        };
        let mut out = Vec::new();
        let error = write_line(&text(JOURNAL_LINE as usize), &mut out).unwrap_err();
        assert!(error.to_string().contains("67108864"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let long = "x".repeat(2 * JOURNAL_LINE as usize + 5);
        std::fs::write(&path, line(1) + &long + "\n" + &line(3)).unwrap();
        let replay = read(&path).unwrap();
        assert_eq!(replay.state.seq, 3);
        let [problem] = replay.problems.as_slice() else {
            panic!("{:?}", replay.problems)
        };
        assert!(problem.contains(":2: longer than"), "{problem}");
    }

    #[test]
    fn invalid_line_is_reported_and_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        std::fs::write(&path, line(1) + "not json\n" + &line(2)).unwrap();
        let replay = read(&path).unwrap();
        assert_eq!(replay.state.seq, 2);
        assert_eq!(replay.problems.len(), 1);
        assert!(replay.problems[0].contains(":2:"), "{:?}", replay.problems);
    }
}
