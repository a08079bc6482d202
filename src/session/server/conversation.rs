//! One client of a trainer's socket, from its hello to its goodbye.

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
use crate::event::{Level, Request};
use crate::link::{Feed, Link, Queries, Query, Reply};

/// Records a client may lag behind before it gets a state instead.
const BACKLOG: usize = 128;
/// How long a client may take for its hello, for the rest of a message, and to take anything at all.
const HELLO: Duration = Duration::from_secs(2);
const MESSAGE: Duration = Duration::from_secs(10);
const STUCK: Duration = Duration::from_secs(30);
/// Longest name a client may have in the log.
const WHO: usize = 80;

/// A connection; counted as long as it is there.
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

    /// Says why nothing more comes, if that can be said at once.
    pub(super) fn goodbye(&self, reason: &str) {
        let _ = self
            .stream
            .set_write_timeout(Some(Duration::from_millis(200)));
        let _ = FromTrainer::Goodbye(reason.to_owned()).send(&mut &self.stream);
    }

    /// Speaks with the client until it leaves, is let go, or the run ends.
    pub(super) fn converse(self) {
        if let Err(error) = self.try_converse() {
            // Who left has said so by leaving.
            let words = error.to_string();
            if error.kind() == io::ErrorKind::InvalidData {
                self.goodbye(&words);
            }
        }
    }

    fn try_converse(&self) -> io::Result<()> {
        let peer = peer(&self.stream)?;
        let hello = {
            let mut reader = Patient::until(&self.stream, Instant::now() + HELLO);
            FromClient::receive(&mut reader)?
        };
        let Some(FromClient::Hello(ClientHello { role, who, .. })) = hello else {
            return Err(invalid("the first message must be a hello"));
        };
        let by = name(&who, peer);
        let mut seat = Seat::take(&self.shared, role);
        FromTrainer::Hello(TrainerHello::new(self.shared.about.clone(), seat.steers))
            .send(&mut &self.stream)?;
        let mut link = self.shared.door.link(BACKLOG);
        // Each side has its end alone: with the writer, whoever answers has nowhere to send to, and the reader, which may be
        // waiting for a place for its question, ends too.
        let (ask, replies) = match link.queries.take() {
            Some(Queries { ask, replies }) => (Some(ask), Some(replies)),
            None => (None, None),
        };
        let (outbox, messages) = bounded(16);
        thread::scope(|scope| {
            let writer = Builder::new().name("client-out".to_owned());
            let writing = writer.spawn_scoped(scope, || self.write(link, replies, messages, &by));
            let heard = writing.and_then(|_| self.hear(&mut seat, ask.as_ref(), &outbox, &by));
            // Ends the writer, wherever it is.
            drop(outbox);
            if heard.is_ok() {
                let _ = self.stream.shutdown(Shutdown::Both);
            }
            heard
        })
    }

    /// Reads until the client leaves.
    fn hear(
        &self,
        seat: &mut Seat<'_>,
        ask: Option<&Sender<(u64, Query)>>,
        outbox: &Sender<FromTrainer>,
        by: &str,
    ) -> io::Result<()> {
        loop {
            let mut reader = Patient::then(&self.stream, MESSAGE);
            let Some(message) = FromClient::receive(&mut reader)? else {
                return Ok(());
            };
            let answer = match message {
                FromClient::Hello(_) => return Err(invalid("a second hello")),
                FromClient::Control => {
                    seat.steer();
                    Some(FromTrainer::Feed(Feed::Control(seat.steers)))
                }
                FromClient::Request(request) if seat.steers => self.ask(request, by),
                FromClient::Request(request) => Some(unsent(
                    request.id,
                    "this screen only watches: nothing was asked",
                )),
                FromClient::Query(id, query) => {
                    // A client that asks faster than is answered waits.
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

    fn ask(&self, request: Request, by: &str) -> Option<FromTrainer> {
        let refused = self.shared.door.ask(request, by.to_owned()).err();
        refused.map(|reason| unsent(request.id, reason))
    }

    /// Writes until the run or the client ends.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "with this end of it, the reader's messages have nowhere to go, and it ends too"
    )]
    fn write(
        &self,
        link: Link,
        replies: Option<Receiver<(u64, Reply)>>,
        messages: Receiver<FromTrainer>,
        by: &str,
    ) {
        let Link { feed, requests, .. } = link;
        drop(requests);
        let mut replies = replies.unwrap_or_else(never);
        let mut out = BufWriter::with_capacity(1 << 16, &self.stream);
        let end = loop {
            let message = select! {
                recv(feed) -> feed => {
                    let Ok(feed) = feed else {
                        // The hub has ended, and has told the end.
                        let goodbye = FromTrainer::Goodbye(String::new());
                        break goodbye.send(&mut out).and_then(|()| out.flush());
                    };
                    FromTrainer::Feed(feed)
                }
                recv(replies) -> reply => {
                    let Ok((id, reply)) = reply else {
                        replies = never();
                        continue;
                    };
                    FromTrainer::Reply(id, reply)
                }
                // Without them the client has left, or is to hear why it must.
                recv(messages) -> message => {
                    let Ok(message) = message else { return };
                    message
                }
            };
            let sent = message.send(&mut out);
            let more = !feed.is_empty() || !messages.is_empty();
            if let Err(error) = sent.and_then(|()| if more { Ok(()) } else { out.flush() }) {
                break Err(error);
            }
        };
        // What is left in the buffer is not tried again.
        drop(out.into_parts());
        let stuck = |kind| matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        if end.is_err_and(|error| stuck(error.kind())) {
            let seconds = STUCK.as_secs();
            let text =
                format!("{by} took nothing for {seconds} s and was let go; it can attach again");
            self.shared.door.note(Level::Info, text);
        }
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn unsent(id: u64, reason: &str) -> FromTrainer {
    FromTrainer::Feed(Feed::Unsent {
        id,
        reason: reason.to_owned(),
    })
}

/// A client's right to steer, given back when it leaves.
struct Seat<'a> {
    shared: &'a Shared,
    role: Role,
    steers: bool,
}

impl<'a> Seat<'a> {
    fn take(shared: &'a Shared, role: Role) -> Self {
        let mut seat = Self {
            shared,
            role,
            steers: false,
        };
        match role {
            Role::Watcher => {}
            Role::Asker => seat.steers = true,
            Role::Screen => {
                let first =
                    shared
                        .steering
                        .compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
                seat.steers = first.is_ok();
            }
        }
        seat
    }

    /// From now on it steers too, if it is a screen.
    fn steer(&mut self) {
        if self.role == Role::Screen && !self.steers {
            self.shared.steering.fetch_add(1, Ordering::AcqRel);
            self.steers = true;
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if self.role == Role::Screen && self.steers {
            self.shared.steering.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// The process at the other end, which must be of this user or of root's.
#[cfg(target_os = "linux")]
fn peer(stream: &UnixStream) -> io::Result<Option<i32>> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    if peer.uid == rustix::process::geteuid() || peer.uid.is_root() {
        Ok(Some(peer.pid.as_raw_nonzero().get()))
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "this run is another user's",
        ))
    }
}

/// Elsewhere the closed directory must do.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "as on Linux")]
fn peer(_: &UnixStream) -> io::Result<Option<i32>> {
    Ok(None)
}

/// What the log calls a client.
fn name(who: &str, pid: Option<i32>) -> String {
    let plain = who.chars().filter(|c| !c.is_control()).take(WHO);
    let who: String = plain.collect();
    match pid {
        Some(pid) => format!("{who}, process {pid}"),
        None => who,
    }
}

/// Reads with a limit on the time a message may take.
struct Patient<'a> {
    stream: &'a UnixStream,
    until: Option<Instant>,
    /// Once the message has begun.
    rest: Duration,
}

impl<'a> Patient<'a> {
    fn until(stream: &'a UnixStream, until: Instant) -> Self {
        Self {
            stream,
            until: Some(until),
            rest: Duration::ZERO,
        }
    }

    /// The first byte may take for ever, the rest of the message may not.
    fn then(stream: &'a UnixStream, rest: Duration) -> Self {
        Self {
            stream,
            until: None,
            rest,
        }
    }
}

impl Read for Patient<'_> {
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
