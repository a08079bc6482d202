//! Writes the run's curves to an event file for TensorBoard, in `tb/`.
//!
//! The file consists of records: length (u64, little-endian), checksum of the length, an `Event` message, checksum of
//! the message. The checksum is CRC-32C with the mask of TFRecord: rotated right by 15 bits, plus 0xa282ead8. The
//! messages have only those fields of `tensorflow/core/util/event.proto` and `summary.proto` that scalars need.

use std::io;

use prost::Message;

use super::appender::{Appender, Keep, keep_of};
use crate::event::{EpochSummary, EvalReport, Event, F64, Record, Split, StepWindow};
use crate::files::Dir;
use crate::run::{CURVES, Curve, Source, Steps, is_curve_name};

/// `tensorflow.Event`.
#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session: Option<SessionLog>,
}

/// `tensorflow.SessionLog`.
#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `SessionLog.START`: readers discard what they have of this step and of later ones.
const START: i32 = 1;

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

/// `tensorflow.Summary.Value` with a scalar.
#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    // Optional, because prost does not write a zero otherwise.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// The name of the directory of the event files, and of the files in it for [`crate::fault`].
pub(super) const TB: &str = "tb";
/// The prefix of the names of event files.
const PREFIX: &str = "events.out.tfevents.";

/// An event file that is open for writing.
#[derive(Debug)]
pub(super) struct Board {
    file: Appender,
}

impl Board {
    /// Creates a new file in `dir`, for the scalars after step `from`, which follow the records `earlier`. Existing event
    /// files stay, because TensorBoard may be reading them, and because they can have scalars that the journal lost;
    /// it continues with the file whose name follows. If there are none, the new file begins with the scalars of
    /// `earlier`.
    ///
    /// # Errors
    /// An I/O error that names the path.
    pub(super) fn open<'a>(
        dir: &Dir,
        host: &str,
        (earlier, from): (impl IntoIterator<Item = &'a Record>, u64),
        now_ms: u64,
    ) -> io::Result<Self> {
        // The name must follow those of the existing files, even if the clock was set back.
        let newest = files(dir)?.iter().filter_map(|name| seconds(name)).max();
        let seconds = newest
            .map_or(0, |old| old.saturating_add(1))
            .max(now_ms / 1000);
        let name = format!("{PREFIX}{seconds:010}.{host}");
        dir.create_new(&name)?;
        let mut board = Self {
            file: Appender::new(dir.append(&name)?, TB),
        };
        dir.sync()?;
        board.write(&Entry {
            wall_time: seconds as f64,
            file_version: Some("brain.Event:2".to_owned()),
            ..Entry::default()
        })?;
        if newest.is_none() {
            earlier
                .into_iter()
                .try_for_each(|record| board.record(record))?;
            return Ok(board);
        }
        let start = Entry {
            wall_time: seconds as f64,
            step: from.saturating_add(1) as i64,
            session: Some(SessionLog { status: START }),
            ..Entry::default()
        };
        // Readers ignore the first such entry that they see.
        board.write(&start)?;
        board.write(&start)?;
        Ok(board)
    }

    /// Appends the scalars of a record in a single write.
    pub(super) fn record(&mut self, record: &Record) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (step, scalars) in scalars(&record.event) {
            let entry = Entry {
                wall_time: record.t_ms as f64 / 1000.0,
                step: step as i64,
                summary: Some(Summary { value: scalars }),
                ..Entry::default()
            };
            frame(&entry, &mut bytes);
        }
        self.file.append(bytes, keep_of(&record.event))
    }

    /// As [`Appender::take_left_out`].
    pub(super) fn take_left_out(&mut self) -> u64 {
        self.file.take_left_out()
    }

    /// Writes what could not be written before, and flushes the file to the disk.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let mut bytes = Vec::new();
        frame(entry, &mut bytes);
        self.file.append(bytes, Keep::Always)
    }
}

/// The time in the name of an event file, seconds since 1970.
fn seconds(name: &str) -> Option<u64> {
    let rest = name.strip_prefix(PREFIX)?;
    rest.split('.').next()?.parse().ok()
}

