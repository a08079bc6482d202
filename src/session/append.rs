//! Appends records to the journal of a run that has ended, for example the result of a later evaluation.

use std::io::{self, Read, Seek, SeekFrom, Write};

use fs_err::File;
use rustix::fs::{FlockOperation, flock};

use super::clock::now_ms;
use super::journal::read;
use super::rundir::{JOURNAL, RunDir};
use crate::event::{Event, Record};

/// A journal locked for writing: no other process can write to it while this value exists.
#[derive(Debug)]
pub struct Journal {
    file: File,
    seq: u64,
    test_looks: u64,
    /// The time of the run at its end.
    run_ms: u64,
}

impl Journal {
    /// Locks the journal of a run for writing.
    ///
    /// # Errors
    /// `WouldBlock` if another process is training or evaluating the run, or an I/O error.
    pub fn take(run: &RunDir) -> io::Result<Self> {
        let path = run.journal();
        let file = run.open()?.append_existing(JOURNAL)?;
        lock_with_retries(&file).map_err(|error| {
            let live = run.meta().filter(|meta| meta.ended_ms.is_none());
            let holder = live.map_or_else(String::new, |meta| {
                format!(" (last seen: process {} on {})", meta.pid, meta.host)
            });
            let what = format!(
                "{}: another process writes this run{holder}",
                path.display()
            );
            io::Error::new(error.kind(), what)
        })?;
        let state = read(&path)?.state;
        Ok(Self {
            seq: state.seq,
            test_looks: state.test_looks,
            run_ms: state.run_ms(),
            file,
        })
    }

    /// How often the run had been evaluated on its test set when the journal was locked.
    pub fn test_looks(&self) -> u64 {
        self.test_looks
    }

    /// Appends the event as a record, one JSON line.
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
        let mut line = Vec::new();
        if self.is_torn()? {
            // If a killed writer left an incomplete last line, this record must start on a new line.
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, &record)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.seq += 1;
        Ok(())
    }

    /// Returns the locked file and whether its last line is incomplete.
    pub(super) fn into_file(mut self) -> io::Result<(File, bool)> {
        let torn = self.is_torn()?;
        Ok((self.file, torn))
    }

    fn is_torn(&mut self) -> io::Result<bool> {
        if self.file.metadata()?.len() == 0 {
            return Ok(false);
        }
        let mut last = [0];
        self.file.seek(SeekFrom::End(-1))?;
        self.file.read_exact(&mut last)?;
        Ok(last != *b"\n")
    }
}

/// Locks a journal, with a few retries: a process that only checks whether the run is live holds the lock briefly.
fn lock_with_retries(file: &File) -> io::Result<()> {
    for _ in 0..10 {
        if lock(file).is_ok() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    lock(file)
}

/// Locks a journal until the file is closed, which the system does also for a killed process. On a file system without
/// locks this succeeds without protection.
///
/// # Errors
/// `WouldBlock` if another process holds the lock.
pub(super) fn lock(file: &File) -> io::Result<()> {
    match flock(file.file(), FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
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
