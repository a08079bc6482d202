//! Where in a journal what stands, so that a question about its end does not read all of it.
//!
//! The journal is read once, and after that only what was added to it. What is remembered: for each block of some 64 KiB the
//! steps its records tell of, the stretches that a resume gave up, and where the gallery and the looks at the test split are
//! told. Which records count is decided when a question comes, because a resume can take back what counted before.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use fs_err::File;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::journal::{LONGEST, is_live};
use super::stamp::Stamp;
use crate::event::{Restoration, Split, StepWindow};
use crate::run::Steps;

/// Bytes a block has at first, and blocks at most: where there are more, two become one, and have twice the bytes.
const BLOCK: u64 = 64 << 10;
const BLOCKS: usize = 4096;
/// Places remembered at most of each kind; the oldest are forgotten.
const PLACES: usize = 4096;

/// What is known of a journal. Its memory is bounded: half a MiB at most.
#[derive(Debug, Default)]
pub(super) struct Index {
    path: PathBuf,
    /// The file that the rest was read from, and which one it is.
    file: Option<(File, Stamp)>,
    /// Bytes read: whole lines.
    read: u64,
    block_bytes: u64,
    blocks: Vec<Block>,
    given_up: Vec<(u64, u64)>,
    galleries: VecDeque<Place>,
    looks: VecDeque<Look>,
    gallery: Option<Place>,
}

/// A stretch of the journal, up to the beginning of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    start: u64,
    /// First and last step its records tell of, whether they count or not.
    steps: Option<(u64, u64)>,
}

/// A line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) seq: u64,
    offset: u64,
    length: u64,
}

/// An evaluation of the test split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) seq: u64,
    pub(super) epoch: u32,
    pub(super) global_step: u64,
}

/// When a record was written, and its number.
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

    /// Takes in what was added since. A last line that is not whole yet waits for the next time.
    ///
    /// # Errors
    /// The path and why it cannot be read.
    pub(super) fn refresh(&mut self) -> io::Result<()> {
        let mut file = crate::files::open_read(&self.path)?;
        let stamp = Stamp::of(&file.metadata()?);
        let same = |(_, known): &(File, Stamp)| known.is_same_file(stamp);
        if !self.file.as_ref().is_some_and(same) || stamp.length < self.read {
            *self = Self::new(std::mem::take(&mut self.path));
        }
        file.seek(SeekFrom::Start(self.read))?;
        let new = Read::take(&mut file, stamp.length - self.read);
        lines(BufReader::with_capacity(1 << 16, new), |line| {
            self.note(line);
        })?;
        self.file = Some((file, stamp));
        Ok(())
    }

    fn note(&mut self, line: &[u8]) {
        let (offset, length) = (self.read, line.len() as u64);
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
                self.given_up
                    .extend(heads.map(|(head, resumed)| (resumed.after, head.seq)));
            }
            Some("gallery_images") => self.gallery = parse(line).map(place).or(self.gallery),
            Some("gallery_predictions") => remember(&mut self.galleries, parse(line).map(place)),
            Some("eval_finished") => remember(&mut self.looks, look(line)),
            _ => {}
        }
    }

    fn widen(&mut self, steps: Option<(u64, u64)>) {
        if let Some((block, (first, last))) = self.blocks.last_mut().zip(steps) {
            let (low, high) = block.steps.unwrap_or((first, last));
            block.steps = Some((low.min(first), high.max(last)));
        }
    }

    /// Of two blocks one.
    fn coarsen(&mut self) {
        self.block_bytes = self.block_bytes.saturating_mul(2);
        let pairs = self.blocks.chunks(2).filter_map(|pair| {
            let steps = pair.iter().filter_map(|block| block.steps);
            let steps = steps.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
            pair.first().map(|first| Block { steps, ..*first })
        });
        self.blocks = pairs.collect();
    }

    /// The blocks that tell of steps: their number, first and last step.
    pub(super) fn spans(&self) -> impl Iterator<Item = (usize, (u64, u64))> {
        let blocks = self.blocks.iter().enumerate();
        blocks.filter_map(|(i, block)| Some((i, block.steps?)))
    }

    /// Calls `take` with each event of a kind in a block that counts.
    ///
    /// # Errors
    /// The path and why it cannot be read.
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
        lines(bytes, |line| {
            if kind(line).as_deref() == Some(event)
                && let Some(head) = parse::<Head>(line).filter(|head| self.is_live(head.seq))
                && let Some(event) = parse(line)
            {
                take(head, event);
            }
        })
    }

    /// Whether a record still counts.
    pub(super) fn is_live(&self, seq: u64) -> bool {
        is_live(seq, &self.given_up)
    }

    /// Where the predictions for the gallery are told that count, oldest first.
    pub(super) fn galleries(&self) -> impl DoubleEndedIterator<Item = Place> {
        let all = self.galleries.iter().copied();
        all.filter(|place| self.is_live(place.seq))
    }

    /// The evaluations of the test split that count, oldest first.
    pub(super) fn looks(&self) -> impl DoubleEndedIterator<Item = Look> {
        let all = self.looks.iter().copied();
        all.filter(|look| self.is_live(look.seq))
    }

    /// Where the gallery's images are told.
    pub(super) fn gallery(&self) -> Option<Place> {
        self.gallery
    }

    /// The event at a place.
    pub(super) fn read<T: DeserializeOwned>(&self, place: Place) -> Option<T> {
        let mut file = &self.file.as_ref()?.0;
        file.seek(SeekFrom::Start(place.offset)).ok()?;
        let mut line = Vec::new();
        file.take(place.length).read_to_end(&mut line).ok()?;
        parse(&line)
    }
}

fn remember<T>(all: &mut VecDeque<T>, new: Option<T>) {
    all.extend(new);
    if all.len() > PLACES {
        all.pop_front();
    }
}

/// First and last step of a window.
fn span(line: &[u8]) -> Option<(u64, u64)> {
    let window: StepWindow = parse(line)?;
    let steps = Steps::of(&window);
    (steps.count() > 0).then(|| (steps.first(), window.global_step))
}

fn look(line: &[u8]) -> Option<Look> {
    let (Head { seq, .. }, evaluated) = parse(line).zip(parse::<Evaluated>(line))?;
    (evaluated.split == Split::Test).then_some(Look {
        seq,
        epoch: evaluated.epoch,
        global_step: evaluated.global_step,
    })
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    serde_json::from_slice(line).ok()
}

/// What event a line tells of. It stands near the beginning, behind two numbers; another order costs a closer look.
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

/// Calls `take` with each whole line. What is too long to be a record comes in pieces that are none.
fn lines(mut from: impl BufRead, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = Read::take(&mut from, LONGEST).read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") && (read as u64) < LONGEST {
            return Ok(());
        }
        take(&line);
    }
}

#[cfg(test)]
mod tests;
