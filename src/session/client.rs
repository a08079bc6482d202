//! The client side of a trainer's socket. It provides the same [`Link`] as a session in this process. A client that the
//! trainer disconnected because it was suspended connects again by itself.

use std::io::{self, BufReader, BufWriter, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::answer::answer_all;
use super::process::host;
use super::wire::{ClientHello, FromClient, FromTrainer, Role, TrainerInfo, invalid};
use crate::event::Request;
use crate::files::Dir;
use crate::link::{Feed, Link, Queries, Query, Reply};
use crate::shell;
use crate::threads;

/// Queue capacities: of records, and of requests, queries and replies.
const BACKLOG: usize = 1024;
const WAITING: usize = 64;
/// Time limit for the trainer's hello. A trainer that is stopped (SIGSTOP) never sends it.
const HELLO: Duration = Duration::from_secs(3);
/// A connection that the trainer ends sooner than this is not made again.
const SHORTEST: Duration = Duration::from_secs(2);

/// A connection to a run.
#[derive(Debug)]
pub struct Connection {
    /// The link for a front end.
    pub link: Link,
    /// The trainer and its run.
    pub about: TrainerInfo,
    /// Whether this client has control: whether it may send requests.
    pub control: bool,
}

/// Connects to the trainer that listens on the socket `path`. `who` names this client in the run's log (user and host).
///
/// # Errors
/// `ConnectionRefused` or `NotFound` if no trainer listens there, `TimedOut` if it does not reply, and the reason given
/// by the trainer if it rejects the client.
pub fn connect(path: &Path, role: Role, who: &str) -> io::Result<Connection> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let peer = Peer {
        path: path.to_owned(),
        role,
        who: who.to_owned(),
    };
    let (stream, control, about) = peer.connect().map_err(named)?;
    let (requests, request_receiver) = bounded(WAITING);
    let (take_control, control_receiver) = bounded(1);
    let (ask, queries) = bounded(WAITING);
    let (feed_sender, feed) = bounded(BACKLOG);
    let (answer, replies) = bounded(WAITING);
    let (received, received_replies) = bounded(WAITING);
    let (again, streams) = bounded(1);
    let left = Arc::new(AtomicBool::new(false));
    let mut reading = Reading {
        stream: stream.try_clone()?,
        since: Instant::now(),
        peer,
        about: about.clone(),
        control,
        feed: feed_sender,
        replies: received,
        again,
        left: Arc::clone(&left),
    };
    threads::start("from-trainer", move || reading.run())?;
    let ends = ClientEnds {
        requests: request_receiver,
        control: control_receiver,
        queries,
        received: received_replies,
        streams,
        answer,
        left,
    };
    let trainer = about.clone();
    threads::start("to-trainer", move || ends.serve(stream, &trainer))?;
    Ok(Connection {
        link: Link {
            requests: Some(requests),
            control: Some(take_control),
            queries: Some(Queries { ask, replies }),
            replays: None,
            feed,
        },
        about,
        control,
    })
}

/// How to connect to a trainer.
struct Peer {
    path: PathBuf,
    role: Role,
    who: String,
}

impl Peer {
    /// Connects, and returns the stream, whether this client has control, and the trainer.
    fn connect(&self) -> io::Result<(UnixStream, bool, TrainerInfo)> {
        let stream = UnixStream::connect(&self.path)?;
        let (control, about) = exchange_hellos(&stream, self.role, &self.who)?;
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
        Ok((stream, control, about))
    }
}

fn exchange_hellos(stream: &UnixStream, role: Role, who: &str) -> io::Result<(bool, TrainerInfo)> {
    stream.set_read_timeout(Some(HELLO))?;
    stream.set_write_timeout(Some(HELLO))?;
    // A trainer that has too many clients sends a goodbye and closes without reading. Sending then fails, but its
    // goodbye can still be read.
    let sent = FromClient::Hello(ClientHello::new(role, who.to_owned())).send(&mut &*stream);
    let answer = match (FromTrainer::receive(&mut &*stream), sent) {
        (Ok(Some(answer)), _) => Ok(Some(answer)),
        (_, Err(error)) => Err(error),
        (answer, Ok(())) => answer,
    };
    match answer {
        Ok(Some(FromTrainer::Hello(hello))) => Ok((hello.control, hello.about)),
        Ok(Some(FromTrainer::Goodbye(reason))) => Err(io::Error::other(reason)),
        Ok(Some(_)) => Err(invalid(
            "protocol error: the trainer's first message was not a hello",
        )),
        Ok(None) => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the trainer closed the connection without a reply",
        )),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ) =>
        {
            let seconds = HELLO.as_secs();
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "no reply from the trainer within {seconds} s; it may be stopped (`kill -CONT PID` continues it)"
                ),
            ))
        }
        Err(error) => Err(error),
    }
}

