//! The files of a run, written as records arrive: `events.jsonl`, `epochs.csv`, `run.json`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err::{self as fs, File, OpenOptions};
use serde::{Deserialize, Serialize};

use super::append::{Journal, lock};
use super::hub::now_ms;
use super::tensorboard::Board;
use crate::event::{EpochSummary, Event, Outcome, Record};

/// The header of `epochs.csv`.
const EPOCHS_HEADER: &str = "epoch,global_step,train_loss,train_accuracy,valid_nll,valid_accuracy,valid_macro_f1,lr,\
grad_norm_mean,grad_norm_max,clipped_fraction,images_per_second,seconds";

/// What `run.json` says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// Name of the run.
    pub run: String,
    /// Version of this program.
    pub epochtop: String,
    /// Version of libtorch.
    pub libtorch: String,
    /// Everything random follows from it.
    pub seed: u64,
    /// Where it is computed; known once the run has begun.
    pub device: String,
    /// Numbers the training step computes with.
    pub precision: String,
    /// Threads libtorch computes with.
    pub threads: u32,
    /// BLAKE3 of the data.
    pub data_fingerprint: String,
    /// Trainable numbers.
    pub parameters: u64,
    /// Process that trains.
    pub pid: u32,
    /// Host it runs on.
    pub host: String,
    /// Where the process listens for `attach` and `ctl`, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// Where the images lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Milliseconds since 1970, UTC.
    pub started_ms: u64,
    /// Milliseconds since 1970, UTC; none while the run is going on.
    pub ended_ms: Option<u64>,
    /// `running`, `completed`, `stopped` or `failed`.
    pub outcome: String,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// The open files of a run.
#[derive(Debug)]
pub struct RunFiles {
    dir: PathBuf,
    journal: File,
    epochs: File,
    board: Board,
    meta: Meta,
    /// The last line may be half there.
    torn: bool,
    /// An error was told; telling it with every record would bury everything else.
    failed: bool,
}

impl RunFiles {
    /// Makes the files of a new run in its directory.
    ///
    /// # Errors
    /// The path and what the system said.
    pub fn create(dir: &Path, meta: Meta) -> io::Result<Self> {
        let journal = open_journal(dir)?;
        // Whoever comes later sees that the run is being written.
        lock(&journal)?;
        let path = dir.join("epochs.csv");
        fs::write(&path, format!("{EPOCHS_HEADER}\n"))?;
        let epochs = OpenOptions::new().append(true).open(path)?;
        Self::begin(dir, journal, epochs, meta, &[], false)
    }

    /// Takes up the files of a run that goes on after a checkpoint: of what the journal tells only `records` count. What
    /// is made of the journal, `epochs.csv` and `tb/`, is made anew of them.
    ///
    /// # Errors
    /// The path and what the system said.
    pub fn resume(dir: &Path, held: Journal, meta: Meta, records: &[Record]) -> io::Result<Self> {
        let (journal, torn) = held.into_file()?;
        let mut csv = format!("{EPOCHS_HEADER}\n");
        for record in records {
            if let Event::EpochFinished(row) = &record.event {
                csv += &(csv_row(row) + "\n");
            }
        }
        let path = dir.join("epochs.csv");
        replace(&path, csv.as_bytes())?;
        let epochs = OpenOptions::new().append(true).open(path)?;
        Self::begin(dir, journal, epochs, meta, records, torn)
    }

    fn begin(
        dir: &Path,
        journal: File,
        epochs: File,
        meta: Meta,
        records: &[Record],
        torn: bool,
    ) -> io::Result<Self> {
        let board = Board::create(&dir.join("tb"), &meta.host, records, now_ms())?;
        // A run that goes on is what it was until it has really begun again.
        let new = records.is_empty();
        let files = Self {
            journal,
            epochs,
            board,
            dir: dir.to_owned(),
            meta,
            torn,
            failed: false,
        };
        if new {
            files.write_meta()?;
        }
        Ok(files)
    }

    /// The run's directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// When the run began, milliseconds since 1970, UTC.
    pub fn started_ms(&self) -> u64 {
        self.meta.started_ms
    }

    /// Waits until the journal is on the disk.
    pub(super) fn flush(&self) {
        // A disk that cannot flush is told of when it cannot write.
        let _ = self.journal.sync_data();
    }

    /// Writes a record down. Each line is one write, so a killed process loses no line it was told of.
    ///
    /// # Errors
    /// Once, in words, when the disk takes no more; the run goes on.
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
                    "the run's files are not written any more: {error} (training goes on)"
                ))
            }
        }
    }

    /// Tries every file the record concerns; the first error is told.
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
            // One write a row: a killed process leaves whole rows.
            Event::EpochFinished(row) => append_whole(&mut self.epochs, &(csv_row(row) + "\n")),
            Event::RunFinished { outcome, .. } => {
                self.meta.socket = None;
                self.meta.ended_ms = Some(record.t_ms);
                outcome.name().clone_into(&mut self.meta.outcome);
                if let Outcome::Failed { message } = outcome {
                    self.meta.error = Some(message.clone());
                }
                self.write_meta()
            }
            _ => Ok(()),
        };
        let board = self.board.record(record);
        journal.and(others).and(board)
    }

    fn write_journal(&mut self, record: &Record) -> io::Result<()> {
        let mut line = Vec::new();
        if self.torn {
            // The line that was cut short must not swallow this one.
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, record)?;
        line.push(b'\n');
        let written = self.journal.write_all(&line);
        self.torn = written.is_err();
        written
    }

    fn write_meta(&self) -> io::Result<()> {
        replace(
            &self.dir.join("run.json"),
            &serde_json::to_vec_pretty(&self.meta)?,
        )
    }
}

/// Appends a line; half of one goes again, or it would take the next one along.
fn append_whole(file: &mut File, line: &str) -> io::Result<()> {
    let whole = file.metadata()?.len();
    let written = file.write_all(line.as_bytes());
    if written.is_err() {
        file.set_len(whole)?;
    }
    written
}

fn open_journal(dir: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(dir.join("events.jsonl"))
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

/// Writes a file under a temporary name and renames it: readers see the old or the new one, never half.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    // Without this a power cut could leave the name with nothing behind it.
    file.sync_all()?;
    fs::rename(&temporary, path)
}
