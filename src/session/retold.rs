//! A run's records for a replay, read when somebody wants to see one: until then a screen needs only the last state.

use std::io;
use std::sync::Arc;
use std::thread::Builder;

use crossbeam_channel::bounded;

use super::journal::live_records;
use super::rundir::RunDir;
use crate::link::Replays;
use crate::run::Replay;

/// Starts a thread that reads a run's story each time it is asked for. `None` when the system gives no thread.
pub(super) fn start(run: &RunDir) -> Option<Replays> {
    let (ask, asked) = bounded(1);
    let (tell, told) = bounded(1);
    let run = run.clone();
    let reading = move || {
        for () in asked {
            let replay = read(&run).map(Arc::new);
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
fn read(run: &RunDir) -> io::Result<Replay> {
    let mut records = Vec::new();
    live_records(run, |record| records.push(record.clone()))?;
    records.shrink_to_fit();
    Ok(Replay::new(records))
}