/// The receiving side of a connection.
struct Reading {
    stream: UnixStream,
    /// When the connection was made.
    since: Instant,
    peer: Peer,
    about: TrainerInfo,
    /// Whether this client has control.
    control: bool,
    feed: Sender<Feed>,
    replies: Sender<(u64, Reply)>,
    /// Passes a new connection to the sending side.
    again: Sender<UnixStream>,
    /// Whether the front end has closed its ends.
    left: Arc<AtomicBool>,
}

/// How a connection ended.
enum End {
    /// The run or the front end has ended.
    Over,
    /// The trainer gave a reason, or reading failed.
    Lost(String),
    /// The trainer closed the connection without a reason.
    Closed(&'static str),
}

impl Reading {
    /// Passes on the trainer's messages until the connection ends and cannot be made again.
    fn run(&mut self) {
        loop {
            let (reason, died) = match self.read() {
                End::Over => return,
                End::Closed(_) if self.left.load(Ordering::Acquire) => return,
                End::Lost(reason) => (reason, false),
                End::Closed(otherwise) => {
                    let died = is_dead(&self.about);
                    if !died && self.reconnect() {
                        continue;
                    }
                    (disconnect_reason(&self.about, died, otherwise), died)
                }
            };
            let _ = self.feed.send(Feed::Gone { reason, died });
            return;
        }
    }

    /// Passes on messages until the connection ends.
    fn read(&mut self) -> End {
        let mut from = BufReader::with_capacity(1 << 16, &self.stream);
        loop {
            match FromTrainer::receive(&mut from) {
                Ok(Some(FromTrainer::Feed(feed))) => {
                    if let Feed::Control(control) = feed {
                        self.control = control;
                    }
                    if self.feed.send(feed).is_err() {
                        return End::Over;
                    }
                }
                Ok(Some(FromTrainer::Reply(id, reply))) => {
                    // If the reply queue is full or closed, the reply is no longer needed.
                    let _ = self.replies.try_send((id, reply));
                }
                Ok(Some(FromTrainer::Goodbye(reason))) if reason.is_empty() => return End::Over,
                Ok(Some(FromTrainer::Goodbye(reason))) => return End::Lost(reason),
                Ok(Some(FromTrainer::Hello(_))) => {
                    return End::Lost("protocol error: the trainer sent a second hello".to_owned());
                }
                Ok(None) => return End::Closed("the connection to the run was closed"),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return End::Closed(
                        "the trainer disconnected this client: it read nothing for too long",
                    );
                }
                Err(error) => {
                    return End::Lost(format!("lost the connection to the trainer: {error}"));
                }
            }
        }
    }

    /// Connects again to the same trainer, which disconnects a client that was suspended. The feed goes on with a snapshot.
    fn reconnect(&mut self) -> bool {
        if self.since.elapsed() < SHORTEST {
            return false;
        }
        let Ok((stream, control, about)) = self.peer.connect() else {
            return false;
        };
        let known = &self.about;
        let is_same = (about.pid, &about.host, about.started_ms)
            == (known.pid, &known.host, known.started_ms);
        let Some(copy) = stream.try_clone().ok().filter(|_| is_same) else {
            return false;
        };
        if control != self.control {
            let _ = self.feed.send(Feed::Control(control));
        }
        (self.stream, self.since, self.control) = (stream, Instant::now(), control);
        self.again.send(copy).is_ok()
    }
}

/// Whether the trainer's process is gone from this host.
fn is_dead(about: &TrainerInfo) -> bool {
    is_here(about) && !is_alive(about.pid)
}

/// Why the socket was closed without a goodbye: the trainer's death, or `otherwise`.
fn disconnect_reason(about: &TrainerInfo, died: bool, otherwise: &str) -> String {
    if died {
        format!("the trainer (process {}) was killed or crashed", about.pid)
    } else {
        otherwise.to_owned()
    }
}

/// Whether the trainer runs on this host.
fn is_here(about: &TrainerInfo) -> bool {
    about.host == host()
}

