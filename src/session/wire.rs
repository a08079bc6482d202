//! The protocol of the socket. A message consists of a `u32` length (little-endian, of the rest), a byte for the kind,
//! and a JSON body.
//!
//! Both sides start with a hello that has the protocol version. If the major versions differ, the connection ends with
//! an error message in a [`GOODBYE`], whose format never changes. Messages of unknown kinds are skipped, so minor
//! versions may add kinds. Memory is allocated for received bytes only, not for the announced length.
//!
//! Version 3.1 added [`KEEP_ALIVE`], which a trainer sends to a client that has read everything else. It has no meaning
//! for the client: clients of version 3.0 skip it as well.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::event::Request;
use crate::files::any_path;
use crate::limits::{FROM_CLIENT, FROM_TRAINER};
use crate::link::{Feed, Query, Reply};

/// Major version of the protocol. Both sides must have the same.
pub const MAJOR: u32 = 3;
/// Minor version of the protocol. It may differ.
pub const MINOR: u32 = 1;
/// The value of `magic` in both hellos.
const MAGIC: &str = "epochtop";

/// Kinds of messages.
const HELLO: u8 = 1;
const GOODBYE: u8 = 2;
const FEED: u8 = 3;
const REPLY: u8 = 4;
const REQUEST: u8 = 5;
const QUERY: u8 = 6;
const CONTROL: u8 = 7;
const KEEP_ALIVE: u8 = 8;

/// Length of a keep-alive, bytes. The trainer finds out by it whether a client reads.
pub(super) const KEEP_ALIVE_BYTES: usize = 40 << 10;
/// Consecutive messages of unknown kinds after which a connection ends.
const UNKNOWN: usize = 64;

/// The role of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A screen. It gets control if no other client has it.
    Screen,
    /// A client that only reads.
    Watcher,
    /// A command that sends one request.
    Asker,
}

/// A client's first message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientHello {
    /// Always "epochtop".
    pub magic: String,
    /// Major version of the protocol.
    pub major: u32,
    /// Minor version of the protocol.
    pub minor: u32,
    /// Version of the program.
    pub epochtop: String,
    /// The role of the client.
    pub role: Role,
    /// The name of the client (program, user and host), for the log.
    pub who: String,
}

impl ClientHello {
    /// The hello of this version of the program.
    pub fn new(role: Role, who: String) -> Self {
        Self {
            magic: MAGIC.to_owned(),
            major: MAJOR,
            minor: MINOR,
            epochtop: env!("CARGO_PKG_VERSION").to_owned(),
            role,
            who,
        }
    }
}

/// A trainer and its run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TrainerInfo {
    /// The name of the run.
    pub run: String,
    /// The absolute path of the run directory.
    #[serde(with = "any_path")]
    pub path: std::path::PathBuf,
    /// The PID of the trainer.
    pub pid: u32,
    /// The host of the trainer.
    pub host: String,
    /// The start time of the run, milliseconds since 1970-01-01 UTC.
    pub started_ms: u64,
    /// Version of the program.
    pub epochtop: String,
}

/// A trainer's first message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainerHello {
    /// Always "epochtop".
    pub magic: String,
    /// Major version of the protocol.
    pub major: u32,
    /// Minor version of the protocol.
    pub minor: u32,
    /// Whether the client has control: whether it may send requests.
    pub control: bool,
    /// The trainer and its run.
    pub about: TrainerInfo,
}

/// A message from a client.
#[derive(Debug, Clone, PartialEq)]
pub enum FromClient {
    /// The first message.
    Hello(ClientHello),
    /// A request to the trainer.
    Request(Request),
    /// A query with an ID that is repeated in the reply.
    Query(u64, Query),
    /// The client requests control.
    Control,
}

/// A message from a trainer.
#[derive(Debug, Clone, PartialEq)]
pub enum FromTrainer {
    /// The first message.
    Hello(TrainerHello),
    /// A snapshot, a record, or a change of the connection.
    Feed(Feed),
    /// The reply to a query, with the query's ID.
    Reply(u64, Reply),
    /// The last message: why the connection ends.
    Goodbye(String),
}

impl TrainerHello {
    /// The hello of this version of the program.
    pub fn new(about: TrainerInfo, control: bool) -> Self {
        Self {
            magic: MAGIC.to_owned(),
            major: MAJOR,
            minor: MINOR,
            control,
            about,
        }
    }
}

/// The fields of a hello that all versions have.
#[derive(Debug, Deserialize)]
struct AnyHello {
    magic: String,
    major: u32,
    #[serde(default)]
    epochtop: String,
}

