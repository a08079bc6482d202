//! The trainer's event and request channels.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};

use crate::event::{Answer, Event, Request};

/// Number of request ids remembered, so that a request that was sent twice is executed once.
const REMEMBERED: usize = 256;

/// The trainer's end of both channels.
#[derive(Debug)]
pub(super) struct Control {
    events: Sender<Event>,
    requests: Receiver<Request>,
    seen: VecDeque<u64>,
}

impl Control {
    pub(super) fn new(events: Sender<Event>, requests: Receiver<Request>) -> Self {
        Self {
            events,
            requests,
            seen: VecDeque::with_capacity(REMEMBERED),
        }
    }

    /// Sends an event. The channel is unbounded, so this never waits. A closed channel is ignored.
    pub(super) fn emit(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// The next new request, if there is one. It has been acknowledged as accepted.
    pub(super) fn next(&mut self, global_step: u64) -> Option<Request> {
        loop {
            match self.requests.try_recv() {
                Ok(request) if self.is_new(request.id) => {
                    return Some(self.accept(request, global_step));
                }
                Ok(_) => {}
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return None,
            }
        }
    }

    /// Waits at most `timeout` for the next new request, and acknowledges it as accepted.
    pub(super) fn wait(&mut self, global_step: u64, timeout: Duration) -> WaitOutcome {
        let until = Instant::now() + timeout;
        loop {
            match self.requests.recv_deadline(until) {
                Ok(request) if self.is_new(request.id) => {
                    return WaitOutcome::Received(self.accept(request, global_step));
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return WaitOutcome::TimedOut,
                Err(RecvTimeoutError::Disconnected) => return WaitOutcome::Disconnected,
            }
        }
    }

    fn accept(&self, request: Request, global_step: u64) -> Request {
        self.answer(request, Answer::Accepted, global_step);
        request
    }

    fn is_new(&mut self, id: u64) -> bool {
        if self.seen.contains(&id) {
            return false;
        }
        if self.seen.len() >= REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(id);
        true
    }

    pub(super) fn done(&self, request: Request, global_step: u64, note: impl Into<String>) {
        self.answer(request, Answer::Done { note: note.into() }, global_step);
    }

    pub(super) fn refuse(&self, request: Request, global_step: u64, reason: impl Into<String>) {
        self.answer(
            request,
            Answer::Refused {
                reason: reason.into(),
            },
            global_step,
        );
    }

    fn answer(&self, request: Request, answer: Answer, global_step: u64) {
        let Request { id, command } = request;
        self.emit(Event::Acknowledged {
            id,
            command,
            answer,
            global_step,
        });
    }
}

/// Result of waiting for a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum WaitOutcome {
    /// A new request.
    Received(Request),
    /// No new request within the timeout.
    TimedOut,
    /// All senders are closed. The signal handler owns one for as long as it runs.
    Disconnected,
}
