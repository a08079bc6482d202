//! The connection of one client to the trainer's socket, from the hello message to the goodbye message.

use std::io::{self, BufWriter, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, select, tick};
use rustix::net::sockopt::set_socket_send_buffer_size;

use super::super::wire::{
    ClientHello, FromClient, FromTrainer, KEEP_ALIVE_BYTES, Role, TrainerHello, invalid,
    send_keep_alive,
};
use super::budget::{Budget, lower_priority, processor_time};
use super::stream::{CountedWriter, DeadlineReader, ReadingCheck, has_hung_up};
use super::{SHORT_TURN, Shared};
use crate::event::{Event, Request};
use crate::link::{Feed, Query, Reply};
use crate::run::RunState;
use crate::threads;

/// Records queued for a client. A client that falls further behind receives a complete state instead.
const BACKLOG: usize = 128;
/// Time limit for the complete hello message after connecting.
const HELLO: Duration = Duration::from_secs(2);
/// Time limit for the rest of a message after its first byte.
const MESSAGE: Duration = Duration::from_secs(10);
/// Size of a socket's send buffer. The kernel doubles it.
pub(super) const BUFFER: usize = KEEP_ALIVE_BYTES + (KEEP_ALIVE_BYTES >> 1);
/// The number of keep-alives sent in the time that a client may read nothing.
const KEEP_ALIVES: u32 = 6;
/// Requests of one client: at once, and per second in the long run. A key that is held down sends about 30 per second.
const REQUESTS: (f64, f64) = (60.0, 10.0);
/// Requests of a command, as above. A command sends one; one that sends more than this is disconnected.
const COMMAND_REQUESTS: (f64, f64) = (5.0, 1.0);
/// The reason for the refusal of a request.
const TOO_MANY: &str =
    "too many commands, expected at most 10 per second: command not sent, try again in a moment";
/// Screens wait as long as the clients' share of the processor's time requires.
const TURN: Duration = Duration::MAX;
/// Maximum length, in characters, of a client's name in the log.
const WHO: usize = 80;

/// A connected client. While it exists, it is included in `Shared::clients`.
#[derive(Debug)]
pub(super) struct Client {
    stream: Arc<UnixStream>,
    shared: Arc<Shared>,
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        self.shared.leave(self.stream.as_raw_fd());
    }
}

impl Client {
    pub(super) fn new(stream: UnixStream, shared: Arc<Shared>) -> Self {
        let _ = stream.set_nonblocking(false);
        let _ = stream.set_write_timeout(Some(shared.patience));
        let _ = set_socket_send_buffer_size(&stream, BUFFER);
        let stream = Arc::new(stream);
        shared.enter(&stream);
        Self { stream, shared }
    }

    /// Sends the reason for closing the connection; gives up after 200 ms.
    pub(super) fn goodbye(&self, reason: &str) {
        let _ = self
            .stream
            .set_write_timeout(Some(Duration::from_millis(200)));
        let _ = FromTrainer::Goodbye(reason.to_owned()).send(&mut &*self.stream);
    }

    /// Serves the client until it disconnects, is disconnected, or the run ends.
    pub(super) fn converse(&self) {
        lower_priority();
        if let Err(error) = self.try_converse() {
            // After other errors, the client has already disconnected or does not respond.
            let reason = error.to_string();
            if error.kind() == io::ErrorKind::InvalidData {
                self.goodbye(&reason);
            }
        }
    }

    fn try_converse(&self) -> io::Result<()> {
        let peer = peer(&self.stream)?;
        let hello = {
            let mut reader = DeadlineReader::until(&self.stream, Instant::now() + HELLO);
            FromClient::receive(&mut reader)?
        };
        let Some(FromClient::Hello(ClientHello { role, who, .. })) = hello else {
            return Err(invalid("protocol error: the first message must be a hello"));
        };
        let by = name(&who, peer);
        let admitted = self.shared.admit(self.stream.as_raw_fd(), role, &by);
        admitted.map_err(|reason| invalid(&reason))?;
        let mut guard = ControlGuard::new(&self.shared, role);
        FromTrainer::Hello(TrainerHello::new(self.shared.about(), guard.has_control))
            .send(&mut &*self.stream)?;
        let feed = self.shared.hub.subscribe(BACKLOG);
        // The reader owns the query sender and the writer owns the reply receiver. If the writer ends, the answering
        // thread cannot send replies and ends too, which unblocks a reader that is waiting to queue a query.
        let (ask, replies) = self.start_answering(role).unzip();
        let (outbox, messages) = bounded(16);
        thread::scope(|scope| {
            let writer = Builder::new().name("client-out".to_owned());
            let started = writer.spawn_scoped(scope, || {
                self.write((&feed, replies, messages), (role, &by));
            });
            let received = match started {
                Ok(_) => self.read_messages(&mut guard, ask.as_ref(), &outbox, &by),
                Err(error) => Err(invalid(&format!(
                    "the trainer cannot serve this client: {error}; {}",
                    threads::limits()
                ))),
            };
            // Closing the outbox ends the writer.
            drop(outbox);
            if received.is_ok() {
                let _ = self.stream.shutdown(Shutdown::Both);
            }
            received
        })
    }

