//! The socket a trainer listens on: any number of screens and askers of the same user.
//!
//! Each client has a thread that reads and one that writes, and a queue of its own in the hub: one that is slow gets a
//! fresh state instead of what it missed, one that takes nothing is let go. None of them can hold up another, the hub or
//! the trainer.

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

use super::door::Door;
use super::sockets;
use super::wire::{About, invalid};
use conversation::Client;

/// Clients at once; those that have not said hello yet are among them, but not for long.
const CLIENTS: usize = 32;
/// How long the end waits for clients to hear it.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often to see whether the socket is still there.
const LOOK: Duration = Duration::from_secs(30);
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
    let before = shared.clients.fetch_add(1, Ordering::AcqRel);
    let client = Client::new(stream, Arc::clone(shared));
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
