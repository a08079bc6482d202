//! Writes the files of a run as records arrive: `events.jsonl`, `epochs.csv`, `run.json` and TensorBoard's files.
//!
//! What cannot be written waits in memory and is tried again ([`RunFiles::retry`]). At the end of a run all other files are flushed
//! to the disk before the outcome is written to `run.json`.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::append::Journal;
use super::appender::{Appender, Keep, keep_of};
use super::clock::now_ms;
use super::epochs_csv::{self, EPOCHS};
use super::journal::write_line;
use super::journal_prefix::CheckpointPosition;
use super::meta::Meta;
use super::rundir::{JOURNAL, META};
use super::tensorboard::{Board, TB};
use super::writer::LockedJournal;
use crate::event::{Event, Level, Outcome, Record};
use crate::files::Dir;

/// Interval of the attempts to write the files at the end of a run.
const ATTEMPT: Duration = Duration::from_millis(100);

/// A file that could not be written, and the error.
pub(super) type Failure = (&'static str, String);

/// A line for the run's log.
pub(super) type Note = (Level, String);

/// The open files of a run.
#[derive(Debug)]
pub struct RunFiles {
    /// The run directory; the lock on its journal shows other processes that this run is being written.
    held: LockedJournal,
    journal: Appender,
    epochs: Appender,
    board: Board,
    meta: Meta,
    /// Whether `run.json` could not be written yet.
    meta_unwritten: bool,
    /// What the next line of the journal begins with: a line break, if the last line may be incomplete.
    line_break: &'static str,
    /// Whether a result in the journal could not be flushed to the disk yet.
    unflushed: bool,
    /// Whether a write error has been reported. It is reported once, not with every record.
    failed: bool,
}

impl RunFiles {
    /// Creates the files of a new run in its directory.
    ///
    /// # Errors
    /// An I/O error that names the path.
    pub fn create(dir: &Path, meta: Meta) -> io::Result<Self> {
        let held = LockedJournal::create(Dir::open(dir)?)?;
        let mut files = Self::open(held, meta, CheckpointPosition::default(), &[], false)?;
        files.write_meta()?;
        Ok(files)
    }

    /// Opens the files of a run that is restored from the checkpoint `at`; by default, that starts over. Only `records`
    /// of its journal are still valid. `epochs.csv` then has their rows and its own up to `at`; `tb/` is continued.
    /// `run.json` stays unchanged until training has actually restarted.
    ///
    /// # Errors
    /// An I/O error that names the path.
    pub fn resume(
        locked: Journal,
        meta: Meta,
        at: CheckpointPosition,
        records: &[Record],
    ) -> io::Result<Self> {
        let (held, torn) = locked.into_locked()?;
        Self::open(held, meta, at, records, torn)
    }

    fn open(
        held: LockedJournal,
        meta: Meta,
        at: CheckpointPosition,
        records: &[Record],
        torn: bool,
    ) -> io::Result<Self> {
        let dir = &held.dir;
        epochs_csv::rebuild(dir, records.iter().map(|record| &record.event), at)?;
        let tb = dir.ensure_subdir(TB)?;
        Ok(Self {
            journal: Appender::new(held.file.try_clone()?, JOURNAL),
            epochs: Appender::new(dir.append(EPOCHS)?, EPOCHS),
            board: Board::open(&tb, &meta.host, (records, at.global_step), now_ms())?,
            held,
            meta,
            meta_unwritten: false,
            // The next record must not be appended to an incomplete line.
            line_break: if torn { "\n" } else { "" },
            unflushed: false,
            failed: false,
        })
    }

    /// The run's directory.
    pub fn dir(&self) -> &Dir {
        &self.held.dir
    }

    /// Start time of the run, milliseconds since 1970-01-01 UTC.
    pub fn started_ms(&self) -> u64 {
        self.meta.started_ms
    }

    /// Whether all results so far are in the journal on the disk.
    pub(super) fn is_flushed(&self) -> bool {
        !self.unflushed
    }

    /// Whether something could not be written, so that [`RunFiles::retry`] is to be called.
    pub(super) fn is_behind(&self) -> bool {
        self.failed || self.unflushed || self.meta_unwritten
    }

    /// Tries again to write what could not be written. Returns a note if nothing is left.
    pub(super) fn retry(&mut self) -> Option<Note> {
        if self.is_behind() && self.write_all().is_empty() {
            self.recovered()
        } else {
            None
        }
    }

    /// Writes everything and flushes it to the disk, trying until a deadline. Returns what could not be written.
    pub(super) fn settle(&mut self, deadline: Instant) -> Vec<Failure> {
        loop {
            let failures = self.write_all();
            // Nothing can be created in a deleted directory.
            let is_last = Instant::now() >= deadline || self.held.dir.is_deleted();
            if failures.is_empty() || is_last {
                return failures;
            }
            std::thread::sleep(ATTEMPT);
        }
    }

    /// A note after an error: whether something is missing, although everything that waited has been written.
    pub(super) fn recovered(&mut self) -> Option<Note> {
        if !std::mem::take(&mut self.failed) {
            return None;
        }
        let left_out = self.board.take_left_out();
        let note = match left_out.max(self.journal.take_left_out()) {
            0 => (
                Level::Info,
                "the run's files are written again; nothing was lost".to_owned(),
            ),
            count => (
                Level::Warn,
                format!(
                    "the run's files are written again, but {count} records of steps and of the machine's load were left \
                     out, because too many were waiting: the charts have gaps"
                ),
            ),
        };
        Some(note)
    }

    fn write_all(&mut self) -> Vec<Failure> {
        let journal = self.journal.flush().and_then(|()| self.check_directory());
        self.unflushed = journal.is_err();
        let meta = if self.meta_unwritten {
            self.write_meta()
        } else {
            Ok(())
        };
        let all = [
            (JOURNAL, journal),
            (EPOCHS, self.epochs.flush()),
            (TB, self.board.flush()),
            (META, meta),
        ];
        let failed = |(file, result): (_, io::Result<()>)| Some((file, result.err()?.to_string()));
        all.into_iter().filter_map(failed).collect()
    }

    /// Writes a record to the files. Each line is a single write, so a kill of the process loses no line already
    /// written. A result is also flushed to the disk.
    ///
    /// # Errors
    /// A note, once per series of failed writes. Training continues.
    pub(super) fn write(&mut self, record: &Record) -> Option<Note> {
        let error = self.try_write(record).err()?;
        if std::mem::replace(&mut self.failed, true) {
            return None;
        }
        Some((
            Level::Error,
            format!(
                "the run's files are not written: {error} (training continues; what is missing is written when that is \
                 possible again)"
            ),
        ))
    }

    /// Writes to every file that the record concerns, even after an error. Returns the first error.
    fn try_write(&mut self, record: &Record) -> io::Result<()> {
        let journal = self.write_journal(record);
        let others = match &record.event {
            Event::RunStarted(info) => {
                self.meta.device.clone_from(&info.device);
                self.meta.threads = info.threads;
                self.meta.precision.clone_from(&info.precision);
                self.meta.parameters = info.parameters;
                self.write_meta()
            }
            // One write per row, so that a killed process leaves only complete rows.
            Event::EpochFinished(row) => self.epochs.append(epochs_csv::line(row), Keep::Always),
            // Written with the outcome that it belongs to.
            Event::NotWritten { file, why } => {
                let problem = format!("{file} was not written: {why}");
                self.meta.error = Some(match self.meta.error.take() {
                    Some(others) => format!("{others}; {problem}"),
                    None => problem,
                });
                Ok(())
            }
            Event::RunFinished { outcome, .. } => {
                self.meta.socket = None;
                self.meta.ended_ms = Some(record.t_ms);
                self.meta.outcome = outcome.into();
                if let Outcome::Failed { message } = outcome {
                    self.meta.error = Some(message.clone());
                }
                self.write_meta()
            }
            // These are saved only in the journal and in TensorBoard's files.
            Event::Phase { .. }
            | Event::EpochStarted { .. }
            | Event::Steps(_)
            | Event::StepTime(_)
            | Event::Scalars { .. }
            | Event::EvalFinished(_)
            | Event::EvalProgress { .. }
            | Event::GalleryImages(_)
            | Event::GalleryPredictions(_)
            | Event::Marked { .. }
            | Event::Restored(_)
            | Event::CheckpointSaved(_)
            | Event::StepSkipped { .. }
            | Event::Health(_)
            | Event::Layers { .. }
            | Event::System(_)
            | Event::Log { .. }
            | Event::Asked { .. }
            | Event::Acknowledged { .. }
            | Event::Unknown => Ok(()),
        };
        let board = self.board.record(record);
        journal.and(others).and(board).and(self.check_directory())
    }

    /// Files that are open can be written without an error after their directory has been deleted.
    ///
    /// # Errors
    /// If the run directory has been deleted.
    fn check_directory(&self) -> io::Result<()> {
        if self.held.dir.is_deleted() {
            let path = self.held.dir.path();
            let what = "the run directory has been deleted or moved to another file system";
            return Err(io::Error::other(format!("{}: {what}", path.display())));
        }
        Ok(())
    }

    fn write_journal(&mut self, record: &Record) -> io::Result<()> {
        let mut line = self.line_break.as_bytes().to_vec();
        write_line(record, &mut line)?;
        self.line_break = "";
        let written = self.journal.append(line, keep_of(&record.event));
        if !record.event.traits().result {
            return written;
        }
        self.unflushed = true;
        self.journal.flush()?;
        self.unflushed = false;
        Ok(())
    }

    fn write_meta(&mut self) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(&self.meta)?;
        let written = self.held.dir.replace(META, &json);
        self.meta_unwritten = written.is_err();
        written
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::super::journal::read;
    use super::super::rundir::RunDir;
    use super::*;
    use crate::event::{EpochSummary, StepWindow};
    use crate::fault::{Fault, FaultKind, with};

    fn fault(op: &str, nth: u64, and_later: bool) -> Fault {
        Fault {
            kind: FaultKind::Fails(28),
            op: op.to_owned(),
            nth,
            and_later,
        }
    }

    fn record(seq: u64, event: Event) -> Record {
        Record {
            seq,
            t_ms: seq,
            run_ms: None,
            event,
        }
    }

    fn epoch(epoch: u32) -> Event {
        Event::EpochFinished(EpochSummary {
            epoch,
            global_step: epoch.into(),
            best: true,
            ..EpochSummary::default()
        })
    }

    /// Regression test: what a full disk refused was missing for ever.
    #[test]
    fn records_that_a_full_disk_refused_are_written_when_there_is_room() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunDir::create(runs.path(), "one", "").unwrap();
        let mut files = RunFiles::create(&run.path, Meta::default()).unwrap();
        let (notes, _) = with(Some(fault(JOURNAL, 1, true)), || {
            let notes: Vec<Note> = (1..=20)
                .filter_map(|i| files.write(&record(i.into(), epoch(i))))
                .collect();
            assert!(files.is_behind() && !files.is_flushed());
            assert_eq!(files.retry(), None, "there is no room yet");
            notes
        });
        assert_eq!(notes.len(), 1, "an error is reported once: {notes:?}");
        let state = read(&run.journal()).unwrap().state;
        assert_eq!((state.seq, state.missing), (0, 0));
        let (level, text) = files.retry().unwrap();
        assert_eq!(level, Level::Info, "{text}");
        assert!(!files.is_behind() && files.is_flushed());
        let state = read(&run.journal()).unwrap().state;
        assert_eq!((state.seq, state.missing), (20, 0));
        assert_eq!(state.best.unwrap().epoch, 20);
    }

    #[test]
    fn records_left_out_of_the_journal_are_reported_with_their_number_and_seen_by_readers() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunDir::create(runs.path(), "one", "").unwrap();
        let mut files = RunFiles::create(&run.path, Meta::default()).unwrap();
        let window = Event::Steps(StepWindow {
            update_ratio: vec![(1, crate::event::F32(0.5)); 100_000],
            ..StepWindow::default()
        });
        with(Some(fault(JOURNAL, 1, true)), || {
            for i in 1..=40 {
                let event = if i % 10 == 0 {
                    epoch(i)
                } else {
                    window.clone()
                };
                files.write(&record(i.into(), event));
            }
        });
        let (level, text) = files.retry().unwrap();
        assert_eq!(level, Level::Warn);
        let state = read(&run.journal()).unwrap().state;
        assert!(state.missing > 0, "the windows do not fit");
        assert!(
            text.contains(&format!("{} records", state.missing)),
            "{text} {}",
            state.missing
        );
        assert_eq!(state.history.len(), 4, "epochs are never left out");
    }

    /// Regression test: errors of flushing the journal were ignored.
    #[test]
    fn a_result_counts_as_flushed_only_after_a_successful_flush() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunDir::create(runs.path(), "one", "").unwrap();
        let mut files = RunFiles::create(&run.path, Meta::default()).unwrap();
        // The first operation writes the record, the second flushes it.
        let (note, _) = with(Some(fault(JOURNAL, 2, false)), || {
            files.write(&record(1, Event::Marked { mark: 1 }))
        });
        assert!(note.is_some() && !files.is_flushed());
        assert!(files.retry().is_some() && files.is_flushed());
    }

    #[test]
    fn the_outcome_is_written_last_and_names_what_is_missing() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunDir::create(runs.path(), "one", "").unwrap();
        let mut files = RunFiles::create(&run.path, Meta::default()).unwrap();
        let (failures, _) = with(Some(fault(EPOCHS, 1, true)), || {
            files.write(&record(1, epoch(1)));
            files.settle(Instant::now())
        });
        let [(file, why)] = failures.try_into().unwrap();
        assert_eq!(file, EPOCHS);
        let file = file.to_owned();
        files.write(&record(2, Event::NotWritten { file, why }));
        let outcome = Outcome::Completed;
        let finished = Event::RunFinished {
            outcome,
            global_step: 1,
        };
        files.write(&record(3, finished));
        let meta = run.meta().unwrap();
        assert_eq!(meta.outcome, super::super::RunOutcome::Completed);
        assert!(meta.error.unwrap().contains("epochs.csv was not written"));
    }
}
