//! `train` on a terminal: starts the trainer as a separate process; this process is its first screen.
//!
//! The child is the same program with the same arguments plus `--trainer`. Until its run has started, its stdout is a
//! pipe to this process and its stderr is the terminal, so that errors appear on the terminal. Then one line through
//! the pipe reports the socket, and both are redirected to the log of the run.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use color_eyre::eyre::Report;
use crossbeam_channel::{RecvTimeoutError, unbounded};
use serde::{Deserialize, Serialize};

use super::attach::{ScreenEnd, show};
use super::own_session::own_session;
use super::print::{argument, print_error, print_line, program, run_word};
use super::{code, signals};
use crate::config::Loaded;
use crate::event::Outcome;
use crate::files::{Dir, any_path};
use crate::run::{RunState, final_lines};
use crate::session::wire::Role;
use crate::session::{client_name, connect};
use crate::threads;

/// Prefix of the line with the [`StartedRun`].
const READY: char = '\u{1}';
/// How long to wait for the trainer process to exit after the end of its run.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A run that has started, as reported to the parent process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StartedRun {
    pub(super) run: String,
    #[serde(with = "any_path")]
    pub(super) path: PathBuf,
    #[serde(with = "any_path")]
    pub(super) socket: PathBuf,
    pub(super) pid: u32,
}

impl StartedRun {
    /// Reports the started run to the parent process through stdout.
    pub(super) fn report(&self) {
        let line = serde_json::to_string(self).unwrap_or_default();
        // Not `print_line`, which replaces control characters.
        let mut out = std::io::stdout().lock();
        let _ = std::io::Write::write_all(&mut out, format!("{READY}{line}\n").as_bytes());
        let _ = std::io::Write::flush(&mut out);
    }
}

/// Starts a trainer process. Unless `detach` is set, shows its run, with reference runs.
pub(super) fn run(loaded: &Loaded, detach: bool, reference: &[OsString]) -> u8 {
    let launched = launch();
    let result = launched.and_then(|launched| match launched {
        Launched::Started(started, child) if detach => {
            drop(child);
            print_line(&location(&started));
            print_line(&reattach_hint(&started.path));
            Ok(code::COMPLETED)
        }
        Launched::Started(started, child) => attached(loaded, &started, child, reference),
        Launched::Failed(code) => Ok(code),
    });
    result.unwrap_or_else(|report| {
        print_error(&format!("error: {report:#}"));
        code::FAILED
    })
}

/// The result of starting a trainer process.
enum Launched {
    Started(StartedRun, Child),
    /// The run did not start; the exit code.
    Failed(u8),
}

fn launch() -> Result<Launched, Report> {
    let requests = signals::screen()?;
    let mut command = Command::new(env::current_exe()?);
    command
        .args(env::args_os().skip(1))
        .arg("--trainer")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = own_session(&mut command).spawn()?;
    let (sender, lines) = unbounded();
    if let Some(out) = child.stdout.take() {
        threads::start("from-child", move || read(out, &sender))?;
    }
    loop {
        match lines.recv_timeout(Duration::from_millis(50)) {
            Ok(Line::Ready(started)) => return Ok(Launched::Started(started, child)),
            Ok(Line::Text(text)) => print_line(&text),
            Err(RecvTimeoutError::Timeout) => {
                let Some(code) = requests.exit_code() else {
                    continue;
                };
                if code == 129 {
                    // The terminal was closed; the run starts without it.
                    return Ok(Launched::Failed(code));
                }
                // The run has not started yet, so the trainer is killed.
                let _ = child.kill();
                let _ = child.wait();
                return Ok(Launched::Failed(code));
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = child.wait()?;
                if status.code().is_none() {
                    print_error(&format!(
                        "error: the trainer exited before the run started: {status}"
                    ));
                }
                let code = status.code().and_then(|code| u8::try_from(code).ok());
                return Ok(Launched::Failed(code.unwrap_or(code::FAILED)));
            }
        }
    }
}

/// A line from the stdout of the trainer process.
enum Line {
    Ready(StartedRun),
    Text(String),
}

fn read(out: ChildStdout, sender: &crossbeam_channel::Sender<Line>) {
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        let ready = line.strip_prefix(READY).map(serde_json::from_str);
        let line = match ready {
            Some(Ok(started)) => Line::Ready(started),
            Some(Err(_)) | None => Line::Text(line),
        };
        if sender.send(line).is_err() {
            break;
        }
    }
}

fn attached(
    loaded: &Loaded,
    started: &StartedRun,
    child: Child,
    reference: &[OsString],
) -> Result<u8, Report> {
    let connected = connect(&started.socket, Role::Screen, &client_name("screen"))?;
    // The directory may be renamed while the screen is open.
    let dir = Dir::open(&started.path);
    let path = || dir.as_ref().map_or(started.path.clone(), Dir::path);
    // Stays in the scrollback of the terminal.
    print_line(&location(started));
    let end = show(loaded, connected, false, reference)?;
    Ok(match end {
        ScreenEnd::RunEnded(state) => {
            wait(child);
            final_lines(&state).iter().for_each(|line| print_line(line));
            print_line(&format!("run {}", path().display()));
            next_step(&path(), &state)
                .iter()
                .for_each(|line| print_line(line));
            code::of(&state)
        }
        ScreenEnd::Disconnected(lost) => {
            print_error(&format!("error: {}", lost.message()));
            if let Some(status) = wait(child) {
                print_error(&format!(
                    "trainer process: {status}; see {}",
                    path().join("log.txt").display()
                ));
            }
            print_line(&restart_hint(&path(), &lost.state));
            code::FAILED
        }
        ScreenEnd::Detached(code) => code,
    })
}

/// Waits for the trainer process to exit; `None` after [`EXIT_TIMEOUT`].
fn wait(mut child: Child) -> Option<std::process::ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < EXIT_TIMEOUT {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(10));
    }
    None
}

fn location(started: &StartedRun) -> String {
    format!("run {} (process {})", started.path.display(), started.pid)
}

/// The hint how to show a detached run again.
pub(super) fn reattach_hint(run: &Path) -> String {
    format!(
        "the run does not need this terminal; to reattach: {} attach {}",
        program(),
        run_word(run)
    )
}

/// The hint what to do after the end of a run; `None` if nothing is left to do.
pub(super) fn next_step(run: &Path, state: &RunState) -> Option<String> {
    if state.outcome != Some(Outcome::Completed) {
        return Some(restart_hint(run, state));
    }
    let (program, word) = (program(), run_word(run));
    let missing = !state.unwritten.is_empty();
    missing.then(|| format!("to write what is missing: {program} eval {word}"))
}

/// The hint how to continue a run that has ended.
pub(super) fn restart_hint(run: &Path, state: &RunState) -> String {
    let path = std::path::absolute(run).unwrap_or_else(|_| run.to_owned());
    let (effect, how) = match &state.checkpoint {
        Some(saved) if !saved.is_in_run() => {
            let how = format!("--fork {}", argument(&saved.path));
            ("to continue in a new run", how)
        }
        Some(_) => ("to continue", format!("--resume {}", argument(path))),
        None => {
            let how = format!("--resume {}", argument(path));
            ("to start over (no checkpoint was saved)", how)
        }
    };
    format!("{effect}: {} train {how}", program())
}
