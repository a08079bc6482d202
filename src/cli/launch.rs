//! `train` on a terminal: the trainer as a process of its own, this one as its first screen.
//!
//! The child is this program again, with the same arguments and `--trainer`. Until its run has begun, its stdout is a pipe
//! to here, its stderr the terminal, so mistakes are read where they were made; then both lead into the run's log, and
//! one line through the pipe says where it listens.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use color_eyre::eyre::Report;
use crossbeam_channel::{RecvTimeoutError, unbounded};
use serde::{Deserialize, Serialize};

use super::attach::{Ended, show};
use super::own_session::own_session;
use super::print::{complain, program, say};
use super::{code, signals};
use crate::config::Loaded;
use crate::run::{RunState, final_lines};
use crate::session::wire::Role;
use crate::session::{connect, who};

/// What stands before the one line that is for us.
const READY: char = '\u{1}';
/// How long a trainer that has told its end may take to go.
const GO: Duration = Duration::from_secs(5);

/// A run that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) run: String,
    pub(super) path: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) pid: u32,
}

impl Begun {
    /// Tells the parent, on the stdout that leads to it.
    pub(super) fn tell(&self) {
        let line = serde_json::to_string(self).unwrap_or_default();
        // Not `say`, which takes control characters away.
        let mut out = std::io::stdout().lock();
        let _ = std::io::Write::write_all(&mut out, format!("{READY}{line}\n").as_bytes());
        let _ = std::io::Write::flush(&mut out);
    }
}

/// Starts a trainer and shows it, others `beside` it, unless `detach`.
pub(super) fn run(loaded: &Loaded, detach: bool, beside: &[String]) -> u8 {
    let launched = launch();
    let result = launched.and_then(|launched| match launched {
        Launched::Begun(begun, child) if detach => {
            drop(child);
            say(&place(&begun));
            say(&come_back(&begun.run));
            Ok(code::COMPLETED)
        }
        Launched::Begun(begun, child) => attached(loaded, &begun, child, beside),
        Launched::Failed(code) => Ok(code),
    });
    result.unwrap_or_else(|report| {
        complain(&format!("error: {report:#}"));
        code::FAILED
    })
}

enum Launched {
    Begun(Begun, Child),
    Failed(u8),
}

fn launch() -> Result<Launched, Report> {
    let asked = signals::screen()?;
    let mut command = Command::new(env::current_exe()?);
    command
        .args(env::args_os().skip(1))
        .arg("--trainer")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = own_session(&mut command).spawn()?;
    let (tell, lines) = unbounded();
    if let Some(out) = child.stdout.take() {
        Builder::new().spawn(move || read(out, &tell))?;
    }
    loop {
        match lines.recv_timeout(Duration::from_millis(50)) {
            Ok(Line::Ready(begun)) => return Ok(Launched::Begun(begun, child)),
            Ok(Line::Words(words)) => say(&words),
            Err(RecvTimeoutError::Timeout) => {
                let Some(code) = asked.exit_code() else {
                    continue;
                };
                if code == 129 {
                    // The terminal is gone; the run begins without.
                    return Ok(Launched::Failed(code));
                }
                // Nothing has begun yet: it is not wanted any more.
                let _ = child.kill();
                let _ = child.wait();
                return Ok(Launched::Failed(code));
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = child.wait()?;
                if status.code().is_none() {
                    complain(&format!(
                        "error: the trainer ended before the run had begun: {status}"
                    ));
                }
                let code = status.code().and_then(|code| u8::try_from(code).ok());
                return Ok(Launched::Failed(code.unwrap_or(code::FAILED)));
            }
        }
    }
}

enum Line {
    Ready(Begun),
    Words(String),
}

fn read(out: ChildStdout, tell: &crossbeam_channel::Sender<Line>) {
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        let ready = line.strip_prefix(READY).map(serde_json::from_str);
        let line = match ready {
            Some(Ok(begun)) => Line::Ready(begun),
            Some(Err(_)) | None => Line::Words(line),
        };
        if tell.send(line).is_err() {
            break;
        }
    }
}

fn attached(loaded: &Loaded, begun: &Begun, child: Child, beside: &[String]) -> Result<u8, Report> {
    let connected = connect(&begun.socket, Role::Screen, &who("screen"))?;
    // Stays above the screen for whoever looks back.
    say(&place(begun));
    say(&come_back(&begun.run));
    let ended = show(loaded, connected, false, beside)?;
    Ok(match ended {
        Ended::Over(state) => {
            wait(child);
            final_lines(&state).iter().for_each(|line| say(line));
            say(&format!("run {}", begun.path.display()));
            outcome_code(&state, &begun.path)
        }
        Ended::Gone(reason) => {
            complain(&format!("error: {reason}"));
            if let Some(status) = wait(child) {
                complain(&format!(
                    "the trainer's process: {status}; {}",
                    begun.path.join("log.txt").display()
                ));
            }
            say(&go_on(&begun.path));
            code::FAILED
        }
        Ended::Left(code) => code,
    })
}

/// Waits for a trainer that is about to go.
fn wait(mut child: Child) -> Option<std::process::ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < GO {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(10));
    }
    None
}

fn outcome_code(state: &RunState, run: &std::path::Path) -> u8 {
    use crate::event::Outcome;
    match &state.outcome {
        Some(Outcome::Completed) => code::COMPLETED,
        Some(Outcome::Stopped) => {
            say(&go_on(run));
            code::STOPPED
        }
        Some(Outcome::Failed { .. }) | None => {
            if state.checkpoint.is_some() {
                say(&go_on(run));
            }
            code::FAILED
        }
    }
}

fn place(begun: &Begun) -> String {
    format!("run {} (process {})", begun.path.display(), begun.pid)
}

/// How a run is shown again.
pub(super) fn come_back(run: &str) -> String {
    format!(
        "it goes on without this terminal; to come back: {} attach {run}",
        program()
    )
}

/// How a run that ended goes on.
pub(super) fn go_on(run: &std::path::Path) -> String {
    format!("go on with: {} train --resume {}", program(), run.display())
}
