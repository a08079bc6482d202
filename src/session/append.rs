//! Appends records to the journal of a run that has ended, for example the result of a later evaluation.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::clock::now_ms;
use super::epochs_csv;
use super::journal::{read, write_line};
use super::journal_prefix::CheckpointPosition;
use super::rundir::{JOURNAL, RunDir};
use super::writer::LockedJournal;
use crate::event::{Event, Record};
use crate::fault;
use crate::files::Dir;

/// A journal locked for writing: no other process can write to it while this value exists.
#[derive(Debug)]
pub struct Journal {
    held: LockedJournal,
    seq: u64,
    test_evaluations: u64,
    saved: bool,
    /// The time of the run at its end.
    run_ms: u64,
}

impl Journal {
    /// Locks the journal of a run for writing.
    ///
    /// # Errors
    /// `WouldBlock` if another process is training or evaluating the run or may be, or an I/O error.
    pub fn take(run: &RunDir) -> io::Result<Self> {
        Self::take_with(run, false)
    }

    /// As [`Self::take`]; with `take_over`, also if it cannot be determined whether another process writes to the run.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn take_with(run: &RunDir, take_over: bool) -> io::Result<Self> {
        let held = LockedJournal::open(run, take_over)?;
        let state = read(&run.journal())?.state;
        Ok(Self {
            seq: state.seq,
            test_evaluations: state.test_evaluations,
            saved: state.checkpoint.is_some(),
            run_ms: state.run_ms(),
            held,
        })
    }

    /// The run directory.
    pub fn dir(&self) -> &Dir {
        &self.held.dir
    }

    /// How often the run had been evaluated on its test set when the journal was locked.
    pub fn test_evaluations(&self) -> u64 {
        self.test_evaluations
    }

    /// Whether the run had saved a checkpoint when the journal was locked.
    pub fn has_checkpoint(&self) -> bool {
        self.saved
    }

    /// Appends the event as a record, one JSON line, and flushes it to the disk.
    ///
    /// # Errors
    /// An I/O error of the journal.
    pub fn append(&mut self, event: Event) -> io::Result<()> {
        let record = Record {
            seq: self.seq.saturating_add(1),
            t_ms: now_ms(),
            run_ms: Some(self.run_ms),
            event,
        };
        self.held.renew()?;
        let mut line = Vec::new();
        if self.is_torn()? {
            // If a killed writer left an incomplete last line, this record must start on a new line.
            line.push(b'\n');
        }
        write_line(&record, &mut line)?;
        fault::before_file(JOURNAL)?;
        self.held.file.write_all(&line)?;
        self.held.file.sync_data()?;
        self.seq += 1;
        Ok(())
    }

    /// Rewrites `epochs.csv`, if it lacks rows of these events. Returns whether it did.
    ///
    /// # Errors
    /// An I/O error that names the path.
    pub fn rebuild_epochs(&self, events: &[Event]) -> io::Result<bool> {
        let all = CheckpointPosition {
            mark: u64::MAX,
            global_step: u64::MAX,
            epoch_done: true,
        };
        epochs_csv::rebuild(&self.held.dir, events.iter(), all)
    }

    /// Returns the locked journal and whether its last line is incomplete.
    pub(super) fn into_locked(mut self) -> io::Result<(LockedJournal, bool)> {
        let torn = self.is_torn()?;
        Ok((self.held, torn))
    }

    fn is_torn(&mut self) -> io::Result<bool> {
        if self.held.file.metadata()?.len() == 0 {
            return Ok(false);
        }
        let mut last = [0];
        self.held.file.seek(SeekFrom::End(-1))?;
        self.held.file.read_exact(&mut last)?;
        Ok(last != *b"\n")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use crate::event::Level;

    fn log(text: &str) -> Event {
        Event::Log {
            level: Level::Info,
            text: text.to_owned(),
        }
    }

    #[test]
    fn append_continues_a_journal_with_an_incomplete_last_line() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunDir::create(runs.path(), "one", "").unwrap();
        let first = serde_json::to_string(&Record {
            seq: 1,
            t_ms: 1,
            run_ms: None,
            event: log("a"),
        })
        .unwrap();
        std::fs::write(run.journal(), format!("{first}\n{{\"seq\":2,\"t_m")).unwrap();
        let mut journal = Journal::take(&run).unwrap();
        journal.append(log("b")).unwrap();
        journal.append(log("c")).unwrap();
        let replay = read(&run.journal()).unwrap();
        assert_eq!((replay.state.seq, replay.state.log.len()), (3, 3));
    }

    #[test]
    fn a_locked_journal_cannot_be_taken() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunDir::create(runs.path(), "one", "").unwrap();
        let files =
            super::super::RunFiles::create(&run.path, super::super::Meta::default()).unwrap();
        let error = Journal::take(&run).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(
            error
                .to_string()
                .contains("another process writes this run"),
            "{error}"
        );
        drop(files);
        assert!(Journal::take(&run).is_ok());
    }
}
