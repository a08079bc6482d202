//! A record for a run that has ended: what is found out about it later belongs into its journal too.

use std::io::{self, Read, Seek, SeekFrom, Write};

use fs_err::File;
use rustix::fs::{FlockOperation, flock};

use super::clock::now_ms;
use super::journal::read;
use super::rundir::{JOURNAL, RunDir};
use crate::event::{Event, Record};

/// A journal that nobody else writes while this is held.
#[derive(Debug)]
pub struct Journal {
    file: File,
    seq: u64,
    test_looks: u64,
}

impl Journal {
    /// Takes the journal of a run that nobody is writing.
    ///
    /// # Errors
    /// `WouldBlock` while the run is trained or evaluated elsewhere; what the system said otherwise.
    pub fn take(run: &RunDir) -> io::Result<Self> {
        let path = run.journal();
        let file = run.open()?.append_existing(JOURNAL)?;
        lock_patiently(&file).map_err(|error| {
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
        let told = read(&path)?.state;
        Ok(Self {
            seq: told.seq,
            test_looks: told.test_looks,
            file,
        })
    }

    /// How often the run's test split had been looked at.
    pub fn test_looks(&self) -> u64 {
        self.test_looks
    }

    /// Writes a record down, as one line.
    pub fn append(&mut self, event: Event) -> io::Result<()> {
        let record = Record {
            seq: self.seq.saturating_add(1),
            t_ms: now_ms(),
            event,
        };
        let mut line = Vec::new();
        if self.is_torn()? {
            // What a killed writer left of its last line must not swallow this one.
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, &record)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.seq += 1;
        Ok(())
    }

    /// The locked file, and whether its last line is half there.
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

/// Who only looks whether a run is live holds the lock for a moment; that is waited for.
fn lock_patiently(file: &File) -> io::Result<()> {
    for _ in 0..10 {
        if lock(file).is_ok() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    lock(file)
}

/// Locks a journal until it is closed, also by a kill. Where a file system knows no locks, nobody is kept out.
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
    fn records_go_on_where_the_journal_ends_even_if_it_is_torn() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunDir::create(runs.path(), "one", "").unwrap();
        let first = serde_json::to_string(&Record {
            seq: 1,
            t_ms: 1,
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
    fn two_processes_never_write_one_run() {
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
