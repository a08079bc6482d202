//! The client side of a trainer's socket. It provides the same [`Link`] as a session in this process.

use std::io::{self, BufReader, BufWriter, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::wire::{ClientHello, FromClient, FromTrainer, Role, TrainerInfo, invalid};
use crate::event::Request;
use crate::link::{Feed, Link, Queries, Query, Reply};
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
    threads::start("from-trainer", move || {
        read(&reading, &trainer, &feed_sender, &answer);
    })?;
    threads::start("to-trainer", move || {
        write(&stream, &request_receiver, &control_receiver, &queries);
    })?;
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
    answer: &Sender<(u64, Reply)>,
) {
    let mut from = BufReader::with_capacity(1 << 16, stream);
    let reason = loop {
        match FromTrainer::receive(&mut from) {
            Ok(Some(FromTrainer::Feed(feed))) => {
                if feed_sender.send(feed).is_err() {
                    return;
                }
            }
            Ok(Some(FromTrainer::Reply(id, reply))) => {
                // If the reply queue is full or closed, the reply is no longer needed.
                let _ = answer.try_send((id, reply));
            }
            Ok(Some(FromTrainer::Goodbye(reason))) if reason.is_empty() => return,
            Ok(Some(FromTrainer::Goodbye(reason))) => break reason,
            Ok(Some(FromTrainer::Hello(_))) => {
                break "protocol error: the trainer sent a second hello".to_owned();
            }
            Ok(None) => break disconnect_reason(about, "the connection to the run was closed"),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                break disconnect_reason(
                    about,
                    "the trainer disconnected this client: it read nothing for too long",
                );
            }
            Err(error) => break format!("lost the connection to the trainer: {error}"),
        }
    };
    let _ = feed_sender.send(Feed::Gone { reason });
}

/// Why the socket was closed without a goodbye: the trainer's death if its process is gone from this host, or
/// `otherwise`.
fn disconnect_reason(about: &TrainerInfo, otherwise: &str) -> String {
    let here = rustix::system::uname();
    let here = here.nodename().to_string_lossy();
    if about.host == here && !is_alive(about.pid) {
        format!("the trainer (process {}) was killed or crashed", about.pid)
    } else {
        otherwise.to_owned()
    }
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

/// Sends requests, control requests and queries to the trainer until the front end or the connection is closed.
fn write(
    stream: &UnixStream,
    requests: &Receiver<Request>,
    control: &Receiver<()>,
    queries: &Receiver<(u64, Query)>,
) {
    let mut out = BufWriter::new(stream);
    loop {
        let message = select! {
            recv(requests) -> request => request.map(FromClient::Request),
            recv(control) -> message => message.map(|()| FromClient::Control),
            recv(queries) -> query => query.map(|(id, query)| FromClient::Query(id, query)),
        };
        // The front end or the reader has closed its end.
        let Ok(message) = message else { break };
        if message.send(&mut out).and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}
