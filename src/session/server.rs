//! The socket on which a trainer accepts clients of the same user: screens and commands.
//!
//! Each client has a reading thread, a writing thread and its own queue in the hub. A slow client gets a snapshot
//! instead of the records that it missed; a client that reads nothing is disconnected. No client can block another, the
//! hub or the trainer.

mod conversation;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::hub_handle::HubHandle;
use super::sockets;
use super::wire::{TrainerInfo, invalid};
use crate::threads;
use conversation::Client;

/// The maximum number of clients, including those that have not sent their hello yet (which has a time limit).
const CLIENTS: usize = 32;
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
    clients: AtomicUsize,
    /// The number of clients with control.
    steering: AtomicUsize,
}

impl Server {
    /// Listens on the socket `path`. A stale socket file there is replaced.
    ///
    /// # Errors
    /// An I/O error that names the path, also if another process listens there.
    pub fn start(path: &Path, hub: HubHandle, about: TrainerInfo) -> io::Result<Self> {
        let listener = bind(path)?;
        sockets::sweep(path);
        let shared = Arc::new(Shared {
            hub,
            about,
            stop: AtomicBool::new(false),
            clients: AtomicUsize::new(0),
            steering: AtomicUsize::new(0),
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
            Ok((stream, _)) => welcome(stream, shared),
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

/// Starts the thread of a new client, or rejects the client if there are too many.
fn welcome(stream: UnixStream, shared: &Arc<Shared>) {
    if shared.stop.load(Ordering::Acquire) {
        return;
    }
    let before = shared.clients.fetch_add(1, Ordering::AcqRel);
    let client = Client::new(stream, Arc::clone(shared));
    if before >= CLIENTS {
        return client.goodbye(&format!(
            "{CLIENTS} clients are attached already: one of them must detach first"
        ));
    }
    // If the thread cannot be started, the client is dropped and its connection closed.
    let _ = Builder::new()
        .name("client".to_owned())
        .spawn(move || client.converse());
}
