//! The client side of a trainer's socket. It provides the same [`Link`] as a session in this process.

use std::io::{self, BufReader, BufWriter, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

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
    let stream = UnixStream::connect(path).map_err(named)?;
    let (control, about) = exchange_hellos(&stream, role, who).map_err(named)?;
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(None)?;
    let (requests, request_receiver) = bounded(WAITING);
    let (take_control, control_receiver) = bounded(1);
    let (ask, queries) = bounded(WAITING);
    let (feed_sender, feed) = bounded(BACKLOG);
    let (answer, replies) = bounded(WAITING);
    let (reading, trainer) = (stream.try_clone()?, about.clone());
    let (received, received_replies) = bounded(WAITING);
    threads::start("from-trainer", move || {
        read(&reading, &trainer, &feed_sender, &received);
    })?;
    let ends = ClientEnds {
        requests: request_receiver,
        control: control_receiver,
        queries,
        received: received_replies,
        answer,
    };
    let trainer = about.clone();
    threads::start("to-trainer", move || ends.serve(&stream, &trainer))?;
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

/// Passes on the trainer's messages until the connection ends.
fn read(
    stream: &UnixStream,
    about: &TrainerInfo,
    feed_sender: &Sender<Feed>,
    received: &Sender<(u64, Reply)>,
) {
    let mut from = BufReader::with_capacity(1 << 16, stream);
    let mut died = false;
    let reason = loop {
        match FromTrainer::receive(&mut from) {
            Ok(Some(FromTrainer::Feed(feed))) => {
                if feed_sender.send(feed).is_err() {
                    return;
                }
            }
            Ok(Some(FromTrainer::Reply(id, reply))) => {
                // If the reply queue is full or closed, the reply is no longer needed.
                let _ = received.try_send((id, reply));
            }
            Ok(Some(FromTrainer::Goodbye(reason))) if reason.is_empty() => return,
            Ok(Some(FromTrainer::Goodbye(reason))) => break reason,
            Ok(Some(FromTrainer::Hello(_))) => {
                break "protocol error: the trainer sent a second hello".to_owned();
            }
            Ok(None) => {
                died = is_dead(about);
                break disconnect_reason(about, died, "the connection to the run was closed");
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                died = is_dead(about);
                let otherwise =
                    "the trainer disconnected this client: it read nothing for too long";
                break disconnect_reason(about, died, otherwise);
            }
            Err(error) => break format!("lost the connection to the trainer: {error}"),
        }
    };
    let _ = feed_sender.send(Feed::Gone { reason, died });
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
    answer: Sender<(u64, Reply)>,
}

impl ClientEnds {
    /// Passes on messages in both directions. When the connection has ended, queries are answered from the files of the
    /// run, until the front end closes its ends.
    fn serve(self, stream: &UnixStream, about: &TrainerInfo) {
        // Opened now, because the directory may be renamed before the trainer ends.
        let dir = is_here(about).then(|| Dir::open(&about.path));
        let mut waiting = Vec::new();
        let mut out = BufWriter::new(stream);
        let closed = self.converse(&mut out, &mut waiting);
        // Unsent bytes are discarded: dropping the `BufWriter` itself would try to write them.
        drop(out.into_parts());
        let _ = stream.shutdown(Shutdown::Both);
        if closed {
            return;
        }
        let Self {
            requests,
            control,
            queries,
            received,
            answer,
        } = self;
        // From now on the front end learns that requests do not arrive.
        drop((requests, control));
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

    /// Sends requests, control requests and queries to the trainer and passes on its replies. Returns whether the front
    /// end has closed its ends; otherwise the connection has ended. `waiting`: the queries without a reply.
    fn converse(&self, out: &mut BufWriter<&UnixStream>, waiting: &mut Vec<(u64, Query)>) -> bool {
        loop {
            let message = select! {
                recv(self.requests) -> request => request.map(FromClient::Request),
                recv(self.control) -> message => message.map(|()| FromClient::Control),
                recv(self.queries) -> query => query.map(|(id, query)| {
                    waiting.push((id, query.clone()));
                    FromClient::Query(id, query)
                }),
                recv(self.received) -> reply => {
                    let Ok((id, reply)) = reply else { return false };
                    waiting.retain(|(waits, _)| *waits != id);
                    // If the reply queue is full or closed, the reply is no longer needed.
                    let _ = self.answer.try_send((id, reply));
                    continue;
                }
            };
            let Ok(message) = message else { return true };
            if message.send(out).and_then(|()| out.flush()).is_err() {
                return false;
            }
        }
    }
}
