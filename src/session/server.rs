//! The socket a trainer listens on: any number of screens and askers of the same user.
//!
//! Each client has a thread that reads and one that writes, and a queue of its own in the hub: one that is slow gets a
//! fresh picture instead of what it missed, one that takes nothing is let go. None of them can hold up another, the hub or
//! the trainer.

use std::io::{self, BufWriter, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use fs_err as fs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::hub::Door;
use super::sockets;
use super::wire::{About, ClientHello, FromClient, FromTrainer, Role, TrainerHello, invalid};
use crate::event::{Level, Request};
use crate::link::{Feed, Link, Queries};

/// Clients at once; those that have not said hello yet are among them, but not for long.
const CLIENTS: usize = 32;
/// Records a client may lag behind before it gets a picture instead.
const BACKLOG: usize = 128;
/// How long a client may take for its hello, for the rest of a message, and to take anything at all.
const HELLO: Duration = Duration::from_secs(2);
const MESSAGE: Duration = Duration::from_secs(10);
const STUCK: Duration = Duration::from_secs(30);
/// How long the end waits for clients to hear it.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often to see whether the socket is still there.
const LOOK: Duration = Duration::from_secs(30);
/// Longest name a client may have in the log.
const WHO: usize = 80;

/// A socket that is listened on until this is dropped.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    door: Door,
    about: About,
    stop: AtomicBool,
    clients: AtomicUsize,
    /// How many of them steer.
    steering: AtomicUsize,
}

impl Server {
    /// Listens at a path. A socket there that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// The path and what the system said.
    pub fn start(path: &Path, door: Door, about: About) -> io::Result<Self> {
        let listener = bind(path)?;
        sockets::sweep(path);
        let shared = Arc::new(Shared {
            door,
            about,
            stop: AtomicBool::new(false),
            clients: AtomicUsize::new(0),
            steering: AtomicUsize::new(0),
        });
        let (place, all) = (path.to_owned(), Arc::clone(&shared));
        let listening = Builder::new()
            .name("socket".to_owned())
            .spawn(move || listen(listener, &place, &all))?;
        Ok(Self {
            path: path.to_owned(),
            shared,
            listening: Some(listening),
        })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes no more clients, and gives those that are there a moment to hear the end.
    pub fn finish(mut self) {
        self.close();
        let began = Instant::now();
        while self.shared.clients.load(Ordering::Acquire) > 0 && began.elapsed() < FAREWELL {
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn close(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(listening) = self.listening.take() {
            // Wakes it; whether that works or not, it looks by itself soon.
            let _ = UnixStream::connect(&self.path);
            let _ = listening.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.listening.is_some() {
            self.close();
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if !sockets::is_stale(path) {
                return Err(named(invalid("another process listens there")));
            }
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        other => other,
    }
    .map_err(named)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn listen(mut listener: UnixListener, path: &Path, shared: &Arc<Shared>) {
    let inode = |path: &Path| fs::symlink_metadata(path).map(|meta| meta.ino()).ok();
    let mut own = inode(path);
    let mut looked = Instant::now();
    while !shared.stop.load(Ordering::Acquire) {
        let mut fds = [PollFd::new(&listener, PollFlags::IN)];
        let wait = Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        let _ = poll(&mut fds, Some(&wait));
        match listener.accept() {
            Ok((stream, _)) => welcome(stream, shared),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Out of descriptors, most likely: later there may be some.
            Err(_) => thread::sleep(Duration::from_millis(200)),
        }
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            // What cleans /tmp up may have taken it.
            if inode(path) != own
                && sockets::make_directory().is_ok()
                && let Ok(again) = bind(path)
            {
                listener = again;
                own = inode(path);
            }
        }
    }
}

fn welcome(stream: UnixStream, shared: &Arc<Shared>) {
    if shared.stop.load(Ordering::Acquire) {
        return;
    }
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_write_timeout(Some(STUCK));
    let before = shared.clients.fetch_add(1, Ordering::AcqRel);
    let client = Client {
        stream,
        shared: Arc::clone(shared),
    };
    if before >= CLIENTS {
        return client.goodbye(&format!(
            "{CLIENTS} others are attached already: one of them must leave first"
        ));
    }
    // Without a thread the client is dropped, and with it the connection.
    let _ = Builder::new()
        .name("client".to_owned())
        .spawn(move || client.converse());
}

/// A connection; counted as long as it is there.
#[derive(Debug)]
struct Client {
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
    fn goodbye(&self, reason: &str) {
        let _ = self
            .stream
            .set_write_timeout(Some(Duration::from_millis(200)));
        let _ = FromTrainer::Goodbye(reason.to_owned()).send(&mut &self.stream);
    }

    fn converse(self) {
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
        let queries = link.queries.take();
        let (outbox, messages) = bounded(16);
        thread::scope(|scope| {
            let replies = queries.as_ref().map(|queries| queries.replies.clone());
            let writer = Builder::new().name("client-out".to_owned());
            let writing = writer.spawn_scoped(scope, || self.write(link, replies, messages, &by));
            let heard = writing.and_then(|_| self.hear(&mut seat, queries.as_ref(), &outbox, &by));
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
        queries: Option<&Queries>,
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
                    if let Some(queries) = queries {
                        // A client that asks faster than is answered waits.
                        let _ = queries.ask.send((id, query));
                    }
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
        replies: Option<Receiver<(u64, crate::link::Reply)>>,
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
