//! Batches of packed images, read ahead of the steps by threads of their own.
//!
//! What a batch contains depends only on its indices: reading ahead changes when the images are read, never which. A batch
//! that was not announced is read when it is needed.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::{DataError, Images};
use crate::threads;

/// Threads that read.
const READERS: usize = 2;
/// Batches that are read ahead.
const AHEAD: usize = 4;

/// The pixels of a batch, or why they could not be read.
type Batch = Result<Vec<u8>, DataError>;

/// A batch to be read, and where its pixels are sent.
#[derive(Debug)]
struct Order {
    indices: Vec<i64>,
    reply: Sender<Batch>,
}

/// Reads the batches of a split ahead.
#[derive(Debug)]
pub(super) struct Prefetcher {
    images: Images,
    /// `None` if no thread could be started; then batches are read when they are needed.
    orders: Option<Sender<Order>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Batches that are being read or are ready, in the order in which they will be needed.
    ahead: VecDeque<(Vec<i64>, Receiver<Batch>)>,
    /// Batches that are announced.
    announced: VecDeque<Vec<i64>>,
}

impl Prefetcher {
    /// A prefetcher for the images of a split.
    pub(super) fn new(images: &Images) -> Self {
        let (sender, orders) = unbounded();
        let start = |_| {
            let (images, orders) = (images.clone(), orders.clone());
            threads::start("read-images", move || serve(&images, &orders)).is_ok()
        };
        let started = (0..READERS).map(start).filter(|started| *started).count();
        Self {
            images: images.clone(),
            orders: (started > 0).then_some(sender),
            state: Mutex::default(),
        }
    }

    /// Announces the next batches: those of `batch` images in `order`, from position `start` on.
    pub(super) fn expect(&self, order: &[i64], batch: usize, start: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = order.get(start..).unwrap_or_default();
        state.ahead.clear();
        state.announced = rest.chunks(batch).map(<[i64]>::to_vec).collect();
        self.order_more(&mut state);
    }

    /// The pixels of the images at `indices`, one after another.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub(super) fn take(&self, indices: &[i64]) -> Batch {
        let next = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let is_next = state.ahead.front().is_some_and(|(next, _)| next == indices);
            let next = if is_next {
                state.ahead.pop_front()
            } else {
                None
            };
            self.order_more(&mut state);
            next
        };
        let read = next.and_then(|(_, reply)| reply.recv().ok());
        read.unwrap_or_else(|| read_batch(&self.images, indices))
    }

    fn order_more(&self, state: &mut State) {
        let Some(orders) = &self.orders else { return };
        while state.ahead.len() < AHEAD {
            let Some(indices) = state.announced.pop_front() else {
                return;
            };
            let (reply, answer) = bounded(1);
            let order = Order {
                indices: indices.clone(),
                reply,
            };
            if orders.send(order).is_ok() {
                state.ahead.push_back((indices, answer));
            }
        }
    }
}

/// Reads batches until the prefetcher is dropped.
fn serve(images: &Images, orders: &Receiver<Order>) {
    for Order { indices, reply } in orders {
        // Whoever ordered it may not need it any more.
        let _ = reply.send(read_batch(images, &indices));
    }
}

fn read_batch(images: &Images, indices: &[i64]) -> Batch {
    let mut bytes = Vec::with_capacity(indices.len() * images.pixels().size());
    for &index in indices {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        bytes.extend_from_slice(&images.image(index)?);
    }
    Ok(bytes)
}
