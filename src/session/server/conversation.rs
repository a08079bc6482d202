//! The connection of one client to the trainer's socket, from the hello message to the goodbye message.

use std::io::{self, BufWriter, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, select};

use super::super::wire::{ClientHello, FromClient, FromTrainer, Role, TrainerHello, invalid};
use super::Shared;
use crate::event::{Event, Level, Request};
use crate::link::{Feed, Link, Queries, Query, Reply};
use crate::run::RunState;

/// Records queued for a client. A client that falls further behind receives a complete state instead.
const BACKLOG: usize = 128;
/// Time limit for the complete hello message after connecting.
const HELLO: Duration = Duration::from_secs(2);
/// Time limit for the rest of a message after its first byte.
const MESSAGE: Duration = Duration::from_secs(10);
/// Time limit for a single write: a client that reads nothing for this long is disconnected.
const STUCK: Duration = Duration::from_secs(30);
/// Maximum length, in characters, of a client's name in the log.
const WHO: usize = 80;

/// A connected client. While it exists, it is included in `Shared::clients`.
#[derive(Debug)]
pub(super) struct Client {
    stream: UnixStream,
    shared: Arc<Shared>,
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        self.shared.clients.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Client {
    pub(super) fn new(stream: UnixStream, shared: Arc<Shared>) -> Self {
        let _ = stream.set_nonblocking(false);
        let _ = stream.set_write_timeout(Some(STUCK));
        Self { stream, shared }
    }

    /// Sends the reason for closing the connection; gives up after 200 ms.
    pub(super) fn goodbye(&self, reason: &str) {
        let _ = self
            .stream
            .set_write_timeout(Some(Duration::from_millis(200)));
        let _ = FromTrainer::Goodbye(reason.to_owned()).send(&mut &self.stream);
    }

    /// Serves the client until it disconnects, is disconnected, or the run ends.
    pub(super) fn converse(self) {
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
        let mut guard = ControlGuard::new(&self.shared, role);
        FromTrainer::Hello(TrainerHello::new(self.shared.about(), guard.has_control))
            .send(&mut &self.stream)?;
        let mut link = self.shared.hub.link(BACKLOG);
        // The reader owns the query sender and the writer owns the reply receiver. If the writer ends, the answering
        // thread cannot send replies and ends too, which unblocks a reader that is waiting to queue a query.
        let (ask, replies) = match link.queries.take() {
            Some(Queries { ask, replies }) => (Some(ask), Some(replies)),
            None => (None, None),
        };
        let (outbox, messages) = bounded(16);
        thread::scope(|scope| {
            let writer = Builder::new().name("client-out".to_owned());
            let writing =
                writer.spawn_scoped(scope, || self.write(link, replies, messages, (role, &by)));
            let received =
                writing.and_then(|_| self.read_messages(&mut guard, ask.as_ref(), &outbox, &by));
            // Closing the outbox ends the writer.
            drop(outbox);
            if received.is_ok() {
                let _ = self.stream.shutdown(Shutdown::Both);
            }
            received
        })
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
        loop {
            let mut reader = DeadlineReader::after_first_byte(&self.stream, MESSAGE);
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
                FromClient::Request(request) if guard.has_control => self.ask(request, by),
                FromClient::Request(request) => Some(unsent(
                    request.id,
                    "this client does not have control: command not sent",
                )),
                FromClient::Query(id, query) => {
                    // Blocks while the queue is full: a client cannot send queries faster than they are answered.
                    ask.and_then(|ask| ask.send((id, query)).err());
                    None
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

    /// Writes messages until the run ends or the client disconnects.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "dropping the receiver makes the reader's next send fail, which ends the reader"
    )]
    fn write(
        &self,
        link: Link,
        replies: Option<Receiver<(u64, Reply)>>,
        messages: Receiver<FromTrainer>,
        (role, by): (Role, &str),
    ) {
        let Link { feed, requests, .. } = link;
        drop(requests);
        let mut replies = replies.unwrap_or_else(never);
        let mut out = BufWriter::with_capacity(1 << 16, &self.stream);
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
            };
            // Also flushed after a record that is not sent: a message before it may have waited for it.
            let sent = message.map_or(Ok(()), |message| message.send(&mut out));
            let more = !feed.is_empty() || !messages.is_empty();
            match sent.and_then(|()| if more { Ok(()) } else { out.flush() }) {
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
            let seconds = STUCK.as_secs();
            let text =
                format!("disconnected {by}: it read no data for {seconds} s; it can reattach");
            self.shared.hub.note(Level::Info, text);
        }
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

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

/// Reads a message within a time limit.
struct DeadlineReader<'a> {
    stream: &'a UnixStream,
    until: Option<Instant>,
    /// Time limit for the rest of the message after its first byte, if `until` is not set yet.
    rest: Duration,
}

impl<'a> DeadlineReader<'a> {
    /// The complete message must arrive before `until`.
    fn until(stream: &'a UnixStream, until: Instant) -> Self {
        Self {
            stream,
            until: Some(until),
            rest: Duration::ZERO,
        }
    }

    /// Waits for the first byte without a limit, and at most `rest` for the remaining bytes.
    fn after_first_byte(stream: &'a UnixStream, rest: Duration) -> Self {
        Self {
            stream,
            until: None,
            rest,
        }
    }
}

impl Read for DeadlineReader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self
            .until
            .map(|until| until.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(left)?;
        let read = self.stream.read(bytes)?;
        self.until.get_or_insert_with(|| Instant::now() + self.rest);
        Ok(read)
    }
}
