//! What people ask of the trainer, answered between steps.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};

use crate::event::{Answer, Event, Request};

/// Requests remembered, so that one sent twice is obeyed once.
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

    /// Says something. The channel is unbounded, so this waits for nobody; with nobody listening it does nothing.
    pub(super) fn say(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// The next new request, if there is one, acknowledged as accepted.
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

    /// Waits for the next new request, no longer than this.
    pub(super) fn wait(&mut self, global_step: u64, patience: Duration) -> Waited {
        let until = Instant::now() + patience;
        loop {
            match self.requests.recv_deadline(until) {
                Ok(request) if self.is_new(request.id) => {
                    return Waited::For(self.accept(request, global_step));
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Waited::InVain,
                Err(RecvTimeoutError::Disconnected) => return Waited::ForNobody,
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
        self.say(Event::Acknowledged {
            id,
            command,
            answer,
            global_step,
        });
    }
}

/// What came of waiting for a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Waited {
    /// This.
    For(Request),
    /// Nothing yet.
    InVain,
    /// Every sender is gone; while the process listens to signals there is one.
    ForNobody,
}