/// Checks the magic word and the version of a hello. `sender` is "client" or "trainer".
///
/// # Errors
/// A message that is understandable on both sides.
fn check_hello(body: &[u8], sender: &str) -> io::Result<()> {
    let hello: AnyHello =
        serde_json::from_slice(body).map_err(|_| invalid("not a hello message of epochtop"))?;
    if hello.magic != MAGIC {
        return Err(invalid("not a hello message of epochtop"));
    }
    if hello.major != MAJOR {
        let version = if hello.epochtop.is_empty() {
            String::new()
        } else {
            format!(" (epochtop {})", hello.epochtop)
        };
        return Err(invalid(&format!(
            "the {sender}{version} uses protocol version {}, this side (epochtop {}) version {MAJOR}: \
             use the epochtop version that started the run, or one with the same protocol version",
            hello.major,
            env!("CARGO_PKG_VERSION"),
        )));
    }
    Ok(())
}

pub(super) fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

/// Writes a keep-alive without flushing.
///
/// # Errors
/// An I/O error of the writer.
pub(super) fn send_keep_alive(out: &mut impl Write) -> io::Result<()> {
    send(out, KEEP_ALIVE, &" ".repeat(KEEP_ALIVE_BYTES), FROM_TRAINER)
}

/// Writes one message of at most `most` bytes without flushing. A longer one is an error before anything is written.
fn send(out: &mut impl Write, kind: u8, body: &impl Serialize, most: u32) -> io::Result<()> {
    let mut frame = vec![0, 0, 0, 0, kind];
    serde_json::to_writer(&mut frame, body)?;
    let length = u32::try_from(frame.len() - 4)
        .ok()
        .filter(|length| *length <= most)
        .ok_or_else(|| {
            let bytes = frame.len() - 4;
            invalid(&format!(
                "a message of {bytes} bytes cannot be sent: the limit is {most}"
            ))
        })?;
    if let Some(head) = frame.first_chunk_mut::<4>() {
        *head = length.to_le_bytes();
    }
    out.write_all(&frame)
}

/// Reads one message of at most `most` bytes. `None` if the stream ends before a message.
fn receive(from: &mut impl Read, most: u32) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; 4];
    let mut got = 0;
    while got < head.len() {
        match from.read(head.get_mut(got..).unwrap_or_default()) {
            Ok(0) if got == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let length = u32::from_le_bytes(head);
    if length == 0 || length > most {
        return Err(invalid(&format!(
            "invalid message length {length}; expected 1 to {most} bytes"
        )));
    }
    // The buffer grows with the received bytes, not with the announced length.
    let mut frame = Vec::new();
    from.by_ref().take(length.into()).read_to_end(&mut frame)?;
    if frame.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let body = frame.split_off(1);
    Ok(frame.first().map(|kind| (*kind, body)))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    serde_json::from_slice(body).map_err(|error| invalid(&format!("malformed message: {error}")))
}

impl FromClient {
    /// Writes the message without flushing.
    ///
    /// # Errors
    /// `InvalidData` if it is too long, or an I/O error of the writer.
    pub fn send(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Hello(hello) => send(out, HELLO, hello, FROM_CLIENT),
            Self::Request(request) => send(out, REQUEST, request, FROM_CLIENT),
            Self::Query(id, query) => send(out, QUERY, &(id, query), FROM_CLIENT),
            Self::Control => send(out, CONTROL, &(), FROM_CLIENT),
        }
    }

    /// Reads the next message of a known kind. `None` at the end of the stream.
    ///
    /// # Errors
    /// If the message is invalid, if too many of unknown kinds precede it, or if reading fails. The stream cannot be used
    /// afterwards.
    pub fn receive(from: &mut impl Read) -> io::Result<Option<Self>> {
        for _ in 0..UNKNOWN {
            let Some((kind, body)) = receive(from, FROM_CLIENT)? else {
                return Ok(None);
            };
            return Ok(Some(match kind {
                HELLO => {
                    check_hello(&body, "client")?;
                    Self::Hello(parse(&body)?)
                }
                REQUEST => Self::Request(parse(&body)?),
                QUERY => {
                    let (id, query) = parse(&body)?;
                    Self::Query(id, query)
                }
                CONTROL => Self::Control,
                _ => continue,
            }));
        }
        Err(invalid(
            "protocol error: too many messages of unknown kinds",
        ))
    }
}

