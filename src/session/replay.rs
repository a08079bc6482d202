//! A recorded run as a link, so that the screen shows it like a live one.

use std::io;
use std::sync::Arc;
use std::thread::Builder;

use crossbeam_channel::bounded;

use super::answer;
use super::journal::{self, JournalState, live_records};
use super::rundir::RunDir;
use crate::link::{Feed, Link, Replays};
use crate::run::Replay;

/// A link that gives the run's last state; its records are read when a replay is asked for.
///
/// # Errors
/// The path of the journal and why it cannot be read.
pub fn replay(run: &RunDir) -> io::Result<(Link, JournalState)> {
    let journal = journal::read(&run.journal())?;
    let (sender, feed) = bounded(1);
    let _ = sender.send(Feed::Snapshot(Box::new(journal.state.clone())));
    let link = Link {
        queries: answer::start(&run.path),
        replays: replays(run),
        ..Link::only(feed)
    };
    Ok((link, journal))
}

/// Starts a thread that reads the run's records each time they are asked for. `None` when the system gives no thread.
fn replays(run: &RunDir) -> Option<Replays> {
    let (ask, asked) = bounded(1);
    let (tell, told) = bounded(1);
    let run = run.clone();
    let reading = move || {
        for () in asked {
            let replay = records(&run).map(Arc::new);
            if tell
                .send(replay.map_err(|error| error.to_string()))
                .is_err()
            {
                break;
            }
        }
    };
    let spawned = Builder::new().name("replay".to_owned()).spawn(reading);
    spawned.ok().map(|_| Replays { ask, told })
}

/// The records that count, in the order they were written.
fn records(run: &RunDir) -> io::Result<Replay> {
    let mut records = Vec::new();
    live_records(run, |record| records.push(record.clone()))?;
    records.shrink_to_fit();
    Ok(Replay::new(records))
}
