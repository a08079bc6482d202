//! What goes over a socket: `u32` length (little-endian, of what follows), one byte that says what it is, a body in JSON.
//!
//! Both sides begin with a hello that names the version of the protocol. Another major version is told in words and ends
//! the conversation; the frame of those words, [`GOODBYE`], never changes. A kind of message that is not known is passed
//! over, so minor versions may add some. No length is believed before its bytes have come.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::event::Request;
use crate::link::{Feed, Query, Reply};

/// Versions of the protocol: the same major one is needed on both sides.
pub const MAJOR: u32 = 3;
/// What a side may know more than the other.
pub const MINOR: u32 = 0;
/// First words of both hellos.
const MAGIC: &str = "epochtop";

/// The longest message a client may send, and a trainer.
pub(super) const FROM_CLIENT: u32 = 64 << 10;
pub(super) const FROM_TRAINER: u32 = 256 << 20;

/// Kinds of messages.
const HELLO: u8 = 1;
const GOODBYE: u8 = 2;
const FEED: u8 = 3;
const REPLY: u8 = 4;
const REQUEST: u8 = 5;
const QUERY: u8 = 6;
const CONTROL: u8 = 7;

/// What a client means to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Watch, and steer if nobody else does.
    Screen,
    /// Watch only.
    Watcher,
    /// Ask for one thing.
    Asker,
}

/// A client's first message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientHello {
    /// Always the same word.
    pub magic: String,
    /// Version of the protocol.
    pub major: u32,
    /// Version of the protocol.
    pub minor: u32,
    /// Version of the program.
    pub epochtop: String,
    /// What it means to do.
    pub role: Role,
    /// Who it is, for the log: a person on a machine.
    pub who: String,
}

impl ClientHello {
    /// The hello of this program.
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

/// What a trainer says of itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct About {
    /// Name of the run.
    pub run: String,
    /// Its directory, absolute.
    pub path: std::path::PathBuf,
    /// Process that trains.
    pub pid: u32,
    /// Host it runs on.
    pub host: String,
    /// When the run began, milliseconds since 1970, UTC.
    pub started_ms: u64,
    /// Version of the program.
    pub epochtop: String,
}

/// A trainer's first message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainerHello {
    /// Always the same word.
    pub magic: String,
    /// Version of the protocol.
    pub major: u32,
    /// Version of the protocol.
    pub minor: u32,
    /// Whether the client may steer.
    pub control: bool,
    /// The run.
    pub about: About,
}

/// What a client sends.
#[derive(Debug, Clone, PartialEq)]
pub enum FromClient {
    /// First of all.
    Hello(ClientHello),
    /// Something is asked of the trainer.
    Request(Request),
    /// A question, with a number that comes back.
    Query(u64, Query),
    /// It wants to steer.
    Control,
}

/// What a trainer sends.
#[derive(Debug, Clone, PartialEq)]
pub enum FromTrainer {
    /// First of all.
    Hello(TrainerHello),
    /// The run's story.
    Feed(Feed),
    /// The reply to a question.
    Reply(u64, Reply),
    /// Last of all: why nothing more comes.
    Goodbye(String),
}

impl TrainerHello {
    /// The hello of this program.
    pub fn new(about: About, control: bool) -> Self {
        Self {
            magic: MAGIC.to_owned(),
            major: MAJOR,
            minor: MINOR,
            control,
            about,
        }
    }
}

/// A hello as far as any version understands it.
#[derive(Debug, Deserialize)]
struct AnyHello {
    magic: String,
    major: u32,
    #[serde(default)]
    epochtop: String,
}

/// What is wrong with a hello, in words for both sides.
fn check_hello(body: &[u8], whose: &str) -> io::Result<()> {
    let hello: AnyHello =
        serde_json::from_slice(body).map_err(|_| invalid("no hello of epochtop"))?;
    if hello.magic != MAGIC {
        return Err(invalid("no hello of epochtop"));
    }
    if hello.major != MAJOR {
        let version = if hello.epochtop.is_empty() {
            String::new()
        } else {
            format!(" (epochtop {})", hello.epochtop)
        };
        return Err(invalid(&format!(
            "the {whose}{version} speaks version {} of the protocol, this side (epochtop {}) version {MAJOR}: \
             use the epochtop the run was started with, or one of the same version",
            hello.major,
            env!("CARGO_PKG_VERSION"),
        )));
    }
    Ok(())
}