impl FromTrainer {
    /// Writes the message without flushing.
    ///
    /// # Errors
    /// `InvalidData` if it is too long, or an I/O error of the writer.
    pub fn send(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Hello(hello) => send(out, HELLO, hello, FROM_TRAINER),
            Self::Feed(feed) => send(out, FEED, feed, FROM_TRAINER),
            Self::Reply(id, reply) => send(out, REPLY, &(id, reply), FROM_TRAINER),
            Self::Goodbye(reason) => send(out, GOODBYE, reason, FROM_TRAINER),
        }
    }

    /// Reads the next message of a known kind. `None` at the end of the stream.
    ///
    /// # Errors
    /// If the message is invalid or reading fails. The stream cannot be used afterwards.
    pub fn receive(from: &mut impl Read) -> io::Result<Option<Self>> {
        while let Some((kind, body)) = receive(from, FROM_TRAINER)? {
            return Ok(Some(match kind {
                HELLO => {
                    check_hello(&body, "trainer")?;
                    Self::Hello(parse(&body)?)
                }
                GOODBYE => Self::Goodbye(parse(&body)?),
                FEED => Self::Feed(parse(&body)?),
                REPLY => {
                    let (id, reply) = parse(&body)?;
                    Self::Reply(id, reply)
                }
                _ => continue,
            }));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use crate::event::Command;
    use proptest::prelude::*;

    #[test]
    fn message_round_trips_and_unknown_kind_is_skipped() {
        let request = Request {
            id: u64::MAX,
            command: Command::SetLearningRate { lr: 1e-4 },
        };
        let mut bytes = Vec::new();
        send(&mut bytes, 200, &"from a newer version", FROM_CLIENT).unwrap();
        FromClient::Request(request).send(&mut bytes).unwrap();
        FromClient::Control.send(&mut bytes).unwrap();
        let mut from = bytes.as_slice();
        let mut next = || FromClient::receive(&mut from).unwrap();
        assert_eq!(next(), Some(FromClient::Request(request)));
        assert_eq!(next(), Some(FromClient::Control));
        assert_eq!(next(), None);
    }

    #[test]
    fn a_keep_alive_is_skipped_and_a_flood_of_unknown_kinds_is_not() {
        let mut bytes = Vec::new();
        send_keep_alive(&mut bytes).unwrap();
        assert!(bytes.len() > KEEP_ALIVE_BYTES);
        let goodbye = FromTrainer::Goodbye("x".to_owned());
        goodbye.send(&mut bytes).unwrap();
        let received = FromTrainer::receive(&mut bytes.as_slice()).unwrap();
        assert_eq!(received, Some(goodbye));
        let mut bytes = Vec::new();
        (0..UNKNOWN).for_each(|_| send(&mut bytes, 200, &(), FROM_CLIENT).unwrap());
        let error = FromClient::receive(&mut bytes.as_slice()).unwrap_err();
        assert!(error.to_string().contains("unknown kinds"), "{error}");
    }

    #[test]
    fn announced_length_is_checked() {
        for length in [0_u32, FROM_CLIENT + 1, u32::MAX] {
            let error = FromClient::receive(&mut length.to_le_bytes().as_slice()).unwrap_err();
            assert!(error.to_string().contains(&length.to_string()), "{error}");
        }
        // The announced bytes are never sent.
        let mut short = 1000_u32.to_le_bytes().to_vec();
        short.push(REQUEST);
        let error = FromClient::receive(&mut short.as_slice()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_message_that_readers_refuse_is_not_written() {
        let hello = |who: usize| {
            let hello = ClientHello::new(Role::Screen, "x".repeat(who));
            let mut bytes = Vec::new();
            let sent = FromClient::Hello(hello).send(&mut bytes);
            (sent, bytes)
        };
        let (sent, bytes) = hello(FROM_CLIENT as usize);
        let error = sent.unwrap_err().to_string();
        assert!(error.contains("the limit is 65536"), "{error}");
        assert_eq!(bytes, [0; 0]);
        let (sent, bytes) = hello(FROM_CLIENT as usize - 200);
        sent.unwrap();
        assert!(FromClient::receive(&mut bytes.as_slice()).is_ok());
    }

    #[test]
    fn version_mismatch_gives_a_clear_error() {
        let hello = ClientHello {
            major: MAJOR + 1,
            epochtop: "9.9".to_owned(),
            ..ClientHello::new(Role::Screen, String::new())
        };
        let mut bytes = Vec::new();
        FromClient::Hello(hello).send(&mut bytes).unwrap();
        let error = FromClient::receive(&mut bytes.as_slice())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("client (epochtop 9.9) uses protocol version 4"),
            "{error}"
        );
        let mut bytes = Vec::new();
        let goodbye = FromTrainer::Goodbye(error);
        goodbye.send(&mut bytes).unwrap();
        assert_eq!(
            FromTrainer::receive(&mut bytes.as_slice()).unwrap(),
            Some(goodbye)
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 0_u8..9) {
            let _ = FromClient::receive(&mut bytes.as_slice());
            let _ = FromTrainer::receive(&mut bytes.as_slice());
            let mut framed = (bytes.len() as u32 + 1).to_le_bytes().to_vec();
            framed.push(kind);
            framed.extend(&bytes);
            let _ = FromClient::receive(&mut framed.as_slice());
            let _ = FromTrainer::receive(&mut framed.as_slice());
        }
    }
}
