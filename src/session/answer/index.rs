//! An index of the journal: it lets a query read only the relevant part of the file.
//!
//! The journal is read once completely, and after that only the bytes appended to it. The index stores the range of
//! steps in each block of about 64 KiB, the ranges of records discarded by a restart from a checkpoint, and the
//! positions of the gallery records and of the test-set evaluations. Discarded records are filtered at query time,
//! because a later restart can discard records that were valid when they were indexed.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use fs_err::File;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::journal::is_live;
use super::stamp::Stamp;
use crate::event::{Restoration, Split, StepWindow};
use crate::files::{open_read, read_line};
use crate::limits::JOURNAL_LINE;
use crate::run::Steps;

/// Initial size of a block in bytes.
const BLOCK: u64 = 64 << 10;
/// Maximum number of blocks: at this limit, each pair of blocks is merged into one, and the block size doubles.
const BLOCKS: usize = 4096;
/// Maximum number of indexed records of each kind; the oldest are dropped.
const PLACES: usize = 4096;

/// The index of one journal. It takes at most 0.5 MiB of memory.
#[derive(Debug, Default)]
pub(super) struct Index {
    path: PathBuf,
    /// The open journal with its stamp, used to detect that the file was replaced.
    file: Option<(File, Stamp)>,
    /// Number of bytes indexed, up to the end of the last complete line.
    read: u64,
    block_bytes: u64,
    blocks: Vec<Block>,
    /// Ranges of discarded sequence numbers; both ends are excluded.
    discarded: Vec<(u64, u64)>,
    /// Records with predictions for the gallery.
    galleries: VecDeque<Place>,
    test_evaluations: VecDeque<TestEvaluation>,
    /// The record with the images of the gallery.
    gallery: Option<Place>,
}

/// A range of bytes in the journal, up to the start of the next block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    start: u64,
    /// First and last step of its records, discarded records included.
    steps: Option<(u64, u64)>,
}

/// The position of a record: its sequence number, and the offset and length of its line in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) seq: u64,
    offset: u64,
    length: u64,
}

/// A test-set evaluation recorded in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TestEvaluation {
    pub(super) seq: u64,
    pub(super) epoch: u32,
    pub(super) global_step: u64,
}

/// Sequence number of a record, and its time in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) t_ms: u64,
}

#[derive(Debug, Deserialize)]
struct Row {
    global_step: u64,
}

#[derive(Debug, Deserialize)]
struct Evaluated {
    split: Split,
    epoch: u32,
    global_step: u64,
}