    /// Starts the thread that answers the client's queries, within the clients' share of the processor's time. `None` if
    /// it has no use for queries or the thread cannot be started.
    fn start_answering(&self, role: Role) -> Option<QueryEnds> {
        match role {
            Role::Asker => None,
            Role::Screen | Role::Watcher => {
                let shared = Arc::clone(&self.shared);
                let queries = self.shared.hub.queries(move || shared.take_turn(TURN))?;
                Some((queries.ask, queries.replies))
            }
        }
    }

    /// Reads messages until the client disconnects.
    ///
    /// # Errors
    /// If reading fails, a message exceeds its time limit, or the client violates the protocol.
    fn read_messages(
        &self,
        guard: &mut ControlGuard<'_>,
        ask: Option<&Sender<(u64, Query)>>,
        outbox: &Sender<FromTrainer>,
        by: &str,
    ) -> io::Result<()> {
        let (turn, mut request_due, (burst, rate)) = match guard.role {
            Role::Asker => (
                SHORT_TURN,
                Some(Instant::now() + self.shared.patience),
                COMMAND_REQUESTS,
            ),
            Role::Screen | Role::Watcher => (TURN, None, REQUESTS),
        };
        let budget = Budget::new(burst, rate);
        loop {
            self.shared.take_turn(turn);
            let mut reader = match request_due {
                Some(until) => DeadlineReader::until(&self.stream, until),
                None => DeadlineReader::after_first_byte(&self.stream, MESSAGE),
            };
            let Some(message) = FromClient::receive(&mut reader)? else {
                return Ok(());
            };
            let answer = match message {
                FromClient::Hello(_) => {
                    return Err(invalid("protocol error: the client sent a second hello"));
                }
                FromClient::Control => {
                    guard.take_control();
                    Some(FromTrainer::Feed(Feed::Control(guard.has_control)))
                }
                FromClient::Request(request) if !guard.has_control => Some(unsent(
                    request.id,
                    "this client does not have control: command not sent",
                )),
                FromClient::Request(request) if !budget.take() => match guard.role {
                    Role::Asker => return Err(invalid(TOO_MANY)),
                    Role::Screen | Role::Watcher => Some(unsent(request.id, TOO_MANY)),
                },
                FromClient::Request(request) => {
                    request_due = None;
                    let wait = self.shared.requests.spend(1.0);
                    if !wait.is_zero() && has_hung_up(&self.stream) {
                        // The rest of a flood is not worth the wait.
                        return Ok(());
                    }
                    self.shared.wait(wait);
                    self.ask(request, by)
                }
                FromClient::Query(id, query) => {
                    if let Some(ask) = ask {
                        // Blocks while the queue is full: a client cannot send queries faster than they are answered.
                        let _ = ask.send((id, query));
                        None
                    } else {
                        let reason = "the trainer has no thread for this client's queries";
                        let reason = reason.to_owned();
                        Some(FromTrainer::Reply(id, Reply::Unknown { reason }))
                    }
                }
            };
            if let Some(answer) = answer
                && outbox.send(answer).is_err()
            {
                return Ok(());
            }
        }
    }

    /// Passes a request to the trainer; returns the message for the client if it is refused.
    fn ask(&self, request: Request, by: &str) -> Option<FromTrainer> {
        let refused = self.shared.hub.ask(request, by.to_owned()).err();
        refused.map(|reason| unsent(request.id, reason))
    }

