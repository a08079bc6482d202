//! The socket on which a trainer accepts clients of the same user: screens and commands.
//!
//! Each client has a reading thread, a writing thread and its own queue in the hub. A slow client gets a snapshot
//! instead of the records that it missed; a client that reads nothing is disconnected. No client can block another, the
//! hub or the trainer. Commands (`ctl`) have places of their own, the number of requests is limited before they are
//! recorded, and all work for clients has a low priority and a limited share of the processor's time.

mod budget;
mod conversation;
mod stream;

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::hub_handle::HubHandle;
use super::sockets;
use super::wire::{Role, TrainerInfo, invalid};
use crate::event::Level;
use crate::threads;
use budget::{Budget, processor_time};
use conversation::Client;

/// The maximum number of screens and other clients that watch.
const CLIENTS: usize = 32;
/// The maximum number of commands that wait for their results.
const COMMANDS: usize = 16;
/// The maximum number of connections without a hello. For a further one, the oldest is closed.
const NEW: usize = 64;
/// The number of clients that are named when there is no place for another.
const NAMED: usize = 8;
/// How long a client may read nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests of all clients: at once, and per second in the long run.
const REQUESTS: (f64, f64) = (100.0, 20.0);
/// Lines in the log about disconnected clients, as above.
const NOTES: (f64, f64) = (10.0, 1.0 / 60.0);
/// Processor time for all clients in seconds, as above: at most a tenth of one core.
const WORK: (f64, f64) = (1.0, 0.1);
/// How long new connections and commands wait, at most, for the work for other clients.
const SHORT_TURN: Duration = Duration::from_millis(500);
/// The interval at which a waiting thread checks whether the server is closed.
const SLICE: Duration = Duration::from_millis(50);
/// How long the server waits at the end of the run for clients to receive the last records.
const FAREWELL: Duration = Duration::from_secs(2);
/// The interval between checks that the socket file still exists.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// A listening socket. Dropping it closes the socket and deletes its file.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    hub: HubHandle,
    about: TrainerInfo,
    stop: AtomicBool,
    /// The number of connections.
    clients: AtomicUsize,
    places: Mutex<Places>,
    /// The number of clients with control.
    steering: AtomicUsize,
    patience: Duration,
    requests: Budget,
    notes: Budget,
    work: Budget,
}

/// The connections, each with its file descriptor.
#[derive(Debug, Default)]
struct Places {
    /// Connections without a hello, oldest first.
    new: VecDeque<(RawFd, Arc<UnixStream>)>,
    attached: Vec<Attached>,
}

/// A client after its hello.
#[derive(Debug)]
struct Attached {
    connection: RawFd,
    is_command: bool,
    name: String,
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a connection without a hello. If there are too many, the oldest is closed.
    fn enter(&self, stream: &Arc<UnixStream>) {
        self.clients.fetch_add(1, Ordering::AcqRel);
        let mut places = self.places();
        places
            .new
            .push_back((stream.as_raw_fd(), Arc::clone(stream)));
        if places.new.len() > NEW
            && let Some((_, oldest)) = places.new.pop_front()
        {
            let _ = oldest.shutdown(Shutdown::Both);
        }
    }

    /// Gives a place to a client that has sent its hello.
    ///
    /// # Errors
    /// If no place for a client in its role is free: which clients have them, and what to do.
    fn admit(&self, connection: RawFd, role: Role, name: &str) -> Result<(), String> {
        let mut places = self.places();
        let is_command = match role {
            Role::Asker => true,
            Role::Screen | Role::Watcher => false,
        };
        let others = places
            .attached
            .iter()
            .filter(|other| other.is_command == is_command);
        let names: Vec<&str> = others.map(|other| other.name.as_str()).collect();
        let (most, remedy) = if is_command {
            (
                COMMANDS,
                "commands are waiting for their results, which is the maximum: end one of them",
            )
        } else {
            (
                CLIENTS,
                "clients are attached, which is the maximum: detach one of them (q in a screen), or end its process",
            )
        };
        if names.len() >= most {
            let listed: Vec<&str> = names.iter().take(NAMED).copied().collect();
            let more = names.len() - listed.len();
            let list = listed.join("; ");
            return Err(format!(
                "{most} {remedy}. They are: {list}; and {more} more"
            ));
        }
        places.new.retain(|(other, _)| *other != connection);
        places.attached.push(Attached {
            connection,
            is_command,
            name: name.to_owned(),
        });
        Ok(())
    }

