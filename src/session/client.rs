//! The other end of a trainer's socket: a [`Link`] like any other.

use std::io::{self, BufReader, BufWriter, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::wire::{About, ClientHello, FromClient, FromTrainer, Role, invalid};
use crate::event::Request;
use crate::link::{Feed, Link, Queries, Query, Reply};

/// Records, requests and questions that may wait.
const BACKLOG: usize = 1024;
const WAITING: usize = 64;
/// How long a trainer may take to say hello. One that is stopped never does.
const HELLO: Duration = Duration::from_secs(3);

/// A connection to a run.
#[derive(Debug)]
pub struct Connected {
    /// What a front end holds.
    pub link: Link,
    /// The run.
    pub about: About,
    /// Whether this client may steer.
    pub control: bool,
}

/// Connects to the trainer that listens at a path. `who` is for the run's log: a person on a machine.
///
/// # Errors
/// `ConnectionRefused` or `NotFound` where nobody listens, `TimedOut` where the trainer does not answer, and what it said
/// where it wants no more to do with us.
pub fn connect(path: &Path, role: Role, who: &str) -> io::Result<Connected> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let stream = UnixStream::connect(path).map_err(named)?;
    let (control, about) = shake_hands(&stream, role, who).map_err(named)?;
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(None)?;
    let (requests, asked) = bounded(WAITING);
    let (take_control, wanted) = bounded(1);
    let (ask, questions) = bounded(WAITING);
    let (tell, feed) = bounded(BACKLOG);
    let (answer, replies) = bounded(WAITING);
    let (reading, pid) = (stream.try_clone()?, about.clone());
    Builder::new()
        .name("from-trainer".to_owned())
        .spawn(move || read(&reading, &pid, &tell, &answer))?;
    Builder::new()
        .name("to-trainer".to_owned())
        .spawn(move || write(&stream, &asked, &wanted, &questions))?;
    Ok(Connected {
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

fn shake_hands(stream: &UnixStream, role: Role, who: &str) -> io::Result<(bool, About)> {
    stream.set_read_timeout(Some(HELLO))?;
    stream.set_write_timeout(Some(HELLO))?;
    // A trainer that has no place says so and hangs up without reading: what it said is still to be read.
    let sent = FromClient::Hello(ClientHello::new(role, who.to_owned())).send(&mut &*stream);
    let answer = match (FromTrainer::receive(&mut &*stream), sent) {
        (Ok(Some(answer)), _) => Ok(Some(answer)),
        (_, Err(error)) => Err(error),
        (answer, Ok(())) => answer,
    };
    match answer {
        Ok(Some(FromTrainer::Hello(hello))) => Ok((hello.control, hello.about)),
        Ok(Some(FromTrainer::Goodbye(reason))) => Err(io::Error::other(reason)),
        Ok(Some(_)) => Err(invalid("the trainer did not begin with a hello")),
        Ok(None) => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the trainer closed the connection without a word",
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
                    "the trainer does not answer within {seconds} s; it may be stopped (kill -CONT goes on with it)"
                ),
            ))
        }
        Err(error) => Err(error),
    }
}

fn read(stream: &UnixStream, about: &About, tell: &Sender<Feed>, answer: &Sender<(u64, Reply)>) {
    let mut from = BufReader::with_capacity(1 << 16, stream);
    let reason = loop {
        match FromTrainer::receive(&mut from) {
            Ok(Some(FromTrainer::Feed(feed))) => {
                if tell.send(feed).is_err() {
                    return;
                }
            }
            Ok(Some(FromTrainer::Reply(id, reply))) => {
                // Nobody waits for it any more: then it is not needed.
                let _ = answer.try_send((id, reply));
            }
            Ok(Some(FromTrainer::Goodbye(reason))) if reason.is_empty() => return,
            Ok(Some(FromTrainer::Goodbye(reason))) => break reason,
            Ok(Some(FromTrainer::Hello(_))) => break "the trainer said hello twice".to_owned(),
            Ok(None) => break why_gone(about, "the connection to the run was closed"),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                break why_gone(
                    about,
                    "the run let this screen go, which had taken nothing for too long",
                );
            }
            Err(error) => break format!("the connection to the run is lost: {error}"),
        }
    };
    let _ = tell.send(Feed::Gone { reason });
}

/// What became of a trainer whose socket has closed without a goodbye.
fn why_gone(about: &About, otherwise: &str) -> String {
    let here = rustix::system::uname();
    let here = here.nodename().to_string_lossy();
    if about.host == here && !is_alive(about.pid) {
        format!("the trainer, process {}, was killed or crashed", about.pid)
    } else {
        otherwise.to_owned()
    }
}

/// Whether a process runs; one that nobody has waited for yet does not. A process is a while in ending.
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

fn write(
    stream: &UnixStream,
    requests: &Receiver<Request>,
    control: &Receiver<()>,
    questions: &Receiver<(u64, Query)>,
) {
    let mut out = BufWriter::new(stream);
    loop {
        let message = select! {
            recv(requests) -> request => request.map(FromClient::Request),
            recv(control) -> wanted => wanted.map(|()| FromClient::Control),
            recv(questions) -> question => question.map(|(id, query)| FromClient::Query(id, query)),
        };
        // The front end is gone, or the trainer is.
        let Ok(message) = message else { break };
        if message.send(&mut out).and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}