pub(super) fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

/// Writes one message; several may go before a flush.
fn send(out: &mut impl Write, kind: u8, body: &impl Serialize) -> io::Result<()> {
    let mut frame = vec![0, 0, 0, 0, kind];
    serde_json::to_writer(&mut frame, body)?;
    let length = u32::try_from(frame.len() - 4).map_err(|_| invalid("a message of over 4 GiB"))?;
    if let Some(head) = frame.first_chunk_mut::<4>() {
        *head = length.to_le_bytes();
    }
    out.write_all(&frame)
}

/// Reads one message of at most so many bytes. `None` at the end between two messages.
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
            "announces a message of {length} bytes; 1 to {most} are taken"
        )));
    }
    // Grows with what comes, not with what is announced.
    let mut frame = Vec::new();
    from.by_ref().take(length.into()).read_to_end(&mut frame)?;
    if frame.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let body = frame.split_off(1);
    Ok(frame.first().map(|kind| (*kind, body)))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    serde_json::from_slice(body)
        .map_err(|error| invalid(&format!("a message that makes no sense: {error}")))
}

impl FromClient {
    /// Writes it.
    ///
    /// # Errors
    /// What the writer says.
    pub fn send(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Hello(hello) => send(out, HELLO, hello),
            Self::Request(request) => send(out, REQUEST, request),
            Self::Query(id, query) => send(out, QUERY, &(id, query)),
            Self::Control => send(out, CONTROL, &()),
        }
    }

    /// The next message that is understood.
    ///
    /// # Errors
    /// What is wrong with it; nothing more can be read then.
    pub fn receive(from: &mut impl Read) -> io::Result<Option<Self>> {
        while let Some((kind, body)) = receive(from, FROM_CLIENT)? {
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
        Ok(None)
    }
}

impl FromTrainer {
    /// Writes it.
    ///
    /// # Errors
    /// What the writer says.
    pub fn send(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Hello(hello) => send(out, HELLO, hello),
            Self::Feed(feed) => send(out, FEED, feed),
            Self::Reply(id, reply) => send(out, REPLY, &(id, reply)),
            Self::Goodbye(reason) => send(out, GOODBYE, reason),
        }
    }

    /// The next message that is understood.
    ///
    /// # Errors
    /// What is wrong with it; nothing more can be read then.
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
    fn a_message_comes_back_and_an_unknown_one_is_passed_over() {
        let request = Request {
            id: u64::MAX,
            command: Command::SetLearningRate { lr: 1e-4 },
        };
        let mut bytes = Vec::new();
        send(&mut bytes, 200, &"from a newer version").unwrap();
        FromClient::Request(request).send(&mut bytes).unwrap();
        FromClient::Control.send(&mut bytes).unwrap();
        let mut from = bytes.as_slice();
        let mut next = || FromClient::receive(&mut from).unwrap();
        assert_eq!(next(), Some(FromClient::Request(request)));
        assert_eq!(next(), Some(FromClient::Control));
        assert_eq!(next(), None);
    }

    #[test]
    fn a_length_is_not_believed() {
        for length in [0_u32, FROM_CLIENT + 1, u32::MAX] {
            let error = FromClient::receive(&mut length.to_le_bytes().as_slice()).unwrap_err();
            assert!(error.to_string().contains(&length.to_string()), "{error}");
        }
        // Announced, and never sent.
        let mut short = 1000_u32.to_le_bytes().to_vec();
        short.push(REQUEST);
        let error = FromClient::receive(&mut short.as_slice()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn another_version_is_told_in_words() {
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
            error.contains("client (epochtop 9.9) speaks version 4"),
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
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 0_u8..9) {
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