    fn leave(&self, connection: RawFd) {
        let mut places = self.places();
        places.new.retain(|(other, _)| *other != connection);
        places
            .attached
            .retain(|other| other.connection != connection);
        self.clients.fetch_sub(1, Ordering::AcqRel);
    }

    /// Accounts for the processor time that this thread has used since the last call. Waits, at most for `longest`, until
    /// the clients' share allows more.
    fn take_turn(&self, longest: Duration) {
        self.wait(self.work.spend(processor_time()).min(longest));
    }

    /// Waits, unless the server is closed.
    fn wait(&self, time: Duration) {
        let began = Instant::now();
        while !self.stop.load(Ordering::Acquire) {
            let left = time.saturating_sub(began.elapsed());
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(SLICE));
        }
    }

    /// Adds a line to the run's log. Clients that connect again and again cause few lines.
    fn note(&self, text: String) {
        if self.notes.take() {
            self.hub.note(Level::Info, text);
        }
    }

    /// The trainer and its run, whose directory may have been renamed.
    fn about(&self) -> TrainerInfo {
        let mut about = self.about.clone();
        if let Some(dir) = &self.hub.dir {
            let path = dir.current_path().and_then(|path| path.canonicalize().ok());
            about.path = path.unwrap_or_else(|| {
                let mut gone = about.path.into_os_string();
                gone.push(" (deleted)");
                gone.into()
            });
        }
        about
    }
}

impl Server {
    /// Listens on the socket `path`. A stale socket file there is replaced.
    ///
    /// # Errors
    /// An I/O error that names the path, also if another process listens there.
    pub fn start(path: &Path, hub: HubHandle, about: TrainerInfo) -> io::Result<Self> {
        Self::start_with(path, hub, about, PATIENCE)
    }

    /// As [`Server::start`], with the time after which a client that reads nothing is disconnected.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(
        path: &Path,
        hub: HubHandle,
        about: TrainerInfo,
        patience: Duration,
    ) -> io::Result<Self> {
        let listener = bind(path)?;
        sockets::sweep(path);
        let shared = Arc::new(Shared {
            hub,
            about,
            stop: AtomicBool::new(false),
            clients: AtomicUsize::new(0),
            places: Mutex::default(),
            steering: AtomicUsize::new(0),
            patience,
            requests: Budget::new(REQUESTS.0, REQUESTS.1),
            notes: Budget::new(NOTES.0, NOTES.1),
            work: Budget::new(WORK.0, WORK.1),
        });
        let (place, all) = (path.to_owned(), Arc::clone(&shared));
        let listening = threads::start("socket", move || listen(listener, &place, &all))?;
        Ok(Self {
            path: path.to_owned(),
            shared,
            listening: Some(listening),
        })
    }

    /// The path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Stops accepting clients, and waits at most 2 s until the connected ones have received the end of the run.
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
            // Wakes the listening thread. If this fails, its poll ends after at most 1 s.
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

/// Accepts clients until the server is closed.
fn listen(mut listener: UnixListener, path: &Path, shared: &Arc<Shared>) {
    let inode = |path: &Path| fs::symlink_metadata(path).map(|meta| meta.ino()).ok();
    let mut own = inode(path);
    let mut checked = Instant::now();
    while !shared.stop.load(Ordering::Acquire) {
        let mut fds = [PollFd::new(&listener, PollFlags::IN)];
        let wait = Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        let _ = poll(&mut fds, Some(&wait));
        match listener.accept() {
            Ok((stream, _)) => {
                welcome(stream, shared);
                shared.take_turn(SHORT_TURN);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Most likely there are no free file descriptors; try again later.
            Err(_) => thread::sleep(Duration::from_millis(200)),
        }
        if checked.elapsed() >= CHECK_INTERVAL {
            checked = Instant::now();
            // A cleanup of /tmp may have deleted the socket.
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

/// Starts the thread of a new client.
fn welcome(stream: UnixStream, shared: &Arc<Shared>) {
    if shared.stop.load(Ordering::Acquire) {
        return;
    }
    let client = Arc::new(Client::new(stream, Arc::clone(shared)));
    let served = Arc::clone(&client);
    let started = threads::start("client", move || served.converse());
    if let Err(error) = started {
        client.goodbye(&format!("the trainer cannot serve this client: {error}"));
    }
}