/// Whether a process is running. Zombies do not count. Waits up to 1 s, because a process closes its sockets before it
/// ends.
fn is_alive(pid: u32) -> bool {
    let alive = || {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
            return false;
        };
        let state = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.chars().next());
        !matches!(state, Some('Z' | 'X'))
    };
    for _ in 0..20 {
        if !alive() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// The receiving ends of a link's channels, and the sender of its replies.
struct ClientEnds {
    requests: Receiver<Request>,
    control: Receiver<()>,
    queries: Receiver<(u64, Query)>,
    /// Replies of the trainer.
    received: Receiver<(u64, Reply)>,
    /// New connections to the trainer, each of which replaces the one before.
    streams: Receiver<UnixStream>,
    answer: Sender<(u64, Reply)>,
    /// Set when the front end has closed its ends.
    left: Arc<AtomicBool>,
}

/// What is sent to a trainer until the connection ends.
#[derive(Default)]
struct Outgoing {
    /// The queries without a reply.
    waiting: Vec<(u64, Query)>,
    /// The message that could not be sent.
    unsent: Option<FromClient>,
}

/// Why nothing more is sent over a connection.
enum SendEnd {
    /// The front end has closed its ends.
    FrontEndClosed,
    /// The connection has ended.
    Disconnected,
    /// Another connection was made.
    Replaced(UnixStream),
}

impl ClientEnds {
    /// Passes on messages in both directions. When the connection has ended, queries are answered from the files of the
    /// run, until the front end closes its ends.
    fn serve(self, mut stream: UnixStream, about: &TrainerInfo) {
        // Opened now, because the directory may be renamed before the trainer ends.
        let dir = is_here(about).then(|| Dir::open(&about.path));
        let mut outgoing = Outgoing::default();
        loop {
            let mut out = BufWriter::new(&stream);
            let end = self.converse(&mut out, &mut outgoing);
            // Unsent bytes are discarded: dropping the `BufWriter` itself would try to write them.
            drop(out.into_parts());
            let left = matches!(end, SendEnd::FrontEndClosed);
            self.left.store(left, Ordering::Release);
            let _ = stream.shutdown(Shutdown::Both);
            stream = match end {
                SendEnd::FrontEndClosed => return,
                SendEnd::Replaced(stream) => stream,
                // Another connection, or the receiving side ends as well.
                SendEnd::Disconnected => match self.streams.recv() {
                    Ok(stream) => stream,
                    Err(_) => break,
                },
            };
        }
        let Self {
            requests,
            control,
            queries,
            received,
            answer,
            ..
        } = self;
        // From now on the front end learns that requests do not arrive.
        drop((requests, control));
        let mut waiting = outgoing.waiting;
        for (id, reply) in received {
            waiting.retain(|(waits, _)| *waits != id);
            let _ = answer.try_send((id, reply));
        }
        let queries = waiting.into_iter().chain(queries);
        let reason = match dir {
            Some(Ok(dir)) => return answer_all(dir, queries, &answer),
            Some(Err(error)) => format!("the run directory cannot be read: {error}"),
            None => format!(
                "the connection has ended, and the run's files are on {0}: `epochtop view {1}` there shows them",
                about.host,
                shell::quote(&about.path, false)
            ),
        };
        for (id, _) in queries {
            let reason = reason.clone();
            if answer.send((id, Reply::Unknown { reason })).is_err() {
                break;
            }
        }
    }

    /// Sends requests, control requests and queries to the trainer and passes on its replies. It begins with what the
    /// connection before has not answered.
    fn converse(&self, out: &mut BufWriter<&UnixStream>, outgoing: &mut Outgoing) -> SendEnd {
        let mut again: Vec<FromClient> = outgoing.unsent.take().into_iter().collect();
        let queries = outgoing.waiting.iter().cloned();
        again.extend(queries.map(|(id, query)| FromClient::Query(id, query)));
        let mut again = again.into_iter();
        loop {
            let message = if let Some(message) = again.next() {
                Ok(message)
            } else {
                select! {
                    recv(self.requests) -> request => request.map(FromClient::Request),
                    recv(self.control) -> message => message.map(|()| FromClient::Control),
                    recv(self.queries) -> query => query.map(|(id, query)| {
                        outgoing.waiting.push((id, query.clone()));
                        FromClient::Query(id, query)
                    }),
                    recv(self.streams) -> stream => {
                        return stream.map_or(SendEnd::Disconnected, SendEnd::Replaced);
                    }
                    recv(self.received) -> reply => {
                        let Ok((id, reply)) = reply else { return SendEnd::Disconnected };
                        outgoing.waiting.retain(|(waits, _)| *waits != id);
                        // If the reply queue is full or closed, the reply is no longer needed.
                        let _ = self.answer.try_send((id, reply));
                        continue;
                    }
                }
            };
            let Ok(message) = message else {
                return SendEnd::FrontEndClosed;
            };
            if message.send(out).and_then(|()| out.flush()).is_err() {
                // Queries are in `waiting`.
                outgoing.unsent = Some(message).filter(|m| !matches!(m, FromClient::Query(..)));
                return SendEnd::Disconnected;
            }
        }
    }
}