/// Whether a name is that of an event file.
pub(super) fn is_event_file(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// The names of the event files in a directory.
fn files(dir: &Dir) -> io::Result<Vec<String>> {
    let mut names = dir.names()?;
    names.retain(|name| is_event_file(name));
    Ok(names)
}

/// Appends a message with its length and checksums to `out`.
fn frame(entry: &Entry, out: &mut Vec<u8>) {
    let message = entry.encode_to_vec();
    let length = (message.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked(&length));
    out.extend(&message);
    out.extend(masked(&message));
}

/// The masked CRC-32C of the bytes, little-endian.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
        .to_le_bytes()
}

/// The scalars of an event, by step.
fn scalars(event: &Event) -> Vec<(u64, Vec<Scalar>)> {
    match event {
        Event::Steps(window) => steps(window),
        Event::EpochFinished(row) => vec![(row.global_step, epoch(row))],
        Event::Scalars {
            global_step,
            values,
        } => vec![(*global_step, named(values))],
        Event::EvalFinished(report) if report.split == Split::Test => {
            vec![(report.global_step, test(report))]
        }
        Event::EvalFinished(report) => {
            let points = CURVES.iter().filter_map(|info| {
                let (step, value) = info.source.evaluation(report)?;
                Some((step, vec![scalar(info.tag, value)]))
            });
            points.collect()
        }
        _ => Vec::new(),
    }
}

fn scalar(tag: &str, value: f64) -> Scalar {
    Scalar {
        tag: tag.to_owned(),
        simple_value: Some(value as f32),
    }
}

fn steps(window: &StepWindow) -> Vec<(u64, Vec<Scalar>)> {
    let steps = Steps::of(window);
    let row = |at: usize| {
        let scalars = Curve::ALL
            .into_iter()
            .filter_map(|curve| Some(scalar(curve.info().tag, steps.value(curve, at)?)));
        (steps.sample(at).step, scalars.collect())
    };
    (0..steps.count()).map(row).collect()
}

