//! Finds a run by name or path: a live run of this user, a run that has ended, or a run on another host.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::client::{Connection, connect};
use super::meta::RunOutcome;
use super::overview::{Status, status};
use super::process::host;
use super::rundir::{RunDir, RunsDir, ambiguous, listed, resolve, summaries};
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

/// Searches for a run: first among this user's live runs, then as [`resolve`]. Without a name, the only live run in
/// `runs`.
///
/// # Errors
/// An error with the name, the searched directory and the existing runs; with the runs to choose from if there are
/// several; and if connecting to a live run fails.
pub fn find(
    runs: &RunsDir,
    wanted: Option<&OsStr>,
    role: Role,
    who: &str,
) -> io::Result<RunTarget> {
    let live = live();
    let only = wanted.map_or_else(
        || only_live(runs, &live).map(OsString::from),
        |word| Ok(word.to_owned()),
    )?;
    let word = only.as_os_str();
    let found = matching(&live, runs, word);
    match found.as_slice() {
        [(path, _)] => {
            let connected = connect(path, role, who)?;
            return Ok(RunTarget::Live(Box::new(connected), path.clone()));
        }
        [] => {}
        several => {
            let paths: Vec<PathBuf> = several
                .iter()
                .map(|(_, about)| about.path.clone())
                .collect();
            return Err(ambiguous(word, &paths));
        }
    }
    let run = resolve(runs, Some(word)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            io::Error::new(error.kind(), format!("{error}; no live run has that name"))
        }
        _ => error,
    })?;
    let Some(meta) = run.meta() else {
        return Ok(RunTarget::Ended(run));
    };
    let status = status(&run, &meta);
    if !matches!(status, Status::Live | Status::Unknown) {
        return Ok(RunTarget::Ended(run));
    }
    if meta.outcome == RunOutcome::Running && !meta.host.is_empty() && meta.host != host() {
        return Ok(RunTarget::Elsewhere {
            run,
            host: meta.host,
        });
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

/// The path of a socket and the trainer that listens on it.
type LiveRun = (PathBuf, TrainerInfo);

/// This user's live runs that accept a connection, oldest first.
pub fn live() -> Vec<LiveRun> {
    let mut all: Vec<LiveRun> = sockets::all()
        .into_iter()
        .filter_map(|path| {
            // As a command, for which a place is free even if as many screens are attached as possible.
            let connected = connect(&path, Role::Asker, "list of runs").ok()?;
            Some((path, connected.about))
        })
        .collect();
    all.sort_by(|a, b| (a.1.started_ms, &a.1.run).cmp(&(b.1.started_ms, &b.1.run)));
    all
}

/// The path of the only live run in a directory.
///
/// # Errors
/// If no run or more than one is live; the message lists the runs to choose from.
fn only_live(runs: &RunsDir, live: &[LiveRun]) -> io::Result<PathBuf> {
    let place = runs.path.canonicalize();
    let is_inside = |path: &Path| place.as_ref().is_ok_and(|place| path.starts_with(place));
    let (mut inside, elsewhere): (Vec<PathBuf>, Vec<PathBuf>) = live
        .iter()
        .map(|(_, about)| about.path.clone())
        .partition(|path| is_inside(path));
    // The socket of a run can be in another directory than this process's environment specifies.
    for (run, meta) in summaries(&runs.path) {
        if status(&run, &meta) == Status::Live
            && let Ok(path) = run.path.canonicalize()
            && !inside.contains(&path)
        {
            inside.push(path);
        }
    }
    if let [only] = inside.as_slice() {
        return Ok(only.clone());
    }
    let place = runs.path.display();
    let what = match (inside.len(), runs.only || elsewhere.is_empty()) {
        (0, true) => format!("no run is live in {place}; `epochtop view` shows the newest"),
        (0, false) => {
            let list = listed(elsewhere.iter().map(|path| path.as_os_str()));
            format!(
                "no run is live in {place}; to choose a live run elsewhere, give its path:{list}"
            )
        }
        (count, _) => {
            let list = listed(inside.iter().map(|path| path.as_os_str()));
            format!("{count} runs are live in {place}; give the name or path of one:{list}")
        }
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

/// The live runs that a word names: the one with this path, or else those with this name.
fn matching<'a>(live: &'a [LiveRun], runs: &RunsDir, word: &OsStr) -> Vec<&'a LiveRun> {
    let paths = [runs.path.join(word), PathBuf::from(word)];
    let paths = paths.map(|path| path.canonicalize().ok());
    let by_path = |(_, about): &&LiveRun| paths.iter().flatten().any(|path| *path == about.path);
    if let Some(found) = live.iter().find(by_path) {
        return vec![found];
    }
    // If `runs` contains another run of the same name, that run is meant.
    if runs.only || runs.path.join(word).exists() {
        return Vec::new();
    }
    let has_name =
        |(_, about): &&LiveRun| about.path.file_name() == Some(word) || about.run.as_str() == word;
    live.iter().filter(has_name).collect()
}

/// The name of this process as a client, for the log of a run: `screen of alice@node17`.
pub fn client_name(what: &str) -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.unwrap_or_else(|_| format!("user {}", rustix::process::getuid().as_raw()));
    format!("{what} of {user}@{}", host())
}
