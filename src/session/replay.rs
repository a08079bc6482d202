//! Provides the link to a recorded run, so that the screen can show it like a live one.

use std::io;
use std::sync::Arc;
use std::thread::Builder;

use crossbeam_channel::bounded;

use super::answer;
use super::journal::{self, JournalState, live_records};
use super::rundir::RunDir;
use crate::link::{Feed, Link, ReplayRequests};
use crate::run::Replay;

/// Reads a run's journal. Returns a link whose feed has the final state, and the result of reading. The records
/// themselves are read only when the front end requests a replay.
///
/// # Errors
/// An I/O error that names the path of the journal.
pub fn replay(run: &RunDir) -> io::Result<(Link, JournalState)> {
    let journal = journal::read(&run.journal())?;
    let (sender, feed) = bounded(1);
    let _ = sender.send(Feed::Snapshot(Box::new(journal.state.clone())));
    let link = Link {
        queries: run.open().ok().and_then(|dir| answer::start(dir, || {})),
        replays: replays(run),
        ..Link::only(feed)
    };
    Ok((link, journal))
}

/// Starts a thread that reads the run's records at each request. `None` if the thread cannot be started.
fn replays(run: &RunDir) -> Option<ReplayRequests> {
    let (ask, requests) = bounded(1);
    let (answer, replay) = bounded(1);
    let run = run.clone();
    let reading = move || {
        for () in requests {
            let records = records(&run).map(Arc::new);
            if answer
                .send(records.map_err(|error| error.to_string()))
                .is_err()
            {
                break;
            }
        }
    };
    let spawned = Builder::new().name("replay".to_owned()).spawn(reading);
    spawned.ok().map(|_| ReplayRequests { ask, replay })
}

/// The valid records of a run, in the order in which they were written.
fn records(run: &RunDir) -> io::Result<Replay> {
    let mut records = Vec::new();
    live_records(run, |record| records.push(record.clone()))?;
    records.shrink_to_fit();
    Ok(Replay::new(records))
}