/// A tag and the function that reads its value.
type EpochScalar = (&'static str, fn(&EpochSummary) -> F64);

/// The scalars of an epoch that are not curves.
const EPOCH: [EpochScalar; 5] = [
    ("epoch/train_loss", |row| row.train_loss),
    ("epoch/train_accuracy", |row| row.train_accuracy),
    ("valid/macro_f1", |row| row.valid_macro_f1),
    ("epoch/clipped_fraction", |row| row.clipped_fraction),
    ("epoch/images_per_second", |row| row.images_per_second),
];

fn epoch(row: &EpochSummary) -> Vec<Scalar> {
    let curves = CURVES.iter().filter_map(|info| match info.source {
        Source::Epoch(value) => Some((info.tag, value)),
        Source::Steps(_) | Source::Shared(_) | Source::Sampled(_) | Source::Evaluation(_) => None,
    });
    let all = EPOCH.into_iter().chain(curves);
    all.map(|(tag, value)| scalar(tag, value(row).0)).collect()
}

/// User-defined scalars; the tag is the name.
fn named(values: &[(String, F64)]) -> Vec<Scalar> {
    let usable = values.iter().filter(|(name, _)| is_curve_name(name));
    usable.map(|(name, value)| scalar(name, value.0)).collect()
}

fn test(report: &EvalReport) -> Vec<Scalar> {
    let all = report.estimates.measures.iter();
    all.map(|(measure, found)| scalar(&format!("test/{}", measure.info().key), found.value))
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use crate::event::F32;

    fn window() -> Record {
        let event = Event::Steps(StepWindow {
            global_step: 2,
            lr: F64(0.5),
            loss: vec![F32(1.5), F32(f32::NAN)],
            accuracy: vec![F32(0.25), F32(0.5)],
            grad_norm: vec![F32(2.0), F32(3.0)],
            ..StepWindow::default()
        });
        Record {
            seq: 1,
            t_ms: 1500,
            run_ms: None,
            event,
        }
    }

    /// Reads an event file and verifies the checksums.
    fn read(dir: &Dir, name: &str) -> Vec<Entry> {
        let bytes = dir.read(name, 1 << 20).unwrap();
        let (mut rest, mut entries) = (bytes.as_slice(), Vec::new());
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(12);
            let (length, sum) = head.split_at(8);
            assert_eq!(masked(length), sum);
            let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
            let (message, tail) = tail.split_at(length);
            let (sum, tail) = tail.split_at(4);
            assert_eq!(masked(message), sum);
            entries.push(Entry::decode(message).unwrap());
            rest = tail;
        }
        entries
    }

    #[test]
    fn frame_equals_that_of_tensorboard() {
        // import struct; from tensorboard.compat.proto.event_pb2 import Event
        // from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
        // m = Event(wall_time=1.0, file_version="brain.Event:2").SerializeToString()
        // l = struct.pack("<Q", len(m)); p = lambda b: struct.pack("<I", masked_crc32c(b))
        // print((l + p(l) + m + p(m)).hex())
        let mut out = Vec::new();
        let entry = Entry {
            wall_time: 1.0,
            file_version: Some("brain.Event:2".to_owned()),
            ..Entry::default()
        };
        frame(&entry, &mut out);
        let known = (0..HEADER.len()).step_by(2);
        let known: Vec<u8> = known
            .map(|i| u8::from_str_radix(&HEADER[i..i + 2], 16).unwrap())
            .collect();
        assert_eq!(out, known);
    }

    const HEADER: &str =
        "1800000000000000a37f4b2209000000000000f03f1a0d627261696e2e4576656e743a3286bf577a";

    #[test]
    fn a_resumed_run_continues_in_a_file_after_those_that_are_being_read() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        let mut board = Board::open(&dir, "host", ([], 0), 5000).unwrap();
        board.record(&window()).unwrap();
        let first = files(&dir).unwrap();
        let written = dir.read(&first[0], 1 << 20).unwrap();
        // The clock was set back, and the host is another one.
        let mut board = Board::open(&dir, "a-host", ([&window()], 7), 1000).unwrap();
        board.record(&window()).unwrap();
        let mut all = files(&dir).unwrap();
        all.sort();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0], first[0], "the file that is read first stays");
        assert_eq!(dir.read(&all[0], 1 << 20).unwrap(), written);
        let entries = read(&dir, &all[1]);
        let session = Some(SessionLog { status: START });
        for entry in &entries[1..3] {
            // The step after the restored one, also if the journal lost records before it.
            assert_eq!((entry.step, &entry.session), (8, &session));
        }
        assert_eq!(entries.len(), 5, "earlier steps are not repeated");
    }

    #[test]
    fn each_step_has_an_entry_and_a_first_file_has_the_earlier_records() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        Board::open(&dir, "host", ([&window()], 2), 1000).unwrap();
        let [name] = files(&dir).unwrap().try_into().unwrap();
        let entries = read(&dir, &name);
        assert_eq!(entries.len(), 3);
        assert_eq!(entries[2].step, 2);
        let last = entries[2].summary.clone().unwrap().value;
        let names: Vec<&str> = last.iter().map(|s| s.tag.as_str()).collect();
        assert_eq!(
            names,
            [
                "train/loss",
                "train/accuracy",
                "train/grad_norm",
                "train/lr"
            ]
        );
        assert!(last[0].simple_value.unwrap().is_nan());
        assert_eq!(last[3].simple_value, Some(0.5));
    }

    #[test]
    fn published_tags_are_stable() {
        let tags = |event: &Event| -> Vec<String> {
            let all = scalars(event).into_iter().flat_map(|(_, row)| row);
            all.map(|scalar| scalar.tag).collect()
        };
        let mut epoch = tags(&Event::EpochFinished(EpochSummary::default()));
        epoch.sort();
        assert_eq!(
            epoch,
            [
                "epoch/clipped_fraction",
                "epoch/images_per_second",
                "epoch/train_accuracy",
                "epoch/train_loss",
                "valid/accuracy",
                "valid/macro_f1",
                "valid/nll"
            ]
        );
        let values = vec![
            ("val/loss".to_owned(), F64(0.5)),
            ("bad\n".to_owned(), F64(1.0)),
        ];
        let global_step = 7;
        assert_eq!(
            tags(&Event::Scalars {
                global_step,
                values
            }),
            ["val/loss"]
        );
    }
}
