//! Which process writes to a run. A writer locks a file that has no other use, because editing the journal with `sed -i`
//! or `cp` and `mv` replaces it, and its lock with it. The journal is locked as well, for earlier versions, which lock
//! nothing else. Not every file system has locks, and some have them for each host alone. So the process named in
//! `run.json`, its socket and the age of the journal are considered too, and without locks the writer claims the run by
//! a file.

use std::fs::TryLockError;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use fs_err::File;
use serde::Deserialize;

use super::meta::Meta;
use super::process::{Holder, Seen, host};
use super::rundir::{JOURNAL, RunDir};
use crate::files::{Dir, TEMPORARY};
use crate::limits::JOURNAL_LINE;

/// The file that the writer of a run locks. It is empty, and never replaced or renamed.
pub(super) const LOCK: &str = "lock";
/// The file by which a process claims a run on a file system without locks.
pub(super) const CLAIM: &str = "writer.json";
const LONGEST_CLAIM: u64 = 4096;
/// A journal that was written more recently may still be written. A live trainer writes every few seconds.
const RECENT: Duration = Duration::from_secs(60);
/// How often a lock that is taken is checked again, and the interval: a process that is just being started has inherited
/// the locks of the one that starts it, until it executes its program.
const CHECKS: u32 = 3;
const CHECK_INTERVAL: Duration = Duration::from_millis(5);
/// How long a journal that was written recently is watched.
const WATCH: Duration = Duration::from_secs(12);

/// The state of a run's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    Taken,
    Free,
    /// The file system does not support locks, or the file cannot be opened.
    Unknown,
}

impl Lock {
    /// The state of the lock that consists of this and another one.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Taken, _) | (_, Self::Taken) => Self::Taken,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Free, Self::Free) => Self::Free,
        }
    }
}

/// The process that writes to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Writer {
    Absent,
    Live,
    /// This process may write to it.
    Unknown(Holder),
}

/// The state of the run's lock. A process that writes to a run holds it until it ends.
pub(super) fn lock_of(run: &RunDir) -> Lock {
    let mut lock = lock_now(run);
    for _ in 0..CHECKS {
        if lock != Lock::Taken {
            break;
        }
        std::thread::sleep(CHECK_INTERVAL);
        lock = lock_now(run);
    }
    lock
}

fn lock_now(run: &RunDir) -> Lock {
    let Ok(dir) = run.open() else {
        return Lock::Unknown;
    };
    let state = |file: io::Result<File>| match file.map(|file| file.file().try_lock_shared()) {
        Ok(Ok(())) => Lock::Free,
        Ok(Err(TryLockError::WouldBlock)) => Lock::Taken,
        Ok(Err(TryLockError::Error(_))) | Err(_) => Lock::Unknown,
    };
    let own = match dir.open_read(LOCK) {
        // A run of an earlier version.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Lock::Free,
        file => state(file),
    };
    own.and(state(dir.open_read(JOURNAL)))
}

/// Which process writes to a run, given the state of its lock.
pub(super) fn writer_of(run: &RunDir, meta: &Meta, lock: Lock) -> Writer {
    if lock == Lock::Taken {
        return Writer::Live;
    }
    let claimed = run.open().ok().and_then(|dir| claim_in(&dir));
    let mut doubt = None;
    for holder in claimed.into_iter().chain(Holder::recorded(meta)) {
        match (lock, holder.seen()) {
            (Lock::Unknown, Seen::Running) => return Writer::Live,
            (Lock::Unknown, Seen::Unknown) => doubt = Some(holder),
            // A lock can be visible on its own host only.
            (Lock::Free, _) if holder.host != host() && is_recent(run) => doubt = Some(holder),
            _ => {}
        }
    }
    let answers = || {
        let socket = Holder::recorded(meta).and(meta.socket.as_ref());
        socket.is_some_and(|socket| UnixStream::connect(socket).is_ok())
    };
    match doubt {
        _ if lock == Lock::Unknown && answers() => Writer::Live,
        Some(holder) => Writer::Unknown(holder),
        None => Writer::Absent,
    }
}

fn is_recent(run: &RunDir) -> bool {
    let written = run.journal().metadata().and_then(|meta| meta.modified());
    // A time in the future comes from a host with another clock.
    written.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < RECENT) || at.elapsed().is_err())
}

/// The journal of a run, open for appending. No other process writes to the run while this value exists.
#[derive(Debug)]
pub(super) struct LockedJournal {
    pub(super) dir: Dir,
    pub(super) file: File,
    lock: File,
    /// Whether open files can be compared with names: some network file systems give a file a new number at any time.
    is_comparable: bool,
    _claim: Option<Claim>,
}

