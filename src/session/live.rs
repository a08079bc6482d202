//! Finds a run by name or path, wherever it is: live under this user, ended, or on another host.

use std::io;
use std::path::{Path, PathBuf};

use super::client::{Connected, connect};
use super::meta::RunOutcome;
use super::overview::{Status, status};
use super::rundir::{RunDir, resolve};
use super::sockets;
use super::wire::{About, Role};

/// A run that a command is about, by how it can be reached.
#[derive(Debug)]
pub enum RunTarget {
    /// It is trained now.
    Live(Box<Connected>, PathBuf),
    /// It has ended.
    Ended(RunDir),
    /// It is trained on another host.
    Elsewhere {
        /// The run.
        run: RunDir,
        /// The host.
        host: String,
    },
    /// Its process is there, but cannot be spoken to.
    Silent {
        /// The run.
        run: RunDir,
        /// Why.
        reason: String,
    },
}

/// Looks for a run: among this user's live ones wherever they were started (`within`: only those in `runs`), then in `runs`.
/// Without a name, the newest.
///
/// # Errors
/// What was looked for, where, and what is there.
pub fn find(
    (runs, within): (&Path, bool),
    wanted: Option<&str>,
    role: Role,
    who: &str,
) -> io::Result<RunTarget> {
    let place = runs.canonicalize();
    let inside = |about: &About| {
        let place = place.as_ref();
        place.is_ok_and(|place| about.path.starts_with(place))
    };
    if let Some((path, _)) = live()
        .into_iter()
        .rev()
        .find(|(_, about)| is_it(about, runs, wanted) && (!within || inside(about)))
    {
        let connected = connect(&path, role, who)?;
        return Ok(RunTarget::Live(Box::new(connected), path));
    }
    let run = resolve(runs, wanted).map_err(|error| {
        let live = "no run of yours is being trained on this machine";
        let what = match wanted {
            None => format!("{live}, and {error}"),
            Some(_) => format!("{error}; none of that name is being trained"),
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
    // It may listen in a place that is not this environment's.
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

/// This user's live runs that answer, oldest first, with where they listen.
pub fn live() -> Vec<(PathBuf, About)> {
    let mut all: Vec<(PathBuf, About)> = sockets::all()
        .into_iter()
        .filter_map(|path| {
            let connected = connect(&path, Role::Watcher, "looking around").ok()?;
            Some((path, connected.about))
        })
        .collect();
    all.sort_by(|a, b| (a.1.started_ms, &a.1.run).cmp(&(b.1.started_ms, &b.1.run)));
    all
}

fn is_it(about: &About, runs: &Path, wanted: Option<&str>) -> bool {
    let Some(word) = wanted else { return true };
    if about.run == word {
        // A run of the same name in this place, but another one, is the one that is meant.
        let here = runs.join(word).canonicalize();
        return here.is_err() || here.is_ok_and(|here| here == about.path);
    }
    [runs.join(word), PathBuf::from(word)]
        .iter()
        .any(|path| path.canonicalize().is_ok_and(|path| path == about.path))
}

/// Who this process is, for the log of a run: `screen of alice@node17`.
pub fn who(what: &str) -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.unwrap_or_else(|_| format!("user {}", rustix::process::getuid().as_raw()));
    let host = rustix::system::uname();
    format!("{what} of {user}@{}", host.nodename().to_string_lossy())
}
