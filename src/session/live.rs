//! Finds a run by name or path: a live run of this user, a run that has ended, or a run on another host.

use std::io;
use std::path::{Path, PathBuf};

use super::client::{Connection, connect};
use super::meta::RunOutcome;
use super::overview::{Status, status};
use super::rundir::{RunDir, resolve};
use super::sockets;
use super::wire::{Role, TrainerInfo};

/// The run that a command refers to, and how it can be reached.
#[derive(Debug)]
pub enum RunTarget {
    /// The run is live: the connection and the path of the socket.
    Live(Box<Connection>, PathBuf),
    /// The run has ended.
    Ended(RunDir),
    /// The run is live on another host.
    Elsewhere {
        /// The run.
        run: RunDir,
        /// The host.
        host: String,
    },
    /// The run's process exists, but connecting to it failed.
    Silent {
        /// The run.
        run: RunDir,
        /// Why connecting failed.
        reason: String,
    },
}

/// Searches for a run: first among this user's live runs (with `within`, only those in the directory `runs`), then in
/// `runs`. Without a name, returns the newest.
///
/// # Errors
/// An error with the name, the searched directory and the existing runs. Also if connecting to a live run fails.
pub fn find(
    (runs, within): (&Path, bool),
    wanted: Option<&str>,
    role: Role,
    who: &str,
) -> io::Result<RunTarget> {
    let place = runs.canonicalize();
    let is_inside = |about: &TrainerInfo| {
        let place = place.as_ref();
        place.is_ok_and(|place| about.path.starts_with(place))
    };
    if let Some((path, _)) = live()
        .into_iter()
        .rev()
        .find(|(_, about)| matches(about, runs, wanted) && (!within || is_inside(about)))
    {
        let connected = connect(&path, role, who)?;
        return Ok(RunTarget::Live(Box::new(connected), path));
    }
    let run = resolve(runs, wanted).map_err(|error| {
        let live = "none of your runs is live on this machine";
        let what = match wanted {
            None => format!("{live}, and {error}"),
            Some(_) => format!("{error}; no live run has that name"),
        };
        io::Error::new(error.kind(), what)
    })?;
    let Some(meta) = run.meta() else {
        return Ok(RunTarget::Ended(run));
    };
    let here = rustix::system::uname();
    if meta.outcome == RunOutcome::Running
        && !meta.host.is_empty()
        && meta.host != here.nodename().to_string_lossy()
    {
        return Ok(RunTarget::Elsewhere {
            run,
            host: meta.host,
        });
    }
    if status(&run, &meta) != Status::Live {
        return Ok(RunTarget::Ended(run));
    }
    // Its socket may be in another directory than this process's environment specifies.
    let Some(socket) = meta.socket else {
        let reason = format!("process {} has no socket", meta.pid);
        return Ok(RunTarget::Silent { run, reason });
    };
    Ok(match connect(&socket, role, who) {
        Ok(connected) => RunTarget::Live(Box::new(connected), socket),
        Err(error) => RunTarget::Silent {
            run,
            reason: format!("process {}: {error}", meta.pid),
        },
    })
}

/// This user's live runs that accept a connection, each with the path of its socket, oldest first.
pub fn live() -> Vec<(PathBuf, TrainerInfo)> {
    let mut all: Vec<(PathBuf, TrainerInfo)> = sockets::all()
        .into_iter()
        .filter_map(|path| {
            let connected = connect(&path, Role::Watcher, "list of runs").ok()?;
            Some((path, connected.about))
        })
        .collect();
    all.sort_by(|a, b| (a.1.started_ms, &a.1.run).cmp(&(b.1.started_ms, &b.1.run)));
    all
}

/// Whether a live run is the wanted one, given by name or path.
fn matches(about: &TrainerInfo, runs: &Path, wanted: Option<&str>) -> bool {
    let Some(word) = wanted else { return true };
    if about.run == word {
        // If `runs` contains another run of the same name, that run is meant.
        let here = runs.join(word).canonicalize();
        return here.is_err() || here.is_ok_and(|here| here == about.path);
    }
    [runs.join(word), PathBuf::from(word)]
        .iter()
        .any(|path| path.canonicalize().is_ok_and(|path| path == about.path))
}

/// The name of this process as a client, for the log of a run: `screen of alice@node17`.
pub fn client_name(what: &str) -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.unwrap_or_else(|_| format!("user {}", rustix::process::getuid().as_raw()));
    let host = rustix::system::uname();
    format!("{what} of {user}@{}", host.nodename().to_string_lossy())
}
