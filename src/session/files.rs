//! Writes the files of a run as records arrive: `events.jsonl`, `epochs.csv`, `run.json`.

use std::io;
use std::path::Path;

use super::append::Journal;
use super::appender::Appender;
use super::clock::now_ms;
use super::journal::write_line;
use super::meta::Meta;
use super::rundir::{JOURNAL, META};
use super::tensorboard::Board;
use super::writer::LockedJournal;
use crate::event::{EpochSummary, Event, Outcome, Record};
use crate::files::Dir;

const EPOCHS: &str = "epochs.csv";
/// The header of `epochs.csv`.
const EPOCHS_HEADER: &str = "epoch,global_step,train_loss,train_accuracy,valid_nll,valid_accuracy,valid_macro_f1,lr,\
grad_norm_mean,grad_norm_max,clipped_fraction,images_per_second,seconds";

/// The open files of a run.
#[derive(Debug)]
pub struct RunFiles {
    /// The run directory; its lock shows other processes that this run is being written.
    held: LockedJournal,
    journal: Appender,
    epochs: Appender,
    board: Board,
    meta: Meta,
    /// Whether `run.json` could not be written yet.
    meta_unwritten: bool,
    /// Whether the last line of the journal may be incomplete.
    torn: bool,
    /// Whether a write error has been reported. It is reported once, not with every record.
    failed: bool,
    /// A warning that has not been reported.
    warning: Option<String>,
}

impl RunFiles {
    /// Creates the files of a new run in its directory.
    ///
    /// # Errors
    /// An I/O error that names the path.
    pub fn create(dir: &Path, meta: Meta) -> io::Result<Self> {
        Self::open(LockedJournal::create(Dir::open(dir)?)?, meta, &[], false)
    }

    /// Opens the files of a run that is restored from a checkpoint. Only `records` of its journal are still valid;
    /// `epochs.csv` is rewritten from them and `tb/` is continued after them.
    ///
    /// # Errors
    /// An I/O error that names the path.
    pub fn resume(locked: Journal, meta: Meta, records: &[Record]) -> io::Result<Self> {
        let (held, torn) = locked.into_locked()?;
        Self::open(held, meta, records, torn)
    }

    fn open(held: LockedJournal, meta: Meta, records: &[Record], torn: bool) -> io::Result<Self> {
        let dir = &held.dir;
        let mut csv = format!("{EPOCHS_HEADER}\n");
        for record in records {
            if let Event::EpochFinished(row) = &record.event {
                csv += &(csv_row(row) + "\n");
            }
        }
        dir.replace(EPOCHS, csv.as_bytes())?;
        let epochs = dir.append(EPOCHS)?;
        let board = Board::open(&dir.ensure_subdir("tb")?, &meta.host, records, now_ms())?;
        // The `run.json` of a restored run stays unchanged until training has actually restarted.
        let new = records.is_empty();
        let mut files = Self {
            journal: Appender::new(held.file.try_clone()?, JOURNAL),
            epochs: Appender::new(epochs, EPOCHS),
            held,
            board,
            meta,
            meta_unwritten: false,
            torn,
            failed: false,
            warning: None,
        };
        if new {
            files.write_meta()?;
        }
        Ok(files)
    }

    /// The run's directory.
    pub fn dir(&self) -> &Dir {
        &self.held.dir
    }

    /// Start time of the run, milliseconds since 1970-01-01 UTC.
    pub fn started_ms(&self) -> u64 {
        self.meta.started_ms
    }

    /// Flushes the journal to disk.
    pub(super) fn flush(&self) {
        // A failing disk is reported by the next write.
        let _ = self.journal.sync();
    }

    /// Writes what could not be written before, at the end of the run.
    ///
    /// # Errors
    /// An error message. What it names is incomplete.
    pub fn finish(&mut self) -> Result<(), String> {
        let meta = if self.meta_unwritten {
            self.write_meta()
        } else {
            Ok(())
        };
        let renewed = self.renew_journal();
        let others = renewed.and(self.journal.flush()).and(self.epochs.flush());
        meta.and(others)
            .and(self.board.flush())
            .map_err(|error| format!("the run's files are incomplete: {error}"))
    }

    /// Writes a record to the files. Each line is a single write, so a kill of the process loses no line already
    /// written.
    ///
    /// # Errors
    /// An error message, once per series of failed writes. Training continues.
    pub fn write(&mut self, record: &Record) -> Result<(), String> {
        match self.try_write(record) {
            Ok(()) => {
                self.failed = false;
                Ok(())
            }
            Err(_) if self.failed => Ok(()),
            Err(error) => {
                self.failed = true;
                Err(format!(
                    "the run's files are not written: {error} (training continues)"
                ))
            }
        }
    }

    /// Writes to every file that the record concerns, even after an error. Returns the first error.
    fn try_write(&mut self, record: &Record) -> io::Result<()> {
        let journal = self.write_journal(record);
        if self.meta_unwritten {
            // If it fails again, the error has been reported.
            let _ = self.write_meta();
        }
        let others = match &record.event {
            Event::RunStarted(info) => {
                self.meta.device.clone_from(&info.device);
                self.meta.threads = info.threads;
                self.meta.precision.clone_from(&info.precision);
                self.meta.parameters = info.parameters;
                self.write_meta()
            }
            // One write per row, so that a killed process leaves only complete rows.
            Event::EpochFinished(row) => self.epochs.append((csv_row(row) + "\n").as_bytes()),
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

    /// The warning about the files since the last call.
    pub(super) fn take_warning(&mut self) -> Option<String> {
        self.warning.take()
    }

    /// Opens the journal again if another program has replaced it.
    ///
    /// # Errors
    /// As [`LockedJournal::renew`].
    fn renew_journal(&mut self) -> io::Result<()> {
        if let Some(appended) = self.held.renew()? {
            self.journal.reopen(self.held.file.try_clone()?);
            self.warning = Some(format!(
                "{JOURNAL} was replaced by another program, as `sed -i` or `mv` does, while this run writes it; {appended} \
                 records that it lacked were appended. Edit it only after the run has ended"
            ));
        }
        Ok(())
    }

    fn write_journal(&mut self, record: &Record) -> io::Result<()> {
        // Without the new file, the record goes to the old one.
        let renewed = self.renew_journal();
        let mut line = Vec::new();
        if self.torn {
            // This record must not be appended to an incomplete line.
            line.push(b'\n');
        }
        write_line(record, &mut line)?;
        self.torn = false;
        self.journal.append(&line).and(renewed)
    }

    fn write_meta(&mut self) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(&self.meta)?;
        let written = self.held.dir.replace(META, &json);
        self.meta_unwritten = written.is_err();
        written
    }
}

fn csv_row(row: &EpochSummary) -> String {
    format!(
        "{},{},{},{},{},{},{},{},{},{},{},{:.1},{:.3}",
        row.epoch,
        row.global_step,
        row.train_loss.0,
        row.train_accuracy.0,
        row.valid_nll.0,
        row.valid_accuracy.0,
        row.valid_macro_f1.0,
        row.lr.0,
        row.grad_norm_mean.0,
        row.grad_norm_max.0,
        row.clipped_fraction.0,
        row.images_per_second.0,
        row.seconds.0
    )
}