impl LockedJournal {
    /// Creates the journal of a new run.
    ///
    /// # Errors
    /// An I/O error that names the path.
    pub(super) fn create(dir: Dir) -> io::Result<Self> {
        let file = dir.append(JOURNAL)?;
        let lock = open_lock(&dir)?;
        let found = lock_with_retries(&lock)?.and(lock_with_retries(&file)?);
        Self::claim(dir, file, lock, (found, false))
    }

    /// Claims the run if its file system has no locks.
    fn claim(
        dir: Dir,
        file: File,
        lock: File,
        (found, take_over): (Lock, bool),
    ) -> io::Result<Self> {
        let claim = match found {
            Lock::Unknown => Some(Claim::new(&dir, take_over)?),
            Lock::Free | Lock::Taken => None,
        };
        Ok(Self {
            is_comparable: dir.is_entry(JOURNAL, &file) && dir.is_entry(LOCK, &lock),
            dir,
            file,
            lock,
            _claim: claim,
        })
    }

    /// Opens and locks the files again that another program has replaced or deleted. Records that a new journal lacks are
    /// appended to it. Returns their number if the journal was replaced.
    ///
    /// # Errors
    /// An I/O error that names the path, or `WouldBlock` if another process has locked the new files. The open files stay
    /// the same then.
    pub(super) fn renew(&mut self) -> io::Result<Option<u64>> {
        if !self.is_comparable || self.dir.is_deleted() {
            return Ok(None);
        }
        if !self.dir.is_entry(LOCK, &self.lock) {
            self.lock = Self::relocked(&self.lock, open_lock(&self.dir)?)?;
        }
        if self.dir.is_entry(JOURNAL, &self.file) {
            return Ok(None);
        }
        let mut new = Self::relocked(&self.file, self.dir.append(JOURNAL)?)?;
        let appended = append_missing(&mut self.file, &mut new)?;
        self.file = new;
        self.is_comparable = self.dir.is_entry(JOURNAL, &self.file);
        Ok(Some(appended))
    }

    /// Passes the lock of a replaced file on to the new one.
    fn relocked(old: &File, new: File) -> io::Result<File> {
        // If both are the same file after all, its own lock must not be in the way.
        let _ = old.file().unlock();
        lock(&new).map_err(|error| {
            let path = new.path().display();
            let what = format!(
                "{path}: replaced by another program while this process writes the run, and locked by another process"
            );
            io::Error::new(error.kind(), what)
        })?;
        Ok(new)
    }

    /// Opens the journal of an existing run. With `take_over`, also if it cannot be determined whether another process
    /// writes to the run.
    ///
    /// # Errors
    /// `WouldBlock` with the process if another one writes to the run or may do so; or an I/O error.
    pub(super) fn open(run: &RunDir, take_over: bool) -> io::Result<Self> {
        let dir = run.open()?;
        let file = dir.append_existing(JOURNAL)?;
        let lock_file = open_lock(&dir)?;
        let meta = run.meta().unwrap_or_default();
        let refused = |what: &str| {
            let what = format!("{}: {what}", run.journal().display());
            io::Error::new(io::ErrorKind::WouldBlock, what)
        };
        let written = || {
            let holder = Holder::recorded(&meta).map_or_else(String::new, |holder| {
                format!(" (last seen: process {} on {})", holder.pid, holder.host)
            });
            refused(&format!("another process writes this run{holder}"))
        };
        let own = lock_with_retries(&lock_file).map_err(|_| written())?;
        let lock = own.and(lock_with_retries(&file).map_err(|_| written())?);
        match writer_of(run, &meta, lock) {
            Writer::Absent => {}
            Writer::Live => return Err(written()),
            Writer::Unknown(_) if take_over => {}
            Writer::Unknown(_) if lock == Lock::Free && !is_written(&file)? => {}
            Writer::Unknown(Holder { pid, host, .. }) if lock == Lock::Free => {
                let what = format!("process {pid} on {host} writes this run");
                return Err(refused(&what));
            }
            Writer::Unknown(Holder { pid, host, .. }) => {
                return Err(refused(&format!(
                    "process {pid} on {host} may still write this run, and this file system has no locks to find out; \
                     if that process has ended, continue with `train --resume RUN --take-over`"
                )));
            }
        }
        Self::claim(dir, file, lock_file, (lock, take_over))
    }
}

/// Opens the file to lock, and creates it if it does not exist. If it belongs to another user, who has evaluated the run,
/// it may be read only.
fn open_lock(dir: &Dir) -> io::Result<File> {
    dir.append(LOCK)
        .or_else(|error| dir.open_read(LOCK).map_err(|_| error))
}

/// The sequence number of a record.
#[derive(Debug, Deserialize)]
struct Head {
    seq: u64,
}

