//! Batches of packed images and of photos, read, cropped and changed ahead of the steps by threads of their own.
//!
//! What a batch contains depends only on its indices and on (seed, rank, step): reading ahead changes when the images are
//! read, never which. A batch that was not announced is read when it is needed.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::{Augment, DataError, Images};
use crate::images::augment::photo::Photographer;
use crate::threads;

/// Most threads that are started by default.
const MOST: usize = 8;
/// Fewest batches that are read ahead.
const AHEAD: usize = 4;

/// The pixels of a batch, or why they could not be read.
type Batch = Result<Vec<u8>, DataError>;

/// What was spent on images that are made ready ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoaderTimes {
    /// The step waited for its batch.
    pub waited: Duration,
    /// Threads read images.
    pub reading: Duration,
    /// Threads cropped, resized and changed images.
    pub changing: Duration,
}

/// What determines the pixels of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    /// The images.
    pub(super) indices: Vec<i64>,
    /// Seed, rank and step of the augmentation; empty: without augmentation.
    pub(super) words: Vec<u64>,
}

/// A batch to be read, and where its pixels are sent.
#[derive(Debug)]
struct Order {
    contents: Contents,
    reply: Sender<(Batch, LoaderTimes)>,
}

/// The images of a split, and how they are changed in training.
#[derive(Debug, Clone)]
struct Source {
    images: Images,
    /// The photo stage of training; `None` if it is off.
    photo: Option<Augment>,
}

/// Reads the batches of a split ahead.
#[derive(Debug)]
pub(super) struct Prefetcher {
    source: Source,
    /// Number of batches that are read ahead.
    depth: usize,
    /// `None` if no thread could be started; then batches are read when they are needed.
    orders: Option<Sender<Order>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Batches that are being read or are ready, in the order in which they will be needed.
    ahead: VecDeque<(Contents, Receiver<(Batch, LoaderTimes)>)>,
    /// Batches that are announced.
    announced: VecDeque<Contents>,
    /// Since they were last taken.
    times: LoaderTimes,
}

impl Prefetcher {
    /// A prefetcher for the images of a split, with this number of threads (0: one per core, at most 8).
    pub(super) fn new(images: &Images, photo: Option<Augment>, threads: usize) -> Self {
        let source = Source {
            images: images.clone(),
            photo,
        };
        let (sender, orders) = unbounded();
        let start = |_: &usize| {
            let (source, orders) = (source.clone(), orders.clone());
            threads::start("read-images", move || serve(&source, &orders)).is_ok()
        };
        let wanted = match threads {
            0 => threads::cores().clamp(2, MOST),
            wanted => wanted,
        };
        let started = (0..wanted).take_while(start).count();
        Self {
            source,
            depth: AHEAD.max(started + 1),
            orders: (started > 0).then_some(sender),
            state: Mutex::default(),
        }
    }

    /// Announces the next batches, in the order in which they will be taken.
    pub(super) fn expect(&self, batches: VecDeque<Contents>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ahead.clear();
        state.announced = batches;
        self.order_more(&mut state);
    }

    /// The pixels of the images of a batch, one after another.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub(super) fn take(&self, contents: &Contents) -> Batch {
        let next = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let is_next = state
                .ahead
                .front()
                .is_some_and(|(next, _)| next == contents);
            let next = if is_next {
                state.ahead.pop_front()
            } else {
                None
            };
            self.order_more(&mut state);
            next
        };
        let began = Instant::now();
        let read = next.and_then(|(_, reply)| reply.recv().ok());
        let (batch, times) =
            read.unwrap_or_else(|| self.source.read(contents, &mut Photographer::new()));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.times.waited += began.elapsed();
        state.times.reading += times.reading;
        state.times.changing += times.changing;
        batch
    }

    /// What was spent since the last call.
    pub(super) fn take_times(&self) -> LoaderTimes {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.times)
    }

    fn order_more(&self, state: &mut State) {
        let Some(orders) = &self.orders else { return };
        while state.ahead.len() < self.depth {
            let Some(contents) = state.announced.pop_front() else {
                return;
            };
            let (reply, answer) = bounded(1);
            let order = Order {
                contents: contents.clone(),
                reply,
            };
            if orders.send(order).is_ok() {
                state.ahead.push_back((contents, answer));
            }
        }
    }
}

impl Source {
    /// The pixels of a batch, and the time that took.
    fn read(&self, contents: &Contents, photographer: &mut Photographer) -> (Batch, LoaderTimes) {
        let mut times = LoaderTimes::default();
        let batch = self.try_read(contents, photographer, &mut times);
        (batch, times)
    }

    fn try_read(
        &self,
        Contents { indices, words }: &Contents,
        photographer: &mut Photographer,
        times: &mut LoaderTimes,
    ) -> Batch {
        let mut bytes = Vec::new();
        let mut changed = Vec::new();
        for (number, &index) in indices.iter().enumerate() {
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            let began = Instant::now();
            let stored = self.images.stored(index)?;
            let read = Instant::now();
            match &self.photo {
                Some(augment) if !words.is_empty() => {
                    augment.photograph((words, number), &stored, photographer, &mut changed);
                    bytes.extend_from_slice(&changed);
                }
                _ => bytes.extend_from_slice(&self.images.trained(stored)),
            }
            times.reading += read - began;
            times.changing += read.elapsed();
            if number == 0 {
                // The images of a batch have the same size.
                bytes.reserve_exact(indices.len().saturating_sub(1) * bytes.len());
            }
        }
        Ok(bytes)
    }
}

/// Reads batches until the prefetcher is dropped.
fn serve(source: &Source, orders: &Receiver<Order>) {
    let mut photographer = Photographer::new();
    for Order { contents, reply } in orders {
        // Whoever ordered it may not need it any more.
        let _ = reply.send(source.read(&contents, &mut photographer));
    }
}