impl Index {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            block_bytes: BLOCK,
            ..Self::default()
        }
    }

    /// Indexes the lines appended since the last call. An incomplete last line is read by a later call.
    ///
    /// # Errors
    /// If the journal cannot be read; the message contains the path.
    pub(super) fn refresh(&mut self) -> io::Result<()> {
        let mut file = open_read(&self.path)?;
        let stamp = Stamp::of(&file.metadata()?);
        let same = |(_, known): &(File, Stamp)| known.is_same_file(stamp);
        if !self.file.as_ref().is_some_and(same) || stamp.length < self.read {
            *self = Self::new(std::mem::take(&mut self.path));
        }
        file.seek(SeekFrom::Start(self.read))?;
        let new = Read::take(&mut file, stamp.length - self.read);
        lines(BufReader::with_capacity(1 << 16, new), |line, bytes| {
            self.index_line(line, bytes);
        })?;
        self.file = Some((file, stamp));
        Ok(())
    }

    /// Adds one line of `length` bytes to the index.
    fn index_line(&mut self, line: &[u8], length: u64) {
        let offset = self.read;
        self.read += length;
        let is_full = |block: &Block| offset - block.start >= self.block_bytes;
        if self.blocks.last().is_none_or(is_full) {
            if self.blocks.len() >= BLOCKS {
                self.coarsen();
            }
            self.blocks.push(Block {
                start: offset,
                steps: None,
            });
        }
        let place = |head: Head| Place {
            seq: head.seq,
            offset,
            length,
        };
        match kind(line).as_deref() {
            Some("steps") => self.widen(span(line)),
            Some("epoch_finished" | "scalars") => {
                self.widen(parse(line).map(|Row { global_step }| (global_step, global_step)));
            }
            Some("resumed") => {
                let heads = parse::<Head>(line).zip(parse::<Restoration>(line));
                self.discarded
                    .extend(heads.map(|(head, resumed)| (resumed.after, head.seq)));
            }
            Some("gallery_images") => self.gallery = parse(line).map(place).or(self.gallery),
            Some("gallery_predictions") => remember(&mut self.galleries, parse(line).map(place)),
            Some("eval_finished") => {
                self.widen(parse(line).map(|Row { global_step }| (global_step, global_step)));
                remember(&mut self.test_evaluations, test_evaluation(line));
            }
            _ => {}
        }
    }

    /// Extends the step range of the last block.
    fn widen(&mut self, steps: Option<(u64, u64)>) {
        if let Some((block, (first, last))) = self.blocks.last_mut().zip(steps) {
            let (low, high) = block.steps.unwrap_or((first, last));
            block.steps = Some((low.min(first), high.max(last)));
        }
    }

    /// Merges each pair of blocks into one and doubles the block size.
    fn coarsen(&mut self) {
        self.block_bytes = self.block_bytes.saturating_mul(2);
        let pairs = self.blocks.chunks(2).filter_map(|pair| {
            let steps = pair.iter().filter_map(|block| block.steps);
            let steps = steps.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
            pair.first().map(|first| Block { steps, ..*first })
        });
        self.blocks = pairs.collect();
    }

    /// The blocks that contain steps: their index, and their first and last step.
    pub(super) fn spans(&self) -> impl Iterator<Item = (usize, (u64, u64))> {
        let blocks = self.blocks.iter().enumerate();
        blocks.filter_map(|(i, block)| Some((i, block.steps?)))
    }

    /// Calls `take` with each event of type `event` in a block; discarded records are skipped.
    ///
    /// # Errors
    /// If the journal cannot be read; the message contains the path.
    pub(super) fn each<T: DeserializeOwned>(
        &self,
        block: usize,
        event: &str,
        mut take: impl FnMut(Head, T),
    ) -> io::Result<()> {
        let Some((&Block { start, .. }, (file, _))) =
            self.blocks.get(block).zip(self.file.as_ref())
        else {
            return Ok(());
        };
        let end = self
            .blocks
            .get(block + 1)
            .map_or(self.read, |next| next.start);
        let mut file = file;
        file.seek(SeekFrom::Start(start))?;
        let bytes = BufReader::with_capacity(BLOCK as usize, file.take(end.saturating_sub(start)));
        lines(bytes, |line, _| {
            if kind(line).as_deref() == Some(event)
                && let Some(head) = parse::<Head>(line).filter(|head| self.is_live(head.seq))
                && let Some(event) = parse(line)
            {
                take(head, event);
            }
        })
    }

    /// Whether a record has not been discarded by a restart from a checkpoint.
    pub(super) fn is_live(&self, seq: u64) -> bool {
        is_live(seq, &self.discarded)
    }

    /// The records with predictions for the gallery, oldest first; discarded records are skipped.
    pub(super) fn galleries(&self) -> impl DoubleEndedIterator<Item = Place> {
        let all = self.galleries.iter().copied();
        all.filter(|place| self.is_live(place.seq))
    }

    /// The test-set evaluations, oldest first; discarded records are skipped.
    pub(super) fn test_evaluations(&self) -> impl DoubleEndedIterator<Item = TestEvaluation> {
        let all = self.test_evaluations.iter().copied();
        all.filter(|evaluation| self.is_live(evaluation.seq))
    }

    /// The record with the images of the gallery.
    pub(super) fn gallery(&self) -> Option<Place> {
        self.gallery
    }

    /// Reads the event at `place`. `None` if it cannot be read or parsed.
    pub(super) fn read<T: DeserializeOwned>(&self, place: Place) -> Option<T> {
        let mut file = &self.file.as_ref()?.0;
        file.seek(SeekFrom::Start(place.offset)).ok()?;
        let mut line = Vec::new();
        file.take(place.length).read_to_end(&mut line).ok()?;
        parse(&line)
    }
}

/// Appends to a bounded list and drops its oldest entry if it is full.
fn remember<T>(all: &mut VecDeque<T>, new: Option<T>) {
    all.extend(new);
    if all.len() > PLACES {
        all.pop_front();
    }
}

/// First and last step of a window; `None` for an empty one.
fn span(line: &[u8]) -> Option<(u64, u64)> {
    let window: StepWindow = parse(line)?;
    let steps = Steps::of(&window);
    (steps.count() > 0).then(|| (steps.first(), window.global_step))
}

/// The test-set evaluation in a line; `None` if the line is about another split.
fn test_evaluation(line: &[u8]) -> Option<TestEvaluation> {
    let (Head { seq, .. }, evaluated) = parse(line).zip(parse::<Evaluated>(line))?;
    (evaluated.split == Split::Test).then_some(TestEvaluation {
        seq,
        epoch: evaluated.epoch,
        global_step: evaluated.global_step,
    })
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    serde_json::from_slice(line).ok()
}

/// The event type of a line. It normally follows two numbers near the start and is found without parsing; if the fields
/// are in another order, the line is parsed.
fn kind(line: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow)]
        event: Cow<'a, str>,
    }
    const KEY: &[u8] = b"\"event\":\"";
    let head = line.get(..line.len().min(120)).unwrap_or_default();
    let quick = || {
        let at = head.windows(KEY.len()).position(|part| part == KEY)?;
        let rest = head.get(at + KEY.len()..)?;
        let end = rest.iter().position(|byte| *byte == b'"')?;
        std::str::from_utf8(rest.get(..end)?).ok()
    };
    match quick() {
        Some(word) => Some(Cow::Borrowed(word)),
        None => serde_json::from_slice(line)
            .ok()
            .map(|Kind { event }| event),
    }
}

/// Calls `take` with each complete line and its length in bytes. Of a line longer than any record only the beginning is
/// passed, which fails to parse and is ignored.
fn lines(mut from: impl BufRead, mut take: impl FnMut(&[u8], u64)) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        let bytes = read_line(&mut from, JOURNAL_LINE, &mut line)?;
        if !line.ends_with(b"\n") && bytes <= JOURNAL_LINE {
            return Ok(());
        }
        take(&line, bytes);
    }
}

#[cfg(test)]
mod tests;