/// Appends the records of `old` that follow the last one of `new`. Returns their number.
fn append_missing(old: &mut File, new: &mut File) -> io::Result<u64> {
    let (mut last, mut is_torn) = (0, false);
    lines(new, |line| {
        is_torn = !line.ends_with(b"\n");
        last = serde_json::from_slice(line).map_or(last, |head: Head| last.max(head.seq));
        Ok(())
    })?;
    let mut out = BufWriter::new(new);
    if is_torn {
        out.write_all(b"\n")?;
    }
    let mut appended = 0;
    lines(old, |line| {
        if serde_json::from_slice(line).is_ok_and(|head: Head| head.seq > last) {
            out.write_all(line)?;
            appended += 1;
        }
        Ok(())
    })?;
    out.flush()?;
    Ok(appended)
}

/// Calls `take` with each line of a file.
fn lines(file: &mut File, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    file.rewind()?;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while reader
        .by_ref()
        .take(JOURNAL_LINE)
        .read_until(b'\n', &mut line)?
        > 0
    {
        take(&line)?;
        line.clear();
    }
    Ok(())
}

/// Locks a run that certainly no other process writes; `None` otherwise.
pub(super) fn lock_unwritten(run: &RunDir) -> Option<LockedJournal> {
    let meta = run.meta().unwrap_or_default();
    let writer = writer_of(run, &meta, lock_of(run));
    let open = || LockedJournal::open(run, false).ok();
    (writer == Writer::Absent).then(open).flatten()
}

/// Watches a journal: whether it is written.
fn is_written(file: &File) -> io::Result<bool> {
    let state = || {
        let meta = file.metadata()?;
        Ok::<_, io::Error>((meta.len(), meta.modified()?))
    };
    let before = state()?;
    let step = Duration::from_millis(300);
    for _ in 0..WATCH.as_millis() / step.as_millis() {
        std::thread::sleep(step);
        if state()? != before {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Locks a file, with a few retries: a process that only checks whether the run is live holds the lock briefly.
fn lock_with_retries(file: &File) -> io::Result<Lock> {
    for _ in 0..10 {
        if let Ok(lock) = lock(file) {
            return Ok(lock);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    lock(file)
}

/// Locks a file until it is closed, which the system does also for a killed process. Returns how it was found:
/// free, or unknown on a file system without locks.
///
/// # Errors
/// `WouldBlock` if another process holds the lock.
fn lock(file: &File) -> io::Result<Lock> {
    match file.file().try_lock() {
        Ok(()) => Ok(Lock::Free),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(_)) => Ok(Lock::Unknown),
    }
}

/// The claim of this process to a run on a file system without locks. It is removed on drop; that of a killed process
/// stays, and is replaced by the next.
#[derive(Debug)]
struct Claim {
    dir: Dir,
}

impl Claim {
    /// Claims a run. The claim of a process that has ended is replaced; with `take_over`, any.
    ///
    /// # Errors
    /// `WouldBlock` if another process has claimed the run; or an I/O error.
    fn new(dir: &Dir, take_over: bool) -> io::Result<Self> {
        let own = serde_json::to_vec(&Holder::own())?;
        let read = |name: &str| dir.read(name, LONGEST_CLAIM);
        match dir.write_new(CLAIM, &own) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let old = read(CLAIM)?;
                if !take_over && holder_in(&old).is_some_and(|old| old.seen() != Seen::Gone) {
                    return Err(claimed(dir));
                }
                let aside = format!("{TEMPORARY}{CLAIM}-{}", std::process::id());
                dir.rename(CLAIM, &aside)?;
                if read(&aside)? != old {
                    // Another process has replaced it in the meantime.
                    dir.rename(&aside, CLAIM)?;
                    return Err(claimed(dir));
                }
                dir.discard(&aside);
                dir.write_new(CLAIM, &own).map_err(|_| claimed(dir))?;
            }
            written => written?,
        }
        Ok(Self { dir: dir.clone() })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if claim_in(&self.dir) == Some(Holder::own()) {
            self.dir.discard(CLAIM);
        }
    }
}

fn claimed(dir: &Dir) -> io::Error {
    let what = format!(
        "{}: another process has claimed this run",
        dir.path().join(CLAIM).display()
    );
    io::Error::new(io::ErrorKind::WouldBlock, what)
}

fn claim_in(dir: &Dir) -> Option<Holder> {
    holder_in(&dir.read(CLAIM, LONGEST_CLAIM).ok()?)
}

/// Whether the process that claimed a run has ended, or was killed while it wrote the claim.
pub(super) fn is_stale_claim(dir: &Dir) -> bool {
    let claim = dir.read(CLAIM, LONGEST_CLAIM);
    claim.is_ok_and(|claim| holder_in(&claim).is_none_or(|holder| holder.seen() == Seen::Gone))
}

/// The process in a claim; `None` if it was killed while it wrote the claim.
fn holder_in(claim: &[u8]) -> Option<Holder> {
    serde_json::from_slice(claim).ok()
}

#[cfg(test)]
mod tests;