    /// Writes messages until the run ends, the client disconnects, or it reads nothing for too long.
    fn write(&self, (feed, replies, messages): WriterEnds<'_>, (role, by): (Role, &str)) {
        let mut replies = replies.unwrap_or_else(never);
        let mut reading = ReadingCheck::new(&self.stream, self.shared.patience);
        let ticks = tick(self.shared.patience / KEEP_ALIVES);
        let mut out = BufWriter::with_capacity(1 << 16, CountedWriter::new(&self.stream));
        let end = loop {
            let message = select! {
                recv(feed) -> feed => {
                    let Ok(feed) = feed else {
                        // The hub has ended; its last records have already been sent.
                        let goodbye = FromTrainer::Goodbye(String::new());
                        break goodbye.send(&mut out).and_then(|()| out.flush());
                    };
                    feed_for(role, feed).map(FromTrainer::Feed)
                }
                recv(replies) -> reply => {
                    let Ok((id, reply)) = reply else {
                        replies = never();
                        continue;
                    };
                    Some(FromTrainer::Reply(id, reply))
                }
                // The channel is closed if the client has disconnected or if `converse` sends a goodbye message.
                recv(messages) -> message => {
                    let Ok(message) = message else { return };
                    Some(message)
                }
                recv(ticks) -> _ => {
                    let kept = reading.check(out.get_ref().written).and_then(|has_read| {
                        if has_read { send_keep_alive(&mut out) } else { Ok(()) }
                    });
                    match kept {
                        Ok(()) => None,
                        Err(error) => break Err(error),
                    }
                }
            };
            let is_live = matches!(message, Some(FromTrainer::Feed(Feed::Live(_))));
            // Also flushed after a record that is not sent: a message before it may have waited for it.
            let sent = message.map_or(Ok(()), |message| message.send(&mut out));
            let more = !feed.is_empty() || !messages.is_empty();
            let sent = sent.and_then(|()| if more { Ok(()) } else { out.flush() });
            let used = processor_time();
            if !is_live {
                self.shared.work.spend(used);
            }
            match sent {
                Ok(()) => {}
                // The message is too long; nothing of it has been written.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let goodbye = FromTrainer::Goodbye(error.to_string());
                    break goodbye.send(&mut out).and_then(|()| out.flush());
                }
                Err(error) => break Err(error),
            }
        };
        // Discards unsent bytes: dropping the `BufWriter` itself would try to write them.
        drop(out.into_parts());
        let stuck = |kind| matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        if end.is_err_and(|error| stuck(error.kind())) {
            let seconds = self.shared.patience.as_secs();
            let text =
                format!("disconnected {by}: it read no data for {seconds} s; it can reattach");
            self.shared.note(text);
        }
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A client's queries and the replies.
type QueryEnds = (Sender<(u64, Query)>, Receiver<(u64, Reply)>);

/// What is sent to a client: its feed, the replies to its queries, and other messages.
type WriterEnds<'a> = (
    &'a Receiver<Feed>,
    Option<Receiver<(u64, Reply)>>,
    Receiver<FromTrainer>,
);

/// What a client in this role receives of the feed. A command needs only the answers to requests and the learning rate:
/// a complete state has images, curves and tables, and a command must work however large they are.
fn feed_for(role: Role, feed: Feed) -> Option<Feed> {
    match (role, feed) {
        (Role::Asker, Feed::Snapshot(state)) => Some(Feed::Snapshot(Box::new(RunState {
            seq: state.seq,
            now_ms: state.now_ms,
            phase: state.phase,
            epochs: state.epochs,
            global_step: state.global_step,
            base_lr: state.base_lr,
            commands: state.commands,
            askers: state.askers,
            outcome: state.outcome,
            ..RunState::default()
        }))),
        (Role::Asker, Feed::Live(record)) => {
            let needed = matches!(
                record.event,
                Event::Asked { .. }
                    | Event::Acknowledged { .. }
                    | Event::RunStarted(_)
                    | Event::RunFinished { .. }
            );
            needed.then_some(Feed::Live(record))
        }
        (_, feed) => Some(feed),
    }
}

/// The message that a request was not sent, with the reason.
fn unsent(id: u64, reason: &str) -> FromTrainer {
    FromTrainer::Feed(Feed::Unsent {
        id,
        reason: reason.to_owned(),
    })
}

/// A client's permission to control the run; released when the client disconnects.
struct ControlGuard<'a> {
    shared: &'a Shared,
    role: Role,
    has_control: bool,
}

impl<'a> ControlGuard<'a> {
    /// Gives control to a requester, and to a screen if no other screen has control.
    fn new(shared: &'a Shared, role: Role) -> Self {
        let mut guard = Self {
            shared,
            role,
            has_control: false,
        };
        match role {
            Role::Watcher => {}
            Role::Asker => guard.has_control = true,
            Role::Screen => {
                let first =
                    shared
                        .steering
                        .compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
                guard.has_control = first.is_ok();
            }
        }
        guard
    }

    /// Gives the client control as well, if it is a screen.
    fn take_control(&mut self) {
        if self.role == Role::Screen && !self.has_control {
            self.shared.steering.fetch_add(1, Ordering::AcqRel);
            self.has_control = true;
        }
    }
}

impl Drop for ControlGuard<'_> {
    fn drop(&mut self) {
        if self.role == Role::Screen && self.has_control {
            self.shared.steering.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// The process ID of the client.
///
/// # Errors
/// If the client belongs to neither this user nor root.
#[cfg(target_os = "linux")]
fn peer(stream: &UnixStream) -> io::Result<Option<i32>> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    if peer.uid == rustix::process::geteuid() || peer.uid.is_root() {
        Ok(Some(peer.pid.as_raw_nonzero().get()))
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "this run belongs to another user",
        ))
    }
}

/// On other systems, only the permissions of the socket's directory restrict access.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "as on Linux")]
fn peer(_: &UnixStream) -> io::Result<Option<i32>> {
    Ok(None)
}

/// The name of a client in the log, without control characters.
fn name(who: &str, pid: Option<i32>) -> String {
    let plain = who.chars().filter(|c| !c.is_control()).take(WHO);
    let who: String = plain.collect();
    match pid {
        Some(pid) => format!("{who}, process {pid}"),
        None => who,
    }
}
